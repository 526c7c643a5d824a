"""Values that point to one record: running numbers, codes, and texts that only one person wrote."""

from __future__ import annotations

import math
import re
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined
from sfumato.inventory.detectors.dates import year_of

_CODE = re.compile(r"(?=.*\d)[A-Za-z]{0,6}[\w\-/.:#]{2,30}")
_DECIMAL = re.compile(r"[+-]?\d+[.,]\d+(?:e[+-]?\d+)?", re.IGNORECASE)
#: Fewer values than this say nothing about being near-unique: ten people may well differ in age.
_LEAST_TEXTS, _LEAST_NUMBERS = 10, 30


class FreeText:
    """Long texts of many words, mostly written once: nobody knows what is in them."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """At least half of the values have six words or sixty characters, and few repeat."""
        if not column.textual or column.distinctness < 0.2 or column.distinct < 2:
            return None
        passed = column.passing(lambda value: " " in value and (len(value.split()) >= 6 or len(value) >= 60))
        if not passed or passed < 0.5 * len(column.values):
            return None
        return column.detection("free-text", passed, "are texts of many words")


class RecordCode:
    """Codes under a header that speaks of a record: patient, case, account, licence, plate numbers."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Codes or whole numbers, many of them, each for few rows, under such a header."""
        header = column.header
        if not column.codelike or not header.hints("record") or header.hints("quantity"):
            return None
        enough = column.distinctness >= 0.3 or (column.distinct >= 100 and column.distinctness >= 0.05)
        if column.distinct < 10 or not enough or (column.numeric and column.low < 0):
            return None
        passed = column.passing(lambda value: _CODE.fullmatch(value) is not None or value.isdigit())
        if not passed or passed < 0.7 * len(column.values):
            return None
        return column.detection("record-code", passed, "have the form of a code, under a header for records")


class NearUniqueKey:
    """Texts that hardly two people share, and whole numbers that run or are coded like keys."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Texts from 95 % of own values; whole numbers from 98 %, if they run without large gaps, have
        one great length, or stand under a header for records. Dates and decimals are none."""
        own = max(column.distinctness, column.nobody_shares)
        if column.textual:
            if own < 0.95 or column.present < _LEAST_TEXTS or self._measures(column):
                return None
        elif not (column.numeric and column.whole) or own < 0.98 or not self._key_numbers(column):
            return None
        evidence = f"{math.floor(100 * own)} % of the values occur for one person only"
        return Detection(kind="near-unique-key", evidence=evidence, share=own)

    def _measures(self, column: Examined) -> bool:
        measured = column.passing(lambda value: bool(_DECIMAL.fullmatch(value)) or year_of(value) is not None)
        return measured >= 0.9 * max(1, len(column.values))

    def _key_numbers(self, column: Examined) -> bool:
        if column.present < _LEAST_NUMBERS:
            return (
                column.header.hints("record") and not column.header.hints("quantity") and column.present > 1
            )
        runs = column.high - column.low + 1 <= 1.5 * column.distinct
        lengths = {len(value) for value in column.values}
        coded = len(lengths) == 1 and column.low >= 10**7
        hinted = column.header.hints("record") and not column.header.hints("quantity")
        return runs or coded or hinted
