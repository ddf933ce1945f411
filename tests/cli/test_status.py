"""`breezeblock status`."""

import pytest

from cli.status import BAR_WIDTH, bar
from tests.api import rows
from tests.cli.conftest import Operator


def test_status_shows_services_nodes_and_how_full_pools_are(operator: Operator) -> None:
    rows.clock(100)
    rows.answered("scheduler", 100)
    rows.node("node1", answered_tick=100)
    rows.node("node2", answered_tick=1)
    text = operator.text("status")
    lines = [line.split() for line in text.splitlines()]
    assert ["cinder-scheduler", "scheduler", "nova", "up", "enabled"] in lines
    assert ["cinder-volume", "node2@file", "nova", "down", "enabled"] in lines
    (pool,) = (line for line in lines if line[:1] == ["node1@file#node1-file"])
    filled = round(30 / 90 * BAR_WIDTH)
    assert pool[1:] == [
        "█" * filled + "░" * (BAR_WIDTH - filled),
        "33%",
        *("30", "/", "90"),
        "3",
        *("70.5", "GiB"),
    ]
    assert (text.index("Services"), text.index("Nodes")) < (
        text.index("Nodes"),
        text.index("Pools"),
    )


def test_status_of_an_empty_site_says_what_to_start(operator: Operator) -> None:
    text = operator.text("status")
    assert "down" in text
    assert "breezeblock worker node" in text


def test_json_has_all_three(operator: Operator) -> None:
    rows.node("node1", answered_tick=0)
    document = operator.json("status")
    assert set(document) == {"services", "nodes", "pools"}
    assert document["pools"][0]["capabilities"]["claim_limit_gb"] == 90.0


@pytest.mark.parametrize(
    ("share", "filled", "colour"),
    [
        (-1.0, 0, "green"),
        (0.0, 0, "green"),
        (0.5, BAR_WIDTH // 2, "green"),
        (0.75, 18, "yellow"),
        (0.9, 22, "red"),
        (1.0, BAR_WIDTH, "red"),
        (7.0, BAR_WIDTH, "red"),
    ],
)
def test_a_bar_is_as_long_as_the_share_and_warns(share: float, filled: int, colour: str) -> None:
    drawn = bar(share)
    assert drawn.plain == "█" * filled + "░" * (BAR_WIDTH - filled)
    assert drawn.style == colour
