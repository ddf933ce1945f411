"""What must hold of an installation whenever nothing is under way in it."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import quota
from db.models import (
    Claim,
    Flow,
    FlowStep,
    Hold,
    Node,
    Pool,
    QuotaUsage,
    Reservation,
    Residue,
    Snapshot,
    UserMessage,
    Volume,
)
from db.models.flow import PARKED, UNFINISHED
from db.models.pool import FORGOTTEN
from db.transitions import (
    AVAILABLE,
    ERROR,
    ERROR_DELETING,
    ERROR_EXTENDING,
    ERROR_MANAGING,
    ERROR_UNMANAGING,
    STANDINGS,
)

FAILED = {ERROR, ERROR_DELETING, ERROR_EXTENDING, ERROR_MANAGING, ERROR_UNMANAGING}
TERMINAL = {*STANDINGS, *FAILED}
MADE: Mapping[str, type[Volume | Snapshot]] = {
    "volume.create": Volume,
    "snapshot.create": Snapshot,
    "volume.manage": Volume,
    "snapshot.manage": Snapshot,
}
Objects = Mapping[str, Mapping[str, int]]
"""What each host's back end holds: sizes in GiB by name."""


def check(tx: Session, objects: Objects) -> list[str]:
    """Every violated invariant, in words; an empty list when all hold.

    A node that was declared gone took with it what it held.
    """
    gone = set(tx.scalars(select(Node.host).where(Node.state == FORGOTTEN)))
    objects = {host: held for host, held in objects.items() if host not in gone}
    return [
        *_flows(tx),
        *_quota(tx),
        *_capacity(tx),
        *_volumes(tx, objects),
        *_snapshots(tx, objects),
        *_orphans(tx, objects),
    ]


def _flows(tx: Session) -> list[str]:
    wrong = [
        f"flow {f.id} has not ended" for f in tx.scalars(select(Flow)) if f.state in UNFINISHED
    ]
    # What a parked flow refers to, it will need when its node is back.
    stray = (
        select(func.count())
        .select_from(Hold)
        .join(Flow, Flow.id == Hold.flow_id)
        .where(Flow.state != PARKED)
    )
    if left := tx.scalar(stray):
        wrong.append(f"{left} holds left")
    for table in (Claim, Reservation):
        if left := tx.scalar(select(func.count()).select_from(table)):
            wrong.append(f"{left} {table.__tablename__} left")
    done = tx.execute(
        select(FlowStep.flow_id, FlowStep.attempt, FlowStep.step, FlowStep.undo).where(
            FlowStep.outcome == "done"
        )
    ).all()
    wrong += [f"{n} effects of {line}" for line, n in Counter(map(tuple, done)).items() if n > 1]
    parked = {f.id for f in tx.scalars(select(Flow).where(Flow.state == PARKED))}
    resumable = {r.flow_id for r in tx.scalars(select(Residue).where(Residue.resume.is_(True)))}
    if parked != resumable:
        wrong.append(f"parked {parked}, but residues of {resumable}")
    for flow in tx.scalars(select(Flow).where(Flow.kind.in_(MADE))):
        made = tx.get(MADE[flow.kind], flow.resource_id)
        if not flow.admitted and made is not None:
            wrong.append(f"{flow.noun} {flow.resource_id} of a request that was not admitted")
    failed = sorted(tx.scalars(select(Flow.id).where(Flow.state == "failed")))
    told = sorted(str(flow_id) for flow_id in tx.scalars(select(UserMessage.flow_id)))
    if failed != told:
        wrong.append(f"{failed} have failed, but messages tell of {told}")
    return wrong


def _quota(tx: Session) -> list[str]:
    charged = quota.charged(tx)
    counted = {(u.project_id, u.resource): u for u in tx.scalars(select(QuotaUsage))}
    wrong = [f"{u.resource}: {u.reserved} reserved" for u in counted.values() if u.reserved]
    for key in charged.keys() | counted.keys():
        in_use = counted[key].in_use if key in counted else 0
        if in_use != charged[key]:
            wrong.append(f"{key}: in_use {in_use}, charged {charged[key]}")
    return wrong


def _capacity(tx: Session) -> list[str]:
    gib: Counter[int | None] = Counter()
    count: Counter[int | None] = Counter()
    for volume in tx.scalars(select(Volume)):
        gib[volume.pool_id] += volume.allocated_gib
        count[volume.pool_id] += 1
    for snapshot in tx.scalars(select(Snapshot)):
        gib[snapshot.pool_id] += snapshot.allocated_gib
    for residue in tx.scalars(select(Residue)):
        gib[residue.pool_id] += residue.gib
        count[residue.pool_id] += residue.volumes
    return [
        f"{pool.name}: taken {pool.taken_gib} GiB, {pool.volumes} volumes; "
        f"rows and residues say {gib[pool.id]} GiB, {count[pool.id]}"
        for pool in tx.scalars(select(Pool))
        if (pool.taken_gib, pool.volumes) != (gib[pool.id], count[pool.id])
        or pool.taken_gib > pool.limit_gib
    ]


def _volumes(tx: Session, objects: Objects) -> list[str]:
    wrong = []
    residues = {(r.host, r.op["object"]) for r in tx.scalars(select(Residue))}
    for volume in tx.scalars(select(Volume)):
        name, host = volume.object_name, (volume.host or "").partition("@")[0]
        if volume.status not in TERMINAL or volume.flow_id or not volume.visible:
            wrong.append(f"volume {volume.id}: {volume.status}, flow {volume.flow_id}")
        charged = volume.charged_gib == volume.size or (host, name) in residues
        if not charged and (volume.status != ERROR or volume.charged_gib):
            wrong.append(
                f"volume {volume.id} of {volume.project_id}: {volume.status}, "
                f"charged {volume.charged_gib} of {volume.size}"
            )
        size = objects.get(host, {}).get(name)
        settled = host in objects and (host, name) not in residues
        if volume.status in (AVAILABLE, ERROR_EXTENDING) and settled:
            if size != volume.size:
                wrong.append(f"volume {volume.id}: {volume.size} GiB, but {size} on {host}")
            if not (volume.provider_location or "").endswith(name):
                wrong.append(f"volume {volume.id}: {name}, but {volume.provider_location}")
            if volume.allocated_gib != volume.size:
                wrong.append(f"volume {volume.id}: {volume.allocated_gib} GiB allocated")
    return wrong


def _snapshots(tx: Session, objects: Objects) -> list[str]:
    wrong = []
    residues = {(r.host, r.op["object"]) for r in tx.scalars(select(Residue))}
    for snapshot, place, thin in tx.execute(
        select(Snapshot, Volume.host, Pool.thin)
        .join(Volume, Volume.id == Snapshot.volume_id)
        .outerjoin(Pool, Pool.id == Volume.pool_id)
    ):
        name, host = snapshot.object_name, (place or "").partition("@")[0]
        if snapshot.status not in TERMINAL or snapshot.flow_id or not snapshot.visible:
            wrong.append(f"snapshot {snapshot.id}: {snapshot.status}, flow {snapshot.flow_id}")
        if snapshot.charged_gib != snapshot.size and snapshot.status != ERROR:
            wrong.append(f"snapshot {snapshot.id}: charged {snapshot.charged_gib}")
        if snapshot.status == AVAILABLE and host in objects and (host, name) not in residues:
            if (size := objects[host].get(name)) != snapshot.size:
                wrong.append(f"snapshot {snapshot.id}: {snapshot.size} GiB, but {size} on {host}")
            if not (snapshot.provider_location or "").endswith(name):
                wrong.append(f"snapshot {snapshot.id}: {name}, but {snapshot.provider_location}")
            if snapshot.allocated_gib != (0 if thin else snapshot.size):
                wrong.append(f"snapshot {snapshot.id}: {snapshot.allocated_gib} GiB allocated")
    return wrong


def _orphans(tx: Session, objects: Objects) -> list[str]:
    """Objects that neither a row nor a residue knows of."""
    known = {(r.host, r.op["object"]) for r in tx.scalars(select(Residue))}
    known |= {
        (volume.host.partition("@")[0], volume.object_name)
        for volume in tx.scalars(select(Volume).where(Volume.host.is_not(None)))
        if volume.host
    }
    known |= {
        (host.partition("@")[0], snapshot.object_name)
        for snapshot, host in tx.execute(
            select(Snapshot, Volume.host).join(Volume, Volume.id == Snapshot.volume_id)
        )
        if host
    }
    there = {(host, name) for host, held in objects.items() for name in held}
    return [f"orphan {name} on {host}" for host, name in there - known]
