"""`openstack volume …` of python-openstackclient against the running service."""

import contextlib
import io

import pytest
from openstackclient.shell import OpenStackShell

from tests.conformance.conversation import Conversation
from tests.conformance.openstack_table import SCENARIOS
from tests.stack import Stack

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_openstack_command(stack: Stack, name: str) -> None:
    options = ["--os-auth-type", "none", "--os-endpoint", f"{stack.url}/v3/openstack"]
    options += ["--os-volume-api-version", "3.71"]

    def run(words: list[str]) -> tuple[bool, str]:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = OpenStackShell().run([*options, *words])
        return bool(status), output.getvalue()

    command = Conversation(run)
    for step in SCENARIOS[name]:
        command.take(step)
