"""The shop: a real log of purchases, and a policy that makes customers who never were of it.

The log is CDNOW's (Fader & Hardie): 69,659 purchases of 23,570 customers who bought their first CDs there in
the first quarter of 1997, to the end of June 1998. It is a file of the package Lifetimes, read by its path:
the package itself is never imported.
"""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path

import polars as pl

from sfumato.core.errors import InputError
from sfumato.demos.files import POLICY, written

_FILE = Path("datasets", "CDNOW_master.txt")


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
            "customer": parts.list.get(0).cast(pl.Int64),
            "day": parts.list.get(1).str.to_date("%Y%m%d"),
            "cds": parts.list.get(2).cast(pl.Int64),
            "spent": parts.list.get(3).cast(pl.Float64),
        }
    )


def prepare(folder: Path) -> Path:
    """Write ``purchases.csv`` and ``policy.yaml`` to a folder; the policy's path comes back.

    Raises:
        InputError: ``usage``: an extra is not installed; ``output-exists``.
    """
    from sfumato.dp.training.modules import need_deep

    need_deep()
    policy = resources.files("sfumato.demos").joinpath("shop.yaml").read_bytes()
    return written(folder, {"purchases.csv": read_log().write_csv().encode(), POLICY: policy})
