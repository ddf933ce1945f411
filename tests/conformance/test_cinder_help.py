"""Every subcommand of python-cinderclient against the running service."""

import contextlib
import io
import re
import time

import pytest
from cinderclient.api_versions import APIVersion
from cinderclient.shell import OpenStackCinderShell

from tests.conformance.cinder_table import LATER, SCENARIOS, Refused, Step
from tests.stack import Stack

SECONDS = 60.0
ASKS = re.compile(r"(.*-)?(show|list)$")
BORDER = re.compile(r"^\+[-+]+\+$\n?", re.MULTILINE)
PROPERTIES = re.compile(r"^\| (\S+) +\| (\S.*?) +\|$", re.MULTILINE)


class Cinder:
    """The `cinder` command as an administrator of `project`, and what it has shown so far."""

    def __init__(self, stack: Stack, project: str) -> None:
        self._options = ["--os-auth-type", "noauth", "--os-endpoint", f"{stack.url}/v3"]
        self._options += ["--os-user-id", "tester", "--os-project-id", project]
        self._options += ["--os-volume-api-version", "3.71"]
        self._known: dict[str, str] = {}

    def take(self, step: Step) -> None:
        """Run it until it says what it should; fails when it does not."""
        words = step.words.format(**self._known).split()
        pattern = re.compile(step.says.format(**self._known), re.DOTALL)
        until = time.monotonic() + (SECONDS if ASKS.match(words[0]) else 0)
        while True:
            refused, said = self._run(words)
            found = pattern.search(said)
            if found and refused == isinstance(step, Refused):
                self._known |= found.groupdict()
                return
            assert time.monotonic() < until, f"cinder {' '.join(words)}: {said}"
            time.sleep(0.1)

    def _run(self, words: list[str]) -> tuple[bool, str]:
        """Whether it was refused, and what it said, with one space between cells."""
        output = io.StringIO()
        refusal = ""
        with contextlib.redirect_stdout(output):
            try:
                OpenStackCinderShell().main([*self._options, *words])
            except Exception as error:  # of any kind, as the command's own entry point has it
                refusal = f"{type(error).__name__}: {error}"
        said = BORDER.sub("", output.getvalue())
        self._remember(said)
        return bool(refusal), re.sub(r"[|\s]+", " ", said + refusal)

    def _remember(self, said: str) -> None:
        """An id by the name beside it, in a table of properties."""
        shown = dict(PROPERTIES.findall(said))
        if "Property" in shown and {"id", "name"} <= set(shown):
            self._known[shown["name"]] = shown["id"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_cinder_command(stack: Stack, name: str) -> None:
    cinder = Cinder(stack, name.replace(" ", "-"))
    for step in SCENARIOS[name]:
        cinder.take(step)


def test_no_subcommand_is_left_out() -> None:
    shell = OpenStackCinderShell()
    shell.get_subcommand_parser(APIVersion("3.71"), False, [])
    taken = {step.words.split()[0] for steps in SCENARIOS.values() for step in steps}
    there = set(shell.subcommands) - {"bash_completion"} | {"list-extensions"}  # of an extension
    assert taken | set(LATER) == there
    assert not taken & set(LATER)
