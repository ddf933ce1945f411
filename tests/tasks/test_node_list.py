"""Asking a node what could be managed, with a mishap at each message."""

from collections.abc import Callable
from functools import partial

import pytest

from db import journal
from db.models import new_id
from db.models.flow import REFUSED, SUCCEEDED
from tests.harness import World
from tests.tasks import faults
from tests.tasks.faults import Aimed

TASKS = ("node.extract", "node.list_manageable", "node.finish")
MISHAPS: dict[str, Callable[[str], Aimed]] = {
    "lost": faults.Lose,
    "doubled": faults.Double,
    "late": faults.Late,
    "killed": partial(faults.Die, point="begin"),
}


def ask(world: World, host: str = "node1@fake") -> str:
    return world.submit("node", new_id(), {"host": host, "what": "volumes"})


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("mishap", MISHAPS)
def test_the_answer_comes_all_the_same(world: World, task: str, mishap: str) -> None:
    world.nodes["node1"].store.put("lun-1", "fake", 3, None)
    fault = MISHAPS[mishap](task)
    if mishap == "killed" and task == "node.list_manageable":
        fault = faults.NodeDies(task, "begin", back=2)
    world.faults.append(fault)
    flow_id = ask(world)
    world.finish()
    assert fault.struck, world.story()
    flow = world.flow(flow_id)
    assert flow.state == SUCCEEDED, world.story()
    with world.reading() as tx:
        (found,) = journal.results(tx, flow)["manageable"]
    assert (found["reference"], found["size_gib"]) == ({"source-name": "lun-1"}, 3)


def test_a_node_that_stays_away_is_a_refusal(world: World) -> None:
    world.faults.append(faults.NodeDies("node.list_manageable", "begin", back=-1))
    flow_id = ask(world)
    world.settle()
    flow = world.flow(flow_id)
    assert flow.state == REFUSED, world.story()
    assert flow.error is not None
    assert flow.error["status"] == 500
