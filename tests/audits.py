"""Running the audit in an installation in one thread."""

from collections.abc import Sequence

from sqlalchemy import select

from db.models import Audit, AuditDifference
from db.models.audit import DONE, REPAIRED
from tasks.audit import begin_repair, start
from tests.harness import World

Found = list[tuple[str, str, str]]
"""Kind, place and subject of what differs."""


def begin(world: World, timeout: float = 60.0) -> str:
    """Ask the nodes, and no more than that; returns the audit's id."""
    with world.flask.app_context():
        return start(world.engine, "req-test", timeout)


def found(world: World, audit_id: str) -> Found:
    """What a finished audit has found."""
    assert state(world, audit_id) in (DONE, REPAIRED)
    return [(row.kind, row.place, row.subject) for row in differences(world, audit_id)]


def audit(world: World) -> Found:
    """Run one audit, and every message that is under way."""
    audit_id = begin(world)
    world.run()
    return found(world, audit_id)


def repair(world: World) -> list[str | None]:
    """Audit and mend; returns the outcomes."""
    audit_id = begin(world)
    world.run()
    with world.flask.app_context():
        assert begin_repair(world.engine, audit_id)
    world.run()
    assert state(world, audit_id) == REPAIRED
    return [row.outcome for row in differences(world, audit_id)]


def state(world: World, audit_id: str) -> str:
    """How far an audit is."""
    with world.reading() as tx:
        return tx.get_one(Audit, audit_id).state


def differences(world: World, audit_id: str) -> Sequence[AuditDifference]:
    """The rows of what an audit has found."""
    query = select(AuditDifference).where(AuditDifference.audit_id == audit_id)
    with world.reading() as tx:
        return tx.scalars(query.order_by(AuditDifference.number)).all()
