"""`breezeblock node`: storage nodes, and taking one out of service."""

import click

from cli.client import Client, api_command, console, print_json
from cli.status import nodes_table


@click.group()
def node() -> None:
    """Show storage nodes, drain them, or declare one gone."""


@node.command("list")
@api_command
def list_nodes(client: Client, as_json: bool) -> None:
    """List the nodes that have reported."""
    document = client.get("nodes")
    if as_json:
        print_json(document)
    elif document["nodes"]:
        console().print(nodes_table(document["nodes"]))
    else:
        click.echo("No node has reported: start one with `breezeblock worker node`.")


@node.command()
@click.argument("host")
@api_command
def drain(client: Client, host: str, as_json: bool) -> None:
    """Place nothing new on HOST; it goes on serving what it has."""
    _act(
        client,
        host,
        "drain",
        f"{host} takes no new volume; `node undrain {host}` ends it.",
        as_json,
    )


@node.command()
@click.argument("host")
@api_command
def undrain(client: Client, host: str, as_json: bool) -> None:
    """Let HOST take new volumes again."""
    _act(client, host, "undrain", f"{host} takes new volumes again.", as_json)


@node.command()
@click.argument("host")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_command
def forget(client: Client, host: str, yes: bool, as_json: bool) -> None:
    """Declare HOST gone for good: what may be left on it is written off.

    Refused while the node is up.
    """
    if not yes:
        click.confirm(f"{host} and everything on it is lost for good. Go on?", abort=True, err=True)
    _act(client, host, "forget", f"{host} is forgotten; its residues are written off.", as_json)


def _act(client: Client, host: str, action: str, done: str, as_json: bool) -> None:
    document = client.post("nodes", host, "action", body={action: {}})
    if as_json:
        print_json(document)
    else:
        click.echo(done)
