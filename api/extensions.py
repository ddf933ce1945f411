"""The parts of the API that clients know as extensions: /extensions."""

from typing import Any

from api.blueprint import Blueprint
from api.errors import ApiError
from api.schemas.versions import ExtensionAnswer, ExtensionsAnswer

blp = Blueprint("extensions", __name__, description="Parts of the API that are served")

UPDATED = "2026-11-01T00:00:00+00:00"

EXTENSIONS = {
    "capabilities": ("Capabilities", "What a backend can do"),
    "os-admin-actions": ("AdminActions", "Reset a volume's status, delete it by force"),
    "os-availability-zone": ("AvailabilityZones", "Zones of the storage nodes"),
    "os-extended-services": ("ExtendedServices", "Why a service is disabled"),
    "os-hosts": ("Hosts", "Hosts and the volumes on them"),
    "os-quota-class-sets": ("QuotaClasses", "Default limits of projects"),
    "os-quota-sets": ("Quotas", "Limits and usage of a project"),
    "os-services": ("Services", "Schedulers and backends"),
    "os-snapshot-manage": ("SnapshotManage", "Take over a snapshot that is on the storage already"),
    "os-snapshot-unmanage": ("SnapshotUnmanage", "Give up a snapshot, which stays on the storage"),
    "os-types-extra-specs": ("TypesExtraSpecs", "Extra specs of volume types"),
    "os-types-manage": ("TypesManage", "Create, change and delete volume types"),
    "os-used-limits": ("UsedLimits", "What a project uses of its limits"),
    "os-vol-host-attr": ("VolumeHostAttribute", "The pool that a volume is in"),
    "os-vol-image-meta": ("VolumeImageMetadata", "What a volume keeps of its image's metadata"),
    "os-vol-mig-status-attr": ("VolumeMigStatusAttribute", "The state of a migration"),
    "os-vol-tenant-attr": ("VolumeTenantAttribute", "The project that a volume belongs to"),
    "os-volume-actions": ("VolumeActions", "Actions on a volume"),
    "os-volume-manage": ("VolumeManagement", "Take over a volume that is on the storage already"),
    "os-volume-type-access": ("VolumeTypeAccess", "Who may use a private volume type"),
    "os-volume-unmanage": ("VolumeUnmanage", "Give up a volume, which stays on the storage"),
    "scheduler-stats": ("Scheduler_stats", "Pools and their capacity"),
}
"""Alias → name and description."""


@blp.get("/extensions")
@blp.response(200, ExtensionsAnswer)
def list_extensions() -> dict[str, Any]:
    """List the parts that are served."""
    return {"extensions": [_document(alias) for alias in EXTENSIONS]}


@blp.get("/extensions/<alias>")
@blp.response(200, ExtensionAnswer)
def show_extension(alias: str) -> dict[str, Any]:
    """Show one part."""
    if alias not in EXTENSIONS:
        raise ApiError(404, f"Extension {alias} could not be found.")
    return {"extension": _document(alias)}


def _document(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "updated": UPDATED,
        "links": [],
    }
