"""Several tables as written: each in files of its own, read back, and kept for what leaves after them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.keyed import derive
from sfumato.engines.local import LocalEngine
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.tables import each_table, named_by
from sfumato.pipeline.written import read_back


def write_tables(fitted: Fitted, made: Mapping[str, pl.DataFrame], folder: Path) -> dict[str, Sequence[Path]]:
    """Write every table to files of its own, its rows in a keyed order."""
    policy, written = fitted.snapshot.policy, dict[str, Sequence[Path]]()
    for name, one in each_table(fitted).items():
        frame = made[name].lazy().with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.UInt64))
        order = derive(one.snapshot.release_key, "order")
        written[name] = LocalEngine().write(frame, one.released, folder, name, policy.release.format, order)
    return written


def read_tables(fitted: Fitted, written: Mapping[str, Sequence[Path]]) -> dict[str, pl.DataFrame]:
    """Every table as it was written."""
    return {
        name: read_back(one, written[name]).sort(ROW).select(one.released).collect(engine="streaming")
        for name, one in each_table(fitted).items()
    }


def files_by_table(fitted: Fitted, written: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of a release by the tables that they are of."""
    names = {name.lower(): name for name in each_table(fitted)}
    found: dict[str, list[Path]] = {name: [] for name in names.values()}
    for path in written:
        found[names[path.stem.lower()]].append(path)
    return found


def kept_rows(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Several tables as one row, a column each, to be kept in the project."""
    packed = {}
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.write_ipc(buffer, compression="zstd")
        packed[name] = [buffer.getvalue()]
    return pl.DataFrame(packed, schema=dict.fromkeys(tables, pl.Binary))


def all_rows(fitted: Fitted, releases: Sequence[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables of several releases as those of one; the same made name in two of them is of two people.

    Args:
        releases: as :func:`kept_rows` makes them.
    """
    names, found = named_by(fitted), dict[str, list[pl.DataFrame]]()
    for at, release in enumerate(releases):
        for name in each_table(fitted):
            table = pl.read_ipc(io.BytesIO(release[name][0]))
            own = pl.col(*names[name]).cast(pl.String) + pl.lit(f" {at}")
            found.setdefault(name, []).append(table.with_columns(own))
    return {name: pl.concat(parts) for name, parts in found.items()}
