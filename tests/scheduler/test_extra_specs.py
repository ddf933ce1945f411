"""The operators; the table of cases is the one in the operators' guide, so that it stays true."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.extra_specs import capability_path, parse

GUIDE = Path(__file__).parents[2] / "docs" / "scheduler.md"


def documented() -> list[tuple[str, Any, bool]]:
    """(requirement, capability, whether it matches) for each example in the guide."""
    table = GUIDE.read_text().split("| value of the extra spec |")[1].split("\n\n")[0]
    cases = []
    for row in table.splitlines()[2:]:
        requirement, matching, failing = (
            re.findall(r"`([^`]*)`", cell) for cell in row.strip("|").split("|")
        )
        cases += [(requirement[0], json.loads(value), True) for value in matching]
        cases += [(requirement[0], json.loads(value), False) for value in failing]
    return cases


def test_the_guide_has_every_operator() -> None:
    text = {requirement.split()[0] for requirement, _, _ in documented()}
    assert text >= {
        *("=", "==", "!=", ">=", "<=", "<in>", "<is>", "<or>", "<all-in>"),
        *("s==", "s!=", "s<", "s<=", "s>", "s>="),
    }


@pytest.mark.parametrize(("requirement", "capability", "expected"), documented())
def test_as_the_guide_says(requirement: str, capability: Any, expected: bool) -> None:
    assert parse(requirement)(capability) is expected


@pytest.mark.parametrize(
    ("requirement", "capability", "expected"),
    [
        (">=", 5, False),
        (">= ", 5, False),
        ("<or>", "", False),
        ("<or> <or>", "<or>", False),
        ("<all-in>", [], False),
        ("<is>", False, False),
        ("", "", True),
        ("", "x", False),
        (">=5", 6, False),
        (">=5", ">=5", True),
        ("  >=   5 ", 6, True),
        (">= nan", 5, False),
        (">= 5", 10**400, False),
        ("<or> 1 <or> 2", 2, True),
        ("<or> yes <or> no", True, True),
        ("1", True, True),
        ("s== True", True, True),
        ("!= 5", [5, 6], True),
        (">= 5", [], False),
        (">= 5", [1, [2, 5]], True),
        ("<in> a", {"a": 1}, False),
        ("s!= a", None, False),
    ],
)
def test_at_the_edges(requirement: str, capability: Any, expected: bool) -> None:
    assert parse(requirement)(capability) is expected


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("iops", ("iops",)),
        ("capabilities:iops", ("iops",)),
        ("capabilities:qos:max", ("qos", "max")),
        ("capabilities", ("capabilities",)),
        ("qos:max", None),
        ("provisioning:type", None),
        ("RESKEY:availability_zones", None),
    ],
)
def test_capability_path(key: str, path: tuple[str, ...] | None) -> None:
    assert capability_path(key) == path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
OPERATORS = ["= ", ">= ", "s< ", "<in> ", "<is> ", "<or> ", "<all-in> ", "", " "]


@given(st.sampled_from(OPERATORS), st.text(), JSON)
def test_any_requirement_answers_for_any_capability(
    operator: str, operand: str, capability: Any
) -> None:
    assert parse(operator + operand)(capability) in (True, False)
