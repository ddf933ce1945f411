"""What is true of an installation of processes, read from outside of it.

The database is read as it is, and each node's storage as it is; neither through the service.
"""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from config.settings import load
from db.models import Clock, Flow, QuotaUsage, Residue, Volume
from db.models.flow import UNFINISHED
from tests.invariants import check
from tests.processes import wait_for

Objects = Callable[[str], Mapping[str, int]]
"""What a node holds, whole or half-made: sizes in GiB by name."""


class Truth:
    """The rows of one installation, beside what its `nodes` hold by `objects_of`."""

    def __init__(self, database: str, nodes: Iterable[str], objects_of: Objects) -> None:
        # the settings know which driver an URL of the product means
        url = load(environ={"BREEZEBLOCK_DATABASE__URL": database}).database.url
        # a connection of its own each time: the server may have been killed since the last
        self._engine: Engine = create_engine(url, poolclass=NullPool)
        self._nodes, self._objects_of = tuple(nodes), objects_of

    def close(self) -> None:
        self._engine.dispose()

    def reading(self) -> Session:
        """A session for a look into the rows; to be closed."""
        return Session(self._engine)

    def objects(self) -> set[str]:
        """`host/name` of everything on every node."""
        return {f"{node}/{name}" for node in self._nodes for name in self._objects_of(node)}

    def settled(self, seconds: float = 90.0, *, residues: int = 0) -> None:
        """Wait until no flow runs and that many residues are left; then everything must be exact.

        Raises AssertionError, with what is not.
        """
        wait_for(
            lambda: not self.unfinished() and len(self.residues()) <= residues,
            seconds,
            f"the end of flows {self.unfinished()} and residues {self.residues()}",
        )
        with Session(self._engine) as tx:
            wrong = check(tx, {node: self._objects_of(node) for node in self._nodes})
        assert not wrong, "\n".join(wrong)

    def unfinished(self) -> list[str]:
        """Flows that go on."""
        with Session(self._engine) as tx:
            return list(tx.scalars(select(Flow.id).where(Flow.state.in_(UNFINISHED))))

    def residues(self) -> list[str]:
        """`host/name` of what may be left of a flow."""
        with Session(self._engine) as tx:
            return [f"{row.host}/{row.op['object']}" for row in tx.scalars(select(Residue))]

    def usage(self, project: str, resource: str) -> tuple[int, int]:
        """`in_use` and `reserved` as the row has it; zeros if there is none."""
        with Session(self._engine) as tx:
            row = tx.get(QuotaUsage, (project, resource))
            return (row.in_use, row.reserved) if row else (0, 0)

    def tick(self) -> int:
        """The sweeper's clock."""
        with Session(self._engine) as tx:
            return tx.scalars(select(Clock.tick)).one()

    def volumes(self, project: str) -> list[Volume]:
        """Every row, also of volumes that nobody is shown."""
        with Session(self._engine) as tx:
            return list(tx.scalars(select(Volume).where(Volume.project_id == project)))
