"""Which volume type a request means."""

from sqlalchemy import ColumnElement, case, exists, or_, select
from sqlalchemy.orm import Session

from db.models import DefaultVolumeType, VolumeType, VolumeTypeAccess, VolumeTypeEncryption


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
    return tx.scalar(
        select(DefaultVolumeType.volume_type_id).where(DefaultVolumeType.project_id == project_id)
    )


def named(tx: Session, wanted: str, *, locked: bool = False) -> VolumeType | None:
    """The type with this id, else this name; `locked` against changes until the commit."""
    query = (
        select(VolumeType)
        .where(or_(VolumeType.id == wanted, VolumeType.name == wanted))
        .order_by(case((VolumeType.id == wanted, 0), else_=1))
        .limit(1)
    )
    return tx.scalars(query.with_for_update(read=True) if locked else query).first()


def is_encrypted(tx: Session, type_id: str) -> bool:
    """Whether volumes of a type are to be encrypted."""
    return tx.get(VolumeTypeEncryption, type_id) is not None
