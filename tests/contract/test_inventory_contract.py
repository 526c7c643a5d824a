"""What every detector must do, whatever the column: say nothing wrong, quote nothing, never fail."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.values import Role
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.detectors.base import examined
from sfumato.inventory.profile import measure

KEY = bytes(32)
ODD: dict[str, pl.Series] = {
    "nothing": pl.Series("id", [], dtype=pl.String),
    "all null": pl.Series("phone", [None] * 40, dtype=pl.Int64),
    "null type": pl.Series("name", [None] * 40),
    "one value": pl.Series("iban", ["x"]),
    "blanks": pl.Series("email", ["", " ", "\t", "\u00a0", "\x00"] * 20),
    "unicode": pl.Series("name", [chr(0x4E00 + i) + "\U0001f600" for i in range(200)]),
    "figures of other scripts": pl.Series(
        "card", ["٤١١١١١١١١١١١١١١١", "४१११११११११११११११", "4111111111111१११"] * 9
    ),
    "superscripts": pl.Series("id", ["²³¹", "½", "Ⅷ"] * 20),
    "huge": pl.Series("account", [2**63 - 1 - i for i in range(60)]),
    "huge float": pl.Series("phone", [1e308, -1e308, 1e300] * 20),
    "infinite": pl.Series("lat", [float("inf"), float("-inf"), float("nan"), 1.0] * 20),
    "negative": pl.Series("ssn", list(range(-100, 0))),
    "long text": pl.Series("note", ["a" * 100_000 + str(i) for i in range(12)]),
    "hostile text": pl.Series("name", ["a-" * 20_000 + "!", "(" * 30_000, "1" * 50_000, "@" * 10_000] * 5),
    "lists": pl.Series("tags", [[i] for i in range(60)]),
    "structs": pl.Series("both", [{"a": i} for i in range(60)]),
    "bytes": pl.Series("raw", [bytes([i]) for i in range(60)]),
    "times": pl.Series("at", [dt.time(i % 24, 1) for i in range(60)]),
    "durations": pl.Series("for", [dt.timedelta(i) for i in range(60)]),
    "decimals": pl.Series("price", [Decimal(i) / 8 for i in range(60)]),
    "booleans": pl.Series("id", [True, False] * 30),
    "categories": pl.Series("name", ["u", "v"] * 30, dtype=pl.Categorical),
    "objects": pl.Series("id", [complex(i) for i in range(60)], dtype=pl.Object),
    "early dates": pl.Series("dob", [dt.date(1, 1, 1), dt.date(9999, 12, 31)] * 20),
    "wide integers": pl.Series("id", [2**100 + i for i in range(60)], dtype=pl.Int128),
    "numpy": pl.Series("x", np.arange(60, dtype=np.uint8)),
}


@pytest.mark.parametrize("kind", list(DETECTORS))
@pytest.mark.parametrize("case", list(ODD))
def test_no_column_breaks_a_detector(kind: str, case: str) -> None:
    detection = DETECTORS.resolve(kind)().examine(examined(measure(ODD[case]), KEY))
    if detection is not None:
        assert 0 < detection.share <= 1
        assert detection.evidence


@pytest.mark.parametrize("kind", list(DETECTORS))
def test_a_detector_declares_what_its_column_becomes(kind: str) -> None:
    detector: Any = DETECTORS.resolve(kind)
    assert detector.role in (Role.DIRECT_IDENTIFIER, Role.QUASI_IDENTIFIER)
    assert detector.__doc__


@pytest.mark.parametrize("kind", list(DETECTORS))
def test_the_order_and_number_of_rows_do_not_matter(kind: str) -> None:
    values = [f"person{i}@example.org" for i in range(700)]
    forward = examined(measure(pl.Series("e", values)), KEY)
    backward = examined(measure(pl.Series("e", values[::-1])), KEY)
    assert forward == backward
    detector = DETECTORS.resolve(kind)()
    assert detector.examine(forward) == detector.examine(backward)


def test_another_key_examines_other_values() -> None:
    column = measure(pl.Series("e", [f"v{i}" for i in range(5000)]))
    assert examined(column, KEY).values != examined(column, b"\1" * 32).values
    assert examined(column, KEY).values == examined(column, KEY).values
