"""The log of CDNOW: 69,659 purchases of 23,570 customers, and who of them is taught.

Fader & Hardie's log of people who bought their first CDs there in the first quarter of 1997, to the end of
June 1998. It is a file of the package Lifetimes, read by its path: the package itself is never imported.
"""

from __future__ import annotations

import datetime
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive

#: When observation opened and closed, as the log's authors say.
WINDOW = (datetime.date(1997, 1, 1), datetime.date(1998, 6, 30))
ORIGIN = "CDNOW's purchases, January 1997 to June 1998 (Fader & Hardie), by way of the package Lifetimes"
CUSTOMER, DAY, CDS, SPENT = "customer", "day", "cds", "spent"
_FILE = Path("datasets", "CDNOW_master.txt")
HELD_OUT = 0.2


def read_log() -> pl.DataFrame:
    """Columns customer (number), day (date), cds (whole number), spent (dollars); a row a purchase.

    Raises:
        InputError: ``usage``: the package that ships it is not installed.
    """
    found = importlib.util.find_spec("lifetimes")
    path = None if found is None or found.origin is None else Path(found.origin).parent / _FILE
    if path is None or not path.is_file():
        raise InputError(
            "usage",
            "the log of CDNOW comes with the package Lifetimes, which is not installed",
            remedy="make demo NAME=shop, or pip install 'Lifetimes==0.11.3'",
        )
    lines = pl.Series("line", path.read_text().splitlines()[1:]).str.strip_chars()
    parts = lines.str.extract_all(r"\S+")
    return pl.DataFrame(
        {
            CUSTOMER: parts.list.get(0).cast(pl.Int64),
            DAY: parts.list.get(1).str.to_date("%Y%m%d"),
            CDS: parts.list.get(2).cast(pl.Int64),
            SPENT: parts.list.get(3).cast(pl.Float64),
        }
    )


def split(log: pl.DataFrame, key: bytes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Purchases of those to learn from, and of those held out: a keyed choice of customers."""
    who = log[CUSTOMER].unique().sort()
    held = [int.from_bytes(derive(key, "holdout", str(one))[:8], "big") / 2**64 < HELD_OUT for one in who]
    inside = pl.col(CUSTOMER).is_in(who.filter(pl.Series(held)).implode())
    return log.filter(~inside), log.filter(inside)


@dataclass(frozen=True, eq=False)
class Purchases:
    """Purchases of people in order: person p has those from ``starts[p]`` to before ``starts[p + 1]``.

    ``days`` count from the opening of the window.
    """

    starts: NDArray[np.int64]
    days: NDArray[np.float64]
    cds: NDArray[np.float64]
    spent: NDArray[np.float64]

    @classmethod
    def of(cls, log: pl.DataFrame) -> Purchases:
        """From a log in any order."""
        log = log.sort(CUSTOMER, DAY, maintain_order=True)
        counts = log.group_by(CUSTOMER, maintain_order=True).len()["len"].to_numpy()
        days = (log[DAY] - WINDOW[0]).dt.total_days().to_numpy()
        return cls(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            days.astype(np.float64),
            log[CDS].to_numpy().astype(np.float64),
            log[SPENT].to_numpy(),
        )

    @property
    def people(self) -> int:
        """How many people."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many purchases each person made."""
        return np.diff(self.starts)

    @property
    def of_person(self) -> NDArray[np.int64]:
        """Whose each purchase is."""
        return np.repeat(np.arange(self.people), self.lengths)

    def totals(self) -> NDArray[np.float64]:
        """What each person spent."""
        return np.bincount(self.of_person, self.spent, minlength=self.people).astype(np.float64)
