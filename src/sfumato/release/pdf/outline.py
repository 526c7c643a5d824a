"""A page as a flat list of blocks, each of them plain JSON, for the one fixed template that sets them.

Nesting that means nothing on paper is gone: sections and boxes leave their ids and their looks to what
is in them. Text comes in runs, a run with one style; so nothing that a policy's author wrote is ever
more than a string in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sfumato.core.printable import printable
from sfumato.release.pdf.drawings import drawing, parts
from sfumato.release.pdf.html import Element

Block = dict[str, Any]
Run = dict[str, Any]

_SKIPPED = frozenset({"head", "nav", "script", "style", "template"})
#: For readers who hear the page: paper has its own way to say the same.
_UNSEEN = frozenset({"unseen", "skip", "meter"})
_HEADINGS = {"h1": 0, "h2": 1, "h3": 2, "h4": 3, "h5": 4, "h6": 5}
_BLOCKS = frozenset(
    [
        *("p", "ul", "ol", "dl", "table", "figure", "pre", "blockquote", "details", "summary", "div"),
        *("section", "article", "aside", "main", "header", "footer", "address", "form", "fieldset"),
        *_HEADINGS,
    ]
)
_BOLD = frozenset({"strong", "b"})
_ITALIC = frozenset({"em", "i", "cite", "var", "dfn"})
_CODE = frozenset({"code", "kbd", "samp"})
#: Classes with a look of their own, and those of them that stand on lines of their own.
_LOOKS = (
    *("aside", "between", "quiet", "target", "tag", "level", "mark", "room", "rests"),
    *("met", "missed", "open", "eyebrow", "lede", "fingerprint"),
)
_LINES = frozenset({"aside", "between", "target", "level", "verdict", "room"})
_BOXES = ("passed", "refused", "notice")
_TERMS = ("tiles", "keys", "meta", "provisions")
_LISTS = ("asked", "shown")
#: A word longer than this may break: a name after its joints, and what is long then every few letters.
_LONG = 24
_LONG_WORD = re.compile(rf"\S{{{_LONG},}}")
_JOINT = re.compile(r"(?<=[_./=:,;|])(?=\w)")
_PIECE = re.compile(r".{1,6}", re.DOTALL)
_BREAK = "\u200b"
#: A column whose text is no longer than this is as wide as its text.
_NARROW = 26


class _Style(NamedTuple):
    bold: bool = False
    italic: bool = False
    code: bool = False
    look: str = ""
    to: str = ""

    def within(self, element: Element) -> _Style:
        """The style of text in an element that stands in text of this style."""
        look = next((name for name in _LOOKS if name in element.classes), self.look)
        if "quiet" in element.classes and self.look in _LINES:
            look = self.look
        return _Style(
            self.bold or element.tag in _BOLD,
            self.italic or element.tag in _ITALIC,
            self.code or element.tag in _CODE,
            look,
            _address(element) or self.to,
        )

    def run(self, text: str) -> Run:
        """A run of text in this style; only what is said of it is in it."""
        return {"text": text} | {name: value for name, value in self._asdict().items() if value}


def _address(element: Element) -> str:
    address = element.attributes.get("href", "") if element.tag == "a" else ""
    return address if address.startswith(("#", "https://", "http://", "mailto:")) and len(address) > 1 else ""


def outline(page: Element) -> list[Block]:
    """The blocks of a page from top to bottom. Links to places that are not on it are plain text."""
    maker = _Maker()
    (body,) = page.all("body")
    blocks = maker.blocks(body.children, _Style())
    if left := maker.take():
        blocks.append({"kind": "paragraph", "ids": left, "runs": []})
    _unlink(blocks, {f"#{anchor}" for anchor in maker.taken})
    return blocks


def _unlink(part: Any, places: set[str]) -> None:
    """Take away links to nowhere, wherever they are in a block."""
    if isinstance(part, dict):
        if str(part.get("to", "")).startswith("#") and part["to"] not in places:
            del part["to"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _unlink(inner, places)


def _left_out(element: Element) -> bool:
    if element.tag in _SKIPPED or _UNSEEN & element.classes or "hidden" in element.attributes:
        return True
    # A chart's key is hidden from those who hear the table; on paper it is for everybody.
    return element.attributes.get("aria-hidden") == "true" and "legend" not in element.classes


class _Maker:
    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.taken: set[str] = set()
        self.level = 0
        #: Which of a chart's two drawings fits: half a page is as wide as a phone.
        self.drawn = "wide"

    # Blocks ------------------------------------------------------------------------------------

    def blocks(self, children: Iterable[Element | str], style: _Style) -> list[Block]:
        """Blocks of what stands between two tags; loose text between blocks is a paragraph."""
        made: list[Block] = []
        loose: list[Element | str] = []
        for child in children:
            if isinstance(child, str) or not self._is_block(child):
                loose.append(child)
                continue
            made += self._paragraph(loose, style)
            loose = []
            if not _left_out(child):
                made += self._block(child, style)
        return made + self._paragraph(loose, style)

    def _is_block(self, element: Element) -> bool:
        if element.tag in _BLOCKS or (element.tag == "svg" and not _left_out(element)):
            return True
        return any(isinstance(child, Element) and self._is_block(child) for child in element.children)

    def _paragraph(self, children: Sequence[Element | str], style: _Style) -> list[Block]:
        runs = self.runs(children, style)
        return [{"kind": "paragraph", "ids": self.take(), "runs": runs}] if runs else []

    def _block(self, element: Element, style: _Style) -> list[Block]:
        if anchor := element.attributes.get("id"):
            self.waiting.append(anchor)
        style = style.within(element)
        if element.tag in _HEADINGS:
            return self._heading(element, style)
        if element.tag == "svg":
            return self._chart(element)
        if element.tag == "pre":
            return self._verbatim(element)
        make = {
            "ul": self._list,
            "ol": self._list,
            "dl": self._terms,
            "table": self._table,
            "figure": self._figure,
        }.get(element.tag)
        if make is not None:
            return make(element, style)
        look = next((name for name in _BOXES if name in element.classes), None)
        if "pairs" in element.classes:
            self.drawn, before = "narrow", self.drawn
            inner = self.blocks(element.children, style)
            self.drawn = before
            return [{"kind": "pairs", "blocks": inner}] if inner else []
        if look is None:
            return self.blocks(element.children, style)
        anchors = self.take()
        return [{"kind": "box", "look": look, "ids": anchors, "blocks": self.blocks(element.children, style)}]

    def take(self) -> list[str]:
        """The ids that wait for a block to stand on, each of them once on a page."""
        taken = [anchor for anchor in dict.fromkeys(self.waiting) if anchor not in self.taken]
        self.taken.update(taken)
        self.waiting = []
        return taken

    def _heading(self, element: Element, style: _Style) -> list[Block]:
        # A level may not be left out: the bookmarks would have a hole.
        self.level = min(_HEADINGS[element.tag], self.level + 1)
        runs = self.runs(element.children, style)
        return [{"kind": "heading", "level": self.level, "ids": self.take(), "runs": runs}] if runs else []

    def _list(self, element: Element, style: _Style) -> list[Block]:
        if "legend" in element.classes:
            return [self._legend(element, style)]
        anchors = self.take()
        items = [self.blocks(item.children, style) for item in _children(element, "li")]
        if not items:
            return []
        look = next((name for name in _LISTS if name in element.classes), "")
        kind = look or ("numbers" if element.tag == "ol" else "points")
        return [{"kind": kind, "ids": anchors, "items": [item for item in items if item]}]

    def _legend(self, element: Element, style: _Style) -> Block:
        items = []
        for item in _children(element, "li"):
            icons = [drawing(icon) for icon in item.all("svg")]
            words = [child for child in item.children if isinstance(child, str) or child.tag != "svg"]
            items.append({"icons": icons, "runs": self.runs(words, style)})
        return {"kind": "legend", "items": items}

    def _terms(self, element: Element, style: _Style) -> list[Block]:
        anchors = self.take()
        look = next((name for name in _TERMS if name in element.classes), "facts")
        items: list[dict[str, Any]] = []
        for part in _flat(element, ("dt", "dd")):
            if part.attributes.get("id"):
                self.waiting.append(part.attributes["id"])
            if part.tag == "dt":
                runs = self.runs(part.children, style.within(part))
                items.append({"ids": self.take(), "term": runs, "blocks": []})
            elif part.tag == "dd" and items:
                items[-1]["blocks"] += self._told(part, style.within(part), look)
        return [{"kind": "terms", "look": look, "ids": anchors, "items": items}] if items else []

    def _told(self, element: Element, style: _Style, look: str) -> list[Block]:
        if look != "tiles":
            return self.blocks(element.children, style)
        # A tile's figure stands on a line of its own, and what is beside it under it.
        return [block for child in element.children for block in self.blocks([child], style)]

    def _figure(self, element: Element, style: _Style) -> list[Block]:
        anchors = self.take()
        parts = [child for child in element.children if isinstance(child, Element)]
        caption = [
            run for part in parts if part.tag == "figcaption" for run in self.runs(part.children, style)
        ]
        body = self.blocks([part for part in parts if part.tag != "figcaption"], style)
        first = bool(parts) and parts[0].tag == "figcaption"
        if not body:
            return [{"kind": "paragraph", "ids": anchors, "runs": caption}] if caption else []
        return [{"kind": "figure", "ids": anchors, "blocks": body, "caption": caption, "first": first}]

    def _chart(self, element: Element) -> list[Block]:
        if "chart" in element.classes and self.drawn not in element.classes:
            return []
        titles = element.all("title")
        alt = _collapsed(titles[0].text).strip() if titles else "A drawing"
        anchors, drawn = self.take(), parts(element)
        return [
            {
                "kind": "chart",
                "ids": anchors if number == 1 else [],
                "svg": svg,
                "alt": alt if len(drawn) == 1 else f"{alt}, part {number} of {len(drawn)}",
                "width": width,
                "height": height,
            }
            for number, (svg, width, height) in enumerate(drawn, start=1)
        ]

    def _verbatim(self, element: Element) -> list[Block]:
        lines = element.text.strip("\n").split("\n")
        return [
            {"kind": "verbatim", "ids": self.take(), "lines": [_breakable(printable(line)) for line in lines]}
        ]

    # Tables ------------------------------------------------------------------------------------

    def _table(self, element: Element, style: _Style) -> list[Block]:
        caption = []
        for part in _children(element, "caption"):
            caption = self.runs(part.children, style)
            self.waiting += [part.attributes["id"]] if part.attributes.get("id") else []
        anchors = self.take()
        heads = [row for part in _children(element, "thead") for row in _children(part, "tr")]
        groups = [_children(part, "tr") for part in _children(element, "tbody", "tfoot")]
        groups += [[row] for row in _children(element, "tr")]
        header = [self._row(row, style) for row in heads]
        bodies = [[self._row(row, style) for row in group] for group in groups]
        rows = [row for group in (header, *bodies) for row in group]
        if not rows:
            return [{"kind": "paragraph", "runs": caption}] if caption else []
        count = max(sum(cell["across"] for cell in row["cells"]) for row in rows)
        return [
            {
                "kind": "table",
                "ids": anchors,
                "caption": caption,
                "widths": _widths(rows, count),
                "header": header,
                "groups": bodies,
            }
        ]

    def _row(self, row: Element, style: _Style) -> dict[str, Any]:
        style = style.within(row)
        if anchor := row.attributes.get("id"):
            self.waiting.append(anchor)
        cells = [
            {
                "blocks": self.blocks(cell.children, style.within(cell)),
                "head": cell.tag == "th",
                "right": "num" in cell.classes,
                "across": _extent(cell, "colspan"),
                "down": _extent(cell, "rowspan"),
            }
            for cell in _children(row, "th", "td")
        ]
        look = next((name for name in ("part", "gone") if name in row.classes), "")
        return {"look": look, "cells": cells}

    # Text --------------------------------------------------------------------------------------

    def runs(self, children: Iterable[Element | str], style: _Style) -> list[Run]:
        """Text in runs, its white space collapsed as a browser does it."""
        made: list[Run] = []
        line = False
        for run in self._loose(children, style):
            if run.get("line"):
                line = bool(made)
                continue
            after_space = line or not made or made[-1]["text"].endswith(" ")
            text = run["text"].lstrip(" ") if after_space else run["text"]
            if not text:
                continue
            if line:
                made[-1]["text"] = made[-1]["text"].rstrip(" ")
                made.append(_line())
                line = False
            made.append(run | {"text": text})
        if made:
            made[-1]["text"] = made[-1]["text"].rstrip(" ")
        return [run | {"text": _breakable(run["text"])} for run in made]

    def _loose(self, children: Iterable[Element | str], style: _Style) -> Iterator[Run]:
        for child in children:
            if isinstance(child, str):
                if text := _collapsed(child):
                    yield style.run(text)
            elif child.tag == "br":
                yield _line()
            elif not _left_out(child):
                yield from self._span(child, style)

    def _span(self, element: Element, style: _Style) -> Iterator[Run]:
        inner = style.within(element)
        if anchor := element.attributes.get("id"):
            self.waiting.append(anchor)
        on_a_line = _LINES & element.classes
        if on_a_line:
            yield _line()
        yield from self._loose(element.children, inner)
        if on_a_line:
            yield _line()


def _children(element: Element, *tags: str) -> list[Element]:
    """The children with one of these names, in their order."""
    return [child for child in element.children if isinstance(child, Element) and child.tag in tags]


def _flat(element: Element, tags: Sequence[str]) -> Iterator[Element]:
    """Elements of these names, and those that only hold some together before what they hold."""
    for child in element.children:
        if isinstance(child, Element) and not _left_out(child):
            yield child
            if child.tag not in tags:
                yield from _flat(child, tags)


def _extent(cell: Element, name: str) -> int:
    written = cell.attributes.get(name, "1")
    return max(1, int(written)) if written.isdecimal() else 1


def _collapsed(text: str) -> str:
    """White space as one space, and whatever no reader may be led astray by made visible."""
    return printable(re.sub(r"[ \t\n\r\f]+", " ", text))


def _line() -> Run:
    return {"text": "", "line": True}


def _breakable(text: str) -> str:
    """Text whose long words may break: after a name's joints, else every few letters."""

    def broken(found: re.Match[str]) -> str:
        parts = _JOINT.split(found[0])
        pieces = (part if len(part) <= _LONG else _BREAK.join(_PIECE.findall(part)) for part in parts)
        return _BREAK.join(pieces)

    return _LONG_WORD.sub(broken, text)


def _widths(rows: Sequence[dict[str, Any]], count: int) -> list[float]:
    """For each column 0 if it is as wide as its text, else its share of what is left."""
    longest = [0] * count
    total = [0] * count
    for row in rows:
        place = 0
        for cell in row["cells"]:
            if cell["across"] == 1 and place < count:
                said = _said(cell["blocks"])
                longest[place] = max(longest[place], *map(len, said), 0)
                total[place] += sum(map(len, said))
            place += cell["across"]
    return [
        0 if most <= _NARROW else max(_NARROW, sum_ / len(rows)) ** 0.5
        for most, sum_ in zip(longest, total, strict=True)
    ]


def _said(blocks: Sequence[Block]) -> list[str]:
    """The lines of a cell."""
    lines = [""]
    for block in blocks:
        for run in block.get("runs", ()):
            if run.get("line"):
                lines.append("")
            lines[-1] += run["text"].replace(_BREAK, "")
        for item in block.get("items", ()):
            lines += _said(item if isinstance(item, list) else item.get("blocks", []))
        lines.append("")
    return lines
