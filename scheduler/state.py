"""What a scheduling decision is made from: the pools as they stand, and what is asked of them.

Both are plain values. Whoever calls the scheduler reads them from its own records (a database, a
test, a dry run) so that the decision itself needs none of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool as it stood when the decision was made. Sizes are GiB."""

    id: int
    name: str
    """`host@backend#pool`, unique."""
    host: str
    backend: str
    pool: str
    availability_zone: str
    limit_gib: float
    """All that may ever be charged to the pool: (total - reserve - what is not ours), times the
    over-subscription ratio where the pool is thin."""
    taken_gib: int
    """Claims of running flows and allocations of finished ones, at their virtual sizes."""
    total_gib: float
    reserved_percentage: int
    max_over_subscription_ratio: float
    thin: bool
    """Whether the pool can make volumes that take their space as they are written."""
    thick: bool
    """Whether the pool can make volumes that take all their space at once."""
    volumes: int
    """Number of volumes placed there."""
    capabilities: Mapping[str, Any]
    """What the driver reported, as JSON; may nest."""
    up: bool
    """Whether the node and its backend answer."""
    enabled: bool
    """False once an operator has disabled or drained the backend."""

    @property
    def free_gib(self) -> float:
        """What can still be charged to the pool; negative where the limit fell below it."""
        return self.limit_gib - self.taken_gib


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """What is asked for: room for `size_gib` more, in a pool that satisfies the rest."""

    volume_id: str
    size_gib: int
    """What is to be taken in addition: the whole size for a create, the growth for an extend."""
    availability_zone: str | None = None
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    excluded_hosts: frozenset[str] = frozenset()
    """Hosts that earlier attempts of the same request failed on."""
    only_pool: str | None = None
    """The one pool that may be chosen (extend: the volume is there already)."""
    source_pool: str | None = None
    """The pool of what the volume is made from: no other has the data."""
    group_backend: str | None = None
    """`host@backend` of the group that the volume is to be in: its volumes are in one place."""
    hints: Mapping[str, Any] = field(default_factory=dict)
