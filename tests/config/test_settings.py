"""The settings: defaults, file, variables, and the one line that a mistake gets."""

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings, SettingsError, load

EXAMPLE = Path(__file__).parents[2] / "breezeblock.example.toml"
KEYSTONE = {
    "BREEZEBLOCK_API__AUTH": "keystone",
    "BREEZEBLOCK_KEYSTONE__AUTH_URL": "https://keystone.example/v3",
}
SECTIONS = [field.name for field in fields(Settings) if field.name != "backends"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, toml: str, name: str = "breezeblock.toml") -> Path:
    file = folder / name
    file.write_text(toml, encoding="utf-8")
    return file


def error_of(toml: str = "", environ: Mapping[str, str] | None = None) -> str:
    file = write(Path.cwd(), toml) if toml else None
    with pytest.raises(SettingsError) as caught:
        load(file, environ or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_safe_and_complete(elsewhere: Path) -> None:
    settings = load(environ={})
    assert (settings.api.host, settings.flower.host) == ("127.0.0.1", "127.0.0.1")
    assert settings.database.url == f"sqlite:///{elsewhere}/var/breezeblock.db"
    assert settings.broker.embedded
    assert settings.node.name == socket.gethostname()
    assert settings.node.ledger == elsewhere / "var" / settings.node.name / "ledger.db"
    assert settings.quota.volumes == 10
    assert settings.backends == {}


def test_the_example_uncommented_is_the_defaults(elsewhere: Path) -> None:
    text = re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    given = tomllib.loads(text)
    assert {section: set(table) for section, table in given.items()} == {
        section: {field.name for field in fields(getattr(Settings(), section))}
        for section in SECTIONS
    }
    assert load(write(elsewhere, text), {}) == load(environ={})


def test_the_example_as_it_is_changes_nothing() -> None:
    assert load(EXAMPLE, {}) == load(environ={})


def test_the_file_is_argument_then_variable_then_the_one_here(elsewhere: Path) -> None:
    here = write(elsewhere, "[api]\nport = 1001")
    named = write(elsewhere, "[api]\nport = 1002", "named.toml")
    given = write(elsewhere, "[api]\nport = 1003", "given.toml")
    environ = {"BREEZEBLOCK_CONFIG": str(named)}
    assert load(given, environ).api.port == 1003
    assert load(None, environ).api.port == 1002
    assert load(None, {}).api.port == 1001
    here.unlink()
    assert load(None, {}).api.port == 8776


def test_a_variable_goes_before_the_file(elsewhere: Path) -> None:
    file = write(elsewhere, '[api]\nport = 1001\nthreads = 3\n[backends.b]\ndriver = "file"')
    settings = load(
        file,
        {
            "BREEZEBLOCK_API__PORT": "1002",
            "BREEZEBLOCK_API__NOAUTH_OFF_LOOPBACK": "true",
            "BREEZEBLOCK_SWEEPER__INTERVAL": "0.5",
            "BREEZEBLOCK_SCHEDULER__FILTERS": "capacity, retry",
            "BREEZEBLOCK_SCHEDULER__WEIGHERS": "capacity=2,chance=-0.5",
            "BREEZEBLOCK_BACKENDS__B__FOLDER": "/srv",
            "BREEZEBLOCK_BACKENDS__C__DRIVER": "fake",
            "UNRELATED__KEY": "x",
        },
    )
    assert (settings.api.port, settings.api.threads) == (1002, 3)
    assert settings.api.noauth_off_loopback is True
    assert settings.sweeper.interval == 0.5
    assert settings.scheduler.filters == ("capacity", "retry")
    assert settings.scheduler.weighers == {"capacity": 2.0, "chance": -0.5}
    assert settings.backends == {
        "b": {"driver": "file", "folder": "/srv"},
        "c": {"driver": "fake"},
    }


@pytest.mark.parametrize(
    ("toml", "key", "value", "allowed"),
    [
        ("[api]\nport = 0", "api.port", "0", "from 1 to 65535"),
        ("[api]\nport = 65536", "api.port", "65536", "from 1 to 65535"),
        ("[api]\nport = 1.5", "api.port", "1.5", "whole number"),
        ("[api]\nport = true", "api.port", "True", "whole number"),
        ('[api]\nport = "many"', "api.port", "'many'", "whole number"),
        ("[api]\nport = []", "api.port", "[]", "whole number"),
        ('[api]\nauth = "none"', "api.auth", "'none'", "one of noauth, http_basic"),
        ('[api]\nhost = "a b"', "api.host", "'a b'", "host name or address"),
        ('[api]\npublic_url = "ftp://x"', "api.public_url", "'ftp://x'", "http(s)"),
        ("[api]\nadmission_timeout = 0", "api.admission_timeout", "0", "from 0.1 to 600"),
        ("[api]\nadmission_timeout = nan", "api.admission_timeout", "nan", "seconds"),
        ("[api]\nnoauth_off_loopback = 7", "api.noauth_off_loopback", "7", "true or false"),
        ("[quota]\nvolumes = -2", "quota.volumes", "-2", "from -1 up"),
        ('[scheduler]\nfilters = ["A b"]', "scheduler.filters", "['A b']", "list of names"),
        ("[scheduler]\nweighers = 3", "scheduler.weighers", "3", "table of name = number"),
        ('[node]\nname = "a#b"', "node.name", "'a#b'", "letters, digits"),
        ('[worker]\ncontrol_pool = "eventlet"', "worker.control_pool", "'eventlet'", "prefork"),
        ('[logging]\nlevel = "loud"', "logging.level", "'loud'", "debug, info"),
        ('[paths]\ndata = "a\\u0000b"', "paths.data", "'a\\x00b'", "path"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    toml: str, key: str, value: str, allowed: str
) -> None:
    message = error_of(toml)
    assert f"{key} = {value} " in message
    assert allowed in message
    assert "breezeblock.toml" in message


@pytest.mark.parametrize(
    ("toml", "environ", "parts"),
    [
        ("[api]\nprot = 1", {}, ("api.prot", "breezeblock.toml", "known are", "port")),
        ("[apis]\n", {}, ("apis", "breezeblock.toml", "known are", "scheduler")),
        ("api = 3", {}, ("api = 3", "breezeblock.toml", "must be a table")),
        ("[api", {}, ("breezeblock.toml", "is not TOML")),
        ("", {"BREEZEBLOCK_API__PROT": "1"}, ("api.prot", "BREEZEBLOCK_API__PROT", "port")),
        ("", {"BREEZEBLOCK_APIS__PORT": "1"}, ("apis", "BREEZEBLOCK_APIS__PORT", "known are")),
        ("", {"BREEZEBLOCK_API__PORT": ""}, ("api.port = ''", "BREEZEBLOCK_API__PORT", "65535")),
        ("", {"BREEZEBLOCK_CONFIG": "absent.toml"}, ("absent.toml", "No such file")),
        ("", {"BREEZEBLOCK_BACKENDS__X": "1"}, ("BREEZEBLOCK_BACKENDS__X", "<NAME>__<KEY>")),
        ("[backends.x]\nfolder = 'y'", {}, ("backends.x", "must be a table with a driver")),
        ("[backends.'x@y']\ndriver = 'y'", {}, ("backends.'x@y'", "letters, digits")),
    ],
)
def test_a_mistake_is_one_line_that_says_where(
    toml: str, environ: dict[str, str], parts: tuple[str, ...]
) -> None:
    message = error_of(toml, environ)
    assert all(part in message for part in parts), message


def test_several_wrong_keys_are_counted() -> None:
    assert "api.port" in (message := error_of("[api]\nport = 0\nthreads = 0"))
    assert "1 more wrong key" in message


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({"BREEZEBLOCK_API__HOST": "10.0.0.1"}, "api.noauth_off_loopback = true"),
        ({"BREEZEBLOCK_API__HOST": "::"}, "api.noauth_off_loopback = true"),
        ({"BREEZEBLOCK_API__HOST": "storage.example"}, "api.noauth_off_loopback = true"),
        ({"BREEZEBLOCK_API__AUTH": "http_basic"}, "api.password_file"),
        ({"BREEZEBLOCK_API__AUTH": "keystone"}, "keystone.auth_url"),
        (KEYSTONE, "keystone.password"),
        (
            {**KEYSTONE, "BREEZEBLOCK_KEYSTONE__APPLICATION_CREDENTIAL_ID": "a1"},
            "keystone.application_credential_secret",
        ),
        (
            {
                "BREEZEBLOCK_CORS__ALLOWED_ORIGINS": "*",
                "BREEZEBLOCK_CORS__ALLOW_CREDENTIALS": "true",
            },
            "cors.allowed_origins",
        ),
        ({"BREEZEBLOCK_FLOWER__HOST": "10.0.0.1"}, "flower.basic_auth"),
        (
            {
                "BREEZEBLOCK_BROKER__URL": "amqp://127.0.0.1//",
                "BREEZEBLOCK_BROKER__EMBEDDED": "true",
            },
            "broker.embedded",
        ),
        (
            {
                "BREEZEBLOCK_BROKER__URL": "redis://10.0.0.1:1/0",
                "BREEZEBLOCK_BROKER__EMBEDDED": "true",
            },
            "loopback",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(environ: dict[str, str], part: str) -> None:
    assert part in error_of("", environ)


@pytest.mark.parametrize(
    "environ",
    [
        {"BREEZEBLOCK_API__HOST": "::1"},
        {"BREEZEBLOCK_API__HOST": "localhost"},
        {"BREEZEBLOCK_API__HOST": "10.0.0.1", "BREEZEBLOCK_API__NOAUTH_OFF_LOOPBACK": "yes"},
        {
            "BREEZEBLOCK_API__HOST": "10.0.0.1",
            "BREEZEBLOCK_API__AUTH": "http_basic",
            "BREEZEBLOCK_API__PASSWORD_FILE": "users",
        },
        {"BREEZEBLOCK_FLOWER__HOST": "::", "BREEZEBLOCK_FLOWER__BASIC_AUTH": "u:p"},
    ],
)
def test_keys_that_go_together_are_taken(environ: dict[str, str]) -> None:
    load(environ=environ)


def test_the_broker_is_embedded_when_its_url_is_the_default_or_it_is_said() -> None:
    other = {"BREEZEBLOCK_BROKER__URL": "redis://127.0.0.1:7000/0"}
    assert not load(environ=other).broker.embedded
    assert load(environ={**other, "BREEZEBLOCK_BROKER__EMBEDDED": "true"}).broker.embedded
    assert not load(environ={"BREEZEBLOCK_BROKER__EMBEDDED": "false"}).broker.embedded


def test_database_urls_are_made_exact(elsewhere: Path) -> None:
    def url(given: str) -> str:
        return load(environ={"BREEZEBLOCK_DATABASE__URL": given}).database.url

    assert url("sqlite:///x.db") == f"sqlite:///{elsewhere}/x.db"
    assert url("sqlite:////srv/x.db") == "sqlite:////srv/x.db"
    assert url("postgresql://u:p@h/n") == "postgresql+psycopg://u:p@h/n"
    assert url("postgresql+psycopg://u:p@h/n") == "postgresql+psycopg://u:p@h/n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DATABASE__URL", "mysql://u:hunter2@h/n"),
        ("DATABASE__URL", "postgres:hunter2"),
        ("DATABASE__URL", "mysql://h/n?password=hunter2"),
        ("BROKER__URL", "ftp://:hunter2@h:1/0"),
        ("FLOWER__BASIC_AUTH", "hunter2"),
    ],
)
def test_no_error_shows_a_secret(key: str, value: str) -> None:
    message = error_of("", {f"BREEZEBLOCK_{key}": value})
    assert "hunter2" not in message
    assert f"BREEZEBLOCK_{key}" in message


def test_no_repr_shows_a_secret() -> None:
    settings = load(
        environ={
            "BREEZEBLOCK_DATABASE__URL": "postgresql://u:hunter2@h/n",
            "BREEZEBLOCK_BROKER__URL": "redis://:hunter2@h:1/0",
            "BREEZEBLOCK_FLOWER__BASIC_AUTH": "u:hunter2",
            "BREEZEBLOCK_BACKENDS__A__DRIVER": "file",
            "BREEZEBLOCK_BACKENDS__A__PASSWORD": "hunter2",
        }
    )
    assert "hunter2" not in repr(settings)


def test_a_process_without_database_has_no_url() -> None:
    settings = load(environ={}).without_database()
    assert settings.database.url == ""
    assert settings.api == load(environ={}).api


@given(
    section=st.sampled_from(SECTIONS),
    key=st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_any_variable_is_taken_or_refused_in_one_line(section: str, key: str, value: str) -> None:
    try:
        load(environ={f"BREEZEBLOCK_{section}__{key}".upper(): value})
    except SettingsError as error:
        assert "\n" not in str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
)
def test_any_value_of_any_key_is_taken_or_refused_in_one_line(value: Any) -> None:
    from config.rules import build

    for section in SECTIONS:
        kind = type(getattr(Settings(), section))
        for field in fields(kind):
            try:
                build(section, kind, {field.name: (value, "here")})
            except SettingsError as error:
                assert "\n" not in str(error)


def test_settings_need_neither_flask_nor_sqlalchemy() -> None:
    code = (
        "import sys, config.settings, config.logging, config.celery, config.routing, cli.main;"
        "sys.exit(bool({'flask', 'sqlalchemy', 'werkzeug'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
