"""What every command starts from: the settings, or one line that says what is wrong with them."""

import os
from pathlib import Path

import click

from config.settings import Settings, SettingsError, load


def settings_of(context: click.Context) -> Settings:
    """The settings of this invocation (``--config``, else as in ``config.settings.load``).

    Raises click.ClickException with the one line of a SettingsError.
    """
    file: Path | None = context.find_root().params.get("config")
    try:
        return load(file, os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
