"""The rules in force: the defaults with an operator's policy.yaml over them.

oslo.policy only logs a check that it cannot read, and then denies; here the file is refused, with
the line.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from oslo_policy.policy import Rules

from api.policies import DEFAULTS, FORMER_NAMES
from config.settings import SettingsError

# what it cannot read it logs with a traceback; here that is an error with the line
logging.getLogger("oslo_policy._parser").setLevel(logging.CRITICAL)

_REFERENCE = re.compile(r"(?<![\w:])rule:([^\s()]+)")


@dataclass(frozen=True, slots=True)
class Given:
    """What a file says of one rule, and where."""

    check: str
    line: int


def read(file: Path) -> dict[str, Given]:
    """The rules of a policy file by name. Raises SettingsError naming the file and the line."""
    try:
        document = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise _wrong(file, None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _wrong(file, None, "is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _wrong(file, line, f"is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise _wrong(file, None, f"is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, yaml.MappingNode):
        raise _wrong(file, 1, 'must be a table of rules, as "volume:create": "role:member"')
    given = {
        str(name.value): Given(_check(file, name, value), name.start_mark.line + 1)
        for name, value in document.value
    }
    _refuse_dangling(file, given)
    return given


def effective(given: Mapping[str, Given]) -> dict[str, str]:
    """Every rule with the check that counts; `given` may also name rules of the operator's own."""
    checks = {name: one.check for name, one in given.items()}
    return checks | {name: _chosen(name, default, checks) for name, default in DEFAULTS.items()}


def _chosen(name: str, default: str, given: Mapping[str, str]) -> str:
    """A rule's own line, else that of the name which it once had, else the default."""
    if name in given:
        return given[name]
    former = given.get(FORMER_NAMES.get(name, ""), default)
    return default if former == f"rule:{name}" else former


def _check(file: Path, name: yaml.Node, node: yaml.Node) -> str:
    value = yaml.SafeLoader.construct_document(yaml.SafeLoader(""), node)
    text = _text(value)
    if text is None:
        raise _wrong(
            file, node.start_mark.line + 1, f"{name.value}: a check is a text, not {value!r}"
        )
    understood = Rules.from_dict({"it": text})["it"]
    # what oslo.policy cannot read becomes "!", which denies
    if str(understood).count("!") > text.count("!"):
        raise _wrong(file, node.start_mark.line + 1, f"{name.value}: {text!r} is not a check")
    return text


def _text(value: Any) -> str | None:
    """A check as text; the older form, a list of alternatives, is written out. None: neither."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    groups = [[one] if isinstance(one, str) else one for one in value]
    if not all(
        isinstance(group, list) and all(isinstance(c, str) for c in group) for group in groups
    ):
        return None
    return " or ".join(f"({' and '.join(group)})" for group in groups if group)


def _refuse_dangling(file: Path, given: Mapping[str, Given]) -> None:
    """A reference must lead somewhere, and not back to where it started."""
    rules = effective(given)
    for name, one in given.items():
        seen, todo = set(), [name]
        while todo:
            current = todo.pop()
            for target in _REFERENCE.findall(rules[current]):
                if target not in rules:
                    raise _wrong(file, one.line, f"{name}: there is no rule {target!r}")
                if target == name:
                    raise _wrong(file, one.line, f"{name}: refers to itself")
                if target not in seen:
                    seen.add(target)
                    todo.append(target)


def _wrong(file: Path, line: int | None, what: str) -> SettingsError:
    where = "" if line is None else f", line {line}"
    return SettingsError(f"api.policy_file = '{file}'{where}: {what}")
