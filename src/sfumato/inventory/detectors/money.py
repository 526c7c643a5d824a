"""Accounts: IBAN (ISO 13616) and payment cards (ISO/IEC 7812)."""

from __future__ import annotations

import re
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined, by_chance

_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
#: Issuer prefixes with the lengths that go with them.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|65\d{2}|64[4-9]\d)\d{12}"  # Discover
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0-9])\d{10,17}"  # Maestro
)
#: At most every tenth number of a card's length passes the Luhn check by chance.
_LUHN_CHANCE = 0.1


class Iban:
    """International bank account numbers, checked modulo 97 and against each country's format."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """A tenth of the distinct values is enough: no other text passes."""
        if not column.textual:
            return None
        shaped = [text for value in column.values if _IBAN.fullmatch(text := _compact(value).upper())]
        if not shaped:
            return None
        from stdnum import iban

        # Without the checks of each country's own account number: a form and 97 are evidence enough.
        passed = sum(iban.is_valid(text, check_country=False) for text in shaped)
        if not passed or passed < 0.1 * len(column.values):
            return None
        return column.detection("iban", passed, "pass the IBAN checksum")


class PaymentCard:
    """Payment card numbers: issuer prefix, length and Luhn checksum (ISO/IEC 7812-1, annex B)."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Most values pass; under a header that speaks of cards or accounts, a quarter."""
        if not column.codelike:
            return None
        passed = column.passing(is_card)
        hinted = column.header.hints("card") or column.header.hints("account")
        least = 0.25 if hinted else 0.6
        beyond_chance = by_chance(passed, len(column.values), _LUHN_CHANCE) < (1e-3 if hinted else 1e-6)
        # Half a dozen valid numbers could be luck in a column of numbers, hardly among texts in fours.
        if not passed or passed < least * len(column.values) or not beyond_chance:
            return None
        return column.detection("payment-card", passed, "have a card issuer's prefix and pass the Luhn check")


def is_card(value: str) -> bool:
    """Whether a number has a card issuer's prefix and length and passes the Luhn check."""
    digits = _compact(value)
    if not _ISSUERS.fullmatch(digits) or not digits.isascii():
        return False
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def _compact(value: str) -> str:
    return value.replace(" ", "").replace("-", "")
