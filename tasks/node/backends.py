"""The back ends of a storage node, and what each last said about itself."""

import threading
import time
from dataclasses import dataclass

from drivers.base import Driver, PoolReport
from drivers.errors import DriverError

PROBE_LIMIT = 10.0
"""Seconds after which a check that has not come back means that the back end is down."""


@dataclass(frozen=True, slots=True)
class State:
    """The last answer of a back end; `reason` says why it is not up."""

    up: bool
    reason: str | None
    pools: tuple[PoolReport, ...] = ()


class Backend:
    """One driver instance on this node, `host@name`.

    It is asked in a thread of its own, at most one at a time, so that storage that hangs stops
    neither the reports of the node nor those of its other back ends.
    """

    def __init__(self, name: str, driver: Driver) -> None:
        self.name = name
        self.driver = driver
        self._last = State(False, "not checked yet")
        self._probe: threading.Thread | None = None
        self._since = 0.0

    @property
    def operation_timeout(self) -> float:
        """Seconds after which an operation on this back end counts as hung."""
        return float(self.driver.options["operation_timeout"])

    def probe(self) -> None:
        """Begin to ask the back end, unless it is being asked."""
        if self._probe is not None and self._probe.is_alive():
            return
        self._since = time.monotonic()
        self._probe = threading.Thread(target=self._ask, name=f"probe-{self.name}", daemon=True)
        self._probe.start()

    def state(self, wait: float = 0.0) -> State:
        """The answer to the last `probe` if it comes within `wait` seconds, else the one before."""
        probe = self._probe
        if probe is not None:
            probe.join(wait)
            waited = time.monotonic() - self._since
            if probe.is_alive() and waited > PROBE_LIMIT:
                return State(False, f"does not answer: asked {waited:.0f} s ago")
        return self._last

    @property
    def hung(self) -> bool:
        """Whether a check has been waiting for so long that an operation would only wait too."""
        probe = self._probe
        return (
            probe is not None and probe.is_alive() and time.monotonic() - self._since > PROBE_LIMIT
        )

    def _ask(self) -> None:
        try:
            self.driver.check()
            self._last = State(True, None, tuple(self.driver.report()))
        except DriverError as error:
            self._last = State(False, str(error))
        except Exception as error:  # a defect in a driver is a back end that is down, with a reason
            self._last = State(False, f"{type(error).__name__}: {error}")
