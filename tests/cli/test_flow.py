"""`breezeblock flow`."""

from typing import Any

import pytest

from cli.flow import duration
from db.models import new_id
from tests.api import rows
from tests.cli.conftest import Operator

ERROR = {"type": "DriverError", "message": "no space left on device"}


def rescheduled(**columns: Any) -> str:
    """A create that failed on node1, was undone there, and went on."""
    flow_id = rows.flow(state="failed", error=ERROR, attempt=2, **columns)
    rows.step(flow_id, 1, "extract")
    rows.step(flow_id, 2, "create", outcome="dirty", node="node1", error=ERROR)
    rows.step(flow_id, 3, "create", undo=True, node="node1", epoch=2)
    return flow_id


def test_show_tells_each_step_with_node_time_error_and_compensation(operator: Operator) -> None:
    flow_id = rescheduled()
    lines = operator.text("flow", "show", flow_id).splitlines()
    assert lines[0].split()[:2] == ["volume.create", flow_id]
    assert "failed in 2.0 s" in lines[0]
    (failed,) = (line for line in lines if line.startswith("2 "))
    assert failed.split()[1:8] == ["create", "dirty", "node1", "1", "1", "25", "ms"]
    assert "no space left on device" in failed
    (undone,) = (line for line in lines if line.startswith("3 "))
    assert undone.split()[1:5] == ["undo", "create", "done", "node1"]


def test_show_takes_the_id_of_a_resource_or_a_request(operator: Operator) -> None:
    resource, request = new_id(), f"req-{new_id()}"
    older = rows.flow(0, resource_id=resource)
    newer = rescheduled(resource_id=resource, request_id=request)
    rows.flow(1)
    text = operator.text("flow", "show", resource)
    assert older in text
    assert newer in text
    assert newer in operator.text("flow", "show", request)
    assert older not in operator.text("flow", "show", request)


def test_show_says_when_there_is_no_such_flow(operator: Operator) -> None:
    result = operator.run("flow", "show", "nothing")
    assert result.exit_code == 1
    assert "Flow nothing could not be found. (HTTP 404)" in result.output


def test_list_filters_and_limits(operator: Operator) -> None:
    made = [rows.flow(minute) for minute in range(3)]
    deleted = rows.flow(4, kind="volume.delete", state="running", finished_at=None)
    text = operator.text("flow", "list")
    assert all(flow_id in text for flow_id in (*made, deleted))
    assert [one["id"] for one in operator.json("flow", "list", "--limit", "2")["flows"]] == [
        deleted,
        made[2],
    ]
    running = operator.text("flow", "list", "--state", "running", "--kind", "volume.delete")
    assert deleted in running
    assert made[0] not in running
    assert "No flow matches" in operator.text("flow", "list", "--resource", new_id())


def test_json_is_what_the_api_answers(operator: Operator) -> None:
    flow_id = rescheduled()
    shown = operator.json("flow", "show", flow_id)
    assert shown["flow"]["id"] == flow_id
    assert [step["undo"] for step in shown["flow"]["steps"]] == [False, False, True]


def test_a_control_character_in_an_error_does_not_reach_the_terminal(operator: Operator) -> None:
    error = {"type": "E", "message": "a\x1b[2Jb [red]c [/]"}
    flow_id = rows.flow(state="failed", error=error)
    rows.step(flow_id, 1, "create", outcome="clean", error=error)
    for words in (("show", flow_id), ("list",)):
        text = operator.text("flow", *words)
        assert "\x1b" not in text
        assert "[red]c [/]" in text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "-"), (0, "0 ms"), (12.4, "12 ms"), (1500, "1.5 s"), (300_000, "5 min")],
)
def test_a_duration_is_short(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text
