"""Fixtures of every test, the logs of what failed, and in CI no skip that is not accounted for."""

import os
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.postgresql import postgresql_server
from tests.stack import Stack

__all__ = ["postgresql_server"]

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of each process's log when a test with a stack failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            stack = getattr(value, "stack", value)
            if isinstance(stack, Stack):
                for name in stack.running:
                    report.sections.append((f"the end of {name}'s log", stack.tail(name)))
    return report


class SkipWatch:
    """With CI=true a skip fails the session unless its reason is on the short list.

    A system package that is missing there would otherwise leave tests out without a word.
    """

    def __init__(self, allowed: list[str]) -> None:
        self._allowed = allowed
        self._refused: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        where = report.longrepr
        text = where[2] if isinstance(where, tuple) else str(where)
        reason = text.removeprefix("Skipped: ")
        if not any(fnmatch(reason, pattern) for pattern in self._allowed):
            self._refused[report.nodeid] = reason

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._refused:
            terminalreporter.section("skipped, and not in tests/allowed_skips.txt", red=True)
            for test, reason in self._refused.items():
                terminalreporter.line(f"{test}: {reason}")


def read_allowed(file: Path) -> list[str]:
    """Patterns of reasons: a line each, without its comment (which says why)."""
    lines = (line.partition("  #")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pytest_configure(config: pytest.Config) -> None:
    """Set up what is above."""
    # Its collector, which breaks with pytest 9.2, is for this very file unless told otherwise; and
    # tests/db/test_migrations.py calls the plugin's tests by name.
    config.option.pytest_alembic_tests_path = "none"
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(SkipWatch(read_allowed(ALLOWED_SKIPS)), "skip-watch")
