"""Telephone numbers (ITU-T E.164), through the phonenumbers library."""

from __future__ import annotations

import re
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined

#: Numbering plans tried for numbers without a country code.
REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "IT",
    "NL",
    "BE",
    "CH",
    "AT",
    "PL",
    "SE",
    "IN",
    "BR",
    "AU",
    "JP",
    "MX",
)

_INTERNATIONAL = re.compile(r"(?:\+|00)[\s(]?[1-9][\d\s().\-/]{6,18}(?:x\d+)?")
_NATIONAL = re.compile(r"[\d\s().\-/]{7,20}(?:\s*(?:x|ext\.?)\s*\d+)?", re.IGNORECASE)
#: What only telephone numbers look like: an area code in brackets, or 3-3-4 digits.
_TYPICAL = re.compile(
    r"\(0?\d{2,5}\)\s?\d[\d\s\-./]{4,12}|0\d{1,4}[/ -]\d[\d\s\-]{4,10}|[2-9]\d{2}([-. ])\d{3}\1\d{4}"
)
_OTHER = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}.*|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{5}-\d{3,4}|(?:\d{1,3}\.){3}\d{1,3}"
)


class Phone:
    """Phone numbers with a country code; without one, where the header or the punctuation says so."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """International numbers first, then national ones of the best fitting country."""
        if not column.codelike or not column.values:
            return None
        hinted = column.header.hints("phone")
        if column.numeric and not hinted:
            return None
        passed = column.passing(_international)
        if passed and passed >= (0.2 if hinted else 0.5) * len(column.values):
            return column.detection("phone", passed, "are possible phone numbers with a country code")
        return self._national(column, hinted)

    def _national(self, column: Examined, hinted: bool) -> Detection | None:
        shaped = [v for v in column.values if _NATIONAL.fullmatch(v) and not _OTHER.fullmatch(v)]
        n = len(column.values)
        if len(shaped) < (0.5 if hinted else 0.9) * n:
            return None
        typical = sum(_TYPICAL.fullmatch(value) is not None for value in shaped)
        if not hinted and typical < 0.9 * n:
            return None
        passed = max(sum(_valid(value, region) for value in shaped) for region in REGIONS)
        passed = max(passed, typical)
        if passed < 0.5 * n:
            return None
        how = "are valid numbers of one country's plan or written as phone numbers are"
        return column.detection("phone", passed, how)


def _international(value: str) -> bool:
    if not _INTERNATIONAL.fullmatch(value):
        return False
    import phonenumbers

    text = "+" + value[2:] if value.startswith("00") else value
    try:
        # Numbers in films and examples are possible without being valid; local ones are neither.
        reason = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(text, None))
        return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE)
    except phonenumbers.NumberParseException:
        return False


def _valid(value: str, region: str) -> bool:
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number_for_region(phonenumbers.parse(value, region), region))
    except phonenumbers.NumberParseException:
        return False
