"""What each process of the embedded stack is given."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import stack
from cli.supervisor import Part
from config.settings import load

ENVIRON = {
    "BREEZEBLOCK_DATABASE__URL": "postgresql://u:hunter2@h/n",
    "BREEZEBLOCK_BROKER__URL": "redis://:brokerpw@127.0.0.1:7000/0",
    "BREEZEBLOCK_BROKER__EMBEDDED": "true",
    "PGPASSWORD": "hunter2",
}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Part]:
    monkeypatch.chdir(tmp_path)
    for key, value in ENVIRON.items():
        monkeypatch.setenv(key, value)
    return {part.name: part for part in stack.parts(load(), None, nodes=2)}


def test_the_parts_and_their_order_of_stopping(parts: dict[str, Part]) -> None:
    assert list(parts) == [
        "db",
        "broker",
        "api",
        "control",
        "scheduler",
        "events",
        "node1",
        "node2",
        "beat",
        "flower",
    ]
    stages = {name: part.stage for name, part in parts.items()}
    assert (
        stages["api"]
        < stages["beat"]
        == stages["flower"]
        < stages["control"]
        == stages["scheduler"]
        == stages["events"]
        < stages["node1"]
        == stages["node2"]
        < stages["broker"]
    )


def test_a_node_is_told_nothing_of_the_database(parts: dict[str, Part], tmp_path: Path) -> None:
    for name in ("node1", "node2"):
        assert "hunter2" not in repr(parts[name].env) + repr(parts[name].argv)
        assert not any(key.startswith("BREEZEBLOCK_") for key in parts[name].env)
        file = tmp_path / "var" / f"{name}.toml"
        assert "hunter2" not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert parts["control"].env["BREEZEBLOCK_DATABASE__URL"] == ENVIRON["BREEZEBLOCK_DATABASE__URL"]


def test_a_node_file_is_its_whole_settings(parts: dict[str, Part], tmp_path: Path) -> None:
    file = Path(parts["node2"].argv[parts["node2"].argv.index("--config") + 1])
    settings = load(file, {})
    data = tmp_path / "var"
    assert settings.node.name == "node2"
    assert settings.node.ledger == data / "node2" / "ledger.db"
    assert settings.broker.url == ENVIRON["BREEZEBLOCK_BROKER__URL"]
    assert settings.backends == {
        "file": {"driver": "file", "folder": str(data / "node2" / "volumes")}
    }


def test_no_secret_is_on_a_command_line_or_shown(parts: dict[str, Part]) -> None:
    for part in parts.values():
        shown = repr(part.argv) + part.endpoint
        assert "hunter2" not in shown
        assert "brokerpw" not in shown


def test_configured_backends_are_given_to_each_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "my.toml"
    config.write_text(
        '[backends.quick]\ndriver = "fake"\ntotal_gib = 10\n'
        'state_file = "{data}/{node}.state"\nlatency = { create = [0.1, 0.2] }\n'
    )
    settings = load(config, {})
    parts = {part.name: part for part in stack.parts(settings, config, nodes=1)}
    assert parts["api"].argv[-3:] == ("--config", str(config), "api")
    assert load(tmp_path / "var" / "node1.toml", {}).backends == {
        "quick": {
            "driver": "fake",
            "total_gib": 10,
            "state_file": f"{tmp_path}/var/node1.state",
            "latency": {"create": [0.1, 0.2]},
        }
    }


def test_parts_can_be_left_out_and_a_broker_of_ones_own_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environ={"BREEZEBLOCK_BROKER__URL": "redis://127.0.0.1:7000/0"})
    without = frozenset({"flower", "nodes", "beat"})
    parts = {part.name: part for part in stack.parts(settings, None, 2, without)}
    assert list(parts) == ["db", "api", "control", "scheduler", "events"]
    assert parts["api"].after == {"db"}


def test_the_broker_keeps_nothing_and_is_bound_to_loopback(parts: dict[str, Part]) -> None:
    argv = parts["broker"].argv
    assert argv[argv.index("--bind") + 1] == "127.0.0.1"
    assert argv[argv.index("--port") + 1] == "7000"
    assert (argv[argv.index("--save") + 1], argv[argv.index("--appendonly") + 1]) == ("", "no")
    assert os.access(argv[0], os.X_OK)


TOML = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), TOML, max_size=4))
def test_what_is_written_as_toml_reads_the_same(table: dict[str, Any]) -> None:
    assert tomllib.loads(stack.to_toml({"table": table})) == {"table": table}
