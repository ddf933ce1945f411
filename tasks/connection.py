"""What the flows that connect a volume to a host, or disconnect it, share."""

from collections.abc import Mapping
from typing import Any, cast

from db import attachments
from db.models import QosSpec, Volume, VolumeType
from db.transitions import NotFound, let_go, owned, take
from tasks.definition import NodeOrder, Run
from tasks.message import Operation
from tasks.refusals import Refused

PER_GB = tuple(f"{way}_{unit}" for way in ("read", "write", "total") for unit in ("iops", "bytes"))
"""The limits, each a number in a second, that may be said per GiB of the volume."""


def placed(
    run: Run, volume: Volume, name: str, connector: dict[str, Any], mode: str
) -> dict[str, Any]:
    """For the context of a flow: the node that connects `volume` under `name`, and what it is told.

    Raises Refused for a volume that is on no node.
    """
    host = attachments.node_of(run.tx, volume)
    if host is None:
        raise Refused(400, f"Invalid volume: volume {volume.id} is on no storage node.")
    return {"node": host, "order": attachments.connection(volume, name, connector, mode)}


def access(run: Run, volume: Volume, mode: str) -> dict[str, Any]:
    """What a host is told beside how it reaches the volume, as Cinder adds it to each answer."""
    volume_type = run.tx.get(VolumeType, volume.volume_type_id) if volume.volume_type_id else None
    of_type = volume_type.qos_specs_id if volume_type else None
    qos = run.tx.get(QosSpec, of_type) if of_type else None
    enforced_there = qos is not None and qos.consumer in ("front-end", "both")
    return {
        "access_mode": mode,
        "encrypted": volume.encryption_key_id is not None,
        "qos_specs": scaled(qos.specs, volume.size) if qos is not None and enforced_there else None,
    }


def scaled(specs: Mapping[str, str], size_gib: int) -> dict[str, str]:
    """QoS specs for a volume of this size: those that are said per GiB are worked out.

    `<limit>_per_gb` times the size, at least `<limit>_per_gb_min`, at most `<limit>_max`.
    """
    result = dict(specs)
    for limit in (f"{what}_sec" for what in PER_GB):
        if f"{limit}_per_gb" not in result:
            continue
        value = int(result.pop(f"{limit}_per_gb")) * size_gib
        value = max(value, int(result.pop(f"{limit}_per_gb_min", 0)))
        result[limit] = str(min(value, int(result.pop(f"{limit}_max", value))))
    return result


def ordered(run: Run, verb: str) -> NodeOrder:
    """The order to do `verb` with what `placed` has put into the context."""
    return NodeOrder(run.ctx["node"], cast(Operation, {"verb": verb, **run.ctx["order"]}))


def take_as_it_is(run: Run) -> Volume:
    """Take the flow's volume without a change of its status. Raises NotFound or InvalidStatus."""
    volume, _ = take(run.tx, Volume, run.flow.resource_id, run.flow.kind, run.flow)
    if not volume.visible:
        raise NotFound(f"Volume {volume.id} could not be found.")
    return volume


def let_be(run: Run) -> None:
    """Let go of the flow's volume, which has whatever status it has by now."""
    volume = owned(run.tx, Volume, run.flow)
    if volume is not None:
        let_go(volume, volume.status)
