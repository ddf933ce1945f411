"""The API over a whole installation: a request is answered by what real flows did on real nodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from api.app import create_app
from tasks.dispatch import Outgoing
from tasks.dispatch import send as put
from tasks.engine import Engine
from tests.api.conftest import PROJECT, Caller
from tests.broker import Delivery
from tests.harness import World, seams
from tests.tasks.conftest import standing_world


class Site:
    """A `World` with the API in front of it.

    Whatever a request sends is run at once, up to the task named by `stop`, so that the world is at
    rest, or at that point, when the request is answered.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.app: Flask = create_app(world.settings)
        self.stop: str | None = None

    def caller(self, project: str = PROJECT) -> Caller:
        """An administrator in `project`."""
        return Caller(self.app.test_client(), project, {"X-Auth-Token": f"alice:{project}"})

    def run(self) -> None:
        """Run what waits, but for the task at which to stop."""
        self.world.run(self._stops)

    def go_on(self) -> None:
        """Stop nowhere any more."""
        self.stop = None
        self.run()

    def _stops(self, delivery: Delivery) -> bool:
        return delivery.task == self.stop


@contextmanager
def standing_site(base: Path) -> Iterator[Site]:
    """On a copy of the database `base`, with two nodes."""
    with standing_world({}, base) as world:
        yield Site(world)


def begin(site: Site, patch: pytest.MonkeyPatch) -> Site:
    """As if nothing had ever happened in it."""
    seams(site.world, patch)
    site.world.reset()
    site.stop = None
    api = site.app.extensions["breezeblock.engine"]

    def send(engine: Engine, outgoing: Outgoing) -> None:
        put(engine.app, outgoing)
        if engine is api:
            site.run()

    patch.setattr(Engine, "send", send)
    return site
