"""Text that is safe to show: a column's name may hold anything, and a terminal obeys what it is sent."""

from __future__ import annotations

import re

#: Control characters (C0, DEL, C1), marks that turn the direction of writing, line and paragraph
#: separators, halves of surrogate pairs, which no encoding writes, and what is no character in XML.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    r"""The text in one line, with whatever a terminal or a reader would be led astray by made visible.

    >>> printable("age\x1b[2J")
    'age\\x1b[2J'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def json_printable(text: str) -> str:
    """JSON text with the same characters as its own escapes, so that it still means the same."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
