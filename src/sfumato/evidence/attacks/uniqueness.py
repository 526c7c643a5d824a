"""Class risks: how few people look alike, counted on the whole release as written.

Prosecutor (somebody known to be in the release), marketer (the average over everybody) and
journalist (somebody who may or may not be in it), after Elliot & Dale 1999, El Emam 2010 and ISO/IEC
20889, 2018; each beside the same figure on the original rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.population import expected_inverse_size
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.class_risk import by_people, class_shares, estimated_k_map, estimates
from sfumato.evidence.attacks.covering import CoveringClasses, classes_of
from sfumato.evidence.attacks.population import population_unique
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "uniqueness",
    {
        "risk.worst_class": Metric("low", "probability", "1 / people in the smallest class (prosecutor)"),
        "risk.marketer": Metric("low", "probability", "classes / rows: the mean risk of all people"),
        "risk.at_risk": Metric("low", "share", "share of people in classes below a size (5)"),
        "risk.unique": Metric("low", "share", "share of people alone in their class"),
        "risk.class_share": Metric("high", "share", "share of people by the size of their class"),
        "risk.disparity": Metric(
            "low", "difference", "mean risk of the group most at risk, less that of the group least"
        ),
        "risk.at_risk_disparity": Metric(
            "low", "difference", "share in small classes of the group with most, less that with least"
        ),
        "risk.journalist": Metric(
            "low", "probability", "1 / people of the smallest class in the population, expected or counted"
        ),
        "risk.population_unique": Metric(
            "low", "probability", "share of people unique in the population too, estimated or counted"
        ),
        "risk.k_map": Metric(
            "low", "probability", "1 / k of the k-map: people of the smallest class in the population, surely"
        ),
        "risk.k_map_at_risk": Metric(
            "low", "share", "share of people in classes below a size (5) in the population"
        ),
        "risk.unique_all_columns": Metric(
            "low", "share", "share of people unique to somebody who knows every released column"
        ),
        "risk.worst_class_all_columns": Metric(
            "low", "probability", "1 / smallest class for somebody who knows every released column"
        ),
    },
)

OF_POPULATION = ("risk.journalist", "risk.population_unique", "risk.k_map", "risk.k_map_at_risk")
NO_POPULATION = "not estimable without a population"
TOO_MANY = "too many classes and people to compare each with each"
NO_ROWS = "the release has no rows"
ALL_KNOWING = (
    "somebody who already knows every released column of a person learns nothing new but that the person "
    "is in the release"
)

Counter = Callable[[Sequence[str]], pl.DataFrame]
Alike = Callable[[Sequence[str]], NDArray[np.int64]]


@dataclass(frozen=True)
class _Risks:
    """The class sizes of one table and what follows from them."""

    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, count: Counter, columns: Sequence[str], any_of: str, alike: Alike | None = None) -> _Risks:
        """The classes over some columns; none of them makes one class of all rows."""
        if alike is not None and columns:
            return cls(alike(columns))
        sizes = count(columns or (any_of,))[COUNT].cast(pl.Int64).to_numpy()
        sizes = sizes[sizes > 0]
        return cls(sizes if columns or not len(sizes) else sizes.sum(keepdims=True))

    @property
    def rows(self) -> int:
        return int(self.sizes.sum())

    @property
    def worst(self) -> float:
        return 1 / int(self.sizes.min())

    @property
    def mean(self) -> float:
        return len(self.sizes) / self.rows

    def below(self, size: int) -> float:
        return float(self.sizes[self.sizes < size].sum()) / self.rows


class Uniqueness:
    """How few people share the columns that an attacker knows.

    It reads the whole release, not a sample, so its figures are complete counts. ``before`` is the
    same on the rows that the release was made from, over the same columns.
    """

    summary: ClassVar[str] = "class risks: how few people look alike to an attacker"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``below`` is the class size under which people count as at risk."""

        below: Annotated[int, Field(ge=2, le=1000)] = 5

    def run(self, comparison: Comparison, params: Uniqueness.Params) -> list[Finding]:
        """All class risks; without a row in the release none of them is measured."""
        released = comparison.released.columns
        if not released:
            return [REPORT.silent(metric, "not-measured", "nothing is released") for metric in REPORT.table]
        columns = attack_columns(comparison)
        after = _Risks.of(comparison.count, columns, released[0], comparison.alike)
        if not after.rows:
            return [REPORT.silent(metric, "not-measured", NO_ROWS) for metric in REPORT.table]
        before = _Risks.of(comparison.count_original, columns, released[0], comparison.alike_original)
        assumes = _knowledge(columns)
        if comparison.alike is not None:
            assumes += " of all of a person's rows"
        return [
            *_classes(after, before, params.below, assumes),
            *class_shares(REPORT, after.sizes, before.sizes, assumes),
            *_population(comparison, columns, after, before, params.below, assumes),
            *by_people(REPORT, comparison, columns, params.below, assumes),
            *_all_columns(comparison, released[0]),
        ]


def _knowledge(columns: Sequence[str]) -> str:
    return f"an attacker who knows {', '.join(columns)}" if columns else "an attacker who knows no column"


def _classes(after: _Risks, before: _Risks, below: int, assumes: str) -> list[Finding]:
    figures = {
        "risk.worst_class": (after.worst, before.worst),
        "risk.marketer": (after.mean, before.mean),
        "risk.at_risk": (after.below(below), before.below(below)),
        "risk.unique": (after.below(2), before.below(2)),
    }
    notes = {"risk.at_risk": f"classes of fewer than {below} people"}
    return [
        REPORT.measured(
            metric,
            Figure.counted(value),
            after.rows,
            before=earlier,
            assumes=assumes,
            note=notes.get(metric, ""),
        )
        for metric, (value, earlier) in figures.items()
    ]


def _population(
    comparison: Comparison,
    columns: Sequence[str],
    after: _Risks,
    before: _Risks,
    below: int,
    assumes: str,
) -> list[Finding]:
    """Risks to somebody who does not know who is in the release: counted if there is a table of everybody."""
    if comparison.count_population is not None and comparison.count_population_original is not None:
        # No column to know makes one class of everybody, whatever is counted.
        asked = tuple(columns) or tuple(comparison.released.columns[:1])
        counted, population = comparison.count(asked), comparison.count_population(asked)
        classes = classes_of(comparison, counted, columns)
        if isinstance(classes, CoveringClasses):
            found = classes.count_people(population)
            if found is None:
                return [
                    REPORT.silent(metric, "not-measured", TOO_MANY, n=after.rows, assumes=assumes)
                    for metric in OF_POPULATION
                ]
            everybody = _Everybody.at_least(classes.sizes, found)
        else:
            everybody = _Everybody.of(counted, population, columns)
        raw = _Everybody.of(
            comparison.count_original(asked), comparison.count_population_original(asked), columns
        )
        return _counted(everybody, raw, below, assumes)
    return _estimated(after, before, comparison.population, below, assumes)


@dataclass(frozen=True)
class _Everybody:
    """The classes of a release with the people of each in the population, shape (classes,) each."""

    sizes: NDArray[np.int64]
    population: NDArray[np.int64]
    outside: int

    @classmethod
    def of(cls, counted: pl.DataFrame, population: pl.DataFrame, columns: Sequence[str]) -> _Everybody:
        """The counts of tuples put side by side."""
        if not columns:
            counted, population = counted.select(pl.col(COUNT).sum()), population.select(pl.col(COUNT).sum())
            joined = pl.DataFrame([counted[COUNT], population[COUNT].alias("everybody")])
        else:
            joined = counted.join(
                population.rename({COUNT: "everybody"}), on=list(columns), how="left", nulls_equal=True
            )
        sizes = joined[COUNT].cast(pl.Int64).to_numpy()
        found = joined["everybody"].fill_null(0).cast(pl.Int64).to_numpy()
        return cls.at_least(sizes, found)

    @classmethod
    def at_least(cls, sizes: NDArray[np.int64], found: NDArray[np.int64]) -> _Everybody:
        """Classes with the people that a table of the population has of each.

        Whoever is in the release is in the population: a class of which the table has fewer people than
        the release counts as many as the release has, and ``outside`` is how many people that adds.
        """
        return cls(sizes, np.maximum(sizes, found), int(np.maximum(sizes - found, 0).sum()))

    @property
    def rows(self) -> int:
        return int(self.sizes.sum())

    @property
    def worst(self) -> float:
        return 1 / int(self.population.min())

    def below(self, size: int) -> float:
        return float(self.sizes[self.population < size].sum()) / self.rows


def _counted(everybody: _Everybody, raw: _Everybody, below: int, assumes: str) -> list[Finding]:
    missing = everybody.outside / everybody.rows
    # A share says as much as a count of few would; it is rounded to whole percent.
    note = "counted in the table of the population"
    if missing > 0:
        note += (
            f"; about {math.ceil(missing * 100)} % of the release's people are not in it and count as there"
        )
    figures = {
        "risk.journalist": (everybody.worst, raw.worst),
        "risk.population_unique": (everybody.below(2), raw.below(2)),
        "risk.k_map": (everybody.worst, raw.worst),
        "risk.k_map_at_risk": (everybody.below(below), raw.below(below)),
    }
    return [
        REPORT.measured(
            metric,
            Figure.counted(value),
            everybody.rows,
            before=earlier,
            assumes=f"{assumes}, but not who is in the release",
            note=note,
        )
        for metric, (value, earlier) in figures.items()
    ]


def _estimated(
    after: _Risks, before: _Risks, fraction: float | None, below: int, assumes: str
) -> list[Finding]:
    if fraction is None or not 0 < fraction <= 1:
        return [
            REPORT.silent(metric, "not-measured", NO_POPULATION, n=after.rows, assumes=assumes)
            for metric in OF_POPULATION
        ]
    journalist = REPORT.measured(
        "risk.journalist",
        Figure.counted(expected_inverse_size(int(after.sizes.min()), fraction)),
        after.rows,
        before=expected_inverse_size(int(before.sizes.min()), fraction),
        assumes=f"{assumes}, but not who is in the release",
        note="an expectation under random sampling (Benedetti & Franconi 1998), not a count",
    )
    # The release stands for the same population as the rows it was made from, suppressed ones included.
    earlier = population_unique(before.sizes, fraction)
    left = min(1.0, fraction * after.rows / before.rows)
    estimate = population_unique(after.sizes, left)
    if estimate is None:
        unique = REPORT.silent(
            "risk.population_unique",
            "no-power",
            "the population model does not converge on these classes",
            n=after.rows,
            before=earlier.value if earlier else None,
            assumes=assumes,
        )
    else:
        unique = REPORT.measured(
            "risk.population_unique",
            estimate,
            after.rows,
            before=earlier.value if earlier else None,
            assumes=assumes,
            note="an estimate by Pitman's sampling formula; the interval takes the model as true",
        )
    return [
        journalist,
        unique,
        *estimates(REPORT, (after.sizes, left), (before.sizes, fraction), assumes),
        *_estimated_k_map(after, before, left, fraction, below, assumes),
    ]


def _estimated_k_map(
    after: _Risks, before: _Risks, left: float, fraction: float, below: int, assumes: str
) -> list[Finding]:
    found = zip(
        ("risk.k_map", "risk.k_map_at_risk"),
        estimated_k_map(after.sizes, left, below),
        estimated_k_map(before.sizes, fraction, below),
        strict=True,
    )
    return [
        REPORT.measured(
            metric,
            Figure.counted(value),
            after.rows,
            before=earlier,
            assumes=f"{assumes}, but not who is in the release",
            note="what the population has at 95 % by El Emam & Dankar's estimator D4, not a count",
        )
        for metric, value, earlier in found
    ]


def _all_columns(comparison: Comparison, any_of: str) -> list[Finding]:
    columns = factual_columns(comparison)
    after = _Risks.of(comparison.count, columns, any_of, comparison.alike)
    before = _Risks.of(comparison.count_original, columns, any_of, comparison.alike_original)
    figures = {
        "risk.unique_all_columns": (after.below(2), before.below(2)),
        "risk.worst_class_all_columns": (after.worst, before.worst),
    }
    return [
        REPORT.measured(
            metric,
            Figure.counted(value),
            after.rows,
            before=earlier,
            assumes=f"an attacker who knows all {len(columns)} released columns but pseudonyms",
            note=ALL_KNOWING,
        )
        for metric, (value, earlier) in figures.items()
    ]
