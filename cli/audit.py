"""`breezeblock audit`: does the database agree with itself, and with what the storage holds?"""

import sys
import time
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cli.client import Client, add_row, api_command, console, plain, print_json, table

CLEAN, DIFFERENT, INCOMPLETE = 0, 1, 2
"""Exit statuses: no difference; differences; something could not be asked or told."""

POLL_SECONDS = 0.3
SLACK_SECONDS = 15.0
"""How much longer than the nodes may take until the control workers count as down."""


class Unanswered(click.ClickException):
    """What the audit would have said is not known; an exit status of 1 would be an answer."""

    exit_code = INCOMPLETE


COLOURS = {"mended": "green", "gone": "green", "by hand": "yellow", "failed": "red"}


@click.command()
@click.option("--repair", is_flag=True, help="Mend the differences, after showing and asking.")
@click.option("--yes", is_flag=True, help="With --repair: do not ask.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the nodes, each of the two times that they are asked.",
)
@api_command
def audit(client: Client, *, repair: bool, yes: bool, timeout: float, as_json: bool) -> None:
    """Compare quotas, capacity, flows and volumes with each other and with the storage.

    May run at any time. Exits with 0 if nothing differs (or all of it was mended), 1 if something
    does, 2 if a node could not be asked, in which case the rest is compared all the same.
    """
    try:
        found = _run(client, timeout)
        if not as_json:
            _show(found)
        if repair and found["differences"]:
            if not yes:
                _confirm(found["differences"])
            found = _repair(client, found["id"], timeout)
            if not as_json:
                console().print(differences_table(found["differences"], repaired=True))
    except click.ClickException as error:
        raise Unanswered(error.format_message()) from error
    if as_json:
        print_json({"audit": found})
    sys.exit(exit_status(found))


def exit_status(found: dict[str, Any]) -> int:
    """The exit status for an audit that is done, and perhaps repaired."""
    if any(one["state"] != "answered" for one in found["backends"]):
        return INCOMPLETE
    left = [one for one in found["differences"] if one["outcome"] not in ("mended", "gone")]
    return DIFFERENT if left else CLEAN


def _run(client: Client, timeout: float) -> dict[str, Any]:
    began = client.post("audits", body={"audit": {"timeout": timeout}})["audit"]
    with _progress() as progress:
        bar = progress.add_task("Asking the nodes", total=None)

        def watch(now: dict[str, Any]) -> None:
            words = "Asking again" if now["state"] == "confirming" else "Asking the nodes"
            states = [one["state"] for one in now["backends"]]
            done, total = len(states) - states.count("asked"), len(states)
            progress.update(bar, description=words, completed=done, total=total or None)

        return _wait(client, began, "done", 2 * timeout + SLACK_SECONDS, watch)


def _repair(client: Client, audit_id: str, timeout: float) -> dict[str, Any]:
    began = client.post("audits", audit_id, "action", body={"repair": {}})["audit"]
    with _progress() as progress:
        bar = progress.add_task("Mending", total=len(began["differences"]))

        def watch(now: dict[str, Any]) -> None:
            mended = sum(one["outcome"] is not None for one in now["differences"])
            progress.update(bar, completed=mended)

        return _wait(client, began, "repaired", 2 * timeout + SLACK_SECONDS, watch)


def _wait(
    client: Client,
    audit: dict[str, Any],
    state: str,
    seconds: float,
    watch: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while True:
        watch(audit)
        if audit["state"] == state:
            return audit
        if time.monotonic() > until:
            raise click.ClickException(
                f"Audit {audit['id']} is still {audit['state']} after {seconds:.0f} s: is a "
                "control worker running? See `breezeblock status`."
            )
        time.sleep(POLL_SECONDS)
        audit = client.get("audits", audit["id"])["audit"]


def _progress() -> Progress:
    """A bar on the error output, which is gone when it is full; none where nobody watches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _show(found: dict[str, Any]) -> None:
    screen = console()
    for backend in found["backends"]:
        if backend["state"] != "answered":
            words = f"{backend['name']} was not compared: {backend['reason']}"
            screen.print(Text(plain(words), style="yellow"))
    answered = [one for one in found["backends"] if one["state"] == "answered"]
    objects = sum(one["objects"] or 0 for one in answered)
    if found["differences"]:
        screen.print(differences_table(found["differences"], repaired=False))
    count = len(found["differences"]) or "No"
    screen.print(
        f"{count} difference{'' if count == 1 else 's'}; "
        f"{objects} objects on {len(answered)} back ends were compared."
    )


def differences_table(differences: list[dict[str, Any]], *, repaired: bool) -> Table:
    """What differs, with what a repair would do; or with what became of it."""
    rows = table("Difference", "Where", "What", "Expected", "Found", "Repair")
    for one in differences:
        outcome = one["outcome"]
        add_row(
            rows,
            one["meaning"],
            one["place"],
            one["subject"],
            one["expected"],
            one["found"],
            Text(outcome or "", style=COLOURS.get(outcome, "")) if repaired else one["repair"],
        )
    return rows


def _confirm(differences: list[dict[str, Any]]) -> None:
    count = len(differences)
    words = f"Mend {count} difference{'s' if count > 1 else ''} as the last column says?"
    if not click.confirm(words, err=True):
        sys.exit(DIFFERENT)
