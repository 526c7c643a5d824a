"""The privacy models checked again, exactly, on the rows as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from sfumato.anonymity.baskets import km_violations
from sfumato.anonymity.holding import holding, of_presence, only
from sfumato.anonymity.partition.population import Fitting
from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.classes.grouping import combine, group
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import COUNT
from sfumato.core.errors import InputError
from sfumato.core.values import Step
from sfumato.pipeline.methods.task import Anonymized, dense
from sfumato.pipeline.snapshot import UNIT
from sfumato.transforms.suppress_items import Baskets, SuppressItems


def check_again(found: Anonymized, counted: pl.DataFrame, population: pl.DataFrame | None = None) -> None:
    """Check the privacy models on classes of rows as written.

    Args:
        counted: distinct tuples of the recoded and the sensitive columns with their rows (column
            :data:`COUNT`).
        population: the same of the population, in the release's terms, if a model counts it; as the columns'
            transforms leave them where classes have labels of their own.

    Raises:
        InputError: ``recheck-failed``.
    """
    columns = found.recoding.columns
    people: pl.Series | None = None
    if population is not None and isinstance(found.recoding, LocalRecoding):
        _check_fitting(found, found.recoding, counted, population)
        return
    if population is not None:
        counted, people = _beside(counted, population, columns)
    sizes = counted[COUNT].cast(pl.Int64).to_numpy()
    keys = combine([dense(counted[name]) for name in columns])
    classes, found_sizes = group(keys, sizes)
    sensitive = found.coded(counted)
    everybody = None if people is None else people.cast(pl.Int64).to_numpy()
    table = Units(sizes, sensitive, everybody).classes(classes, len(found_sizes))
    _refuse_broken(found, only(table, np.flatnonzero(table.sizes > 0)), table)


def _check_fitting(
    found: Anonymized, recoding: LocalRecoding, counted: pl.DataFrame, population: pl.DataFrame
) -> None:
    """Check classes with labels of their own: by the people of the population who fit their labels.

    Labels may overlap, so it is each of these people who must not be too sure to be in the data.
    """
    sizes = counted[COUNT].cast(pl.Int64).to_numpy()
    classes, of_class = group(combine([dense(counted[name]) for name in recoding.columns]), sizes)
    labels = counted.select(recoding.columns)[np.unique(classes, return_index=True)[1]]
    fitting = Fitting.of(recoding, labels, population)
    table = Units(sizes, found.coded(counted)).classes(classes, len(of_class))
    inhabited = replace(table, population=fitting.people_of_classes())
    _refuse_broken(found, inhabited, fitting.people_table(table.sizes))


def check_people_again(found: Anonymized, counted: pl.DataFrame, rows: pl.DataFrame, linked: bool) -> None:
    """Check the privacy models on people, where they may have several rows.

    Args:
        counted: as :func:`check_again` takes it, of the rows as written.
        rows: the rows that were to be written, by tuple and person (column :data:`UNIT`), with their
            number.
        linked: whether a person's rows hang together.

    Raises:
        InputError: ``recheck-failed``, also if other rows were written than those.
    """
    names = [name for name in counted.columns if name != COUNT]
    meant = rows.group_by(names).agg(pl.col(COUNT).sum())
    both = counted.join(meant, on=names, how="full", nulls_equal=True)
    if both.filter(pl.col(COUNT).ne_missing(pl.col(f"{COUNT}_right"))).height:
        raise InputError(
            "recheck-failed",
            "the rows as written are not those whose people were counted",
            remedy="nothing was released; please report this as a bug",
        )
    counts = rows[COUNT].cast(pl.Int64).to_numpy()
    sensitive = found.coded(rows)
    subjects = Subjects(dense(rows[UNIT]), linked)
    tuples, _ = group(combine([dense(rows[name]) for name in found.recoding.columns]), counts)
    classes = subjects.classes(tuples, counts)
    table = subjects.table(Units(counts, sensitive), classes, int(classes.max(initial=-1)) + 1)
    _refuse_broken(found, table, table)


def _refuse_broken(found: Anonymized, inhabited: ClassTable, every: ClassTable) -> None:
    """Refuse classes that break a model; ``every`` has those of the population that nobody is in too.

    A class that only the population has counts where being in the data is at stake, and nowhere else.
    """
    for model in found.models:
        broken = int((~holding([model], every if of_presence(model) else inhabited)).sum())
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


def check_baskets(steps: Sequence[Step], count: Callable[[Sequence[str]], pl.DataFrame]) -> None:
    """Check on the rows as written that no few items of a set single out fewer rows than promised.

    Args:
        steps: those of the plan; the ones that suppress items are looked at.
        count: distinct tuples of released columns with their rows, of the rows as written.

    Raises:
        InputError: ``recheck-failed``.
    """
    for step in steps:
        if step.action != "suppress-items":
            continue
        asked = SuppressItems.Params(**step.params)
        counted = count([step.column]).drop_nulls(step.column)
        baskets = Baskets.of(counted[step.column], asked.separator)
        people = counted[COUNT].cast(pl.Int64).to_numpy()
        if broken := len(km_violations(baskets.starts, baskets.items, asked.k, asked.m, people)):
            raise InputError(
                "recheck-failed",
                f"{broken} combination(s) of up to {asked.m} items are in fewer than {asked.k} rows",
                where=f"column {step.column}",
                remedy="rows suppressed for other reasons take items with them: allow no suppression",
            )
