"""Quota: reserve, commit, release, charge and give back, each within the caller's transaction.

`in_use` always equals the sum of what rows say was charged, `reserved` the sum of `reservations`;
nothing here commits, so a counter and the row that explains it change together or not at all.
Rows of one project are always locked in the order of their names, so two flows cannot deadlock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from config.settings import Settings
from db.models import (
    Base,
    Group,
    Quota,
    QuotaClass,
    QuotaUsage,
    Snapshot,
    Volume,
    VolumeType,
)

Charged: TypeAlias = Volume | Snapshot | Group
"""What says on its row what it was charged; what consumes no quota was charged nothing."""

DEFAULT_CLASS = "default"
UNLIMITED = -1
PER_VOLUME = "per_volume_gigabytes"


_USAGES, _RESERVATIONS = (Base.metadata.tables[name] for name in ("quota_usages", "reservations"))
_LIMITS = union_all(
    select(QuotaClass.resource, QuotaClass.hard_limit, QuotaClass.class_name).where(
        QuotaClass.class_name == DEFAULT_CLASS,
        QuotaClass.resource.in_(bindparam("resources", expanding=True)),
    ),
    select(Quota.resource, Quota.hard_limit, Quota.project_id).where(
        Quota.project_id == bindparam("project_id"),
        Quota.resource.in_(bindparam("resources", expanding=True)),
    ),
)


def _limit(resource: ColumnElement[str]) -> ColumnElement[int | None]:
    """The limit that the project, else the default class has of its own."""
    own = select(Quota.hard_limit).where(
        Quota.project_id == bindparam("project_id"), Quota.resource == resource
    )
    default = select(QuotaClass.hard_limit).where(
        QuotaClass.class_name == DEFAULT_CLASS, QuotaClass.resource == resource
    )
    return func.coalesce(own.scalar_subquery(), default.scalar_subquery())


_LOCKED = (
    select(
        _USAGES.c.resource,
        _USAGES.c.in_use,
        _USAGES.c.reserved,
        _limit(_USAGES.c.resource).label("hard_limit"),
        _limit(literal(PER_VOLUME)).label("per_volume"),
    )
    .where(
        _USAGES.c.project_id == bindparam("project_id"),
        _USAGES.c.resource.in_(bindparam("resources", expanding=True)),
    )
    .order_by(_USAGES.c.resource)
    .with_for_update()
)
_ADD = (
    update(_USAGES)
    .where(
        _USAGES.c.project_id == bindparam("of_project"),
        _USAGES.c.resource == bindparam("of_resource"),
    )
    .values(
        in_use=_USAGES.c.in_use + bindparam("more_in_use"),
        reserved=_USAGES.c.reserved + bindparam("more_reserved"),
    )
)
_TAKE = (
    delete(_RESERVATIONS)
    .where(_RESERVATIONS.c.flow_id == bindparam("of_flow"))
    .returning(_RESERVATIONS.c.resource, _RESERVATIONS.c.delta, _RESERVATIONS.c.project_id)
)


@dataclass(frozen=True, slots=True)
class Usage:
    """One resource of one project: its limit (-1: none), what is used and what is reserved."""

    limit: int
    in_use: int = 0
    reserved: int = 0


class OverQuota(Exception):
    """The request would take the project over a limit."""

    def __init__(self, resource: str, asked: int, usage: Usage) -> None:
        super().__init__(
            f"{resource}: {asked} asked, {usage.in_use} in use and {usage.reserved} reserved "
            f"of {usage.limit}"
        )
        self.resource, self.asked, self.usage = resource, asked, usage


def volume_deltas(count: int, gib: int, type_id: str | None) -> dict[str, int]:
    """What `count` volumes of together `gib` GiB take, overall and of their type."""
    return _sized("volumes", count, gib, type_id)


def snapshot_deltas(count: int, gib: int, type_id: str | None) -> dict[str, int]:
    """What `count` snapshots of together `gib` GiB take, overall and of their volumes' type."""
    return _sized("snapshots", count, gib, type_id)


def group_deltas(count: int) -> dict[str, int]:
    """What `count` groups take; their volumes are charged for themselves."""
    return {"groups": count} if count else {}


def _sized(counted: str, count: int, gib: int, type_id: str | None) -> dict[str, int]:
    deltas = {counted: count, "gigabytes": gib}
    if type_id:
        deltas |= {f"{resource}_{type_id}": delta for resource, delta in deltas.items()}
    return {resource: delta for resource, delta in deltas.items() if delta}


def _deltas(row: Charged, count: int, gib: int) -> dict[str, int]:
    match row:
        case Volume():
            return volume_deltas(count, gib, row.charged_type_id)
        case Snapshot():
            return snapshot_deltas(count, gib, row.charged_type_id)
        case Group():
            return group_deltas(count)


def defaults(settings: Settings) -> dict[str, int]:
    """The configured limits, which hold until a class or a project has its own."""
    return asdict(settings.quota)


def limits(
    tx: Session, project_id: str, resources: list[str], defaults: Mapping[str, int]
) -> dict[str, int]:
    """The limit in force for each resource: the project's own, else the default class's, else the
    configured default, else none (-1)."""
    found = {resource: defaults.get(resource, UNLIMITED) for resource in resources}
    rows = tx.execute(_LIMITS, {"project_id": project_id, "resources": resources})
    found |= {resource: limit for resource, limit, _ in rows}
    return found


def _lock(
    tx: Session, project_id: str, resources: list[str], defaults: Mapping[str, int]
) -> dict[str, Usage]:
    """The usage of `resources`: rows made if absent and locked in order of their names.

    With it comes PER_VOLUME, of which there is only a limit.
    """
    wanted = {"project_id": project_id, "resources": resources}
    rows = tx.execute(_LOCKED, wanted).all()
    if len(rows) < len(resources):
        dialect = tx.get_bind().dialect.name
        upsert = (postgresql if dialect == "postgresql" else sqlite).insert(QuotaUsage)
        tx.execute(
            upsert.on_conflict_do_nothing(),
            [
                {"project_id": project_id, "resource": resource, "in_use": 0, "reserved": 0}
                for resource in sorted(resources)
            ],
        )
        rows = tx.execute(_LOCKED, wanted).all()
    usage = {
        row.resource: Usage(
            _either(row.hard_limit, defaults.get(row.resource)), row.in_use, row.reserved
        )
        for row in rows
    }
    return usage | {PER_VOLUME: Usage(_either(rows[0].per_volume, defaults.get(PER_VOLUME)))}


def _either(stored: int | None, configured: int | None) -> int:
    return next((limit for limit in (stored, configured) if limit is not None), UNLIMITED)


def _add(
    tx: Session,
    project_id: str,
    in_use: Mapping[str, int] | None = None,
    reserved: Mapping[str, int] | None = None,
) -> None:
    """Change counters, one row after the other in the order in which rows are locked."""
    resources = sorted({*(in_use or {}), *(reserved or {})})
    tx.execute(
        _ADD,
        [
            {
                "of_project": project_id,
                "of_resource": resource,
                "more_in_use": (in_use or {}).get(resource, 0),
                "more_reserved": (reserved or {}).get(resource, 0),
            }
            for resource in resources
        ],
    )


def reserve(
    tx: Session,
    flow_id: str,
    project_id: str,
    deltas: Mapping[str, int],
    defaults: Mapping[str, int],
    volume_gib: int = 0,
) -> None:
    """Reserve `deltas` for a flow, which may make a volume of `volume_gib` GiB.

    Raises OverQuota with the numbers, and reserves nothing then.
    """
    resources = sorted(deltas)
    _check(tx, project_id, deltas, defaults, volume_gib)
    _add(tx, project_id, reserved=deltas)
    tx.execute(
        insert(_RESERVATIONS),
        [
            {"flow_id": flow_id, "resource": r, "project_id": project_id, "delta": deltas[r]}
            for r in resources
        ],
    )


def _check(
    tx: Session,
    project_id: str,
    deltas: Mapping[str, int],
    defaults: Mapping[str, int],
    volume_gib: int = 0,
) -> None:
    """Lock the counters of `deltas`. Raises OverQuota where there is no room for one."""
    resources = sorted(deltas)
    used = _lock(tx, project_id, resources, defaults)
    most = used[PER_VOLUME]
    if most.limit != UNLIMITED and volume_gib > most.limit:
        raise OverQuota(PER_VOLUME, volume_gib, most)
    for resource in resources:
        usage, asked = used[resource], deltas[resource]
        if usage.limit != UNLIMITED and usage.in_use + usage.reserved + asked > usage.limit:
            raise OverQuota(_shown(tx, resource), asked, usage)


def _shown(tx: Session, resource: str) -> str:
    """A resource under the name that the API has for it: of a type by its name, not its id."""
    kind, _, type_id = resource.partition("_")
    name = tx.scalar(select(VolumeType.name).where(VolumeType.id == type_id)) if type_id else None
    return f"{kind}_{name}" if name else resource


def _take_reservations(tx: Session, flow_id: str) -> tuple[str, dict[str, int]]:
    rows = tx.execute(_TAKE, {"of_flow": flow_id}).all()
    project_id = rows[0].project_id if rows else ""
    deltas = {row.resource: row.delta for row in rows}
    return project_id, deltas


def commit(tx: Session, flow_id: str) -> dict[str, int]:
    """Turn the flow's reservations into usage; returns what was charged, by resource.

    The caller writes the same on the row that was charged, in the same transaction.
    """
    project_id, deltas = _take_reservations(tx, flow_id)
    if deltas:
        negative = {resource: -delta for resource, delta in deltas.items()}
        _add(tx, project_id, in_use=deltas, reserved=negative)
    return deltas


def release(tx: Session, flow_id: str) -> None:
    """Give the flow's reservations back; without any, does nothing."""
    project_id, deltas = _take_reservations(tx, flow_id)
    if deltas:
        _add(tx, project_id, reserved={resource: -delta for resource, delta in deltas.items()})


def give_back(tx: Session, row: Charged, count: int | None = None, gib: int | None = None) -> None:
    """Take `count` of a kind and `gib` GiB (all by default) off what `row` was charged."""
    count = row.charged_count if count is None else count
    gib = getattr(row, "charged_gib", 0) if gib is None else gib
    deltas = _deltas(row, count, gib)
    if not deltas:
        return
    _add(tx, row.project_id, in_use={resource: -delta for resource, delta in deltas.items()})
    row.charged_count -= count
    if not isinstance(row, Group):
        row.charged_gib -= gib


def give_back_growth(tx: Session, volume: Volume) -> None:
    """Take off what `volume` was charged above its size, for a growth that is given up."""
    give_back(tx, volume, count=0, gib=max(volume.charged_gib - volume.size, 0))


def type_deltas(volume: Volume, type_id: str | None) -> dict[str, int]:
    """What `volume` would be charged as one of a type, beside what it is charged overall."""
    deltas = volume_deltas(volume.charged_count, volume.charged_gib, type_id)
    return {resource: delta for resource, delta in deltas.items() if "_" in resource}


def retype(tx: Session, flow_id: str, volume: Volume, type_id: str) -> None:
    """Charge `volume` as one of another type, for which the flow has reserved."""
    old = type_deltas(volume, volume.charged_type_id)
    commit(tx, flow_id)
    if old:
        _add(tx, volume.project_id, in_use={resource: -delta for resource, delta in old.items()})
    volume.charged_type_id = type_id


def retype_back(tx: Session, volume: Volume, type_id: str | None) -> None:
    """Charge `volume` again as one of the type that it was charged as before."""
    changes = type_deltas(volume, type_id)
    for resource, delta in type_deltas(volume, volume.charged_type_id).items():
        changes[resource] = changes.get(resource, 0) - delta
    if changes:
        _add(tx, volume.project_id, in_use=changes)
    volume.charged_type_id = type_id


def move(
    tx: Session,
    rows: Sequence[Volume | Snapshot],
    from_project: str,
    to_project: str,
    defaults: Mapping[str, int],
) -> None:
    """Charge another project for what `rows`, which are locked, were charged.

    The caller gives the rows to that project in the same transaction. Raises OverQuota.
    """
    deltas: Counter[str] = Counter()
    for row in rows:
        deltas.update(_deltas(row, row.charged_count, row.charged_gib))
    if not deltas or from_project == to_project:
        return
    if from_project < to_project:  # two opposite moves must not wait for each other
        _lock(tx, from_project, sorted(deltas), defaults)
    _check(tx, to_project, deltas, defaults)
    _add(tx, to_project, in_use=deltas)
    _add(tx, from_project, in_use={resource: -delta for resource, delta in deltas.items()})


def charged(tx: Session, project_id: str | None = None) -> Counter[tuple[str, str]]:
    """What the rows (of one project) say was charged, summed by project and resource."""
    sums: Counter[tuple[str, str]] = Counter()
    for model, sized in ((Volume, volume_deltas), (Snapshot, snapshot_deltas)):
        owner = (model.project_id, model.charged_type_id)
        totals = (func.sum(model.charged_count), func.sum(model.charged_gib))
        query = select(*owner, *totals).group_by(*owner)
        for project, type_id, count, gib in tx.execute(_within(query, model, project_id)):
            for resource, amount in sized(int(count), int(gib), type_id).items():
                sums[project, resource] += amount
    groups = select(Group.project_id, func.sum(Group.charged_count)).group_by(Group.project_id)
    for project, count in tx.execute(_within(groups, Group, project_id)):
        sums[project, "groups"] += int(count)
    return sums


def _within(query: Any, model: type[Charged], project_id: str | None) -> Any:
    return query if project_id is None else query.where(model.project_id == project_id)
