"""A page of our own as a tree: elements with their children, and each drawing as it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import accumulate

_VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "col", "wbr"})


@dataclass
class Element:
    """One element; ``source`` is the text of a drawing, whose names and attributes know upper case."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    source: str = ""

    @property
    def classes(self) -> frozenset[str]:
        """The words of its class attribute."""
        return frozenset(self.attributes.get("class", "").split())

    @property
    def text(self) -> str:
        """Every text inside, as it stands."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str) -> list[Element]:
        """Every element of this name inside, in document order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child] if child.tag == tag else []
                found += child.all(tag)
        return found


class _Builder(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.page = page
        self.lines = [0, *accumulate(len(line) + 1 for line in page.split("\n"))]
        self.root = Element("")
        self.open = [self.root]
        self.starts: list[int] = []
        self.feed(page)
        self.close()

    def _place(self) -> int:
        line, column = self.getpos()
        return self.lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)
            self.starts.append(self._place())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if len(self.open) == 1 or self.open[-1].tag != tag:
            raise ValueError(f"</{tag}> closes nothing")
        element, start = self.open.pop(), self.starts.pop()
        if tag == "svg":
            element.source = self.page[start : self._place()] + "</svg>"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Element:
    """The root of a page whose every element is closed in its turn, as our own pages are.

    Raises:
        ValueError: the page is not well formed.

    >>> [paragraph.text for paragraph in parse("<div><p>One &amp; <b>two</b></p></div>").all("p")]
    ['One & two']
    """
    built = _Builder(page)
    if len(built.open) > 1:
        raise ValueError(f"<{built.open[-1].tag}> is never closed")
    return built.root
