from typing import Any

import pytest

from scheduler.filters.capabilities import CapabilitiesFilter
from tests.scheduler.make import pool, reason, request

REPORTED = {"compression": True, "iops": 5000, "media": ["SSD", "NVMe"], "qos": {"max": 10}}


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({}, None),
        ({"compression": "<is> True"}, None),
        ({"capabilities:compression": "<is> True", "iops": ">= 5000"}, None),
        ({"iops": ">= 5001"}, "capability iops is 5000, asked for: >= 5001"),
        ({"capabilities:iops": ">= fast"}, "capability iops is 5000, asked for: >= fast"),
        ({"dedup": "<is> False"}, "lacks capability dedup, asked for: <is> False"),
        ({"media": "NVMe"}, None),
        ({"capabilities:qos:max": "<= 10"}, None),
        ({"capabilities:qos:min": "<= 10"}, "lacks capability qos:min, asked for: <= 10"),
        ({"capabilities:iops:max": "1"}, "lacks capability iops:max, asked for: 1"),
        ({"capabilities:qos": "<in> max"}, "capability qos is {'max': 10}, asked for: <in> max"),
        ({"qos:max": "<= 1"}, None),
        ({"provisioning:type": "thick", "vendor:tier": "gold"}, None),
        ({"capabilities": "x"}, "lacks capability capabilities, asked for: x"),
    ],
)
def test_extra_specs(specs: dict[str, str], expected: str | None) -> None:
    state, asked = pool(capabilities=REPORTED), request(extra_specs=specs)
    assert reason(CapabilitiesFilter().passes(state, asked)) == expected
    check = CapabilitiesFilter().prepare(asked)
    assert reason(check(state) if check else None) == expected


def test_a_refusal_names_what_was_asked_and_found() -> None:
    filter_ = CapabilitiesFilter()
    asked = request(extra_specs={"capabilities:iops": "<= 9"})
    rejection = filter_.passes(pool(capabilities={"iops": float("inf")}), asked)
    assert rejection is not None
    assert rejection.numbers == {"capability": "iops", "asked": "<= 9", "found": "inf"}
    missing = filter_.passes(pool(), asked)
    assert missing is not None
    assert missing.numbers == {"capability": "iops", "asked": "<= 9", "found": None}


@pytest.mark.parametrize(
    ("key", "value", "passes"),
    [
        ("volume_backend_name", "file", True),
        ("volume_backend_name", "LVM", False),
        ("thin_provisioning_support", "<is> True", True),
        ("capabilities:thick_provisioning_support", "<is> True", False),
        ("free_capacity_gb", ">= 80", True),
        ("free_capacity_gb", ">= 81", False),
        ("total_volumes", "<= 2", True),
    ],
)
def test_what_every_pool_has(key: str, value: str, passes: bool) -> None:
    assert (
        CapabilitiesFilter().passes(pool(), request(extra_specs={key: value})) is None
    ) is passes


def test_what_the_driver_reports_comes_before_what_every_pool_has() -> None:
    reported: dict[str, Any] = {"volume_backend_name": "gold"}
    asked = request(extra_specs={"volume_backend_name": "gold"})
    assert CapabilitiesFilter().passes(pool(capabilities=reported), asked) is None
