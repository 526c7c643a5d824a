"""Data as they are against every privacy model at once: what each model's parameter would have to be.

One pass over the rows counts their distinct tuples; all figures follow from those. Sensitive columns are
looked at with the others unknown to the attacker (classes over the quasi-identifiers) and known (classes
over the quasi-identifiers and the other sensitive columns).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.models.t_closeness import tree
from sfumato.classes import population, spread
from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import COUNT, HierarchyKind
from sfumato.core.errors import InputError, nearest
from sfumato.hierarchies.ladder import Ladder

#: At which a class of the sample is taken to have k people in the population, as k-map does unless told.
SIGNIFICANCE = 0.01

#: Beyond this k-map's figure is not sought.
_LARGEST_K = 1_000_000


@dataclass(frozen=True)
class Exposure:
    """What the classes give away of one sensitive column: the parameter with which each model just holds.

    ``alpha`` is the largest share of one value in a class; ``distinct_l`` the fewest values of a class (p of
    p-sensitivity, too); ``entropy_l`` the exponential of the least entropy; ``recursive_c_2`` and
    ``recursive_c_l`` what c must exceed for (c, 2)- and (c, ``distinct_l``)-diversity; ``t_equal``,
    ``t_ordered`` and ``t_hierarchical`` the largest earth mover's distance to the table; ``beta`` the
    largest gain of a value, ``enhanced_beta`` the same if the enhanced model holds; ``delta`` what delta
    must exceed for the values that occur in a class, ``delta_all`` for all values. None where no parameter
    would do, or where there is no hierarchy.
    """

    on: str
    others_known: bool
    classes: int
    alpha: float
    distinct_l: int
    entropy_l: float
    recursive_c_2: float | None
    recursive_c_l: float | None
    t_equal: float
    t_ordered: float
    t_hierarchical: float | None
    beta: float
    enhanced_beta: float | None
    delta: float
    delta_all: float | None

    @classmethod
    def of(cls, on: str, others_known: bool, found: Contingency) -> Exposure:
        """The figures of the classes in which people are, at least one."""
        people, values = spread.totals(found), spread.distinct(found)
        beta, delta = float(spread.gain(found).max()), float(spread.disclosure(found).max())
        enhanced = bool((spread.gain_beyond_information(found) <= spread.TOLERANCE).all())
        complete = bool((values == np.count_nonzero(found.overall)).all())
        return cls(
            on=on,
            others_known=others_known,
            classes=len(people),
            alpha=float((spread.heaviest(found) / people).max()),
            distinct_l=int(values.min()),
            entropy_l=math.exp(float(spread.entropy(found).min())),
            recursive_c_2=_recursive_c(found, 2),
            recursive_c_l=_recursive_c(found, int(values.min())),
            t_equal=float(spread.equal_distance(found).max()),
            t_ordered=float(spread.ordered_distance(found).max()),
            t_hierarchical=None if found.tree is None else float(spread.hierarchical_distance(found).max()),
            beta=beta,
            enhanced_beta=beta if enhanced else None,
            delta=delta,
            delta_all=delta if complete else None,
        )


@dataclass(frozen=True)
class Assessment:
    """What each privacy model's parameter would have to be for the data as they are.

    ``people`` and ``classes`` count people and classes over the quasi-identifiers, ``k`` the people of the
    smallest; risks and shares are in 0..1. ``k_map`` is the k of the population that the smallest class
    stands for, and ``population_unique`` has the share of the population that each estimator takes to be
    unique in it, None where it does not converge; both are left out (None, empty) without a ``fraction``.
    """

    quasi: tuple[str, ...]
    people: int
    classes: int
    k: int
    average_risk: float
    highest_risk: float
    sample_unique: float
    fraction: float | None
    k_map: int | None
    population_unique: Mapping[str, float | None]
    exposures: tuple[Exposure, ...]

    def rows(self) -> list[Row]:
        """Every figure as (model, column, others known, figure, meaning), for a table in a terminal."""
        whole = [Row(model, "", None, getattr(self, name), words) for name, model, words in _WHOLE]
        if self.fraction is None:
            whole = [row for row in whole if row.model != "k-map"]
        whole += [
            Row("population-uniqueness", "", None, share, f"share of the population unique in it ({model})")
            for model, share in self.population_unique.items()
        ]
        return whole + [
            Row(model, found.on, found.others_known, getattr(found, name), words)
            for found in self.exposures
            for name, model, words in _SENSITIVE
            if name != "t_hierarchical" or found.t_hierarchical is not None
        ]

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; None where there is no such figure."""
        return asdict(self)


class Row(NamedTuple):
    """One figure: None where no parameter makes the model hold, or an estimate did not converge."""

    model: str
    on: str
    others_known: bool | None
    figure: float | None
    meaning: str


_WHOLE = (
    ("k", "k-anonymity", "people of the smallest class"),
    ("highest_risk", "highest-risk", "1 / people of the smallest class"),
    ("average_risk", "average-risk", "classes / people"),
    ("sample_unique", "sample-uniqueness", "share of people alone in their class"),
    ("k_map", "k-map", "people of the population that the smallest class stands for (estimated)"),
)

_SENSITIVE = (
    ("alpha", "alpha-k", "largest share of one value in a class"),
    ("distinct_l", "l-diversity (distinct)", "fewest values in a class; p of p-sensitive"),
    ("entropy_l", "l-diversity (entropy)", "e to the least entropy of a class"),
    ("recursive_c_2", "l-diversity (recursive, l = 2)", "what c must exceed"),
    ("recursive_c_l", "l-diversity (recursive, l distinct)", "what c must exceed for the l of distinct"),
    ("t_equal", "t-closeness (equal)", "largest distance of a class to the table"),
    ("t_ordered", "t-closeness (ordered)", "the same, values apart by their order"),
    ("t_hierarchical", "t-closeness (hierarchical)", "the same, values apart by their hierarchy"),
    ("beta", "beta-likeness", "largest relative gain of a value in a class"),
    ("enhanced_beta", "beta-likeness (enhanced)", "the same, if no gain exceeds -ln of the value's share"),
    ("delta", "delta-disclosure (absent ignored)", "what delta must exceed, for values that occur"),
    ("delta_all", "delta-disclosure", "what delta must exceed, if every class has every value"),
)


def assess(
    frame: pl.DataFrame,
    quasi: Sequence[str],
    sensitive: Sequence[str] = (),
    *,
    fraction: float | None = None,
    trees: Mapping[str, HierarchyKind] | None = None,
    subject: str | None = None,
    linked: bool = False,
) -> Assessment:
    """Check a table as it is against all privacy models.

    Args:
        frame: the table; a missing value is a value of its own.
        quasi: the quasi-identifiers; without any, everybody is in one class.
        sensitive: the sensitive columns, none of them a quasi-identifier.
        fraction: the table's share of the population, in 0..1 without 0, for the risks there.
        trees: hierarchies of sensitive columns, for the hierarchical distance.
        subject: the column that says whose a row is; without it a row is a person.
        linked: whether somebody who sees the table can tell which rows are one person's.

    Raises:
        InputError: ``source-empty`` for a table without rows; ``usage`` for a column that is not there,
            is named twice, or a fraction out of range; ``hierarchy-invalid``.

    >>> people = pl.DataFrame({"age": [30, 30, 40, 40], "ill": ["flu", "flu", "flu", "cold"]})
    >>> found = assess(people, ["age"], ["ill"])
    >>> found.k, found.average_risk, found.exposures[0].distinct_l, found.exposures[0].t_equal
    (2, 0.5, 1, 0.25)
    """
    whose = () if subject is None else (subject,)
    _check(frame, (*quasi, *sensitive, *whose), fraction)
    columns = [*quasi, *sensitive, *whose]
    tuples = frame.group_by(columns).len(COUNT) if columns else frame.select(pl.len().alias(COUNT))
    counts = tuples[COUNT].cast(pl.Int64).to_numpy()
    codes = {column: _codes(tuples[column]) for column in quasi}
    subjects = None if subject is None else Subjects(_codes(tuples[subject]), linked)
    values = {column: _sensitive(tuples[column], counts, subjects) for column in sensitive}
    trees = {column: kind for column, kind in (trees or {}).items() if column in sensitive}
    values |= {column: _with_tree(values[column], frame[column], kind) for column, kind in trees.items()}
    codes |= {column: found.codes for column, found in values.items()}
    units = Units(counts, values)
    table = _classes([codes[column] for column in quasi], units, subjects)
    exposures = []
    for column in sensitive:
        others = [other for other in sensitive if other != column]
        exposures.append(Exposure.of(column, False, table.sensitive[column]))
        if others:
            finer = _classes([codes[name] for name in (*quasi, *others)], units, subjects)
            exposures.append(Exposure.of(column, True, finer.sensitive[column]))
    sizes = table.sizes
    smallest, inside = int(sizes.min()), int(sizes.sum())
    return Assessment(
        quasi=tuple(quasi),
        people=frame.height if subject is None else frame[subject].n_unique(),
        classes=len(sizes),
        k=smallest,
        average_risk=len(sizes) / inside,
        highest_risk=1 / smallest,
        sample_unique=int((sizes == 1).sum()) / inside,
        fraction=fraction,
        k_map=None if fraction is None else _k_map(smallest, fraction),
        population_unique={}
        if fraction is None
        else {model: population.unique_share(sizes, fraction, model) for model in population.ESTIMATORS},
        exposures=tuple(exposures),
    )


def _check(frame: pl.DataFrame, columns: Sequence[str], fraction: float | None) -> None:
    if not frame.height:
        raise InputError("source-empty", "the table has no rows", remedy="give it at least one")
    for column in columns:
        if column not in frame.columns:
            raise InputError(
                "usage", f'the table has no column "{column}"', remedy=nearest(column, frame.columns)
            )
        if columns.count(column) > 1:
            raise InputError(
                "usage",
                f'column "{column}" is named twice among the quasi-identifiers and sensitive columns',
                remedy="name it once",
            )
    if fraction is not None and not 0 < fraction <= 1:
        raise InputError(
            "usage",
            "the fraction of the population is not in 0..1",
            remedy="give the table's share of the population, above 0 and at most 1",
        )


def _codes(column: pl.Series) -> NDArray[np.int64]:
    """Numbers of the values from 0, in no order of theirs; works for values of any type."""
    if column.dtype == pl.String:
        physical = column.cast(pl.Categorical).to_physical().cast(pl.Int64)
        return (physical + 1).fill_null(0).to_numpy()
    members = column.alias("value").to_frame().with_row_index("row").group_by("value").agg("row")["row"]
    codes = np.empty(len(column), dtype=np.int64)
    codes[members.explode().to_numpy()] = np.repeat(np.arange(len(members)), members.list.len().to_numpy())
    return codes


def _sensitive(column: pl.Series, counts: NDArray[np.int64], subjects: Subjects | None) -> Sensitive:
    """The column with its values numbered in their own order, missing last."""
    codes, first = group(_codes(column), np.ones(len(column), dtype=np.int64))
    places = np.empty(len(first), dtype=np.int64)
    places[codes] = np.arange(len(codes))
    order = column.gather(places).arg_sort(nulls_last=True).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    codes = rank[codes]
    found = Sensitive(codes, np.bincount(codes, counts, len(order)).astype(np.int64))
    if subjects is None:
        return found
    everybody = np.zeros(len(codes), dtype=np.int64)
    people = subjects.table(Units(counts, {column.name: found}), everybody, 1).sensitive[column.name]
    return replace(found, overall=people.counts)


def _with_tree(found: Sensitive, column: pl.Series, kind: HierarchyKind) -> Sensitive:
    """The same with the tree that a hierarchy makes of the column's values, in the same order."""
    first = column.alias("value").to_frame().with_row_index("row").group_by("value").agg(pl.col("row").min())
    first = first.sort("value", nulls_last=True)
    ladder = Ladder.build(kind, first["value"].alias(column.name), first["row"])
    return replace(found, tree=tree(ladder))


def _classes(codes: Sequence[NDArray[np.int64]], units: Units, subjects: Subjects | None) -> ClassTable:
    """The classes of equal codes; none put everybody together."""
    counts = units.counts
    numbers, sizes = group(combine(codes) if codes else np.zeros(len(counts), dtype=np.int64), counts)
    if subjects is None:
        return units.classes(numbers, len(sizes))
    numbers, sizes = group(subjects.classes(numbers, counts), counts)
    return subjects.table(units, numbers, len(sizes))


def _recursive_c(found: Contingency, rank: int) -> float | None:
    others = spread.rest(found, rank)
    return float((spread.heaviest(found) / others).max()) if others.all() else None


def _k_map(smallest: int, fraction: float) -> int:
    """The largest k for which so small a class is enough, by bisection: more people need as many or more."""
    low, high = smallest, _LARGEST_K
    while low < high:
        middle = (low + high + 1) // 2
        if population.smallest_sample(middle, fraction, SIGNIFICANCE) <= smallest:
            low = middle
        else:
            high = middle - 1
    return low
