"""`breezeblock flow`: the requests that run or ran, and the steps of one of them."""

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from cli.client import Client, add_row, api_command, console, plain, print_json, table

STATES = (
    "running",
    "undoing",
    "parked",
    "succeeded",
    "failed",
    "refused",
    "cancelled",
    "superseded",
)
COLOURS = {
    "succeeded": "green",
    "running": "cyan",
    "undoing": "yellow",
    "parked": "yellow",
    "failed": "red",
    "done": "green",
    "clean": "yellow",
    "dirty": "red",
    "unknown": "red",
}


@click.group()
def flow() -> None:
    """Show the flows (one for each request) and their steps; retry or cancel one."""


@flow.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only flows in this state.")
@click.option("--kind", help="Only flows of this kind, such as volume.create.")
@click.option("--resource", help="Only flows of the resource with this id.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@api_command
def list_flows(
    client: Client,
    *,
    state: str | None,
    kind: str | None,
    resource: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List flows, the newest first."""
    document = client.get("flows", state=state, kind=kind, resource_id=resource, limit=limit)
    if as_json:
        print_json(document)
        return
    rows = table("Flow", "Kind", "State", "Resource", "Project", "Started", "Took", "Error")
    for one in document["flows"]:
        add_row(
            rows,
            one["id"],
            one["kind"],
            _coloured(one["state"]),
            one["resource_id"],
            one["project_id"],
            one["created_at"],
            duration(one["duration_ms"]),
            _error(one["error"]),
        )
    console().print(rows if document["flows"] else "No flow matches.")


@flow.command("show")
@click.argument("id_", metavar="ID")
@api_command
def show_flow(client: Client, id_: str, as_json: bool) -> None:
    """Show the steps of a request. ID is that of a flow, a request (req-…) or a resource."""
    document = client.get("flows", id_)
    if as_json:
        print_json(document)
        return
    screen = console()
    flows = document["flows"] if "flows" in document else [document["flow"]]
    for number, one in enumerate(flows):
        if number:
            screen.print()
        screen.print(_heading(one))
        screen.print(steps_table(one["steps"]) if one["steps"] else "No step has ended yet.")


@flow.command("retry")
@click.argument("id_", metavar="FLOW")
@api_command
def retry_flow(client: Client, id_: str, as_json: bool) -> None:
    """Send a stuck flow again, from where its journal stands; a parked one goes on."""
    _act(client, id_, "retry", as_json)


@flow.command("cancel")
@click.argument("id_", metavar="FLOW")
@api_command
def cancel_flow(client: Client, id_: str, as_json: bool) -> None:
    """Take a flow back that is not past its pivot: its steps are undone in reverse order."""
    _act(client, id_, "cancel", as_json)


def _act(client: Client, flow_id: str, action: str, as_json: bool) -> None:
    document = client.post("flows", flow_id, "action", body={action: {}})
    if as_json:
        print_json(document)
        return
    one = document["flow"]
    console().print(f"{one['kind']} {one['id']} is {one['state']} at epoch {one['epoch']}.")


def steps_table(steps: list[dict[str, Any]]) -> Table:
    """The journal of one flow, in the order in which its lines were written."""
    rows = table("#", "Step", "Outcome", "Node", "Attempt", "Epoch", "Took", "Error")
    for step in steps:
        add_row(
            rows,
            step["seq"],
            f"undo {step['step']}" if step["undo"] else step["step"],
            _coloured(step["outcome"]),
            step["node"] or "-",
            step["attempt"],
            step["epoch"],
            duration(step["duration_ms"]),
            _error(step["error"]),
        )
    return rows


def _heading(one: dict[str, Any]) -> Text:
    head = Text()
    head.append(one["kind"], style="bold").append(" ").append(one["id"]).append("  ")
    head.append_text(_coloured(one["state"]))
    if one["duration_ms"] is not None:
        head.append(f" in {duration(one['duration_ms'])}")
    head.append(f"\nresource {one['resource_id']}  project {one['project_id']}")
    head.append(f"\nrequest {one['request_id']}  at {one['created_at']}")
    if one["error"]:
        head.append("\nerror: ").append(_error(one["error"]), style="red")
    return head


def _coloured(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))


def _error(error: dict[str, Any] | None) -> str:
    if not error:
        return ""
    kind, message = error.get("type"), error.get("message") or ""
    return plain(f"{kind}: {message}" if kind else message)


def duration(milliseconds: float | None) -> str:
    """A duration as a person reads it; "-" while there is none."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds / 60_000:.0f} min"
