"""Residues: what of a flow may be left on a node, until the node has answered."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import capacity, holds, quota
from db.models import Flow, Residue, Snapshot, Volume
from db.models.flow import PARKED, SUPERSEDED

FINAL = frozenset({"destroy", "destroy_snapshot"})
"""What leaves a name that is never used again, so no later order can come for it."""


def order_epoch(residue: Residue) -> int:
    """The epoch of the next order to settle a residue.

    It outbids whatever was there before, but only what is final may outbid what comes later: a
    connection may be made again under its name, and then it is no leftover any more.
    """
    return residue.epoch + (residue.tries if residue.op["verb"] in FINAL else 0)


def leave(
    tx: Session,
    flow: Flow,
    host: str,
    op: Mapping[str, Any],
    reason: str,
    *,
    resume: bool = False,
) -> None:
    """Write a residue of `flow` on `host`; the flow's claim goes over to it.

    `resume`: the flow itself is parked, and goes on when the node answers. Otherwise `op` removes
    what may be there.
    """
    residue = Residue(
        flow_id=flow.id,
        request_id=flow.request_id,
        volume_id=flow.resource_id,
        host=host,
        op=dict(op),
        resume=resume,
        epoch=flow.epoch,
        reason=reason,
    )
    capacity.leave(tx, flow.id, residue)
    tx.add(residue)


def drop_resumable(tx: Session, row: Volume | Snapshot) -> None:
    """Something else takes `row` over: a flow parked on it will not go on.

    What its residue held in the pool stays held, by the row itself; a growth is not charged.
    """
    for residue in tx.scalars(
        select(Residue).where(Residue.volume_id == row.id, Residue.resume.is_(True))
    ):
        row.allocated_gib += residue.gib
        flow = tx.get(Flow, residue.flow_id, with_for_update=True)
        if flow is not None and flow.state == PARKED:
            flow.state = SUPERSEDED
            holds.release(tx, flow.id)
        if isinstance(row, Volume):
            quota.give_back_growth(tx, row)
        tx.delete(residue)
