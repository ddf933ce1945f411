"""A storage node without a worker: its tasks run, and it reports, when a `World` says so."""

from pathlib import Path
from typing import Any

from celery import Celery

from config.celery import make_app
from config.settings import load
from drivers.fake_faults import write_faults
from drivers.fake_store import FileStore
from drivers.names import is_ours
from tasks.node import inventory, manageable, report, residue, steps
from tasks.node.app import make_node
from tasks.node.report import Reporter


class Reports(Reporter):
    """Reports when it is told to."""

    def answer(self, tick: int) -> None:
        super().answer(tick)
        self.tell()

    def tell(self) -> None:
        """Send a report now."""
        self._send(self.report())


class StorageNode:
    """One node with one back end. `start` to `die` is an incarnation; ledger and storage last."""

    def __init__(self, folder: Path, host: str, **options: Any) -> None:
        self.host = host
        self.folder = folder / host
        self.folder.mkdir()
        self.app: Celery | None = None
        environ = {
            "PATHS__DATA": str(self.folder),
            "NODE__NAME": host,
            "BROKER__URL": "memory://",
            "BACKENDS__FAKE__DRIVER": "fake",
            "BACKENDS__FAKE__STATE_FILE": str(self.folder / "objects"),
            "BACKENDS__FAKE__FAULTS_FILE": str(self.folder / "faults.json"),
            "BACKENDS__FAKE__OPERATION_TIMEOUT": "0.001",
            **{f"BACKENDS__FAKE__{key.upper()}": str(value) for key, value in options.items()},
        }
        self.settings = load(environ={f"BREEZEBLOCK_{k}": v for k, v in environ.items()})
        self.store = FileStore(self.folder / "objects")

    def start(self) -> None:
        """A new incarnation, which reports at once."""
        self.app = make_app(self.host, self.settings)
        self.node = make_node(self.settings, self.app)
        self.node.lock_wait = 0.02
        self.node.open()
        self.reports = Reports(self.app, self.node, "nova", 1.0)
        steps.register(self.app, self.node)
        residue.register(self.app, self.node)
        inventory.register(self.app, self.node)
        manageable.register(self.app, self.node)
        report.register(self.app, self.node, self.reports)
        self.reports.tell()

    def die(self) -> None:
        """What it is doing, it does not finish."""
        if self.app is not None:
            self.app = None
            self.node.close()

    def restart(self) -> None:
        """Die and come back."""
        self.die()
        self.start()

    def lose_ledger(self) -> None:
        """Die, and forget everything but what is stored."""
        self.die()
        for file in self.settings.node.ledger.parent.glob("ledger.db*"):
            file.unlink()

    def clean(self) -> None:
        """Be up, with an empty back end that works."""
        self.fail()
        for name, _ in self.store.items():
            self.store.drop(name)
        for connection in self.connections():
            self.store.disconnect(connection)
        if self.app is None:
            self.start()

    def fail(self, **table: list[dict[str, Any]]) -> None:
        """Have the driver fail from now on; without arguments, work again."""
        write_faults(self.folder / "faults.json", table)

    def objects(self) -> dict[str, int]:
        """What the back end really holds of ours: sizes in GiB by name."""
        return {name: size for name, size in self.store.items() if is_ours(name)}

    def connections(self) -> dict[str, str]:
        """The object of each connection, by the connection's name."""
        return self.store.connections()
