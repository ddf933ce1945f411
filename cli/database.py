"""``breezeblock db``: what an operator does to the database."""

import click

from cli.context import settings_of
from config import logging as logs
from config.settings import mask_url


@click.group(short_help="Prepare the database.")
def db() -> None:
    """Prepare the database that the settings name."""


@db.command("upgrade")
@click.pass_context
def upgrade(context: click.Context) -> None:
    """Bring the database's tables to this version. Run it before the processes of a new version."""
    settings = settings_of(context)
    from db import upgrade as upgrade_tables

    logs.configure(settings.logging, "db")
    upgrade_tables(settings)
    click.echo(f"{mask_url(settings.database.url)} is up to date")
