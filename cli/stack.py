"""Which processes the embedded stack has, and the settings that each of them gets."""

import http.client
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli import broker
from cli.supervisor import Part
from config.process import COLD_SECONDS
from config.settings import Settings, mask_url

#: The parts that `up --without` leaves out.
OPTIONAL = ("api", "control", "scheduler", "events", "nodes", "beat", "flower")

_USE_DATABASE = frozenset({"api", "control", "scheduler", "events"})

#: What a node of the stack serves where the settings have no [backends].
DEFAULT_BACKENDS = {"file": {"driver": "file", "folder": "{data}/{node}/volumes"}}

#: The order of stopping: what takes requests first, what everything talks through last.
_DOOR, _CLOCK, _WORKERS, _NODES, _BROKER = range(5)


def parts(
    settings: Settings, config: Path | None, nodes: int, without: frozenset[str] = frozenset()
) -> list[Part]:
    """The processes of the stack, in the order in which they are shown."""
    env = _environment(settings)
    base = [sys.executable, "-P", "-m", "cli.main"]
    command = [*base, "--config", str(config.absolute())] if config else base
    soft = settings.worker.shutdown_timeout + COLD_SECONDS + 2
    made: list[Part] = []
    if not without >= _USE_DATABASE:
        made.append(Part("db", (*command, "db", "upgrade"), env, stage=_WORKERS, once=True))
    needs_broker: frozenset[str] = frozenset()
    if settings.broker.embedded:
        folder = settings.paths.data / "broker"
        folder.mkdir(parents=True, exist_ok=True)
        needs_broker = frozenset({"broker"})
        made.append(_broker(settings, folder, env))
    needs_both = needs_broker | {"db"}
    if "api" not in without:
        made.append(_api(settings, (*command, "api"), env, needs_both))
    for role in ("control", "scheduler", "events"):
        if role not in without:
            argv = (*command, "worker", role, "--name", role)
            made.append(Part(role, argv, env, stage=_WORKERS, after=needs_both, stop_seconds=soft))
    for number in range(1, nodes + 1 if "nodes" not in without else 0):
        name = f"node{number}"
        file = _write_node_settings(settings, name)
        argv = (*base, "--config", str(file), "worker", "node")
        made.append(
            Part(name, argv, _node_environment(env), _NODES, after=needs_broker, stop_seconds=soft)
        )
    if "beat" not in without:
        made.append(Part("beat", (*command, "beat"), env, stage=_CLOCK, after=needs_broker))
    if "flower" not in without:
        made.append(_flower(settings, (*command, "flower"), env, needs_broker))
    return made


def _broker(settings: Settings, folder: Path, env: Mapping[str, str]) -> Part:
    url = settings.broker.url
    return Part(
        "broker",
        broker.command(url, folder),
        env,
        stage=_BROKER,
        endpoint=mask_url(url),
        ready=lambda: broker.answers(url),
    )


def _api(
    settings: Settings, argv: tuple[str, ...], env: Mapping[str, str], after: frozenset[str]
) -> Part:
    api = settings.api
    return Part(
        "api",
        argv,
        env,
        stage=_DOOR,
        endpoint=f"http://{authority(api.host, api.port)}",
        ready=lambda: _serves_http(api.host, api.port),
        after=after,
        stop_seconds=max(api.admission_timeout, settings.worker.shutdown_timeout) + 3,
    )


def _flower(
    settings: Settings, argv: tuple[str, ...], env: Mapping[str, str], after: frozenset[str]
) -> Part:
    flower = settings.flower
    return Part(
        "flower",
        argv,
        env,
        stage=_CLOCK,
        endpoint=f"http://{authority(flower.host, flower.port)}",
        ready=lambda: _serves_http(flower.host, flower.port),
        after=after,
    )


def reachable(host: str) -> str:
    """The address at which a server bound to ``host`` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here


def authority(host: str, port: int) -> str:
    host = reachable(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _serves_http(host: str, port: int) -> bool:
    """Whether a server answers an HTTP request, with whatever status but an internal error."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=1.0)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _environment(settings: Settings) -> dict[str, str]:
    env = dict(os.environ)
    env["BREEZEBLOCK_PATHS__DATA"] = str(settings.paths.data)
    # Each thread may get a heap of its own otherwise, and the API has forty.
    env.setdefault("MALLOC_ARENA_MAX", "2")
    return env


def _node_environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without what says where the database is: a node gets its file, and nothing else."""
    return {key: value for key, value in env.items() if not key.startswith(("BREEZEBLOCK_", "PG"))}


def _write_node_settings(settings: Settings, name: str) -> Path:
    """Write ``<data>/<name>.toml``, the whole settings of that node. Returns its path."""
    data = settings.paths.data
    (data / name).mkdir(parents=True, exist_ok=True)
    places = {"{data}": str(data), "{node}": name}
    document = {
        "paths": {"data": str(data)},
        "broker": {
            "url": settings.broker.url,
            "embedded": False,
            "visibility_timeout": settings.broker.visibility_timeout,
        },
        "node": {
            "name": name,
            "availability_zone": settings.node.availability_zone,
            "report_interval": settings.node.report_interval,
            "concurrency": settings.node.concurrency,
            "ledger": str(data / name / "ledger.db"),
        },
        "worker": {"shutdown_timeout": settings.worker.shutdown_timeout},
        "logging": {"format": settings.logging.format, "level": settings.logging.level},
        "backends": _fill_in(settings.backends or DEFAULT_BACKENDS, places),
    }
    file = data / f"{name}.toml"
    # the broker's URL may hold a password; and a node that restarts never reads half a file
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    text = "# Written by `breezeblock up` at each start.\n" + to_toml(document)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
    return file


def _fill_in(value: Any, places: Mapping[str, str]) -> Any:
    """``value`` with ``{data}`` and ``{node}`` replaced in every string of it."""
    if isinstance(value, Mapping):
        return {key: _fill_in(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, places) for item in value]
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(place, text)
    return value


def to_toml(document: Mapping[str, Any]) -> str:
    """``document``, a table of tables, as TOML. Deeper tables are written inline."""
    lines = []
    for section, table in document.items():
        lines.append(f"[{section}]")
        lines += [f"{_quoted(key)} = {_toml_value(item)}" for key, item in table.items()]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_quoted(key)} = {_toml_value(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    # numbers and booleans are written as in JSON; a date or a time reads as it is written
    return json.dumps(value, default=str).strip('"')


def _quoted(text: str) -> str:
    # JSON's strings are TOML's, but for surrogate pairs (so no ASCII) and DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def tool(name: str) -> str:
    """How to type the command ``name``: as it is, or by its path beside this Python."""
    beside = Path(sys.executable).parent / name
    if shutil.which(name) or not beside.exists():
        return name
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)
