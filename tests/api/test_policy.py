"""Who may do what, by default and by an operator's policy.yaml."""

import ast
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import bcrypt
import pytest
from flask import Flask

import api
from api import policy_file
from api.app import create_app
from api.policies import DEFAULTS, FORMER_NAMES, RULES
from config.settings import SettingsError, load
from tests.api.conftest import PROJECT, Caller, basic, fault, served, volume

ROLES = {"member": "ann", "reader": "rita", "auditor": "otto", "admin": "root"}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """An operator's file, without a rule."""
    file = tmp_path / "policy.yaml"
    file.write_text("# nothing\n")
    return file


@pytest.fixture
def ruled(environ: dict[str, str], policy: Path, tmp_path: Path) -> Iterator[Flask]:
    """The application with a user of each role in the same project, and an operator's file."""
    passwords = tmp_path / "passwords"
    passwords.write_text(
        "".join(
            f"{user}:{bcrypt.hashpw(f'{user}-secret'.encode(), bcrypt.gensalt(4)).decode()}"
            f":{PROJECT}:{role}\n"
            for role, user in ROLES.items()
        )
    )
    environ |= {
        "BREEZEBLOCK_API__AUTH": "http_basic",
        "BREEZEBLOCK_API__PASSWORD_FILE": str(passwords),
        "BREEZEBLOCK_API__POLICY_FILE": str(policy),
    }
    yield from served(environ)


def caller(app: Flask, role: str) -> Caller:
    return basic(app, ROLES[role], PROJECT)


def rewrite(policy: Path, text: str) -> None:
    """Change the file as an editor does; its time differs however quick the test is."""
    before = policy.stat().st_mtime_ns
    policy.write_text(text)
    os.utime(policy, ns=(before + 1, before + 1))


@pytest.mark.parametrize(
    ("role", "read", "write", "rule"),
    [
        ("member", 200, 200, 403),
        ("reader", 200, 403, 403),
        ("auditor", 403, 403, 403),
        ("admin", 200, 200, 200),
    ],
)
def test_what_each_role_may_do(ruled: Flask, role: str, read: int, write: int, rule: int) -> None:
    volume_id = volume()
    one = caller(ruled, role)
    assert one.get("/volumes").status_code == read
    assert one.get(f"/volumes/{volume_id}").status_code == read
    changed = one.put(f"/volumes/{volume_id}", json={"volume": {"name": "new"}})
    assert changed.status_code == write
    assert one.get("/os-services").status_code == rule


def test_a_refusal_names_the_rule(ruled: Flask) -> None:
    response = caller(ruled, "reader").post("/volumes", json={"volume": {"size": 1}})
    message = fault(response, 403, "forbidden")
    assert message == "Policy doesn't allow volume:create to be performed."


def test_what_another_project_has_is_not_found_rather_than_forbidden(ruled: Flask) -> None:
    volume_id = volume(project_id="other")
    fault(caller(ruled, "reader").delete(f"/volumes/{volume_id}"), 404, "itemNotFound")


def test_a_changed_file_counts_with_the_next_request(ruled: Flask, policy: Path) -> None:
    member = caller(ruled, "member")
    assert member.get("/os-services").status_code == 403
    rewrite(policy, '"volume_extension:services:index": "role:member"\n')
    assert member.get("/os-services").status_code == 200
    rewrite(policy, "")
    assert member.get("/os-services").status_code == 403


def test_a_file_that_is_spoilt_or_gone_leaves_the_rules_as_they_were(
    ruled: Flask, policy: Path
) -> None:
    member = caller(ruled, "member")
    rewrite(policy, '"volume:get_all": "!"\n')
    assert member.get("/volumes").status_code == 403
    rewrite(policy, '"volume:get_all": "role:member" or\n')
    assert member.get("/volumes").status_code == 403
    policy.unlink()
    assert member.get("/volumes").status_code == 403


def test_who_is_an_administrator_is_a_rule_too(ruled: Flask, policy: Path) -> None:
    volume(project_id="other")
    auditor = caller(ruled, "auditor")
    rewrite(policy, '"context_is_admin": "role:admin or role:auditor"\n"volume:get_all": "@"\n')
    listed = auditor.get("/volumes?all_tenants=1").get_json()["volumes"]
    assert len(listed) == 1
    assert auditor.get("/os-services").status_code == 200


@pytest.mark.parametrize("rule", sorted(set(FORMER_NAMES.values())))
def test_a_rule_that_was_split_follows_its_former_name(tmp_path: Path, rule: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f'"{rule}": "role:ops"\n')
    rules = policy_file.effective(policy_file.read(file))
    changed = {name for name, check in rules.items() if DEFAULTS.get(name) != check}
    assert changed == {rule} | {name for name, old in FORMER_NAMES.items() if old == rule}


def test_the_new_name_goes_before_the_former(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        '"volume_extension:types_manage": "role:old"\n"volume_extension:type_create": "role:new"\n'
    )
    rules = policy_file.effective(policy_file.read(file))
    assert rules["volume_extension:type_create"] == "role:new"
    assert rules["volume_extension:type_delete"] == "role:old"


def test_the_older_form_of_a_check_is_read(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"volume:get": [["role:a", "role:b"], "role:c"], "volume:create": []}')
    given = policy_file.read(file)
    assert given["volume:get"].check == "(role:a and role:b) or (role:c)"
    assert given["volume:create"].check == ""


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('"a": "@"\n"volume:get": [\n', 3, "is not YAML"),
        ("- volume:get\n", 1, "must be a table"),
        ('"a": "@"\n"volume:get": 5\n', 2, "volume:get: a check is a text, not 5"),
        ('"a": "@"\n\n"volume:get": "role:admin and ("\n', 3, "is not a check"),
        ('"volume:get": "member"\n', 1, "is not a check"),
        ('"volume:get": "rule:nobody"\n', 1, "there is no rule 'nobody'"),
        ('"volume:get": "rule:a"\n"a": "rule:volume:get"\n', 1, "volume:get: refers to itself"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_start_with_its_line(
    environ: dict[str, str], policy: Path, text: str, line: int, reason: str
) -> None:
    policy.write_text(text)
    environ["BREEZEBLOCK_API__POLICY_FILE"] = str(policy)
    with pytest.raises(SettingsError) as refusal:
        create_app(load(environ=environ))
    assert f"{policy}', line {line}: " in str(refusal.value)
    assert reason in str(refusal.value)


def test_a_file_that_is_not_there_is_refused_at_start(environ: dict[str, str]) -> None:
    environ["BREEZEBLOCK_API__POLICY_FILE"] = "/nonexistent/policy.yaml"
    with pytest.raises(SettingsError, match="cannot be read"):
        create_app(load(environ=environ))


RULE = re.compile(rf"({'|'.join(sorted({name.partition(':')[0] for name in RULES}))}):[\w:.-]*")


def named_rules(module: ast.Module) -> set[str]:
    """What in a module looks like a rule's name, with its constants put in; `*` is what varies."""
    constants = {
        node.targets[0].id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    found = set()
    inside: set[ast.AST] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            inside.update(node.values)
            parts = [
                str(part.value)
                if isinstance(part, ast.Constant)
                else str(constants.get(ast.unparse(part.value), "*"))
                if isinstance(part, ast.FormattedValue)
                else "*"
                for part in node.values
            ]
            found.add("".join(parts))
        elif isinstance(node, ast.Constant) and node not in inside:
            found.add(str(node.value))
    return {name for name in found if RULE.fullmatch(name.replace("*", ""))}


def test_every_rule_that_a_view_names_exists() -> None:
    named = {
        name
        for file in Path(api.__path__[0]).glob("*.py")
        if file.name != "policies.py"
        for name in named_rules(ast.parse(file.read_text()))
    }
    assert len(named) > 50
    unknown = {
        name
        for name in named
        # a constant may be what several rules begin with
        if not any(fnmatch(rule, name) or rule.startswith(f"{name.rstrip(':')}:") for rule in RULES)
    }
    assert unknown == set()
