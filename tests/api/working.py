"""The API with an installation behind it: what a request begins has ended when it is answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from api import admission
from api.app import create_app
from db import db
from tasks.dispatch import Outgoing
from tests.api.conftest import PROJECT
from tests.harness import World


class Working(World):
    """A world with two nodes, whose messages are run while the request that sent them waits."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        super().__init__(folder, environ)
        for host in ("node1", "node2"):
            self.add_node(host)
        self.tick()

    def made(self, size: int = 1, project: str = PROJECT, **asked: str) -> str:
        """A volume of `size` GiB on one of the nodes; returns its id."""
        volume_id = self.create(size, project, **asked)
        self.settle()
        volume = self.volume(volume_id)
        assert volume is not None
        assert volume.status == "available", self.story()
        return volume_id

    def app(self, patch: pytest.MonkeyPatch) -> Flask:
        """The API on this world's database."""
        app = create_app(self.settings)
        engine = app.extensions["breezeblock.engine"]
        send = engine.send

        def send_and_run(outgoing: Outgoing) -> None:
            send(outgoing)
            self.run()

        patch.setattr(engine, "send", send_and_run)
        patch.setattr(admission, "LOOK_SECONDS", 0.01)
        return app


@contextmanager
def working(
    folder: Path, environ: dict[str, str], patch: pytest.MonkeyPatch
) -> Iterator[tuple[Working, Flask]]:
    """A world whose database `environ` names, and the API on it, in whose context the block is."""
    quick = {
        "API__ADMISSION_TIMEOUT": "0.5",
        "SWEEPER__GRACE_TICKS": "1",
        "SWEEPER__NODE_DOWN_TICKS": "3",
        "SWEEPER__MAX_BACKOFF_TICKS": "3",
    }
    world = Working(folder, environ | {f"BREEZEBLOCK_{key}": quick[key] for key in quick})
    app = world.app(patch)
    with app.app_context():
        yield world, app
        db.session.remove()
        db.engine.dispose()
    world.close()


@contextmanager
def address(app: Flask) -> Iterator[str]:
    """Where real clients reach `app`, one request after another."""
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
