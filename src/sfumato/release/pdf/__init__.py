"""The dossier on paper: the page's own content as PDF/A-2a and PDF/UA-1, the same bytes every time.

There is no second template of what the dossier says. The page is read back, and one fixed typst
template (https://typst.app) sets what was found; fonts are those that typst brings along, the network
is never asked. The formats' own rules (ISO 19005-2 level A, ISO 14289-1) are checked by typst as it
writes: text without a glyph, a picture without words or a hole in the outline is an error, and what is
not written whole is not released.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from typing import Any

from sfumato.core.errors import InputError
from sfumato.core.printable import printable
from sfumato.release.layout import DOSSIER, DOSSIER_PDF
from sfumato.release.pdf.html import Element, parse
from sfumato.release.pdf.outline import outline

#: Rounds of writing characters that the fonts lack as their numbers; each round finds nearly all.
_ROUNDS = 4
#: Joiners, soft hyphen and a place to break are invisible for good reason, and no font needs them.
_INVISIBLE = frozenset("\u200b\u200c\u200d\xad")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
_SHORT = 70


def dossier_pdf(page: bytes, time: str) -> bytes:
    """The dossier as PDF.

    Args:
        page: ``dossier.html``, as released.
        time: of the release, RFC 3339 in UTC; the only date in the document.

    Raises:
        InputError: ``output-failed``: the page could not be set.
    """
    try:
        root = parse(page.decode())
        when = datetime.fromisoformat(time)
        return _set(_content(root, when), when)
    except ValueError as error:
        raise _failed(str(error)) from error


def _failed(why: str) -> InputError:
    return InputError(
        "output-failed",
        f"the dossier cannot be set as PDF: {why}",
        where=DOSSIER_PDF,
        remedy="look for unusual characters in the policy's texts and the names of columns",
    )


def _content(root: Element, when: datetime) -> dict[str, Any]:
    (html,) = root.all("html")
    (head, *_) = root.all("h1")
    name = printable(" ".join(head.text.split()))
    blocks = outline(root)
    heads = [i for i, of in enumerate(blocks) if of["kind"] == "box" or of.get("level", 0) > 0]
    front = heads[0] if heads else len(blocks)
    return {
        "title": f"{name}: release dossier",
        "description": f"What was measured about the release of {name}, and what the gate decided",
        "lang": html.attributes.get("lang", "en"),
        "date": {part: getattr(when, part) for part in ("year", "month", "day", "hour", "minute", "second")},
        "short": name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}…",
        "front": blocks[:front],
        "blocks": blocks[front:],
    }


def _set(content: dict[str, Any], when: datetime) -> bytes:
    lacking = {character for character in _text(content) if _is_never_shown(character)}
    for _ in range(_ROUNDS):
        written = _text(content | {"lacking": _told(lacking)})
        try:
            return _typeset(written.translate({ord(c): _number(c) for c in lacking}), when)
        except RuntimeError as error:
            more = _complained_of(getattr(error, "diagnostic", "")) - lacking
            if not more:
                raise _failed(getattr(error, "message", str(error))) from error
            lacking |= more
    raise _failed("it has characters without a glyph")


def _typeset(content: str, when: datetime) -> bytes:
    """The document of this content, in JSON.

    Raises:
        RuntimeError: typst refused it, or gave up.
    """
    import typst

    template = resources.files("sfumato.release").joinpath("templates", "dossier.typ").read_bytes()
    try:
        return typst.compile(
            template,
            sys_inputs={"dossier": content},
            ignore_system_fonts=True,
            pdf_standards=["a-2a", "ua-1"],
            timestamp=int(when.timestamp()),
        )
    except BaseException as error:
        # A panic in compiled code comes as an exception that is no Exception.
        if type(error).__name__ == "PanicException":
            raise RuntimeError("the typesetter gave up") from error
        raise


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


def _is_never_shown(character: str) -> bool:
    """Characters without a form of their own: for private use, unassigned, or acting on their neighbours."""
    return unicodedata.category(character) in ("Co", "Cn", "Cf") and character not in _INVISIBLE


def _complained_of(diagnostic: str) -> set[str]:
    """The characters beyond ASCII in what typst quotes from the text that it could not set."""
    quoted = "".join(
        found
        for line in diagnostic.splitlines()
        if line.startswith("error: ")
        for found in _QUOTED.findall(line)
    )
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), quoted)
    return {character for character in plain if not character.isascii()} - _INVISIBLE


def _number(character: str) -> str:
    return f"[U+{ord(character):04X}]"


def _told(lacking: set[str]) -> str:
    if not lacking:
        return ""
    return (
        "Characters that the fonts of this file lack are written as their numbers in Unicode, such as "
        f"{_number(min(lacking))}. {DOSSIER} has them as they are."
    )
