"""The privacy models checked again, exactly, on the rows as written."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from sfumato.anonymity.holding import holding
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import Units
from sfumato.contracts import COUNT
from sfumato.core.errors import InputError
from sfumato.pipeline.methods.task import Anonymized, dense


def check_again(found: Anonymized, counted: pl.DataFrame, population: pl.DataFrame | None = None) -> None:
    """Check the privacy models on classes of rows as written.

    Args:
        counted: distinct tuples of the recoded and the sensitive columns with their rows (column
            :data:`COUNT`).
        population: the same of the population, in the release's terms, if a model counts it.

    Raises:
        InputError: ``recheck-failed``.
    """
    columns = found.recoding.columns
    people: pl.Series | None = None
    if population is not None:
        counted, people = _beside(counted, population, columns)
    sizes = counted[COUNT].cast(pl.Int64).to_numpy()
    keys = combine([dense(counted[name]) for name in columns])
    classes, found_sizes = group(keys, sizes)
    sensitive = {name: scale.coded(counted[name]) for name, scale in found.scales.items()}
    everybody = None if people is None else people.cast(pl.Int64).to_numpy()
    table = Units(sizes, sensitive, everybody).classes(classes, len(found_sizes))
    for model in found.models:
        broken = int((~holding([model], table)).sum())
        if broken:
            raise InputError(
                "recheck-failed",
                f"{broken} class(es) of the rows as written break the promise of {model.explain()}",
                remedy="nothing was released; please report this as a bug",
            )


def _beside(
    counted: pl.DataFrame, population: pl.DataFrame, columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.Series]:
    """The counted tuples and, as tuples of nobody, those of the population; and the people of each in it."""
    nobody = population.select(
        *(
            pl.col(name) if name in columns else pl.lit(counted[name][0], counted.schema[name]).alias(name)
            for name in counted.columns
            if name != COUNT
        ),
        pl.lit(0).cast(counted.schema[COUNT]).alias(COUNT),
    )
    people = pl.concat(
        [pl.Series([0], dtype=pl.Int64).new_from_index(0, counted.height), population[COUNT].cast(pl.Int64)]
    )
    return pl.concat([counted, nobody.select(counted.columns)]), people
