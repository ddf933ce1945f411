"""A volume as its create made it, for an answer that is given when it is gone again."""

from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnDefault, inspect, select

from api.context import settings
from api.volume_view import SHOWN
from db import journal
from db.models import Flow, Volume, VolumeType
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
    row = dict.fromkeys(SHOWN.selected_columns.keys()) | {"type_name": type_name}
    for attribute in inspect(Volume).column_attrs:
        column = attribute.columns[0]
        row[attribute.key] = columns.get(column.name, _default(column))
    return SimpleNamespace(**row)


def _default(column: Any) -> Any:
    given = isinstance(column.default, ColumnDefault) and column.default.is_scalar
    return column.default.arg if given else None
