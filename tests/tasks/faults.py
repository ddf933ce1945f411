"""What may go wrong with one task of a flow, as faults of a `World`.

Each strikes the first message (or the first few) of the task that it is aimed at, and knows whether
it has: a fault that never struck shows nothing.
"""

import threading
import time
from collections.abc import Callable

import pytest
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import OperationalError

from api.admission import _cancel
from api.errors import ApiError
from db import journal, overrides
from db.models import Flow, Group, GroupSnapshot
from tasks.node.ledger import LedgerError
from tests.broker import Delivery
from tests.harness import Fault, Killed, World

CALLS = {
    "create": "create",
    "destroy": "delete",
    "extend": "extend",
    "create_snapshot": "create_snapshot",
    "destroy_snapshot": "delete_snapshot",
    "revert": "revert",
    "connect": "connect",
    "disconnect": "disconnect",
    "adopt": "adopt",
    "release": "release",
}
"""The call of the driver by an operation's verb."""

GROUPED: dict[str, type[Group] | type[GroupSnapshot]] = {
    "group": Group,
    "group_snapshot": GroupSnapshot,
}


class Aimed(Fault):
    """Aimed at one task."""

    def __init__(self, task: str, times: int = 1) -> None:
        self.task, self.left, self.struck = task, times, 0

    def __str__(self) -> str:
        return type(self).__name__

    def hits(self, delivery: Delivery) -> bool:
        """Whether it strikes this message; counts it."""
        if delivery.task != self.task or not self.left:
            return False
        self.left -= 1
        self.struck += 1
        return True


class Lose(Aimed):
    """The message never comes, or the process dies before it does anything with it."""

    def message(self, world: World, delivery: Delivery) -> bool:
        return self.hits(delivery)


class Flush(Aimed):
    """The broker loses this and everything else."""

    def message(self, world: World, delivery: Delivery) -> bool:
        if not self.hits(delivery):
            return False
        world.broker.flush()
        return True


class Double(Aimed):
    """It comes twice."""

    def message(self, world: World, delivery: Delivery) -> bool:
        if not self.hits(delivery):
            return False
        world.execute(delivery)
        world.execute(delivery)
        return True


class Late(Aimed):
    """It comes once more when everything has ended."""

    copy: Delivery | None = None

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            self.copy = delivery
        return False

    def end(self, world: World) -> None:
        if self.copy is not None:
            world.execute(self.copy)


class Overtaken(Aimed):
    """It comes only when the sweeper has sent a newer one: just before that, or just after."""

    def __init__(self, task: str, *, after: bool) -> None:
        super().__init__(task)
        self.after = after
        self.old: Delivery | None = None

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            self.old = delivery
            return True
        if self.old is None or delivery.task != self.task:
            return False
        if delivery.message["flow"] != self.old.message["flow"]:
            return False
        old, self.old = self.old, None
        assert delivery.message["epoch"] > old.message["epoch"]
        for one in (delivery, old) if self.after else (old, delivery):
            world.execute(one)
        return True


class Die(Aimed):
    """The process dies at a point. `again`: its message comes again, as it was not acknowledged."""

    def __init__(self, task: str, point: str, *, again: bool = False) -> None:
        super().__init__(task)
        self.where, self.again = point, again
        self.victim: Delivery | None = None

    def __str__(self) -> str:
        return f"{type(self).__name__} at {self.where}"

    def point(self, world: World, point: str, delivery: Delivery) -> None:
        if point == self.where and self.hits(delivery):
            self.victim = delivery
            raise Killed

    def killed(self, world: World, delivery: Delivery) -> None:
        if self.again and delivery is self.victim:
            world.broker.put(delivery, front=True)


class NodeDies(Die):
    """A node dies at a point and is back after some ticks (0: at once, -1: never)."""

    def __init__(
        self, task: str, point: str, *, back: int = 0, ledger: bool = True, again: bool = False
    ) -> None:
        super().__init__(task, point, again=again)
        self.back, self.ledger, self.down = back, ledger, False

    def killed(self, world: World, delivery: Delivery) -> None:
        if delivery is not self.victim:
            return
        super().killed(world, delivery)
        self.down = True
        if not self.ledger:
            world.node_of(delivery).lose_ledger()
        self._return(world)

    def tick(self, world: World) -> None:
        if self.down and self.back > 0:
            self.back -= 1
            self._return(world)

    def _return(self, world: World) -> None:
        if self.back == 0 and self.victim is not None:
            self.down = False
            world.node_of(self.victim).start()


class Break(Aimed):
    """An error at a point, some times."""

    def __init__(
        self, task: str, point: str, error: Callable[[], Exception], times: int = 1
    ) -> None:
        super().__init__(task, times)
        self.where, self.error = point, error

    def point(self, world: World, point: str, delivery: Delivery) -> None:
        if point == self.where and self.hits(delivery):
            raise self.error()


class DatabaseDown(Aimed):
    """From the first message of the task on no transaction begins, for three sweeps."""

    sweeps = 3

    def point(self, world: World, point: str, delivery: Delivery) -> None:
        self.hits(delivery)
        if point == "transaction" and self.struck and self.sweeps:
            raise database_error()

    def tick(self, world: World) -> None:
        if self.struck and self.sweeps:
            self.sweeps -= 1


class DriverFails(Aimed):
    """The driver of the node that gets the message fails once (or always) in one way."""

    def __init__(self, task: str, fault: str, times: int = 1) -> None:
        super().__init__(task)
        self.fault, self.strikes = fault, times

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            call = CALLS[delivery.message["op"]["verb"]]
            world.node_of(delivery).fail(**{call: [{"fault": self.fault, "times": self.strikes}]})
        return False


class Hang(Aimed):
    """The driver hangs for five sweeps; then it goes on, or its node is killed and comes back."""

    def __init__(self, task: str, *, killed: bool = False) -> None:
        super().__init__(task)
        self.kill, self.sweeps = killed, 5
        self.thread: threading.Thread | None = None
        self.hung: Delivery | None = None

    def message(self, world: World, delivery: Delivery) -> bool:
        if not self.hits(delivery):
            return False
        node, self.hung = world.node_of(delivery), delivery
        node.fail(**{CALLS[delivery.message["op"]["verb"]]: [{"fault": "hang", "times": 1}]})
        self.thread = threading.Thread(target=world.execute, args=(delivery,))
        self.thread.start()
        while not node.node.ledger.running():
            time.sleep(0.001)
        time.sleep(0.003)  # longer than the back end's operation_timeout
        return True

    def point(self, world: World, point: str, delivery: Delivery) -> None:
        if delivery is self.hung and point == "acted" and self.kill:
            raise Killed

    def tick(self, world: World) -> None:
        if self.hung is None or self.thread is None:
            return
        self.sweeps -= 1
        if self.sweeps == 0:
            node = world.node_of(self.hung)
            if self.kill:
                node.die()
            node.fail()
            self.thread.join(10)
            if self.kill:
                node.start()

    def end(self, world: World) -> None:
        while self.hung is not None and self.sweeps > 0:
            world.tick()


class Act(Aimed):
    """Somebody does something just before the message is worked on."""

    def __init__(self, task: str, act: Callable[[World, Delivery], None]) -> None:
        super().__init__(task)
        self.act = act

    def __str__(self) -> str:
        return self.act.__name__

    def message(self, world: World, delivery: Delivery) -> bool:
        if self.hits(delivery):
            self.act(world, delivery)
        return not world.consumed(delivery.queue)


def cancel(world: World, delivery: Delivery) -> None:
    """The API gives up waiting for the admission."""
    with world.flask.app_context(), pytest.raises(ApiError):
        _cancel(world.engine, delivery.message["flow"])


def abort(world: World, delivery: Delivery) -> None:
    """An operator cancels the flow."""
    with world.writing() as tx:
        flow: Flow | None = journal.lock(tx, delivery.message["flow"])
        assert flow is not None
        outgoing = world.engine.abort(tx, flow, {"type": "Cancelled", "message": "by the test"})
    if outgoing is not None:
        world.engine.send(outgoing)


def force_delete(world: World, delivery: Delivery) -> None:
    """An administrator deletes the volume (or the snapshot that is at hand) by force."""
    if _is_of_snapshot(delivery):
        world.delete_snapshot(delivery.message["resource"], force=True)
    else:
        world.delete(_volume_of(world, delivery), force=True, cascade=True)


def reset_to_error(world: World, delivery: Delivery) -> None:
    """An administrator sets the volume's status (or the snapshot's), and that it is detached."""
    status = {"status": "error", "attach_status": "detached"}
    model = GROUPED.get(delivery.message["kind"].partition(".")[0])
    if model is not None:
        with world.writing() as tx:
            overrides.reset_group_status(tx, model, delivery.message["resource"], "error")
        return
    volume_id = _volume_of(world, delivery)
    with world.writing() as tx:
        if _is_of_snapshot(delivery):
            overrides.reset_snapshot_status(tx, delivery.message["resource"], "error")
        else:
            overrides.reset_volume(tx, volume_id, "req-reset", **status)


def _is_of_snapshot(delivery: Delivery) -> bool:
    return str(delivery.message["kind"]).startswith("snapshot.")


def _volume_of(world: World, delivery: Delivery) -> str:
    """The volume that the flow of a message works on, or on an attachment of it."""
    flow = world.flow(delivery.message["flow"])
    return str(flow.payload["volume_id"] if flow.noun == "attachment" else flow.resource_id)


def forget_node(world: World, delivery: Delivery) -> None:
    """The node is gone, and an operator says so."""
    node = world.node_of(delivery)
    node.die()
    with world.writing() as tx:
        overrides.forget_node(tx, node.host)


def database_error() -> Exception:
    """What SQLAlchemy raises when the connection is lost."""
    return OperationalError("injected", None, Exception("server closed the connection"))


def broker_error() -> Exception:
    """What kombu raises when the broker is out of reach."""
    error: Exception = BrokerError("injected")
    return error


def ledger_error() -> Exception:
    """What the ledger raises when its disk is full."""
    return LedgerError("injected: disk full")


def defect() -> Exception:
    """What nobody foresaw."""
    return RuntimeError("injected")
