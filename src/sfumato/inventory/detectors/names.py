"""Names of people, by lists of given names and surnames of many countries."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined
from sfumato.inventory.headers import fold, word_list

#: Letters, parted by one mark or blank: each mark ends a part, so matching takes time linear in the text.
_PHRASE = r"[^\W\d_]+(?:(?:['’.\-]\s?|\s)[^\W\d_]+)*\.?"
_NAME = re.compile(rf"{_PHRASE}(?:,\s*{_PHRASE})?")
_PARTS = re.compile(r"[^\W\d_]+")
#: Titles, and particles that stand before a surname: neither is a name.
_NO_NAMES = re.compile(
    "mr|mrs|ms|miss|dr|prof|sir|herr|frau|dipl|ing|jr|sr|md|phd|monsieur|madame|m|mme|senor|senora"
    "|de|da|di|do|dos|das|del|della|la|le|van|von|der|den|het|ter|zu|zur|bin|ibn|al|el|san|st|o|mac"
)


class PersonName:
    """Given names, surnames or both; a text under a name's header with mostly its own value each is
    taken for names to be safe, for no list has every name."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Full names by themselves; single names with more of them listed, or with a header."""
        if not column.textual or not column.values:
            return None
        header, n = column.header, len(column.values)
        hinted = header.hints("name") and not header.hints("thing")
        readings = [reading(value) for value in column.values]
        full, listed = readings.count("full"), n - readings.count("no")
        if full >= (0.15 if hinted else 0.3) * n and (hinted or full >= 5):
            return column.detection("person-name", full, "are a listed given name with a listed surname")
        if hinted and listed >= 0.2 * n:
            return column.detection("person-name", listed, "have a listed given name or surname")
        elsewhere = header.hints("place") or header.hints("thing")
        if listed >= 0.6 * n and listed >= 20 and not elsewhere:
            return column.detection("person-name", listed, "have a listed given name or surname")
        return self._by_header(column) if hinted else None

    def _by_header(self, column: Examined) -> Detection | None:
        written = column.passing(lambda value: _NAME.fullmatch(value) is not None)
        many = column.distinct >= 50 or column.distinctness >= 0.5
        if not many or written < 0.5 * len(column.values):
            return None
        return column.detection("person-name", written, "are written as names are, under a header for names")


def reading(value: str) -> Literal["full", "part", "no"]:
    """Whether a text is a listed given name with a listed surname, has one of them, or none.

    >>> reading("Dr. María García"), reading("Garcia, Maria"), reading("Paris Opera House"), reading("x1")
    ('full', 'full', 'no', 'no')
    """
    if not _NAME.fullmatch(value) or len(value) > 60:
        return "no"
    parts = [part for part in _PARTS.findall(fold(value)) if not _NO_NAMES.fullmatch(part)]
    if not 1 <= len(parts) <= 5:
        return "no"
    given, surnames = word_list("given_names.txt"), word_list("surnames.txt")
    if len(parts) == 1:
        return "part" if parts[0] in given or parts[0] in surnames else "no"
    first, last = parts[0], parts[-1]
    if (first in given and last in surnames) or (last in given and first in surnames):
        return "full"
    # An initial stands for a given name: "J. Smith", "Smith, J."
    if (len(first) == 1 and last in surnames) or (len(last) == 1 and first in surnames):
        return "full"
    in_lists = sum(part in given or part in surnames for part in parts)
    return "part" if len(parts) <= 3 and in_lists > 0 and in_lists >= len(parts) - 1 else "no"
