"""The settings of every process: one TOML file, overlaid by environment variables.

``load`` reads the file (the argument, else ``BREEZEBLOCK_CONFIG``, else ``./breezeblock.toml``
where there is one), then variables named ``BREEZEBLOCK_<SECTION>__<KEY>``, such as
``BREEZEBLOCK_API__PORT=8777``; a backend's option is ``BREEZEBLOCK_BACKENDS__<NAME>__<KEY>``.
An unknown key is an error. ``breezeblock.example.toml`` describes each key.

Nothing here imports Flask or SQLAlchemy: a storage node reads its settings too.
"""

import ipaddress
import os
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from config.access import A_URL, URL, CorsSettings, KeystoneSettings, check_cors, check_keystone
from config.rules import (
    NAME,
    SettingsError,
    boolean,
    build,
    choice,
    mask_url,
    multipliers,
    names,
    number,
    path,
    seconds,
    shown,
    text,
    unknown,
    whole,
)

__all__ = ["Settings", "SettingsError", "load", "mask_url"]

PREFIX = "BREEZEBLOCK_"
EMBEDDED_BROKER = "redis://127.0.0.1:6399/0"

_HOST = r"[A-Za-z0-9._:-]+"
_A_HOST = "a host name or address"
_DATABASE = r"|sqlite:///\S+|postgresql(\+psycopg)?://\S+"
_A_DATABASE = "empty, sqlite:///<file> or postgresql://user:password@host:port/name"
_BROKER = r"(rediss?|amqps?)://\S+|memory://\S*"
_A_BROKER = "redis://, rediss://, amqp:// or amqps:// with host, port and database or vhost"


@dataclass(frozen=True, slots=True)
class PathsSettings:
    """``data``: the folder of everything that the embedded stack keeps."""

    data: Annotated[Path, path()] = Path("var")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The HTTP server; ``admission_timeout`` in seconds, ``max_body_bytes`` in bytes.

    ``rate_limit``: requests a second of one project in one process, 0 for no limit.
    """

    host: Annotated[str, text(_HOST, _A_HOST)] = "127.0.0.1"
    port: Annotated[int, whole(1, 65535)] = 8776
    workers: Annotated[int, whole(1, 64)] = 1
    threads: Annotated[int, whole(1, 1000)] = 40
    admission_timeout: Annotated[float, seconds(0.1, 600)] = 15.0
    max_body_bytes: Annotated[int, whole(1024, 1 << 30, "bytes")] = 114688
    max_limit: Annotated[int, whole(1, 100_000)] = 1000
    public_url: Annotated[str, text(URL, A_URL)] = ""
    auth: Annotated[str, choice("noauth", "http_basic", "keystone")] = "noauth"
    noauth_off_loopback: Annotated[bool, boolean()] = False
    password_file: Annotated[Path | None, path()] = None
    policy_file: Annotated[Path | None, path()] = None
    default_group_type: Annotated[str, text(r".{0,255}", "a group type's name, or nothing")] = ""
    default_volume_type: Annotated[str, text(r".{1,255}", "a volume type's name")] = "__DEFAULT__"
    default_availability_zone: Annotated[str, text(r".{1,255}", "a zone's name")] = "nova"
    no_snapshot_gb_quota: Annotated[bool, boolean()] = False
    idempotency_hours: Annotated[int, whole(1, 8760, "hours")] = 24
    rate_limit: Annotated[float, number(0, 1_000_000)] = 0.0
    rate_burst: Annotated[int, whole(1, 1_000_000)] = 100


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """``url`` is a secret; ``pool_timeout`` in seconds. A process without database has no url."""

    url: Annotated[str, text(_DATABASE, _A_DATABASE)] = field(default="", repr=False)
    pool_size: Annotated[int, whole(1, 1000)] = 5
    pool_timeout: Annotated[float, seconds(0.1, 600)] = 10.0


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """``url`` is a secret; ``embedded``: ``breezeblock up`` runs the broker itself.

    ``visibility_timeout`` (seconds): after it Redis gives an unacknowledged message out again.
    """

    url: Annotated[str, text(_BROKER, _A_BROKER)] = field(default=EMBEDDED_BROKER, repr=False)
    embedded: Annotated[bool, boolean()] = False
    visibility_timeout: Annotated[int, whole(60, 7 * 86400, "seconds")] = 3600


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """A project's limits until it has its own, in GiB where they are sizes; -1 is no limit."""

    volumes: Annotated[int, whole(-1)] = 10
    gigabytes: Annotated[int, whole(-1, unit="GiB")] = 1000
    per_volume_gigabytes: Annotated[int, whole(-1, unit="GiB")] = -1
    snapshots: Annotated[int, whole(-1)] = 10
    backups: Annotated[int, whole(-1)] = 10
    backup_gigabytes: Annotated[int, whole(-1, unit="GiB")] = 1000
    groups: Annotated[int, whole(-1)] = 10


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Filters in the order in which they are asked; weighers with their multipliers."""

    filters: Annotated[tuple[str, ...], names()] = (
        "service",
        "availability_zone",
        "capacity",
        "capabilities",
        "retry",
    )
    weighers: Annotated[Mapping[str, float], multipliers()] = field(
        default_factory=lambda: {"capacity": 1.0}
    )
    max_attempts: Annotated[int, whole(1, 100)] = 3


@dataclass(frozen=True, slots=True)
class SweeperSettings:
    """``interval`` in seconds; the ``…_ticks`` count sweeps; ``batch`` is flows in one sweep."""

    interval: Annotated[float, seconds(0.1, 3600)] = 2.0
    grace_ticks: Annotated[int, whole(1, 10_000)] = 2
    node_down_ticks: Annotated[int, whole(1, 10_000)] = 10
    batch: Annotated[int, whole(1, 100_000)] = 100
    max_backoff_ticks: Annotated[int, whole(1, 10_000)] = 15
    retention_hours: Annotated[int, whole(1, 87_600, "hours")] = 168
    message_days: Annotated[int, whole(1, 3650, "days")] = 30


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """This machine as a storage node; ``report_interval`` in seconds."""

    name: Annotated[str, text(rf"|{NAME.pattern}", "empty or letters, digits, . _ -")] = ""
    availability_zone: Annotated[str, text(r".{1,255}", "a zone's name")] = "nova"
    report_interval: Annotated[float, seconds(0.1, 3600)] = 3.0
    concurrency: Annotated[int, whole(1, 1000)] = 8
    ledger: Annotated[Path, path()] = Path()


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How each role works; ``shutdown_timeout`` in seconds is the soft part of a stop."""

    control_pool: Annotated[str, choice("prefork", "threads", "solo")] = "prefork"
    control_concurrency: Annotated[int, whole(1, 1000)] = 2
    scheduler_pool: Annotated[str, choice("prefork", "threads", "solo")] = "solo"
    scheduler_concurrency: Annotated[int, whole(1, 1000)] = 1
    events_pool: Annotated[str, choice("prefork", "threads", "solo")] = "solo"
    events_concurrency: Annotated[int, whole(1, 1000)] = 1
    shutdown_timeout: Annotated[float, seconds(0, 3600)] = 20.0


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    format: Annotated[str, choice("console", "json")] = "console"
    level: Annotated[str, choice("debug", "info", "warning", "error")] = "info"


@dataclass(frozen=True, slots=True)
class FlowerSettings:
    """``basic_auth`` (``user:password``) is a secret, empty for none."""

    host: Annotated[str, text(_HOST, _A_HOST)] = "127.0.0.1"
    port: Annotated[int, whole(1, 65535)] = 5555
    max_tasks: Annotated[int, whole(1, 10_000_000)] = 10_000
    basic_auth: Annotated[str, text(r"|[^:\s]+:\S+", "empty or user:password")] = field(
        default="", repr=False
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Every section, and each backend's table as it was written.

    A backend's table is checked on its node, by the schema of its driver. The table ``driver``
    names that; it is the only key known here.
    """

    paths: PathsSettings = field(default_factory=PathsSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    keystone: KeystoneSettings = field(default_factory=KeystoneSettings)
    cors: CorsSettings = field(default_factory=CorsSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    sweeper: SweeperSettings = field(default_factory=SweeperSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    flower: FlowerSettings = field(default_factory=FlowerSettings)
    backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def without_database(self) -> "Settings":
        """What a node, beat and Flower get: nothing that opens the database, or Keystone."""
        return replace(self, database=replace(self.database, url=""), keystone=KeystoneSettings())


#: section → key → (value, where it came from)
_Given = dict[str, dict[str, tuple[Any, str]]]
_SECTIONS = {f.name: cast(type, f.type) for f in fields(Settings) if f.name != "backends"}


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read, overlay, check and complete the settings. Raises SettingsError (one line)."""
    given: _Given = {name: {} for name in (*_SECTIONS, "backends")}
    file = file or _default_file(environ)
    if file is not None:
        _read(file, given)
    _overlay(environ, given)
    backends = {
        name: _backend(name, table, source) for name, (table, source) in given["backends"].items()
    }
    sections: dict[str, Any] = {
        name: build(name, kind, given[name]) for name, kind in _SECTIONS.items()
    }
    settings = _completed(Settings(**sections, backends=backends), given)
    _check_together(settings)
    return settings


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _default_file(environ: Mapping[str, str]) -> Path | None:
    if named := environ.get(PREFIX + "CONFIG"):
        return Path(named)
    return here if (here := Path("breezeblock.toml")).is_file() else None


def _read(file: Path, given: _Given) -> None:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsError(f"{file}: is not TOML: {' '.join(str(error).split())}") from error
    source = str(file)
    for section, table in document.items():
        if section not in given:
            raise unknown(section, source, given)
        if not isinstance(table, dict):
            raise SettingsError(f"{section} = {shown(table, False)} ({source}): must be a table")
        given[section].update({key: (value, source) for key, value in table.items()})


def _overlay(environ: Mapping[str, str], given: _Given) -> None:
    for variable in sorted(environ):
        section, dots, key = variable.removeprefix(PREFIX).lower().partition("__")
        if not variable.startswith(PREFIX) or not dots:
            continue
        if section not in given:
            raise unknown(section, variable, given)
        if section == "backends":
            backend, _, option = key.partition("__")
            table, source = given["backends"].get(backend, ({}, variable))
            if not option or not isinstance(table, dict):
                raise SettingsError(f"{variable}: must be {PREFIX}BACKENDS__<NAME>__<KEY>")
            given["backends"][backend] = ({**table, option: environ[variable]}, source)
        else:
            given[section][key] = (environ[variable], variable)


def _backend(name: str, table: object, source: str) -> Mapping[str, Any]:
    if not NAME.fullmatch(name):
        raise SettingsError(f"backends.{name!r} ({source}): a name is letters, digits, . _ -")
    if not isinstance(table, dict) or not isinstance(table.get("driver"), str):
        raise SettingsError(
            f'backends.{name} ({source}): must be a table with a driver, as driver = "file"'
        )
    return table


def _completed(settings: Settings, given: _Given) -> Settings:
    """Fill in the defaults that depend on the machine or on another key."""
    data = settings.paths.data.absolute()
    name = settings.node.name or socket.gethostname()
    url = settings.database.url or f"sqlite:///{data}/breezeblock.db"
    if url.startswith("sqlite:///"):
        # Flask-SQLAlchemy would take a relative file as one below its own folder
        url = f"sqlite:///{Path(url.removeprefix('sqlite:///')).absolute()}"
    elif url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    broker = settings.broker
    if "embedded" not in given["broker"]:
        broker = replace(broker, embedded=broker.url == EMBEDDED_BROKER)
    ledger = settings.node.ledger
    if ledger == Path():
        ledger = data / name / "ledger.db"
    return replace(
        settings,
        paths=replace(settings.paths, data=data),
        api=replace(
            settings.api,
            password_file=_file(settings.api.password_file),
            policy_file=_file(settings.api.policy_file),
        ),
        keystone=replace(settings.keystone, ca_file=_file(settings.keystone.ca_file)),
        database=replace(settings.database, url=url),
        broker=broker,
        node=replace(settings.node, name=name, ledger=ledger.absolute()),
    )


def _file(given: Path | None) -> Path | None:
    """A path that may be left empty."""
    return None if given in (None, Path()) else given.absolute()


def _check_together(settings: Settings) -> None:
    api, broker, flower = settings.api, settings.broker, settings.flower
    if api.auth == "noauth" and not is_loopback(api.host) and not api.noauth_off_loopback:
        raise SettingsError(
            f"api.host = {api.host!r} with api.auth = 'noauth': anybody who reaches it would be "
            "admin; use a loopback address, api.auth = 'http_basic' or 'keystone', or set "
            "api.noauth_off_loopback = true"
        )
    if api.auth == "http_basic" and api.password_file is None:
        raise SettingsError(
            "api.password_file is empty with api.auth = 'http_basic': must be the path of a file "
            "of lines user:bcrypt-hash:project_id:role[,role]"
        )
    if api.auth == "keystone":
        check_keystone(settings.keystone)
    check_cors(settings.cors)
    if not is_loopback(flower.host) and not flower.basic_auth:
        raise SettingsError(
            f"flower.host = {flower.host!r}: off loopback flower.basic_auth must be user:password"
        )
    where = urlsplit(broker.url)
    if broker.embedded and (where.scheme != "redis" or not is_loopback(where.hostname or "")):
        raise SettingsError(
            f"broker.url = {shown(broker.url, True)}: with broker.embedded = true it must be "
            "redis:// on a loopback address"
        )
