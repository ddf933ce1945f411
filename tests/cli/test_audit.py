"""`breezeblock audit`, with a control worker; what nodes answer is in tests/e2e/test_audit.py."""

import json
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from config.routing import CONTROL
from config.settings import load
from db.models import QuotaUsage
from db.transactions import reading
from tasks.app import make_celery
from tests.api import rows
from tests.broker import Broker
from tests.cli.conftest import Operator


@pytest.fixture
def control(operator: Operator, environ: dict[str, str]) -> Iterator[None]:
    """What takes from the queue control and runs it: a worker takes seconds to stop."""
    app, broker, stop = make_celery(load(environ=environ)), Broker(), threading.Event()

    def consume() -> None:
        while not stop.wait(0.01):
            if broker.holds(CONTROL):
                delivery = broker.take(CONTROL)
                app.tasks[delivery.task](delivery.message)

    thread = threading.Thread(target=consume)
    # Its log would get into the output of the command, which runs in this process too.
    with capture_logs():
        thread.start()
        yield
        stop.set()
        thread.join()


def usage() -> list[int]:
    with reading() as tx:
        return list(tx.scalars(select(QuotaUsage.in_use)))


@pytest.mark.usefixtures("control")
def test_nothing_differs(operator: Operator) -> None:
    result = operator.run("audit")
    assert result.exit_code == 0, result.output
    assert "No differences" in result.output


@pytest.mark.usefixtures("control")
def test_a_difference_is_shown_and_mended_when_the_operator_agrees(operator: Operator) -> None:
    rows.used("demo", gigabytes=7)

    result = operator.run("audit")
    assert result.exit_code == 1
    assert "1 difference;" in result.output
    line = next(line for line in result.output.splitlines() if "gigabytes" in line)
    assert line.split("charged")[1].split()[:4] == ["demo", "gigabytes", "0", "7"]
    assert "set the counter to what the rows say" in line

    result = operator.run("audit", "--repair", input="n\n")
    assert result.exit_code == 1
    assert usage() == [7]

    result = operator.run("audit", "--repair", input="y\n")
    assert result.exit_code == 0, result.output
    assert "mended" in result.output
    assert usage() == [0]
    assert operator.run("audit").exit_code == 0


@pytest.mark.usefixtures("control")
def test_json_is_the_whole_audit(operator: Operator) -> None:
    rows.used("demo", gigabytes=7)
    result = operator.run("audit", "--json")
    assert result.exit_code == 1
    audit = json.loads(result.stdout)["audit"]
    assert [one["kind"] for one in audit["differences"]] == ["quota_in_use"]
    result = operator.run("audit", "--json", "--repair", "--yes")
    assert result.exit_code == 0
    (mended,) = json.loads(result.stdout)["audit"]["differences"]
    assert mended["outcome"] == "mended"


@pytest.mark.usefixtures("control")
def test_nodes_that_do_not_answer_are_named(operator: Operator) -> None:
    """node1 is up and never answers; node2 is down. The rest is compared."""
    rows.two_nodes()
    result = operator.run("audit", "--timeout", "0.5")
    assert result.exit_code == 2, result.output
    assert "node1@file was not compared: node node1 has not answered in time" in result.output
    assert "node2@file was not compared: node node2 is down" in result.output
    assert "node1@file#node1-file" in result.output, "its counter differs, as two_nodes made it"


def test_no_answer_at_all_is_no_finding(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.audit.SLACK_SECONDS", 0.5)
    result = operator.run("audit", "--timeout", "0.1")
    assert result.exit_code == 2
    assert "is a control worker running?" in result.output.replace("\n", " ")
    result = operator.run("audit", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "API not reachable" in result.output
