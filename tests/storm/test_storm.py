"""The short storm: everything that the long one does, for seconds instead of minutes."""

import secrets
from pathlib import Path

import pytest

from tests.stack import Broker
from tests.storm.site import DriverName, running_site
from tests.storm.storm import storm
from tests.storm.weather import Kills


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("broker", "driver", "seconds"), [("redis", "fake", 25.0), ("rabbitmq", "file", 20.0)]
)
def test_nothing_is_lost_or_leaked_or_stuck_or_done_twice(
    tmp_path: Path, broker: Broker, driver: DriverName, seconds: float
) -> None:
    with running_site(tmp_path, broker=broker, driver=driver) as site:
        seed = secrets.randbelow(1_000_000)
        report = storm(site, seed, Kills(site, seed, seconds), limit=90)
    text = "\n".join([*report.log, *report.lines()])
    assert not report.wrong, text
    # a storm in which nothing happened shows nothing
    assert report.words["volume.create done"] > 5, text
    assert report.census.get("flows succeeded", 0) > 10, text
