"""In CI no test is left out without a reason that is on the list."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALLOWED_SKIPS, read_allowed

ROOT = Path(__file__).parents[1]
CONFTEST = """
from tests.conftest import SkipWatch

def pytest_configure(config):
    config.pluginmanager.register(SkipWatch(["needs luck *"]))
"""


@pytest.mark.parametrize(
    ("test", "status", "says"),
    [
        ("pass", 0, "1 passed"),
        ("pytest.skip('needs luck today')", 0, "1 skipped"),
        ("pytest.skip('needs PostgreSQL')", 1, "test_it.py::test: needs PostgreSQL"),
        ("assert False", 1, "1 failed"),
    ],
)
def test_a_skip_that_is_not_on_the_list_fails_the_session(
    tmp_path: Path, test: str, status: int, says: str
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(f"import pytest\n\ndef test():\n    {test}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert says in done.stdout


def test_a_whole_module_that_is_skipped_counts_too(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    skip = "pytest.skip('not today', allow_module_level=True)"
    (tmp_path / "test_it.py").write_text(f"import pytest\n\n{skip}\n")
    (tmp_path / "test_other.py").write_text("def test():\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "test_it.py: not today" in done.stdout


def test_the_list_says_why_for_each_reason() -> None:
    lines = [line for line in ALLOWED_SKIPS.read_text().splitlines() if not line.startswith("#")]
    assert len(read_allowed(ALLOWED_SKIPS)) == len(lines)
    assert all(line.partition("  # ")[2] for line in lines)
