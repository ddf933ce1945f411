"""Memory of each process of the embedded stack at rest: the proportional share (PSS), in MB.

python -m bench.memory
"""

import json
import time
from pathlib import Path

import click

from bench.lab import service, stop_on_interrupt

RESULTS = Path(__file__).parent / "results"
REST_SECONDS = 10


@click.command()
def main() -> None:
    """Print a line a process, and the sum."""
    stop_on_interrupt()
    with service(backends="", flower=True) as lab:
        time.sleep(REST_SECONDS)
        shares = {name: pss_mb(pid) for name, pid in lab.processes.items()}
    for name, share in shares.items():
        click.echo(f"{share:6.1f}  {name}")
    click.echo(f"{sum(shares.values()):6.1f}  together")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "memory.json").write_text(json.dumps(shares, indent=1))


def pss_mb(pid: int) -> float:
    """The proportional set size of a process: what is shared counts for each sharer in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
