"""Plug-ins as installed; and one of a package of its own, the guide's example."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

import scheduler.filters
import scheduler.weighers
from scheduler import plugins
from scheduler.decide import decide
from scheduler.filters.base import Filter
from scheduler.plugins import BrokenPlugin, UnknownPlugin, load_filters, load_weighers
from scheduler.weighers.base import Weigher
from tests.scheduler.make import pool, reason, request

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "scheduler.md"


def classes(
    package: ModuleType, base: type[Filter] | type[Weigher]
) -> dict[str, type[Filter] | type[Weigher]]:
    """Every concrete class of the package's modules, by its `name`."""
    found: dict[str, type[Filter] | type[Weigher]] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(cls, base) and not inspect.isabstract(cls):
                found[cls.name] = cls
    return found


@pytest.mark.parametrize(
    ("package", "base", "group", "least"),
    [
        (scheduler.filters, Filter, plugins.FILTERS, 5),
        (scheduler.weighers, Weigher, plugins.WEIGHERS, 4),
    ],
)
def test_every_class_is_registered_under_its_name(
    package: ModuleType, base: type[Filter] | type[Weigher], group: str, least: int
) -> None:
    written = classes(package, base)
    assert len(written) >= least
    registered = {entry.name: entry.load() for entry in entry_points(group=group)}
    assert {name: registered.get(name) for name in written} == written


def test_filters_come_in_the_order_of_the_configuration() -> None:
    assert [f.name for f in load_filters(["retry", "capacity", "service"])] == [
        "retry",
        "capacity",
        "service",
    ]
    assert [(w.name, m) for w, m in load_weighers({"chance": 0.5, "capacity": -1.0})] == [
        ("chance", 0.5),
        ("capacity", -1.0),
    ]


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownPlugin) as filters:
        load_filters(["capacity", "capcity"])
    assert "'capcity' in breezeblock.filters" in str(filters.value)
    assert "availability_zone, capabilities, capacity, retry, service" in str(filters.value)
    with pytest.raises(UnknownPlugin, match="allocated_capacity, capacity, chance, volume_number"):
        load_weighers({"goodness": 1.0})


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages are found, as site-packages is."""
    monkeypatch.syspath_prepend(tmp_path)
    plugins.refresh()
    yield tmp_path
    monkeypatch.undo()
    plugins.refresh()


def install(folder: Path, name: str, entries: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    importlib.invalidate_caches()


def test_the_guides_filter_is_found_and_judges(installed: Path) -> None:
    (code,) = blocks("python")
    assert len(code.splitlines()) <= 25
    (table,) = [block for block in blocks("toml") if "entry-points" in block]
    entry = table.splitlines()[1].replace('"', "")
    (installed / "few_volumes.py").write_text(code)
    install(installed, "few-volumes", f"[breezeblock.filters]\n{entry}\n")

    (few,) = load_filters(["few_volumes"])
    assert few.passes(pool(volumes=499), request()) is None
    assert reason(few.passes(pool(volumes=500), request())) == "500 volumes of at most 500"
    asked = request(extra_specs={"few:volumes": "3"})
    decision = decide([pool(1, volumes=2), pool(2, volumes=3)], asked, [few], [])
    assert [p.host for p in decision.candidates] == ["node1"]
    assert decision.verdicts[0].numbers == {"volumes": 3, "limit": 3}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("no_such_module:Filter", "No module named"),
        ("scheduler.filters.base:Missing", "has no attribute"),
        ("scheduler.filters.base:Filter", "abstract"),
        ("builtins:dict", "not a scheduler.filters.base.Filter"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(installed: Path, target: str, why: str) -> None:
    install(installed, "broken", f"[breezeblock.filters]\nbroken = {target}\n")
    with pytest.raises(BrokenPlugin, match=why) as raised:
        load_filters(["broken"])
    assert "'broken' in breezeblock.filters" in str(raised.value)


def test_a_package_installed_later_is_seen_after_a_refresh(installed: Path) -> None:
    with pytest.raises(UnknownPlugin):
        load_filters(["late"])
    install(
        installed, "late", "[breezeblock.filters]\nlate = scheduler.filters.retry:RetryFilter\n"
    )
    plugins.refresh()
    assert load_filters(["late"])[0].name == "retry"


def test_a_decision_needs_no_database_no_broker_and_no_web_framework() -> None:
    script = (
        "import sys, scheduler.decide, scheduler.plugins as p\n"
        "p.load_filters(['service', 'availability_zone', 'capacity', 'capabilities', 'retry'])\n"
        "p.load_weighers({'capacity': 1, 'chance': 1})\n"
        "print(*{m.partition('.')[0] for m in sys.modules})\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "scheduler" in loaded
    assert not {"flask", "sqlalchemy", "celery", "kombu", "db", "api", "tasks"} & set(loaded)
