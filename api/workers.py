"""Cleaning up after services that have stopped: /workers/cleanup, from 3.24 on."""

from typing import Any

import structlog
from flask import current_app
from kombu.exceptions import OperationalError as BrokerError

from api.blueprint import Blueprint
from api.errors import ApiError
from api.microversion import at_least
from api.policy import authorize
from api.schemas.workers import CleanupAnswer, CleanupBody
from api.topology import Service, service_id, services
from config.routing import SWEEP
from db.transactions import reading
from tasks.engine import Engine

log = structlog.get_logger(__name__)
blp = Blueprint("workers", __name__, description="Cleaning up after services")

RETRY_AFTER = {"Retry-After": "5"}


@blp.post("/workers/cleanup")
@blp.arguments(CleanupBody)
@blp.response(202, CleanupAnswer)
def clean_up(body: dict[str, Any]) -> dict[str, Any]:
    """Have the sweeper look at once at whatever makes no progress.

    It does so by itself every few seconds, for every service, so the body narrows only the answer:
    `cleaning` are services that are up, and work on what they have left; `unavailable` are those
    that are down, whose work goes on when they are back.
    """
    if not at_least(24):
        raise ApiError(404, "The resource could not be found.")
    authorize("workers:cleanup")
    with reading() as tx:
        found = [one for one in services(tx) if _meant(one, body)]
    engine: Engine = current_app.extensions["breezeblock.engine"]
    try:
        engine.app.send_task("sweep.tick", queue=SWEEP, retry=False)
    except BrokerError as error:
        log.warning("broker out of reach", error=str(error))
        raise ApiError(
            503, "The broker is out of reach: nothing was begun.", RETRY_AFTER
        ) from error
    return {
        "cleaning": [_document(one) for one in found if one.up],
        "unavailable": [_document(one) for one in found if not one.up],
    }


def _meant(service: Service, body: dict[str, Any]) -> bool:
    binary, host = body.get("binary"), body.get("host")
    is_up, disabled, identifier = body.get("is_up"), body.get("disabled"), body.get("service_id")
    return (
        (not binary or service.binary == binary)
        and (not host or host in (service.host, service.host.partition("@")[0]))
        and (is_up is None or service.up == is_up)
        and (disabled is None or service.enabled != disabled)
        and (identifier is None or service_id(service.host) == identifier)
        and not body.get("cluster_name")
    )


def _document(service: Service) -> dict[str, Any]:
    return {
        "id": service_id(service.host),
        "host": service.host,
        "binary": service.binary,
        "cluster_name": None,
    }
