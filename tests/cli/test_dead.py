"""`breezeblock dead`."""

from tests.api.rows import letter
from tests.broker import Broker
from tests.cli.conftest import Operator


def test_letters_are_listed_and_shown(operator: Operator) -> None:
    assert "There is no dead letter." in operator.text("dead", "list")
    one = letter(message={"queue": "control", "args": [{"v": 2, "token": "s3cr3t"}], "chain": []})
    other = letter(1, task="node.report")
    text = operator.text("dead", "list")
    for words in (one, other, "volume.create.extract", "control", "version 2 is not known"):
        assert words in text
    assert other not in operator.text("dead", "list", "--task", "volume.create.extract")
    shown = operator.text("dead", "show", one)
    assert '"v": 2' in shown
    assert "s3cr3t" not in shown
    assert operator.json("dead", "show", one)["dead_letter"]["message"]["queue"] == "control"


def test_a_letter_is_replayed(operator: Operator) -> None:
    broker = Broker()
    one = letter()
    assert f"{one} is on its way" in operator.text("dead", "replay", one)
    delivery = broker.take("control")
    assert delivery.task == "volume.create.extract"
    result = operator.run("dead", "show", one)
    assert result.exit_code == 1
    assert "could not be found. (HTTP 404)" in result.output


def test_a_letter_is_dropped_once_that_is_confirmed(operator: Operator) -> None:
    one = letter()
    assert operator.run("dead", "drop", one, input="n\n").exit_code == 1
    assert one in operator.text("dead", "list")
    assert "is dropped" in operator.text("dead", "drop", one, "--yes")
    assert one not in operator.text("dead", "list")
