"""Reports of nodes: the newest counts, in whatever order they come."""

from typing import Any

from sqlalchemy import select

from config.routing import EVENTS
from db.models import Backend, Node, Pool
from tests.harness import World


def _report(world: World, **changes: Any) -> dict[str, Any]:
    """What node1 would say next, with changes."""
    return {**world.nodes["node1"].reports.report(), **changes}


def _take(world: World, report: dict[str, Any]) -> None:
    world.control.send_task("node.report", args=[report], queue=EVENTS)
    world.run()


def _zone(world: World) -> str:
    with world.reading() as tx:
        return tx.get_one(Node, "node1").availability_zone


def test_an_older_report_of_the_same_life_changes_nothing(world: World) -> None:
    old = _report(world, availability_zone="old")
    _take(world, _report(world, availability_zone="new"))
    _take(world, old)
    assert _zone(world) == "new"


def test_a_report_of_an_earlier_life_changes_nothing(world: World) -> None:
    old = _report(world, availability_zone="old", sequence=10_000)
    world.nodes["node1"].restart()
    world.run()
    _take(world, _report(world, availability_zone="new"))
    _take(world, old)
    assert _zone(world) == "new"


def test_a_node_that_lost_its_ledger_begins_to_count_anew(world: World) -> None:
    _take(world, _report(world, sequence=10_000))
    world.nodes["node1"].lose_ledger()
    world.nodes["node1"].start()
    world.run()
    _take(world, _report(world, availability_zone="new"))
    assert _zone(world) == "new"


def test_a_back_end_that_is_down_keeps_its_pools_and_gets_no_volume(world: World) -> None:
    node = world.nodes["node1"]
    node.fail(check=[{"fault": "fail_before"}])
    world.tick()
    with world.reading() as tx:
        backend = tx.get_one(Backend, "node1@fake")
        pool = tx.scalars(select(Pool).where(Pool.host == "node1")).one()
    assert (backend.up, pool.present) == (False, True)
    assert backend.reason
    volumes = [world.create() for _ in range(3)]
    world.finish()
    hosts = {volume.host for v in volumes if (volume := world.volume(v))}
    assert hosts == {"node2@fake#fake"}


def test_a_back_end_that_its_node_no_longer_has_goes_once_it_is_empty(world: World) -> None:
    volumes = [world.create() for _ in range(4)]
    world.settle()
    _take(world, _report(world, backends=[], pools=[]))
    with world.reading() as tx:
        backend = tx.get_one(Backend, "node1@fake")
    assert not backend.up
    assert "no longer configured" in (backend.reason or "")

    _take(world, _report(world))
    for volume_id in volumes:
        world.delete(volume_id)
    world.settle()
    _take(world, _report(world, backends=[], pools=[]))

    with world.reading() as tx:
        assert tx.get(Backend, "node1@fake") is None
        assert not tx.scalars(select(Pool).where(Pool.host == "node1")).all()
