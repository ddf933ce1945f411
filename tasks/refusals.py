"""Refusals that a step may give, with the statuses and texts of the Block Storage API.

Refused
  └── raised by steps; the flow ends with it, and before admission the client gets it
"""

from db.quota import PER_VOLUME, OverQuota
from db.transitions import InvalidStatus, NotFound, NotOwned


class Refused(Exception):
    """The request cannot be met."""

    def __init__(self, status: int, message: str, **details: object) -> None:
        # both arguments, so that a copy can be made: it leaves a prefork child as a pickle
        super().__init__(status, message)
        self.status, self.message, self.details = status, message, details

    def __str__(self) -> str:
        return self.message

    def as_json(self) -> dict[str, object]:
        """How the flow records it."""
        return {"status": self.status, "message": self.message, **self.details}


def as_refusal(error: BaseException) -> Refused | None:
    """`error` as a refusal, if the request itself is the reason."""
    match error:
        case Refused():
            return error
        case NotFound():
            return Refused(404, str(error))
        case NotOwned():
            return Refused(409, str(error))
        case InvalidStatus():
            return Refused(400, str(error))
        case OverQuota():
            return _over_quota(error)
    return None


def _over_quota(error: OverQuota) -> Refused:
    usage = error.usage
    used = usage.in_use + usage.reserved
    numbers = {
        "type": "OverQuota",
        "resource": error.resource,
        "limit": usage.limit,
        "in_use": usage.in_use,
        "reserved": usage.reserved,
        "asked": error.asked,
    }
    if error.resource == PER_VOLUME:
        text = (
            f"VolumeSizeExceedsLimit: Requested volume size {error.asked}G is larger than maximum "
            f"allowed limit {usage.limit}G."
        )
    elif error.resource.startswith("gigabytes"):
        text = (
            f"VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed "
            f"{error.resource} quota. Requested {error.asked}G, quota is {usage.limit}G and "
            f"{used}G has been consumed."
        )
    else:
        counted = error.resource.partition("_")[0]
        text = (
            f"{counted.capitalize().removesuffix('s')}LimitExceeded: Maximum number of {counted} "
            f"allowed ({usage.limit}) exceeded for quota '{error.resource}': {used} used, "
            f"{error.asked} asked."
        )
    return Refused(413, text, **numbers)
