"""The one argument of every task of a flow: plain JSON, which a step returns for the next one.

Both sides of the broker use this module; it imports neither the database nor a web framework.
"""

from typing import Any, TypedDict

VERSION = 1


class Operation(TypedDict):
    """What a node is asked to do to one object; sizes in GiB."""

    verb: str
    backend: str
    pool: str
    object: str
    volume_id: str
    size_gib: int
    spec: dict[str, Any]


class Reply(TypedDict, total=False):
    """What a node did: `outcome` is done, clean, dirty or unknown; times are ISO 8601, UTC."""

    step: str
    outcome: str
    node: str
    incarnation: int
    started: str
    finished: str
    result: dict[str, Any]
    error: dict[str, Any]


class Message(TypedDict, total=False):
    """See the module. `ctx` holds the merged results of the steps so far."""

    v: int
    flow: str
    kind: str
    epoch: int
    request_id: str
    resource: str
    project: str
    ctx: dict[str, Any]
    node: str | None
    op: Operation | None
    reply: Reply | None
