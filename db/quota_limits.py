"""Quota as an operator sees and sets it: limits and usage under the names that the API shows.

The API names a type's resources by the type's name (`gigabytes_fast`), the tables by its id, so
that renaming a type moves nothing; `stored_names` is the one translation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy import delete, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.models import Quota, QuotaClass, QuotaUsage, VolumeType
from db.quota import DEFAULT_CLASS, UNLIMITED, Usage, limits
from db.volume_types import usable_by

PER_TYPE = ("volumes", "gigabytes", "snapshots")


def type_resources(type_id: str) -> list[str]:
    """The names under which the tables know one type's resources."""
    return [f"{resource}_{type_id}" for resource in PER_TYPE]


def stored_names(
    tx: Session, resources: Iterable[str], project_id: str | None = None
) -> dict[str, str]:
    """Name in the API → name in the tables, for `resources` and for each type's resources.

    With a project only of the types that it may use: it is not to know of others.
    """
    names = {resource: resource for resource in resources}
    usable = true() if project_id is None else usable_by(project_id)
    for type_id, name in tx.execute(select(VolumeType.id, VolumeType.name).where(usable)):
        names |= {f"{resource}_{name}": f"{resource}_{type_id}" for resource in PER_TYPE}
    return names


def project_usage(
    tx: Session, project_id: str, names: Mapping[str, str], defaults: Mapping[str, int]
) -> dict[str, Usage]:
    """Limit, usage and reservations of a project, by the API's names."""
    in_force = limits(tx, project_id, list(names.values()), defaults)
    found = {stored: Usage(limit) for stored, limit in in_force.items()}
    rows = tx.execute(
        select(QuotaUsage.resource, QuotaUsage.in_use, QuotaUsage.reserved).where(
            QuotaUsage.project_id == project_id
        )
    )
    for resource, in_use, reserved in rows:
        if resource in found:
            found[resource] = replace(found[resource], in_use=in_use, reserved=reserved)
    return {name: found[stored] for name, stored in names.items()}


def class_limits(
    tx: Session, class_name: str, names: Mapping[str, str], defaults: Mapping[str, int]
) -> dict[str, int]:
    """The limits of a class, by the API's names; what it does not set is the configured default."""
    rows = tx.execute(
        select(QuotaClass.resource, QuotaClass.hard_limit).where(
            QuotaClass.class_name == class_name
        )
    )
    own = {row.resource: row.hard_limit for row in rows}
    return {
        name: own.get(stored, defaults.get(stored, UNLIMITED)) for name, stored in names.items()
    }


def default_limits(
    tx: Session, names: Mapping[str, str], defaults: Mapping[str, int]
) -> dict[str, int]:
    """The limits of a project that has none of its own."""
    return class_limits(tx, DEFAULT_CLASS, names, defaults)


def set_project_limits(tx: Session, project_id: str, by_stored_name: Mapping[str, int]) -> None:
    """Give a project limits of its own."""
    _upsert(tx, Quota, {"project_id": project_id}, by_stored_name)


def set_class_limits(tx: Session, class_name: str, by_stored_name: Mapping[str, int]) -> None:
    """Give a class limits; the class `default` is every project's default."""
    _upsert(tx, QuotaClass, {"class_name": class_name}, by_stored_name)


def drop_project_limits(tx: Session, project_id: str) -> None:
    """Take a project's own limits away; usage stays as it is."""
    tx.execute(delete(Quota).where(Quota.project_id == project_id))


def drop_type(tx: Session, type_id: str) -> None:
    """Take away limits and usage of a type that nothing uses any more."""
    resources = type_resources(type_id)
    for model in (Quota, QuotaClass, QuotaUsage):
        tx.execute(delete(model).where(model.resource.in_(resources)))


def _upsert(
    tx: Session,
    model: type[Quota] | type[QuotaClass],
    owner: Mapping[str, str],
    by_stored_name: Mapping[str, int],
) -> None:
    if not by_stored_name:
        return
    dialect = tx.get_bind().dialect.name
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(model)
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=[*owner, "resource"],
            set_={"hard_limit": statement.excluded.hard_limit},
        ),
        [
            {**owner, "resource": resource, "hard_limit": by_stored_name[resource]}
            for resource in sorted(by_stored_name)
        ],
    )
