"""`breezeblock policy`: which rules are in force, and which of them an operator's file changes."""

import click

from cli.client import add_row, console, print_json, table
from cli.context import settings_of
from config.settings import SettingsError


@click.group()
def policy() -> None:
    """Show who may do what."""


@policy.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--changed", is_flag=True, help="Only the rules of api.policy_file.")
@click.pass_context
def list_rules(context: click.Context, as_json: bool, changed: bool) -> None:
    """List the effective rules: the defaults with the lines of api.policy_file over them.

    It reads the settings and the file, not the API: what it shows is in force once the API has
    noticed the change, with its next request.
    """
    settings = settings_of(context)
    from api import policy_file
    from api.policies import DEFAULTS

    file = settings.api.policy_file
    try:
        given = policy_file.read(file) if file else {}
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    rules = [
        {"rule": name, "check": check, "default": DEFAULTS.get(name)}
        for name, check in sorted(policy_file.effective(given).items())
        if not changed or check != DEFAULTS.get(name)
    ]
    if as_json:
        print_json({"policy_file": str(file) if file else None, "rules": rules})
        return
    rows = table("Rule", "Check", "Default, where it differs")
    for one in rules:
        default = one["default"] or "none: a name of the file's own, or a former one"
        add_row(rows, one["rule"], one["check"], "" if one["check"] == one["default"] else default)
    console().print(rows if rules else "Every rule is as it comes.")
