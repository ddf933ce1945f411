"""The real application behind a real socket, for the commands that talk HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.api.conftest import empty_database, environ, password_file
from tests.api.serving import serving

__all__ = ["empty_database", "environ", "password_file"]


@dataclass(frozen=True, slots=True)
class Operator:
    """Runs `breezeblock <words>` against one API."""

    url: str

    def run(self, *words: str, **options: Any) -> Result:
        environ = {"BREEZEBLOCK_URL": self.url}
        return CliRunner(env=environ).invoke(main, words, prog_name="breezeblock", **options)

    def text(self, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, *words: str) -> Any:
        """What a command that succeeds prints with --json."""
        return json.loads(self.text(*words, "--json"))


@pytest.fixture
def operator(environ: dict[str, str]) -> Iterator[Operator]:
    """Commands against an API without authentication; the test is in its application context."""
    with serving(environ) as url:
        yield Operator(url)


@pytest.fixture
def guarded(environ: dict[str, str], password_file: Path) -> Iterator[Operator]:
    """Commands against an API that wants a user and a password."""
    basic = {
        "BREEZEBLOCK_API__AUTH": "http_basic",
        "BREEZEBLOCK_API__PASSWORD_FILE": str(password_file),
    }
    with serving(environ | basic) as url:
        yield Operator(url)
