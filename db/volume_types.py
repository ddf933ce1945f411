"""Which volume type a request means."""

from sqlalchemy import ColumnElement, Select, String, bindparam, case, exists, func, or_, select
from sqlalchemy.orm import Session

from db.models import DefaultVolumeType, VolumeType, VolumeTypeAccess, VolumeTypeEncryption


def _called(wanted: ColumnElement[str]) -> Select[VolumeType]:
    return (
        select(VolumeType)
        .where(or_(VolumeType.id == wanted, VolumeType.name == wanted))
        .order_by(case((VolumeType.id == wanted, 0), else_=1))
        .limit(1)
    )


# Made once: some of them run for every volume.
_WANTED = bindparam("wanted", type_=String)
_NAMED = _called(_WANTED)
_NAMED_LOCKED = _NAMED.with_for_update(read=True)
_DEFAULT = select(DefaultVolumeType.volume_type_id).where(
    DefaultVolumeType.project_id == bindparam("of_project")
)
_ASKED_FOR = _called(
    func.coalesce(_WANTED, _DEFAULT.scalar_subquery(), bindparam("fallback", type_=String))
).with_for_update(read=True)
_ENCRYPTED = select(VolumeTypeEncryption.volume_type_id).where(
    VolumeTypeEncryption.volume_type_id == bindparam("of_type")
)


def usable_by(project_id: str) -> ColumnElement[bool]:
    """The condition that a project may use a type: it is public, or the project was let in."""
    return or_(
        VolumeType.is_public,
        exists().where(
            VolumeTypeAccess.volume_type_id == VolumeType.id,
            VolumeTypeAccess.project_id == project_id,
        ),
    )


def default_of(tx: Session, project_id: str) -> str | None:
    """The id of the type that an administrator gave a project for volumes that name none."""
    return tx.scalar(_DEFAULT, {"of_project": project_id})


def asked_for(tx: Session, wanted: str | None, project_id: str, fallback: str) -> VolumeType | None:
    """The type called `wanted`, else the project's default, else the one called `fallback`.

    Locked against changes until the commit.
    """
    names = {"wanted": wanted or None, "of_project": project_id, "fallback": fallback}
    return tx.scalars(_ASKED_FOR, names).first()


def named(tx: Session, wanted: str, *, locked: bool = False) -> VolumeType | None:
    """The type with this id, else this name; `locked` against changes until the commit."""
    return tx.scalars(_NAMED_LOCKED if locked else _NAMED, {"wanted": wanted}).first()


def is_encrypted(tx: Session, type_id: str) -> bool:
    """Whether volumes of a type are to be encrypted."""
    return tx.scalar(_ENCRYPTED, {"of_type": type_id}) is not None
