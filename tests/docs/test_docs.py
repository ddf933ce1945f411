"""What the pages say exists: links, commands, settings, files, operations; and the examples run."""

import ast
import contextlib
import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from api.app import create_app
from cli.main import main
from config.settings import Settings, load
from drivers.registry import driver_names, load_backend
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, links, spans, table

SECTIONS: dict[str, dict[str, Any]] = {
    section.name: {key.name: getattr(table_, key.name) for key in dataclasses.fields(table_)}
    for section in dataclasses.fields(Settings)
    if dataclasses.is_dataclass(table_ := getattr(Settings(), section.name))
}
API, OPERATORS = ROOT / "docs" / "api.md", ROOT / "docs" / "operators.md"


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: getattr(value, "name", ""))
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists(), f"{page.name}: {target}"
    if anchor:
        assert anchor in anchors(file), f"{page.name}: {target}"


def test_a_file_that_is_named_is_there() -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    named = [
        (page.name, span)
        for page, span in spans()
        if re.fullmatch(r"[\w.-]+/[\w./-]*", span) and span.partition("/")[0] in tops - {"var"}
    ]
    assert len(named) > 20
    assert [(page, span) for page, span in named if not (ROOT / span).exists()] == []


# -- commands --------------------------------------------------------------------------------------


def commands(block: Block) -> list[str]:
    """The command lines of a shell block, without prompt, variables and the command's folder."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    else:
        lines = text.splitlines()
    bare = (re.sub(r"^(ExecStart=|[A-Z_]+=\S+ )+", "", line) for line in lines)
    return [re.sub(r"^\S*/(?=breezeblock )", "", line) for line in bare]


TYPED = [
    (block.page.name, line)
    for block in blocks("sh", "console", "ini")
    for line in commands(block)
    if line.startswith("breezeblock ")
]
MENTIONED = [(page.name, span) for page, span in spans() if span.startswith("breezeblock ")]


def parse(line: str) -> None:
    """Have click read a command line as it would, without running anything. Raises UsageError."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context: click.Context | None = None
    while True:
        context = command.make_context(command.name, words, parent=context)
        if not isinstance(command, click.Group):
            return
        words = [*context._protected_args, *context.args]
        name, found, words = command.resolve_command(context, words)
        assert name is not None
        assert found is not None
        command = found


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_a_command_line_can_be_typed(page: str, line: str) -> None:
    parse(line)


@pytest.mark.parametrize(("page", "line"), sorted(set(MENTIONED)))
def test_a_command_that_is_mentioned_exists(page: str, line: str) -> None:
    # `breezeblock flow show` does not say which
    with contextlib.suppress(click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        parse(line)


def test_there_are_commands_to_check() -> None:
    assert len(TYPED) > 10
    assert len(MENTIONED) > 10
    for wrong in ("breezeblock flew", "breezeblock flow list --colour", "breezeblock worker cook"):
        with pytest.raises(click.UsageError):
            parse(wrong)


# -- settings --------------------------------------------------------------------------------------


def test_a_setting_that_is_named_exists() -> None:
    named = {
        (page.name, *match.groups())
        for page, span in spans()
        if (match := re.fullmatch(r"([a-z]+)\.([a-z_]+)(?: = .*)?", span)) and match[1] in SECTIONS
    }
    variable = re.compile(r"BREEZEBLOCK_([A-Z]+)__([A-Z_]+)=")
    named |= {
        (page.name, section.lower(), key.lower())
        for page in PAGES
        for section, key in variable.findall(page.read_text())
    }
    assert len(named) > 15
    assert [(page, s, k) for page, s, k in named if k not in SECTIONS[s]] == []


def test_the_table_of_settings_is_whole_and_right() -> None:
    told = {key: default for key, default, _ in table(OPERATORS, "key", "default", "what it is")}
    assert told == {
        f"{section}.{key}": written(default)
        for section, keys in SECTIONS.items()
        for key, default in keys.items()
    }


def written(value: Any) -> str:
    """A default as TOML has it; an empty path is an empty string."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {item}" for key, item in value.items()) + " }"
    if value is None or value == Path():
        value = ""
    return json.dumps(value, default=str)


@pytest.mark.parametrize("block", blocks("toml"), ids=repr)
def test_a_toml_example_is_valid(block: Block, tmp_path: Path) -> None:
    if "[project.entry-points" in block.text:
        assert re.search(r'^\w+ = "[\w.]+:\w+"$', block.text, re.MULTILINE)
        return
    file = tmp_path / "breezeblock.toml"
    file.write_text(block.text)
    settings = load(file, environ={})
    for name, options in settings.backends.items():
        if options["driver"] in driver_names():
            load_backend(name, options)


# -- the API ---------------------------------------------------------------------------------------


def test_the_tables_of_operations_are_whole_and_right() -> None:
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/v3/<project_id>")))
        for rule in create_app(load(environ={})).url_map.iter_rules()
        if rule.rule.startswith("/v3/<project_id>/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = [tuple(row[0].split(" ")) for row in table(API, "method and path", "what it does")]
    assert sorted(told) == sorted(routes)


def test_the_table_of_microversions_is_whole_and_right() -> None:
    decides = re.compile(r"(?:at_least\(|minor >= |_SINCE = )(\d+)")
    code = {
        int(minor)
        for file in (ROOT / "api").rglob("*.py")
        for minor in decides.findall(file.read_text())
    }
    told = [row[0] for row in table(API, "from", "change")]
    assert told == [f"3.{minor}" for minor in sorted(code)]


# -- examples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("python", "json"), ids=repr)
def test_an_example_can_be_read(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    else:
        ast.parse(block.text)
