"""Full-domain recoding of a table, fitted for one snapshot.

Its state maps each class to whether it stays. A tuple that the snapshot did not have is refused, for
new rows are a new release, to be tested together with the old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sfumato.anonymity.lattice import Solution
from sfumato.classes.table import TupleTable
from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import Ladder

_KEPT = "__sfumato_kept__"


@dataclass(frozen=True)
class FullDomain:
    """Labels for each column and the classes that stay.

    ``mappings`` has for each generalized column its distinct ``value``s and their ``label``; columns
    at level 0 have none and stay as they are. ``classes`` has one row for each class with a flag.
    Both are as private as the data. With ``person``, the column of whose a row is, ``classes`` has that
    too: a person's rows then stay or go together.
    """

    columns: tuple[str, ...]
    mappings: Mapping[str, pl.DataFrame]
    classes: pl.DataFrame
    person: str | None = None

    @classmethod
    def fit(
        cls, table: TupleTable, ladders: Sequence[Ladder], solution: Solution, person: str | None = None
    ) -> FullDomain:
        """The recoding that a search found, for people as a whole if ``person`` is one of the others."""
        mappings = {
            ladder.column: pl.DataFrame({"value": ladder.values, "label": ladder.labels[level]})
            for ladder, level in zip(ladders, solution.levels, strict=True)
            if level > 0
        }
        keys = table.columns if person is None else (*table.columns, person)
        labelled = _labelled(table.tuples.select(keys), mappings)
        classes = labelled.with_columns(pl.Series(_KEPT, solution.kept)).unique(maintain_order=True)
        return cls(table.columns, mappings, classes, person)

    def label(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """The batch with its columns' labels, nothing suppressed; and which rows stay.

        Raises:
            InputError: ``snapshot`` for values or tuples that the snapshot did not have.
        """
        labelled = _labelled(batch, self.mappings)
        if not self.columns:
            return labelled, pl.Series(_KEPT, [True]).new_from_index(0, batch.height)
        keys = self.columns if self.person is None else (*self.columns, self.person)
        kept = labelled.select(keys).join(
            self.classes, on=keys, how="left", nulls_equal=True, maintain_order="left"
        )[_KEPT]
        if kept.null_count():
            raise unknown_rows(kept.null_count())
        return labelled, kept

    def mapping(self) -> pl.DataFrame:
        """Every value of each generalized column with its label, as text."""
        return pl.concat(
            [
                mapping.select(pl.lit(column).alias("column"), pl.col("value", "label").cast(pl.String))
                for column, mapping in self.mappings.items()
            ]
            or [pl.DataFrame(schema=dict.fromkeys(("column", "value", "label"), pl.String))]
        )


def _labelled(batch: pl.DataFrame, mappings: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    changed = []
    for column, mapping in mappings.items():
        known = mapping.with_columns(pl.lit(True).alias("known"))
        found = batch.select(pl.col(column).alias("value")).join(
            known, on="value", how="left", nulls_equal=True, maintain_order="left"
        )
        if found["known"].null_count():
            raise unknown_rows(found["known"].null_count())
        changed.append(found["label"].alias(column))
    return batch.with_columns(changed)


def unknown_rows(rows: int) -> InputError:
    """What is said of rows that a recoding was not fitted on."""
    return InputError(
        "snapshot",
        f"{rows} row(s) have values that the recoding was not fitted on",
        remedy="the source changed while it was read: run again on a snapshot that stays as it is",
    )
