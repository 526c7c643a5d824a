"""Which classes may stay: all privacy models of a policy together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.contingency import Contingency
from sfumato.classes.table import ClassTable
from sfumato.contracts import PrivacyModel


def holding(models: Sequence[PrivacyModel], table: ClassTable) -> NDArray[np.bool_]:
    """Which classes satisfy every model, shape (classes,).

    Models of the whole table look at the classes that the others leave, in turn, until none of them
    takes another class away; so what stays satisfies all of them together.
    """
    holds = np.ones(len(table.sizes), dtype=bool)
    for model in models:
        if not model.whole:
            holds &= model.holds(table)
    whole = [model for model in models if model.whole]
    changed = bool(whole)
    while changed:
        changed = False
        for model in whole:
            (staying,) = np.nonzero(holds)
            verdict = model.holds(only(table, staying))
            changed |= not verdict.all()
            holds[staying] = verdict
    return holds


def of_presence(model: PrivacyModel) -> bool:
    """Whether being in the data is at stake: then classes that only the population has count too."""
    return model.counts_population and not model.absorbing


def only(table: ClassTable, classes: NDArray[np.int64]) -> ClassTable:
    """A table of some of the classes, in the order given."""
    return replace(
        table,
        sizes=table.sizes[classes],
        sensitive={name: _only(column, classes) for name, column in table.sensitive.items()},
        population=None if table.population is None else table.population[classes],
    )


def _only(column: Contingency, classes: NDArray[np.int64]) -> Contingency:
    lengths = (column.starts[1:] - column.starts[:-1])[classes]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    at = np.repeat(column.starts[:-1][classes] - starts[:-1], lengths) + np.arange(starts[-1])
    return replace(column, starts=starts, values=column.values[at], counts=column.counts[at])
