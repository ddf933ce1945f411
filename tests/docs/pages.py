"""The project's pages, cut into what a test can check."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    language: str
    text: str

    def __repr__(self) -> str:
        return f"{self.page.name}-{self.language}-{self.text.strip().splitlines()[0][:30]}"


def blocks(*languages: str) -> list[Block]:
    """Every block in one of `languages`, of every page."""
    return [
        Block(page, language, text)
        for page in PAGES
        for language, text in _FENCE.findall(page.read_text())
        if language in languages
    ]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text())


def spans() -> Iterator[tuple[Path, str]]:
    """Every piece of code within a line."""
    for page in PAGES:
        for span in _CODE.findall(prose(page)):
            yield page, span


def links() -> list[tuple[Path, str]]:
    """Every link that stays in the project."""
    return [
        (page, target)
        for page in PAGES
        for target in _LINK.findall(prose(page))
        if not re.match(r"[a-z]+:", target)
    ]


def anchors(page: Path) -> set[str]:
    """What `#…` may name in a page, by GitHub's rule."""
    names = set()
    for heading in _HEADING.findall(prose(page)):
        kept = re.sub(r"[^\w\- ]", "", heading.lower())
        names.add(kept.replace(" ", "-"))
    return names


def table(page: Path, *head: str) -> list[list[str]]:
    """The cells of every row of the tables with these headings, without their backquotes."""
    rows = []
    within = False
    for line in page.read_text().splitlines():
        # a | in a cell is written \|
        cells = [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == list(head):
            within = True
        elif not cells:
            within = False
        elif within and set(cells[0]) != {"-"}:
            rows.append(cells)
    return rows
