"""Nodes and their backends as several resources show them, each with whether it is up."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import settings
from config.routing import SCHEDULER
from db.liveness import Liveness, read_liveness
from db.models import Backend, Clock, Node
from db.models.pool import ACTIVE, FORGOTTEN

SCHEDULER_BINARY = "cinder-scheduler"
VOLUME_BINARY = "cinder-volume"
"""The names by which the API's clients know the parts of a block-storage service."""

SCHEDULER_HOST = "scheduler"
"""Scheduler workers take from one queue and are interchangeable: they are listed as one."""


@dataclass(frozen=True, slots=True)
class Service:
    """One line of os-services. A backend is one `cinder-volume`, `host@backend`."""

    binary: str
    host: str
    zone: str
    enabled: bool
    up: bool
    updated_at: datetime | None
    disabled_reason: str | None
    frozen: bool = False


def service_id(host: str) -> int:
    """A number by which clients can name the service on `host`, the same at all times."""
    return zlib.crc32(host.encode())


def liveness(tx: Session) -> Liveness:
    """Who is up now."""
    return read_liveness(tx, settings().sweeper.node_down_ticks)


def read_backends(tx: Session) -> Sequence[tuple[Backend, Node]]:
    """Each backend with its node, apart from nodes that were declared gone."""
    rows = tx.execute(
        select(Backend, Node)
        .join(Node, Node.host == Backend.host)
        .where(Node.state != FORGOTTEN)
        .order_by(Backend.name)
    )
    return [(backend, node) for backend, node in rows]


def volume_service(backend: Backend, node: Node, alive: Liveness) -> Service:
    """One backend as a service. A frozen one, or one on a draining node, is as good as disabled."""
    enabled = backend.enabled and node.state == ACTIVE and not backend.frozen
    reason = None if enabled else backend.disabled_reason
    if backend.enabled and not enabled:
        reason = "frozen" if backend.frozen else f"node {node.host} is {node.state}"
    return Service(
        binary=VOLUME_BINARY,
        host=backend.name,
        zone=node.availability_zone,
        enabled=enabled,
        up=backend.up and alive.host_is_up(node.host),
        updated_at=max(backend.updated_at, node.reported_at),
        disabled_reason=reason,
        frozen=backend.frozen,
    )


def services(tx: Session) -> list[Service]:
    """The scheduler and every backend."""
    alive = liveness(tx)
    scheduler = Service(
        binary=SCHEDULER_BINARY,
        host=SCHEDULER_HOST,
        zone=settings().api.default_availability_zone,
        enabled=True,
        up=alive.queue_is_up(SCHEDULER),
        updated_at=tx.scalar(select(Clock.at)),
        disabled_reason=None,
    )
    volumes = [volume_service(backend, node, alive) for backend, node in read_backends(tx)]
    return [scheduler, *volumes]
