"""Drivers are found by the entry-point group ``breezeblock.drivers``.

So a driver of another package needs no change here: it declares

    [project.entry-points."breezeblock.drivers"]
    mine = "my_package.module:MyDriver"
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from marshmallow import Schema, ValidationError
from marshmallow.exceptions import SCHEMA

from drivers.base import Driver
from drivers.errors import InvalidOptions, UnknownDriver

GROUP = "breezeblock.drivers"

_ABSENT = object()
_BACKEND_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)


def driver_names() -> list[str]:
    """The names that ``driver = "…"`` may have, sorted."""
    return sorted(_found())


def driver_class(name: str) -> type[Driver]:
    """The driver of that name. Raises UnknownDriver, which lists the valid names."""
    found = _found()
    if name not in found:
        raise UnknownDriver(f"{name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    try:
        loaded = found[name].load()
    except (ImportError, AttributeError) as error:
        raise UnknownDriver(f"{name!r} cannot be loaded: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Driver)):
        raise UnknownDriver(f"{name!r}: {found[name].value} is not a Driver")
    return loaded


def load_backend(name: str, table: Mapping[str, Any]) -> Driver:
    """The driver for back end `name` from its table of the configuration.

    Raises UnknownDriver, or InvalidOptions in one line that names each wrong key, its value
    and what is allowed.
    """
    if not _BACKEND_NAME.fullmatch(name):
        raise InvalidOptions(f"the name {name!r}: letters, digits, '_', '.', '-'; at most 64")
    options = dict(table)
    chosen = options.pop("driver", None)
    if not isinstance(chosen, str):
        raise UnknownDriver(
            f"backends.{name} needs driver = one of: {', '.join(driver_names()) or 'none'}"
        )
    driver = driver_class(chosen)
    schema = driver.options_schema()
    try:
        validated = schema.load(options)
    except ValidationError as error:
        wrong = "; ".join(_complaints(schema, options, error.messages_dict))
        raise InvalidOptions(f"backends.{name}: {wrong}") from error
    return driver(name, validated)


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _complaints(
    schema: Schema, options: Mapping[str, Any], messages: Mapping[str, Any]
) -> Iterator[str]:
    for key, found in messages.items():
        if key == SCHEMA:  # about several options at once
            yield " ".join(found)
        elif key not in schema.fields:
            allowed = ", ".join(sorted(["driver", *schema.fields]))
            yield f"unknown option {key!r}; allowed: {allowed}"
        else:
            secret = schema.fields[key].metadata.get("secret", False)
            for path, value, said in _leaves(key, options.get(key, _ABSENT), found):
                yield (
                    f"{path}: {said}"
                    if secret or value is _ABSENT
                    else f"{path} = {value!r}: {said}"
                )


def _leaves(path: str, value: Any, messages: Any) -> Iterator[tuple[str, Any, str]]:
    """Each message of a tree of them, with the path and the value that it is about."""
    if not isinstance(messages, Mapping):
        said = messages if isinstance(messages, list) else [messages]
        yield path, value, " ".join(str(one) for one in said)
        return
    for step, below in messages.items():
        inside = _child(value, step)
        if inside is _ABSENT and step == "key":  # marshmallow's word: about the key itself
            yield from _leaves(f"{path}: this key", _ABSENT, below)
        elif inside is _ABSENT and step == "value":
            yield from _leaves(path, value, below)
        else:
            yield from _leaves(f"{path}.{step}", inside, below)


def _child(value: Any, step: object) -> Any:
    if isinstance(value, Mapping):
        return value.get(step, _ABSENT)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return _ABSENT
