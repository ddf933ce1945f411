"""The ``breezeblock`` command.

A subcommand's module is imported when it is called: a storage node, where neither Flask nor
SQLAlchemy is installed, runs ``breezeblock worker node`` all the same, and ``--help`` is quick.
"""

import importlib
from pathlib import Path

import click

#: name → (module:attribute, the line in ``--help``), in the order in which they are shown
COMMANDS = {
    "up": ("cli.up:up", "Run the whole service here, in the foreground."),
    "status": ("cli.status:status", "Show who is up, and the pools with their capacity."),
    "flow": ("cli.flow:flow", "List requests, or show the steps of one."),
    "dead": ("cli.dead:dead", "List, replay or drop messages that no worker could work on."),
    "node": ("cli.node:node", "List storage nodes, drain one, or forget a lost one."),
    "audit": ("cli.audit:audit", "Compare the database with what the storage holds."),
    "policy": ("cli.policy:policy", "List who may do what."),
    "api": ("cli.serve:api", "Run the API."),
    "worker": ("cli.worker:worker", "Run a control, events, scheduler or node worker."),
    "beat": ("cli.serve:beat", "Run the clock of the sweeper."),
    "flower": ("cli.serve:flower", "Run Flower, the view of the pipeline."),
    "db": ("cli.database:db", "Prepare the database."),
}


class LateCommands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"'{cmd_name}' needs the Python package '{error.name}': "
                "pip install 'breezeblock[server]', or with [embedded] for 'up'"
            ) from error
        assert isinstance(command, click.Command)  # noqa: S101 - a mistake in COMMANDS
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LateCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file (default: $BREEZEBLOCK_CONFIG, then ./breezeblock.toml if there is one).",
)
@click.version_option(package_name="breezeblock")
def main(config: Path | None) -> None:
    """Breezeblock: the Block Storage v3 API on a Celery task pipeline."""
    del config  # read by cli.context from the root of the command line


if __name__ == "__main__":
    main(prog_name="breezeblock")
