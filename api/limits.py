"""A project's absolute limits and what it uses of them: /limits. There are no rate limits."""

from typing import Any

from flask import request

from api.blueprint import Blueprint
from api.context import current
from api.microversion import at_least
from api.policy import allowed
from api.quota_sets import defaults
from api.schemas.limits import LimitsAnswer
from db import quota_limits
from db.transactions import reading

blp = Blueprint("limits", __name__, description="Absolute limits of a project")

NAMES = {
    "volumes": ("maxTotalVolumes", "totalVolumesUsed"),
    "gigabytes": ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
    "snapshots": ("maxTotalSnapshots", "totalSnapshotsUsed"),
    "backups": ("maxTotalBackups", "totalBackupsUsed"),
    "backup_gigabytes": ("maxTotalBackupGigabytes", "totalBackupGigabytesUsed"),
}
"""Resource → the names of its limit and of its usage."""


@blp.get("/limits")
@blp.response(200, LimitsAnswer)
def show_limits() -> dict[str, Any]:
    """Show the project's limits; from 3.39 on an administrator may name another project."""
    project = current().project_id
    if current().is_admin and at_least(39):
        project = request.args.get("project_id") or request.args.get("tenant_id") or project
    with reading() as tx:
        usage = quota_limits.project_usage(tx, project, {name: name for name in NAMES}, defaults())
    with_usage = allowed("limits_extension:used_limits")
    absolute = {}
    for resource, (limit_name, used_name) in NAMES.items():
        absolute[limit_name] = usage[resource].limit
        if with_usage:
            absolute[used_name] = usage[resource].in_use
    return {"limits": {"rate": [], "absolute": absolute}}
