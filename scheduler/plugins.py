"""Filters and weighers by name: found by entry point, so that a package that is installed beside
this one adds its own with one file and one line.

PluginError
├── UnknownPlugin
└── BrokenPlugin
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from scheduler.filters.base import Filter
from scheduler.weighers.base import Weigher

FILTERS = "breezeblock.filters"
WEIGHERS = "breezeblock.weighers"


class PluginError(ValueError):
    """A filter or weigher named in the configuration cannot be used."""


class UnknownPlugin(PluginError):
    """No installed package offers a filter or weigher of this name; lists those there are."""

    def __init__(self, group: str, name: str, valid: Iterable[str]) -> None:
        known = ", ".join(sorted(valid)) or "none"
        super().__init__(f"no plug-in {name!r} in {group}; installed: {known}")


class BrokenPlugin(PluginError):
    """The package that offers a filter or weigher cannot be imported, or offers something else."""

    def __init__(self, entry: EntryPoint, why: str) -> None:
        super().__init__(f"plug-in {entry.name!r} in {entry.group} ({entry.value}): {why}")


def load_filters(names: Iterable[str]) -> tuple[Filter, ...]:
    """The filters of these names, in this order, which is the order in which they are asked.

    Raises UnknownPlugin or BrokenPlugin.
    """
    return tuple(_load_filter(name) for name in names)


def load_weighers(multipliers: Mapping[str, float]) -> tuple[tuple[Weigher, float], ...]:
    """The weighers of these names, each with its multiplier.

    Raises UnknownPlugin or BrokenPlugin.
    """
    return tuple((_load_weigher(name), factor) for name, factor in multipliers.items())


def refresh() -> None:
    """Forget what was found, so that a package installed since then is seen."""
    for cached in (_installed, _load_filter, _load_weigher):
        cached.cache_clear()


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


@cache
def _load_filter(name: str) -> Filter:
    plugin = _instance(FILTERS, name)
    if not isinstance(plugin, Filter):
        raise BrokenPlugin(_installed(FILTERS)[name], "not a scheduler.filters.base.Filter")
    return plugin


@cache
def _load_weigher(name: str) -> Weigher:
    plugin = _instance(WEIGHERS, name)
    if not isinstance(plugin, Weigher):
        raise BrokenPlugin(_installed(WEIGHERS)[name], "not a scheduler.weighers.base.Weigher")
    return plugin


def _instance(group: str, name: str) -> object:
    entry = _installed(group).get(name)
    if entry is None:
        raise UnknownPlugin(group, name, _installed(group))
    try:
        return entry.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise BrokenPlugin(entry, str(error)) from error
