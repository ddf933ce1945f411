"""`breezeblock status`: who is up, and how full the pools are."""

from typing import Any

import click
from rich.table import Table
from rich.text import Text

from cli.client import Client, add_row, api_command, console, print_json, table

BAR_WIDTH = 24
WARN_AT, FULL_AT = 0.75, 0.9


@click.command()
@api_command
def status(client: Client, as_json: bool) -> None:
    """Show which services and nodes are up, and the capacity of each pool."""
    document = {
        "services": client.get("os-services")["services"],
        "nodes": client.get("nodes")["nodes"],
        "pools": client.get("scheduler-stats", "get_pools", detail="true")["pools"],
    }
    if as_json:
        print_json(document)
        return
    screen = console()
    screen.print(services_table(document["services"]))
    screen.print()
    screen.print(nodes_table(document["nodes"]))
    screen.print()
    screen.print(pools_table(document["pools"]))
    if not document["nodes"]:
        screen.print("No node has reported: start one with `breezeblock worker node`.")


def services_table(services: list[dict[str, Any]]) -> Table:
    """Services as os-services lists them."""
    rows = table("Service", "Host", "Zone", "State", "Status", "Reason", title="Services")
    for one in services:
        add_row(
            rows,
            one["binary"],
            one["host"],
            one["zone"],
            up_or_down(one["state"] == "up"),
            one["status"],
            one["disabled_reason"] or "",
        )
    return rows


def nodes_table(nodes: list[dict[str, Any]]) -> Table:
    """Storage nodes with what they do and what they may have left behind."""
    rows = table(
        "Node", "Up", "State", "Zone", "Backends", "Running", "Residues", "Reported", title="Nodes"
    )
    for one in nodes:
        add_row(
            rows,
            one["host"],
            up_or_down(one["up"]),
            one["state"],
            one["availability_zone"],
            ", ".join(backend["name"] for backend in one["backends"]),
            len(one["running"]),
            one["residues"],
            one["reported_at"],
        )
    return rows


def pools_table(pools: list[dict[str, Any]]) -> Table:
    """Pools with a bar of what is taken of the limit up to which claims are granted."""
    rows = table("Pool", "Taken", "", "GiB", "Volumes", "Free on disk", title="Pools")
    for pool in pools:
        have = pool["capabilities"]
        taken, limit = have["allocated_capacity_gb"], have["claim_limit_gb"]
        share = taken / limit if limit > 0 else 1.0
        add_row(
            rows,
            pool["name"],
            bar(share),
            f"{share:.0%}",
            f"{taken:g} / {limit:g}",
            have["total_volumes"],
            f"{have['free_capacity_gb']:g} GiB",
        )
    return rows


def bar(share: float) -> Text:
    """A bar of `share` (0 to 1; more is shown as full), red when there is little left."""
    filled = round(min(max(share, 0.0), 1.0) * BAR_WIDTH)
    colour = "red" if share >= FULL_AT else "yellow" if share >= WARN_AT else "green"
    return Text("█" * filled, style=colour).append("░" * (BAR_WIDTH - filled), style="dim")


def up_or_down(up: bool) -> Text:
    """A word that stands out when something is down."""
    return Text("up", style="green") if up else Text("down", style="bold red")
