"""What is said to a command line, and what it must show."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 60.0
ASKS = re.compile(r"\b(show|list)$")
BORDER = re.compile(r"^\+[-+]+\+$\n?", re.MULTILINE)
PROPERTY = re.compile(r"^\| (\S+) +\| (\S.*?) +\|$", re.MULTILINE)
HEADS = frozenset({"Property", "Field"})
GONE = "No .* with a name or ID|could not be found|Not Found|No .* found for"

Run = Callable[[list[str]], tuple[bool, str]]
"""Runs a command with these arguments: whether it was refused, and all that it printed."""


@dataclass(frozen=True, slots=True)
class Step:
    """The command with `words` must show what matches `says`, cells separated by one space.

    `{disk}` in either is the id of what was last shown with the name disk, and what a pattern has
    named (`(?P<key>…)`) is known as that. Lists and shows are asked again until they do.
    """

    words: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Refused(Step):
    """The same with words that are refused with a text that matches `says`."""


class Conversation:
    """Takes steps with the command that `run` is, and keeps in mind what it has shown."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[str, str] = {}

    def take(self, step: Step) -> None:
        """Run it until it says what it should; fails when it does not."""
        words = step.words.format(**self._known).split()
        pattern = re.compile(step.says.format(**self._known), re.DOTALL)
        until = time.monotonic() + (SECONDS if any(map(ASKS.search, words)) else 0)
        while True:
            refused, said = self._run(words)
            shown = BORDER.sub("", said)
            self._remember(shown)
            line = re.sub(r"[|\s]+", " ", shown)
            found = pattern.search(line)
            if found and refused == isinstance(step, Refused):
                self._known |= found.groupdict()
                return
            assert time.monotonic() < until, f"{words}: {line}"
            time.sleep(0.1)

    def _remember(self, shown: str) -> None:
        """An id by the name beside it, in a table of properties."""
        properties = dict(PROPERTY.findall(shown))
        if HEADS & set(properties) and {"id", "name"} <= set(properties):
            self._known[properties["name"]] = properties["id"]
