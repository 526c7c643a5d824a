"""Dates of birth, and other dates and times, however they are written."""

from __future__ import annotations

import re
from datetime import date
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined
from sfumato.inventory.headers import fold

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:Z|[+-]\d{2}:?\d{2}|[AaPp][Mm])?)?"
_ISO = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/. ](\d{{1,2}})[-/. ](\d{{4}}|\d{{2}}){_TIME}")
_WORD = r"[^\W\d_]{3,10}"
_ENGLISH_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_NAMED = re.compile(
    rf"(?:{_ENGLISH_DAY}[ -]({_WORD})\.?[ ,-]+|({_WORD})\.? {_ENGLISH_DAY},? )(\d{{4}}|\d{{2}}){_TIME}",
    re.IGNORECASE,
)
#: The first three letters of the months in six languages.
_MONTHS = re.compile(
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez|fev|avr|abr|ago|dic|ene|gen|mag|giu|lug|set|ott"
    "|jui|aou|out"
)
_COMPACT = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_YEAR = re.compile(r"(?:18[5-9]|19\d|20[0-4])\d")

#: Years in which living people can have been born.
_BIRTH_YEARS = range(1900, 2041)


class DateOfBirth:
    """Dates, or years, whose spread is that of people's births."""

    role: ClassVar[Role] = Role.QUASI_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Under a header that speaks of birth, plausible years; without one, dates only, spread over
        decades that end years before the newest could be a person's record."""
        hinted = column.header.hints("birth")
        years = years_of(column, bare_years=hinted)
        n = len(column.values)
        plausible = sorted(year for year in years if year in _BIRTH_YEARS)
        if not plausible or len(plausible) < (0.5 if hinted else 0.9) * n:
            return None
        if hinted:
            return column.detection("date-of-birth", len(plausible), "are dates in years of birth of people")
        early, late = plausible[len(plausible) // 20], plausible[-1 - len(plausible) // 20]
        if n < 30 or late - early < 35 or late > 2015:
            return None
        return column.detection(
            "date-of-birth", len(plausible), "are dates spread over decades, as births are"
        )


class Date:
    """Dates and times of events: of admission, of purchase, of a crime."""

    role: ClassVar[Role] = Role.QUASI_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """A column of dates by its type, or a text most of whose values read as dates."""
        if not column.values:
            return None
        if column.kind in ("date", "datetime"):
            return column.detection("date", len(column.values), "are dates or times")
        passed = len(years_of(column, bare_years=False))
        if not passed or passed < 0.7 * len(column.values):
            return None
        return column.detection("date", passed, "are written as dates")


def years_of(column: Examined, *, bare_years: bool) -> list[int]:
    """The years of the values that read as dates; four figures alone too if ``bare_years``.

    Numbers such as 19840131 are read as dates under a header that speaks of dates or births only.
    """
    if column.kind == "boolean" or (column.numeric and not column.whole):
        return []
    compact = column.header.hints("birth") or column.header.known() == "dates and times"
    years = (year_of(value, bare_years=bare_years, compact=compact) for value in column.values)
    return [year for year in years if year is not None]


def year_of(value: str, *, bare_years: bool = False, compact: bool = False) -> int | None:
    """The year of a text that reads as a day of the calendar, else None.

    >>> year_of("2001-02-28"), year_of("28.2.2001"), year_of("Feb 28, 2001"), year_of("2001-02-30")
    (2001, 2001, 2001, None)
    """
    if found := _ISO.fullmatch(value):
        return _checked(int(found[1]), int(found[2]), int(found[3]))
    if found := _YEAR_LAST.fullmatch(value):
        year, first, second = _century(found[3]), int(found[1]), int(found[2])
        return _checked(year, second, first) or _checked(year, first, second)
    if found := _NAMED.fullmatch(value):
        day, word, year = found[1] or found[4], found[2] or found[3], _century(found[5])
        # The length of the month is not asked: a word for a month is evidence enough.
        return _checked(year, 1, int(day)) if _MONTHS.match(fold(word)) else None
    if compact and _COMPACT.fullmatch(value):
        return _checked(int(value[:4]), int(value[4:6]), int(value[6:]))
    if bare_years and _YEAR.fullmatch(value):
        return int(value)
    return None


def _century(year: str) -> int:
    number = int(year)
    return number if len(year) == 4 else number + (2000 if number < 30 else 1900)


def _checked(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).year
    except ValueError:
        return None
