"""What must hold of the connections of volumes whenever nothing is under way."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.attachments import object_name
from db.models import Attachment, Node, Residue, Volume
from db.models.pool import FORGOTTEN

Connections = Mapping[str, Mapping[str, str]]
"""What each host's back end has connected: the object by the connection's name."""


def check(tx: Session, connections: Connections) -> list[str]:
    """Every violation, in words: the attachments that are connected are those that say so.

    A connection under a volume's own name is the older API's, which keeps no row of it.
    """
    gone = set(tx.scalars(select(Node.host).where(Node.state == FORGOTTEN)))
    there = {
        (host, name)
        for host, held in connections.items()
        for name in held
        if host not in gone and name.startswith("attachment-")
    }
    rows = tx.execute(
        select(Attachment.id, Volume.host)
        .join(Volume, Volume.id == Attachment.volume_id)
        .where(Attachment.connector.is_not(None), Volume.host.is_not(None))
    )
    known = {(str(row.host).partition("@")[0], object_name(row.id)) for row in rows}
    left = {(residue.host, residue.op["object"]) for residue in tx.scalars(select(Residue))}
    here = {(host, name) for host, name in known if host in connections and host not in gone}
    return [
        *(f"connection {name} on {host} that nobody knows" for host, name in there - known - left),
        *(f"{name} is not connected on {host}" for host, name in here - there - left),
    ]
