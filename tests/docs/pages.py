"""The pages of the documentation, taken apart: fenced blocks, commands with what they print, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda page: page.relative_to(ROOT))
)

_FENCE = re.compile(r"^```(\S*)[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NUMBER = re.compile(r"[-−+]?\d[\d,.]*(?:e[-+]?\d+)?")
_HEX = re.compile(r"\b[0-9a-f]{32,}\b")
_RULE = re.compile(r"─+")

#: What cannot be run in a test: it sets up the environment that the test runs in.
SETTING_UP = ("make", "pip", "git")
#: Stands for lines left out, or for the rest of a line.
GAP = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is written to (or nothing), its text."""

    language: str
    file: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a console block and the lines that the page shows below it."""

    line: str
    shown: tuple[str, ...]

    @property
    def sets_up(self) -> bool:
        """Whether it belongs to the setting up of an environment."""
        return self.line.split()[0] in SETTING_UP


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found.groups()) for found in _FENCE.finditer(text)]


def commands(text: str) -> list[Command]:
    """The commands of a console block; every line before the next ``$`` is what the page shows of it.

    >>> commands("$ ls a\\nb\\n...\\n$ ls c\\n")
    [Command(line='ls a', shown=('b', '...')), Command(line='ls c', shown=())]
    """
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if parts[0]:
        raise ValueError("a console block begins with a command")
    lines = [part.rstrip("\n").split("\n") for part in parts[1:]]
    return [Command(first, tuple(rest)) for first, *rest in lines]


def plain(line: str) -> str:
    """A line without what differs from run to run: figures, digests, widths.

    >>> plain("k  0.05  -1,234 ─────")
    'k # # ─'
    """
    return " ".join(_RULE.sub("─", _NUMBER.sub("#", _HEX.sub("#", line))).split())


def unprinted(shown: tuple[str, ...], printed: str) -> list[str]:
    """The lines of a page that the command does not print, in this order.

    Lines follow each other as shown, unless ``...`` stands between them; what comes after the last one
    shown counts as left out. A line that ends in ``...`` needs to begin as shown.
    """
    lines = [plain(line) for line in printed.splitlines() if line.strip()]
    at, gap, missing = 0, False, []
    for line in shown:
        if line.strip() == GAP:
            gap = True
        elif line.strip():
            places = range(at, len(lines)) if gap else range(at, min(at + 1, len(lines)))
            found = next((place for place in places if _fits(line, lines[place])), None)
            if found is None:
                missing.append(line)
            else:
                at = found + 1
            gap = False
    return missing


def _fits(shown: str, printed: str) -> bool:
    if shown.rstrip().endswith(GAP):
        return printed.startswith(plain(shown.rstrip().removesuffix(GAP)))
    return plain(shown) == printed


def links(text: str) -> list[str]:
    """The targets of a page's links, code left out."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return _LINK.findall(prose)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
