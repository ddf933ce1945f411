"""`breezeblock dead`: messages that no worker could work on."""

from typing import Any

import click

from cli.client import Client, add_row, api_command, console, print_json, table


@click.group()
def dead() -> None:
    """Show dead letters (messages that no worker could work on), replay or drop them."""


@dead.command("list")
@click.option("--task", help="Only messages to this task, such as volume.create.extract.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@api_command
def list_letters(client: Client, *, task: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the newest first."""
    document = client.get("dead-letters", task=task, limit=limit)
    if as_json:
        print_json(document)
        return
    rows = table("Letter", "Task", "Queue", "Since", "Reason")
    for one in document["dead_letters"]:
        add_row(rows, one["id"], one["task"], one["queue"], one["created_at"], one["reason"])
    console().print(rows if document["dead_letters"] else "There is no dead letter.")


@dead.command()
@click.argument("id_", metavar="LETTER")
@api_command
def show(client: Client, id_: str, as_json: bool) -> None:
    """Show one with its content; what may be a secret is masked."""
    document = client.get("dead-letters", id_)
    if as_json:
        print_json(document)
        return
    one: dict[str, Any] = dict(document["dead_letter"])
    content = one.pop("message")
    rows = table("Field", "Value")
    for name, value in one.items():
        add_row(rows, name, value)
    console().print(rows)
    print_json(content)


@dead.command()
@click.argument("id_", metavar="LETTER")
@api_command
def replay(client: Client, id_: str, as_json: bool) -> None:
    """Send one to its task and queue again. What is late or done already has no effect."""
    document = client.post("dead-letters", id_, "action", body={"replay": {}})
    if as_json:
        print_json(document)
        return
    one = document["dead_letter"]
    click.echo(f"{one['id']} is on its way to {one['task'] or 'its task'} in {one['queue']}.")


@dead.command()
@click.argument("id_", metavar="LETTER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_command
def drop(client: Client, id_: str, yes: bool, as_json: bool) -> None:
    """Throw one away. The flow that it belonged to goes on without it."""
    if not yes:
        click.confirm(f"{id_} is thrown away for good. Go on?", abort=True, err=True)
    client.delete("dead-letters", id_)
    if as_json:
        print_json({})
    else:
        click.echo(f"{id_} is dropped.")
