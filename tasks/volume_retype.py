"""Retype a volume in the pool where it is: nothing on the storage changes."""

from typing import Any

from db import holds, quota
from db.models import QosSpec, Volume, VolumeType, VolumeTypeEncryption
from db.pools import pool_states
from db.transitions import IN_USE, NotFound, let_go, owned, take
from scheduler.decide import decide
from scheduler.plugins import load_filters
from scheduler.state import ScheduleRequest
from tasks.definition import FlowDefinition, Results, Run
from tasks.refusals import Refused
from tasks.volume_create import find_type

FRONT_END = ("front-end", "both")
"""Consumers of QoS specs that a host is told of, which hold until it detaches."""

retype_volume = FlowDefinition("volume.retype", admission="quota_commit")


@retype_volume.step()
def extract(run: Run) -> Results:
    """Take the volume, and hold its new type, which its pool must suit."""
    volume, previous = take(run.tx, Volume, run.flow.resource_id, "volume.retype", run.flow)
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    new = find_type(run, run.flow.payload["new_type"])
    old = run.tx.get(VolumeType, volume.volume_type_id) if volume.volume_type_id else None
    _refuse_change(run, volume, previous, old, new)
    _refuse_misfit(run, volume, new)
    holds.take(run.tx, run.flow.id, new.id)
    return {
        "previous_status": previous,
        "charged_type_id": volume.charged_type_id,
        "type_id": new.id,
        "multiattach": new.multiattach,
    }


@extract.compensation
def restore_status(run: Run) -> Results:
    """The volume is what it was, and the type may go again."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, run.ctx["previous_status"])
    holds.release(run.tx, run.flow.id)
    return None


@retype_volume.step()
def quota_reserve(run: Run) -> Results:
    """Reserve what the volume takes of the new type's quota; overall it takes no more."""
    volume = _volume(run)
    asked = quota.type_deltas(volume, run.ctx["type_id"])
    if asked:
        defaults = quota.defaults(run.settings)
        quota.reserve(run.tx, run.flow.id, volume.project_id, asked, defaults)
    return None


@quota_reserve.compensation
def quota_release(run: Run) -> Results:
    """Release the reservation, if it was not committed meanwhile."""
    quota.release(run.tx, run.flow.id)
    return None


@retype_volume.step()
def quota_commit(run: Run) -> Results:
    """Charge the new type instead of the old one; admission ends here."""
    quota.retype(run.tx, run.flow.id, _volume(run), run.ctx["type_id"])
    return None


@quota_commit.compensation
def quota_back(run: Run) -> Results:
    """Charge the old type again."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        quota.retype_back(run.tx, volume, run.ctx["charged_type_id"])
    return None


@retype_volume.step()
def finish(run: Run) -> Results:
    """The volume is of its new type, and what it was before."""
    volume = _volume(run)
    volume.volume_type_id = run.ctx["type_id"]
    volume.multiattach = run.ctx["multiattach"]
    let_go(volume, run.ctx["previous_status"])
    holds.release(run.tx, run.flow.id)
    return None


def _volume(run: Run) -> Volume:
    volume = owned(run.tx, Volume, run.flow)
    if volume is None:
        raise Refused(409, f"Volume {run.flow.resource_id} is no longer this flow's.")
    return volume


def _refuse_change(
    run: Run, volume: Volume, status: str, old: VolumeType | None, new: VolumeType
) -> None:
    """What no retype may change, and what it may not while the volume is attached. As in Cinder."""
    if volume.volume_type_id == new.id:
        raise Refused(400, f"Invalid input received: New volume_type same as original: {new.name}.")
    if volume.group_id is not None:
        raise Refused(400, f"Invalid volume: Volume {volume.id} must not be part of a group.")
    if new.multiattach and not run.flow.payload.get("may_multiattach", True):
        raise Refused(403, "Policy doesn't allow volume:multiattach to be performed.")
    if _encryption(run, old) != _encryption(run, new):
        raise Refused(400, "Invalid input received: Retype cannot change encryption requirements.")
    if status != IN_USE:
        return
    if _front_end_qos(run, old) != _front_end_qos(run, new):
        raise Refused(
            400,
            "Invalid input received: Retype cannot change front-end qos specs for in-use volume: "
            f"{volume.id}.",
        )
    if volume.multiattach != new.multiattach:
        raise Refused(
            400,
            "Invalid input received: Retyping to or from a multiattach type is only allowed for a "
            "volume that is not attached.",
        )


def _encryption(run: Run, of_type: VolumeType | None) -> tuple[Any, ...] | None:
    found = run.tx.get(VolumeTypeEncryption, of_type.id) if of_type else None
    if found is None:
        return None
    return found.provider, found.cipher, found.key_size, found.control_location


def _front_end_qos(run: Run, of_type: VolumeType | None) -> dict[str, Any]:
    found = run.tx.get(QosSpec, of_type.qos_specs_id) if of_type and of_type.qos_specs_id else None
    return found.specs if found is not None and found.consumer in FRONT_END else {}


def _refuse_misfit(run: Run, volume: Volume, new: VolumeType) -> None:
    """The pool must suit the new type: moving to another one is not done by a retype."""
    request = ScheduleRequest(volume.id, 0, extra_specs=new.extra_specs, only_pool=volume.host)
    filters = load_filters(run.settings.scheduler.filters)
    decision = decide(pool_states(run.tx, run.settings), request, filters, [])
    if volume.host is not None and decision.candidates:
        return
    why = decision.verdicts[0].reason if decision.verdicts else "it is in no pool that is known"
    text = f"Volume {volume.id} does not suit the type {new.name} where it is"
    if run.flow.payload["migration_policy"] == "on-demand":
        hint = "and this service cannot migrate a volume for a retype"
    else:
        hint = "and the migration policy is 'never'"
    raise Refused(400, f"Invalid input received: {text}: {why}, {hint}.")
