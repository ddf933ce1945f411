"""The flow in docs/development.md, run as the page says."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import db
import tasks.app
from config.settings import load
from db import overrides
from db.transitions import AVAILABLE, TRANSITIONS, Transition
from tests.docs.pages import blocks
from tests.harness import World
from tests.tasks.conftest import standing_world

NAME = "documented_flow"


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module that the page shows."""
    (text,) = [b.text for b in blocks("python") if 'FlowDefinition("volume.note"' in b.text]
    file = tmp_path_factory.mktemp("guide") / f"{NAME}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[NAME]


@pytest.fixture(scope="module")
def world(guide: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation that has the flow."""
    url = f"sqlite:///{tmp_path_factory.mktemp('world')}/breezeblock.db"
    more = {"BREEZEBLOCK_DATABASE__URL": url}
    db.upgrade(load(environ=more))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks.app, "FLOWS", [*tasks.app.FLOWS, guide.note_volume])
        patch.setitem(TRANSITIONS, "volume.note", Transition(frozenset({AVAILABLE}), "noting"))
        with standing_world(more) as world:
            yield world


@pytest.fixture
def volume_id(world: World) -> str:
    volume_id = world.create()
    world.settle()
    return volume_id


def seen(world: World, volume_id: str) -> tuple[str, object]:
    volume = world.volume(volume_id)
    assert volume is not None
    return volume.status, volume.meta.get("note")


def test_it_does_what_it_says(world: World, volume_id: str) -> None:
    flow = world.submit("volume.note", volume_id, {"note": "hello"})
    world.finish()
    assert world.flow(flow).state == "succeeded"
    assert seen(world, volume_id) == (AVAILABLE, "hello")


def test_it_undoes_itself(world: World, volume_id: str, guide: ModuleType) -> None:
    world.submit("volume.note", volume_id, {"note": "before"})
    world.settle()
    flow = world.submit("volume.note", volume_id, {"note": "x" * (guide.LONGEST + 1)})
    world.finish()
    assert world.flow(flow).state == "failed"
    assert seen(world, volume_id) == (AVAILABLE, "before")


def test_a_volume_in_work_is_refused(world: World, volume_id: str) -> None:
    with world.writing() as tx:
        overrides.reset_volume_status(tx, volume_id, "error")
    flow = world.submit("volume.note", volume_id, {"note": "no"})
    world.finish()
    assert world.flow(flow).state == "refused"
    assert (world.flow(flow).error or {})["status"] == 400
