"""Services: /os-services."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api import links
from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import at_least
from api.policy import authorize
from api.schemas.services import (
    FailoverBody,
    HostBody,
    ServiceAnswer,
    ServiceBody,
    ServiceReasonBody,
    ServicesAnswer,
)
from api.topology import VOLUME_BINARY, Service, services
from db.models import Backend
from db.transactions import reading, writing

blp = Blueprint("services", __name__, description="Schedulers and backends")

POLICY = "volume_extension:services"


@blp.get("/os-services")
@blp.response(200, ServicesAnswer)
def list_services() -> dict[str, Any]:
    """List the scheduler and each backend, with who is up; filters `binary` and `host`.

    `host` is `node@backend`, or a node alone for all of its backends.
    """
    authorize(f"{POLICY}:index")
    binary = request.args.get("binary") or request.args.get("service")
    host = request.args.get("host")
    with reading() as tx:
        found = services(tx)
    return {
        "services": [
            _document(one)
            for one in found
            if (not binary or one.binary == binary)
            and (not host or host in (one.host, one.host.partition("@")[0]))
        ]
    }


def _document(service: Service) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "binary": service.binary,
        "host": service.host,
        "zone": service.zone,
        "status": "enabled" if service.enabled else "disabled",
        "state": "up" if service.up else "down",
        "updated_at": links.time_text(service.updated_at),
        "disabled_reason": service.disabled_reason,
    }
    if at_least(7):
        shown["cluster"] = None
    if service.binary == VOLUME_BINARY:
        shown |= {"replication_status": "disabled", "active_backend_id": None}
        shown["frozen"] = service.frozen
        if at_least(49):
            shown["backend_state"] = "up" if service.up else "down"
    return shown


@blp.put("/os-services/enable")
@blp.arguments(ServiceBody)
@blp.response(200, ServiceAnswer)
def enable(body: dict[str, Any]) -> dict[str, Any]:
    """Let a backend take new volumes again."""
    return _set(body, enabled=True, reason=None)


@blp.put("/os-services/disable")
@blp.arguments(ServiceBody)
@blp.response(200, ServiceAnswer)
def disable(body: dict[str, Any]) -> dict[str, Any]:
    """Place nothing new on a backend; it goes on serving what it has."""
    return _set(body, enabled=False, reason=None)


@blp.put("/os-services/disable-log-reason")
@blp.arguments(ServiceReasonBody)
@blp.response(200, ServiceAnswer)
def disable_with_reason(body: dict[str, Any]) -> dict[str, Any]:
    """Place nothing new on a backend, and say why."""
    return _set(body, enabled=False, reason=body["disabled_reason"])


def _set(body: dict[str, Any], *, enabled: bool, reason: str | None) -> dict[str, Any]:
    authorize(f"{POLICY}:update")
    binary = body.get("binary") or body.get("service")
    if binary is None:
        raise ApiError(400, "'binary' is a required property.")
    if binary != VOLUME_BINARY:
        raise ApiError(400, f"Only {VOLUME_BINARY} can be enabled and disabled, not {binary}.")
    with writing() as tx:
        backend = tx.scalars(
            select(Backend).where(Backend.name == body["host"]).with_for_update()
        ).first()
        if backend is None:
            raise ApiError(404, f"Service {binary} could not be found on host {body['host']}.")
        backend.enabled, backend.disabled_reason = enabled, reason
    return {
        "host": body["host"],
        "service": body.get("service", ""),
        "binary": body.get("binary", ""),
        "status": "enabled" if enabled else "disabled",
        "disabled": not enabled,
        "disabled_reason": reason,
    }


@blp.put("/os-services/freeze")
@blp.arguments(HostBody)
@blp.alt_response(202, description="Accepted")
def freeze(body: dict[str, Any]) -> Response:
    """Nothing is made, changed or removed on the backends of a host; what they have stays in use.

    Volumes there are shown, attached and detached as before.
    """
    authorize("volume:freeze_host")
    return _set_frozen(body["host"], frozen=True)


@blp.put("/os-services/thaw")
@blp.arguments(HostBody)
@blp.alt_response(202, description="Accepted")
def thaw(body: dict[str, Any]) -> Response:
    """End what `freeze` has begun."""
    authorize("volume:thaw_host")
    return _set_frozen(body["host"], frozen=False)


def _set_frozen(host: str, *, frozen: bool) -> Response:
    with writing() as tx:
        for backend in _backends(tx, host):
            backend.frozen = frozen
    return Response(status=202)


@blp.put("/os-services/failover_host")
@blp.arguments(FailoverBody)
@blp.alt_response(202, description="Accepted")
def failover_host(body: dict[str, Any]) -> Response:
    """Refused: no backend here replicates to another one."""
    authorize("volume:failover_host")
    return _refuse_failover(body)


@blp.put("/os-services/failover")
@blp.arguments(FailoverBody)
@blp.alt_response(202, description="Accepted")
def failover(body: dict[str, Any]) -> Response:
    """The same from 3.26 on, where a cluster may be named instead."""
    if not at_least(26):
        raise ApiError(404, "The resource could not be found.")
    authorize("volume:failover_host")
    return _refuse_failover(body)


def _refuse_failover(body: dict[str, Any]) -> Response:
    with reading() as tx:
        _backends(tx, body["host"])
    raise ApiError(
        400,
        f"Invalid input received: {body['host']} has no replication target to fail over to.",
    )


def _backends(tx: Session, host: str) -> Sequence[Backend]:
    """The backend `host`, or the backends of the node `host`. Raises ApiError (404)."""
    found = tx.scalars(
        select(Backend)
        .where(or_(Backend.name == host, Backend.host == host))
        .order_by(Backend.name)
        .with_for_update()
    ).all()
    if not found:
        raise ApiError(404, f"Service {VOLUME_BINARY} could not be found on host {host}.")
    return found
