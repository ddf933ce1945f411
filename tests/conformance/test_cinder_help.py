"""Every subcommand of python-cinderclient against the running service."""

import contextlib
import io

import pytest
from cinderclient.api_versions import APIVersion
from cinderclient.shell import OpenStackCinderShell

from tests.conformance.cinder_table import LATER, SCENARIOS
from tests.conformance.conversation import Conversation
from tests.stack import Stack


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_cinder_command(stack: Stack, name: str) -> None:
    options = ["--os-auth-type", "noauth", "--os-endpoint", f"{stack.url}/v3"]
    options += ["--os-user-id", "tester", "--os-project-id", name.replace(" ", "-")]
    options += ["--os-volume-api-version", "3.71"]

    def run(words: list[str]) -> tuple[bool, str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            try:
                OpenStackCinderShell().main([*options, *words])
            except Exception as error:  # of any kind, as the command's own entry point has it
                return True, f"{output.getvalue()}{type(error).__name__}: {error}"
        return False, output.getvalue()

    cinder = Conversation(run)
    for step in SCENARIOS[name]:
        cinder.take(step)


def test_no_subcommand_is_left_out() -> None:
    shell = OpenStackCinderShell()
    shell.get_subcommand_parser(APIVersion("3.71"), False, [])
    taken = {step.words.split()[0] for steps in SCENARIOS.values() for step in steps}
    there = set(shell.subcommands) - {"bash_completion"} | {"list-extensions"}  # of an extension
    assert taken | set(LATER) == there
    assert not taken & set(LATER)
