"""Log levels: /os-services/get-log and /os-services/set-log, from 3.32 on.

The levels are those of the API process that answers. A process takes its level from its own
configuration when it starts; nothing changes it from outside.
"""

import logging
import socket
from typing import Any, NoReturn

from api.blueprint import Blueprint
from api.errors import TEXTS, ApiError
from api.microversion import at_least
from api.policy import authorize
from api.schemas.services import LEVELS, LogBody, LogLevelsAnswer

blp = Blueprint("log_levels", __name__, description="Log levels")

API_BINARY = "cinder-api"
OURS = ("api", "config", "db", "scheduler", "tasks")
"""Loggers of our own packages, which are there from their first line on only."""
POLICY = "volume_extension:services:update"


@blp.put("/os-services/get-log")
@blp.arguments(LogBody)
@blp.response(200, LogLevelsAnswer)
def get_log(body: dict[str, Any]) -> dict[str, Any]:
    """Show the levels of the API's loggers whose names begin with `prefix`."""
    _authorize()
    host = socket.gethostname()
    if body["binary"] not in (None, "", "*", API_BINARY) or body["server"] not in (None, "", host):
        return {"log_levels": []}
    levels = {
        name: logging.getLevelName(logging.getLogger(name).getEffectiveLevel())
        for name in sorted({*OURS, *logging.Logger.manager.loggerDict})
        if name.startswith(body["prefix"] or "")
    }
    return {"log_levels": [{"binary": API_BINARY, "host": host, "levels": levels}]}


@blp.put("/os-services/set-log")
@blp.arguments(LogBody)
@blp.alt_response(202, description="Accepted")
def set_log(body: dict[str, Any]) -> NoReturn:
    """Refused (501): a level is set in the configuration, as `logging.level`."""
    _authorize()
    level = body["level"]
    if not isinstance(level, str) or level.lower() not in LEVELS:
        raise ApiError(
            400, f"Invalid input received: level must be one of {', '.join(LEVELS)}, not {level!r}."
        )
    raise ApiError(
        501,
        "The log level of a running process is not changed: set logging.level in its "
        "configuration, and restart it.",
    )


def _authorize() -> None:
    if not at_least(32):
        raise ApiError(404, TEXTS[404])
    authorize(POLICY)
