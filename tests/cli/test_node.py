"""`breezeblock node`."""

import pytest

from tests.api import rows
from tests.cli.conftest import Operator


@pytest.fixture
def site(operator: Operator) -> None:
    """node1 answers; node2 has been silent for too long and may have something left."""
    rows.clock(100)
    rows.node("node1", answered_tick=100)
    rows.node("node2", answered_tick=1)
    rows.residue(host="node2")


def row(text: str, host: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(host))
    return line.split()


def state(operator: Operator, host: str) -> str:
    return str(
        {node["host"]: node for node in operator.json("node", "list")["nodes"]}[host]["state"]
    )


@pytest.mark.usefixtures("site")
def test_list_tells_who_is_up_and_what_is_left(operator: Operator) -> None:
    text = operator.text("node", "list")
    assert row(text, "node1")[1:7] == ["up", "active", "nova", "node1@file", "0", "0"]
    assert row(text, "node2")[1:7] == ["down", "active", "nova", "node2@file", "0", "1"]


@pytest.mark.usefixtures("site")
def test_drain_and_undrain(operator: Operator) -> None:
    assert "takes no new volume" in operator.text("node", "drain", "node1")
    assert state(operator, "node1") == "draining"
    assert "takes new volumes again" in operator.text("node", "undrain", "node1")
    assert state(operator, "node1") == "active"


@pytest.mark.usefixtures("site")
def test_forget_asks_first(operator: Operator) -> None:
    refused = operator.run("node", "forget", "node2", input="n\n")
    assert refused.exit_code == 1
    assert state(operator, "node2") == "active"
    agreed = operator.run("node", "forget", "node2", input="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert state(operator, "node2") == "forgotten"


@pytest.mark.usefixtures("site")
def test_forget_is_refused_while_the_node_is_up(operator: Operator) -> None:
    result = operator.run("node", "forget", "node1", "--yes")
    assert result.exit_code == 1
    assert "is up" in result.output
    assert state(operator, "node1") == "active"


@pytest.mark.usefixtures("site")
def test_an_unknown_node_is_named(operator: Operator) -> None:
    result = operator.run("node", "drain", "node9")
    assert result.exit_code == 1
    assert "Node node9 could not be found" in result.output


@pytest.mark.usefixtures("site")
def test_json_is_what_the_api_answers(operator: Operator) -> None:
    assert operator.json("node", "drain", "node1")["node"]["state"] == "draining"
    assert operator.json("node", "forget", "node2", "--yes")["node"]["residues"] == 0
