"""`breezeblock policy list`."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from cli.main import main


def run(*arguments: str, policy: Path | None = None) -> Result:
    environ = {"BREEZEBLOCK_API__POLICY_FILE": str(policy or "")}
    return CliRunner().invoke(main, ["policy", "list", *arguments], env=environ)


def test_without_a_file_the_defaults_are_listed() -> None:
    document = json.loads(run("--json").stdout)
    assert document["policy_file"] is None
    rules = {one["rule"]: one["check"] for one in document["rules"]}
    assert rules["volume:create"] == "rule:xena_system_admin_or_project_member"
    assert len(rules) > 160
    assert "Every rule is as it comes." in run("--changed").stdout


def test_what_the_file_changes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"volume:create": "rule:is_ops"\n"is_ops": "role:ops"\n')
    shown = run("--changed", policy=file).stdout
    assert "rule:is_ops" in shown
    assert "rule:xena_system_admin_or_project_member" in shown
    assert "volume:delete" not in shown
    document = json.loads(run("--changed", "--json", policy=file).stdout)
    assert document["rules"] == [
        {"rule": "is_ops", "check": "role:ops", "default": None},
        {
            "rule": "volume:create",
            "check": "rule:is_ops",
            "default": "rule:xena_system_admin_or_project_member",
        },
    ]


def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('# mine\n"volume:create": "member"\n')
    result = run(policy=file)
    assert result.exit_code == 1
    assert f"'{file}', line 2: volume:create: 'member' is not a check" in result.stderr
