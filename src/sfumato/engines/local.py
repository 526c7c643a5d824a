"""The local engine: Polars, lazy and streaming, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from numpy.typing import NDArray

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.core.keyed import draws
from sfumato.engines.sources import FileSource, scan_files, scan_table

#: Rows that are put in order in memory at a time.
BUCKET_ROWS = 1_000_000
DRAW = "__sfumato_draw__"
BUCKET = "__sfumato_bucket__"


class LocalEngine:
    """Polars on one machine. See :class:`sfumato.contracts.Engine`."""

    def scan(self, source: FileSource | pl.DataFrame) -> pl.LazyFrame:
        """A typed lazy frame with row numbers, over files or a table in memory."""
        frame = scan_table(source) if isinstance(source, pl.DataFrame) else scan_files(source)
        if self.rows(frame) == 0:
            raise InputError(
                "source-empty",
                "there are columns but no rows",
                where="the table given" if isinstance(source, pl.DataFrame) else source.label,
                remedy="check how it was written",
            )
        return frame

    def schema(self, frame: pl.LazyFrame) -> Mapping[str, pl.DataType]:
        """Column names and types, the row numbers left out."""
        return {name: dtype for name, dtype in frame.collect_schema().items() if name != ROW}

    def rows(self, frame: pl.LazyFrame) -> int:
        """The number of rows."""
        return int(frame.select(pl.len()).collect(engine="streaming").item())

    def aggregate(
        self, frame: pl.LazyFrame, keys: Sequence[str], measures: Sequence[pl.Expr]
    ) -> pl.DataFrame:
        """One row for each distinct tuple of keys (missing is a value), with the measures."""
        return frame.group_by(keys).agg(measures).collect(engine="streaming")

    def map(
        self,
        frame: pl.LazyFrame,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        schema: Mapping[str, pl.DataType],
    ) -> pl.LazyFrame:
        """The frame with a pure function applied to each batch."""
        return frame.map_batches(
            function,
            schema=dict(schema),
            streamable=True,
            predicate_pushdown=False,
            projection_pushdown=False,
            slice_pushdown=False,
        )

    def sample(self, frame: pl.LazyFrame, key: bytes, rows: int, by: str = ROW) -> pl.DataFrame:
        """At most ``rows`` rows, those with the smallest keyed draws, in the order of their numbers.

        ``by`` names the column of row identities that the draws are made of.
        """
        numbers, drawn = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
        for batch in frame.select(pl.col(ROW), drawn_by(by, key)).collect_batches(maintain_order=False):
            numbers = np.concatenate([numbers, batch[ROW].to_numpy()])
            drawn = np.concatenate([drawn, batch[DRAW].to_numpy()])
            if len(drawn) > 4 * rows:
                numbers, drawn = _smallest(numbers, drawn, rows)
        chosen = pl.DataFrame({ROW: _smallest(numbers, drawn, rows)[0]}).lazy()
        return frame.join(chosen, on=ROW, how="semi").collect(engine="streaming").sort(ROW)

    def write(
        self,
        frame: pl.LazyFrame,
        columns: Sequence[str],
        folder: Path,
        name: str,
        form: str,
        order: bytes | None,
        by: str = ROW,
    ) -> Sequence[Path]:
        """One file of the named columns and no others, its rows in the order of keyed draws.

        Without ``order`` they are in that of their numbers: the caller drew it.

        Large tables are dealt into buckets by draw on disk and put in order bucket by bucket, so
        memory holds about one bucket. The buckets lie in ``folder`` and are gone at the end.
        """
        frame = frame.select(*columns, by)
        rows = self.rows(frame)
        # Spread over all draws, so that buckets hold about as many rows each.
        numbers = (pl.col(by) * (2**64 // max(1, rows))).alias(DRAW)
        frame = frame.with_columns(numbers if order is None else drawn_by(by, order))
        target = folder / f"{name}.{form}"
        buckets = max(1, -(-rows // BUCKET_ROWS))
        ordered = (
            iter([frame.collect(engine="streaming")])
            if buckets == 1
            else _dealt(frame, folder, name, buckets)
        )
        tables = (
            bucket.sort(DRAW).select(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
            for bucket in ordered
        )
        _write_tables(tables, target, form)
        return [target]


def _smallest(
    numbers: NDArray[np.uint64], drawn: NDArray[np.uint64], rows: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The rows with the smallest draws; equal draws go by row number, whatever the batches were."""
    order = np.lexsort((numbers, drawn))[:rows]
    return numbers[order], drawn[order]


def drawn_by(column: str, key: bytes) -> pl.Expr:
    """The keyed draw of each row's identity, as the column :data:`DRAW`."""

    def draw(numbers: pl.Series) -> pl.Series:
        return pl.Series(DRAW, draws(key, numbers.to_numpy()))

    return pl.col(column).map_batches(draw, return_dtype=pl.UInt64, is_elementwise=True).alias(DRAW)


def _dealt(frame: pl.LazyFrame, folder: Path, name: str, buckets: int) -> Iterator[pl.DataFrame]:
    """The rows in buckets of ascending draws, each read back from disk."""
    paths = [folder / f".{name}-{bucket:05d}.arrow" for bucket in range(buckets)]
    writers: dict[int, Any] = {}
    try:
        for batch in frame.collect_batches(chunk_size=BUCKET_ROWS // 4, maintain_order=False):
            numbers = _bucket_numbers(batch[DRAW].to_numpy(), buckets)
            for (bucket,), part in batch.with_columns(pl.Series(BUCKET, numbers)).group_by(BUCKET):
                table = part.drop(BUCKET).to_arrow(compat_level=pl.CompatLevel.oldest())
                at = int(bucket)
                if at not in writers:
                    writers[at] = pa.ipc.new_file(str(paths[at]), table.schema)
                writers[at].write_table(table)
        for writer in writers.values():
            writer.close()
        for bucket in sorted(writers):
            yield pl.read_ipc(paths[bucket])
            paths[bucket].unlink()
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _bucket_numbers(drawn: NDArray[np.uint64], buckets: int) -> NDArray[np.uint32]:
    """Equal slices of the range of draws, so that buckets hold about as many rows each."""
    numbers = (drawn >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)
    return numbers.astype(np.uint32)


def _write_tables(tables: Iterator[pa.Table], target: Path, form: str) -> None:
    writer: Any = None
    try:
        for table in tables:
            if writer is None:
                writer = (
                    pa.parquet.ParquetWriter(target, table.schema, compression="zstd")
                    if form == "parquet"
                    else pa.csv.CSVWriter(target, table.schema)
                )
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
