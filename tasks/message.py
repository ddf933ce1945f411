"""The one argument of every task of a flow: plain JSON, which a step returns for the next one.

Both sides of the broker use this module; it imports neither the database nor a web framework.
"""

from typing import Any, NotRequired, TypedDict

VERSION = 1


class UnintelligibleError(ValueError):
    """The message cannot be understood by this version of the receiver."""


def understood(message: object, /, **kinds: type) -> dict[str, Any]:
    """`message` itself, an object of this version that has these keys, of these types.

    Whatever else is in it is not looked at, so that a newer sender may add to it. Raises
    UnintelligibleError, which names the version or the key, and no value: it may be a secret.
    """
    if not isinstance(message, dict):
        raise UnintelligibleError(f"a message is an object, not of {type(message).__name__}")
    version = message.get("v")
    if version != VERSION or type(version) is not int:
        raise UnintelligibleError(f"version {str(version)[:20]} is not known, only {VERSION}")
    return with_keys(message, kinds)


def with_keys(table: dict[str, Any], kinds: dict[str, type]) -> dict[str, Any]:
    """`table` itself, which has keys of these types. Raises UnintelligibleError."""
    for key, kind in kinds.items():
        if key not in table:
            raise UnintelligibleError(f"{key} is missing")
        # type(), because True would pass as an int
        if type(table[key]) is not kind:
            raise UnintelligibleError(
                f"{key} is of {type(table[key]).__name__}, not of {kind.__name__}"
            )
    return table


class Source(TypedDict):
    """What an operation reads, beside the object that it is about; the size in GiB."""

    kind: str
    object: str
    size_gib: int


class Operation(TypedDict):
    """What a node is asked to do to one object; sizes in GiB. See tasks.node.message.NEEDS."""

    verb: str
    backend: str
    pool: str
    object: str
    volume_id: str
    size_gib: int
    spec: dict[str, Any]
    source: NotRequired[Source | None]
    connector: NotRequired[dict[str, Any] | None]
    mode: NotRequired[str]
    reference: NotRequired[dict[str, str] | None]
    what: NotRequired[str]


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
    """See the module. `ctx` holds the merged results of the steps so far.

    `ledger` is that of `node` when `op` was ordered: a node that has lost it does not do it.
    """

    v: int
    flow: str
    kind: str
    epoch: int
    request_id: str
    resource: str
    project: str
    ctx: dict[str, Any]
    node: str | None
    ledger: str | None
    op: Operation | None
    reply: Reply | None
