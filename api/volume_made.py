"""A volume as its create made it, for an answer that is given when it is gone again."""

from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnDefault, select

from api.context import settings
from api.volume_view import SHOWN
from db import journal
from db.models import Base, Flow, VolumeType
from db.transactions import reading
from tasks.definition import Run
from tasks.volume_create import create_volume, first_row


def as_made(volume_id: str) -> Any:
    """What stands for the volume's row in `volume_view`, read from the flow that created it."""
    with reading() as tx:
        query = select(Flow).where(Flow.resource_id == volume_id, Flow.kind == create_volume.kind)
        flow = tx.scalars(query).one()
        columns = first_row(Run(tx, flow, journal.results(tx, flow), settings()))
        made_of = VolumeType.id == columns["volume_type_id"]
        type_name = tx.scalar(select(VolumeType.name).where(made_of))
    rest = dict.fromkeys(SHOWN.selected_columns.keys())
    defaults = {
        column.name: column.default.arg
        for column in Base.metadata.tables["volumes"].columns
        if isinstance(column.default, ColumnDefault) and column.default.is_scalar
    }
    meta = columns["metadata"]
    return SimpleNamespace(**rest | defaults | columns | {"meta": meta, "type_name": type_name})
