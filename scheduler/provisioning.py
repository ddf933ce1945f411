"""Thin and thick: which of them a request asks for, and how much a pool may hold of each.

The rule of over-subscription, as Cinder's documents have it: a thin volume takes only what is
written to it, so a pool may promise `max_over_subscription_ratio` times its usable room (total
less the reserve, less what is not ours). A thick volume takes all of its space at once, so nothing
may be promised beyond the usable room itself.
"""

from collections.abc import Mapping
from typing import Literal

from scheduler.extra_specs import SCOPE, parse
from scheduler.state import PoolState

Kind = Literal["thin", "thick"]


def wanted(extra_specs: Mapping[str, str]) -> Kind | None:
    """What the type insists on: by `provisioning:type`, else by the thick or thin capability that
    it requires to be true. None where either will do, and thin is made where there is a choice."""
    named = extra_specs.get("provisioning:type", "").strip().lower()
    if named == "thin":
        return "thin"
    if named == "thick":
        return "thick"
    thin = _requires(extra_specs, "thin_provisioning_support")
    thick = _requires(extra_specs, "thick_provisioning_support")
    if thin == thick:
        return None
    return "thin" if thin else "thick"


def _requires(extra_specs: Mapping[str, str], capability: str) -> bool:
    for key in (f"{SCOPE}:{capability}", capability):
        if key in extra_specs:
            match = parse(extra_specs[key])
            return match(True) and not match(False)
    return False


def limit_gib(pool: PoolState, kind: Kind | None) -> float:
    """All that may be charged to the pool by the time a volume of this kind is added, in GiB.

    A claim must be granted against this number, not `pool.limit_gib`. For a thick volume in a pool
    that also makes thin ones the ratio is taken out again; what thin volumes were promised counts
    in full, which errs on the safe side.
    """
    if kind == "thick" and pool.thin:
        return pool.limit_gib / max(pool.max_over_subscription_ratio, 1.0)
    return pool.limit_gib
