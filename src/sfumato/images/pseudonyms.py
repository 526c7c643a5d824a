"""Names that stand for patients and objects: keyed, the same everywhere for the same, telling nothing."""

from __future__ import annotations

from datetime import date, timedelta

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive

_KEY_LENGTH = 32
#: Dates move back by at least this many days and by fewer than so many more, whole days for each patient.
_LEAST_DAYS, _MORE_DAYS = 365, 3650
_DAY = 8


class Pseudonyms:
    """What a key makes of identifiers; without the key nothing can be traced back or tried out.

    Args:
        key: 32 bytes. Files that are to fit together are cleaned with one key.

    Raises:
        InputError: ``usage``: the key is not 32 bytes.

    >>> names = Pseudonyms(bytes(32))
    >>> names.patient("PID-1") == names.patient("PID-1"), len(names.patient("PID-1"))
    (True, 16)
    >>> names.uid("1.2.3").startswith("2.25.")
    True
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_LENGTH:
            raise InputError(
                "usage", "the key is not 32 bytes", remedy="derive one from the project's secret"
            )
        self._key = key

    def patient(self, identity: str) -> str:
        """16 hexadecimal digits that stand for a patient."""
        return derive(self._key, "dicom", "patient", identity).hex()[:16].upper()

    def uid(self, original: str) -> str:
        """A UID of 128 keyed bits under the arc for such numbers (``2.25``, PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(derive(self._key, 'dicom', 'uid', original)[:16], 'big')}"

    def shifted(self, written: str, identity: str) -> str | None:
        """A date (``YYYYMMDD``, or the start of a date and time) moved by its patient's own number of days.

        None where it is no date, or one that cannot be moved. The time of day is not kept: with it, an
        examination could be looked up in a list of appointments, whatever its date says.
        """
        digits = written.strip().replace(".", "")[:_DAY]
        if len(digits) != _DAY or not (digits.isascii() and digits.isdigit()):
            return None
        draw = int.from_bytes(derive(self._key, "dicom", "days", identity)[:8], "big")
        try:
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
            return (day - timedelta(days=_LEAST_DAYS + draw % _MORE_DAYS)).strftime("%Y%m%d")
        except (ValueError, OverflowError):
            return None
