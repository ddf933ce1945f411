"""`python -m tests.storm`: the long storm. Exits with 1 when anything is not as it must be."""

import argparse
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.storm.site import DEFAULTS, running_site
from tests.storm.storm import storm
from tests.storm.weather import Kills


def main() -> int:
    """Run as the command line says; prints the seed first."""
    options = _options()
    _say(f"seed {options.seed}")
    with ExitStack() as ending:
        folder = options.folder
        if folder is None:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        folder.mkdir(parents=True, exist_ok=True)
        site = ending.enter_context(
            running_site(
                folder,
                broker=options.broker,
                driver=options.driver,
                settings={} if options.fast else DEFAULTS,
            )
        )
        _say(f"up; storm of {options.seconds:.0f} s")
        weather = Kills(site, options.seed, options.seconds, crashes=options.crashes)
        report = storm(site, options.seed, weather, limit=options.limit)
        _say(*report.log, *report.lines())
        if report.wrong and options.hold:
            _say(f"held for {options.hold:.0f} s: {site.stack.url} {site.stack.database}")
            time.sleep(options.hold)
    return 1 if report.wrong else 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=300.0, help="how long it lasts (300)")
    add("--seed", type=int, default=secrets.randbelow(1_000_000), help="of clients and killer")
    add("--broker", choices=("redis", "rabbitmq"), default="redis")
    add("--driver", choices=("fake", "file"), default="fake")
    add("--crashes", type=int, default=1, help="restarts of PostgreSQL; odd ones -m immediate")
    add("--limit", type=float, default=60.0, help="seconds until all must be quiet (60)")
    add("--fast", action="store_true", help="with the tests' short intervals, not the defaults")
    add("--folder", type=Path, help="where its files are to stay (a temporary folder)")
    add("--hold", type=float, default=0.0, help="seconds to keep it running if anything is wrong")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
