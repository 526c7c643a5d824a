"""Splits against brute force, and what they must keep on any table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.average_risk import AverageRisk
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, certainty_penalty
from sfumato.anonymity.partition.split_cuts import EVENNESS
from sfumato.anonymity.partition.splits import split
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError
from sfumato.hierarchies.intervals import IntervalHierarchy
from sfumato.hierarchies.ladder import Ladder

VALUES = 6


def tree(values: int) -> Ladder:
    """Integers with intervals of 2 and 4 above them and one label over all but the top."""
    series = pl.Series("tree", range(values))
    kind = IntervalHierarchy(IntervalHierarchy.Params.model_validate({"widths": (2, 4)}), None)
    return Ladder.build(kind, series, pl.Series(range(values)))


def axes() -> list[Axis]:
    """Numbers with a missing one, a set, and a ladder, of six values each."""
    fixed = Ladder.fixed(pl.Series("fixed", range(VALUES)))
    numbers = np.array([30.0, 0.0, 1.0, 4.0, np.nan, 10.0])
    return [Axis(fixed, True, numbers), Axis(fixed, True), Axis(tree(VALUES))]


def k_anonymity(k: int) -> KAnonymity:
    return KAnonymity(KAnonymity.Params(k=k))


def problem(rows: np.ndarray, counts: np.ndarray, models: list[PrivacyModel]) -> Problem:
    """Three columns; a fourth one of ``rows`` is sensitive."""
    codes = rows[:, 3]
    sensitive = Sensitive(codes, np.bincount(codes, counts, VALUES).astype(np.int64))
    return Problem(axes(), np.ascontiguousarray(rows[:, :3].T), Units(counts, {"s": sensitive}), models)


@st.composite
def tables(draw, most: int = 25) -> tuple[np.ndarray, np.ndarray]:
    row = st.tuples(*(st.integers(0, VALUES - 1) for _ in range(3)), st.integers(0, 2))
    rows = np.array(sorted(draw(st.sets(row, min_size=1, max_size=most))), dtype=np.int64)
    counts = np.array(
        draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))), dtype=np.int64
    )
    return rows, counts


def check(asked: Problem, found: Assignment) -> None:
    """Everybody is in one class, classes have no gaps, and all models hold."""
    dealt = np.bincount(found.units, found.counts, len(asked.units.counts)).astype(int)
    assert dealt.tolist() == asked.units.counts.tolist()
    assert (found.counts > 0).all()
    assert set(found.classes.tolist()) == set(range(found.size))
    assert len(set(zip(found.units.tolist(), found.classes.tolist(), strict=True))) == len(found.units)
    assert holding(asked.models, found.table(asked.units)).all()


@settings(max_examples=120, deadline=None)
@given(tables(), st.integers(2, 5), st.booleans(), st.integers(0, 4))
def test_every_class_holds_and_nobody_is_lost(table, k: int, strict: bool, passes: int) -> None:
    asked = problem(*table, [k_anonymity(k)])
    if 0 < asked.units.rows < k:
        with pytest.raises(InputError, match="one class"):
            split(asked)
        return
    found = split(asked, strict=strict, passes=passes)
    check(asked, found)
    if strict:
        classes = dict(zip(found.units.tolist(), found.classes.tolist(), strict=True))
        alike: dict[tuple[int, ...], int] = {}
        for unit, number in classes.items():
            assert alike.setdefault(tuple(asked.positions[:, unit].tolist()), number) == number


SENSITIVE_MODELS = [
    LDiversity(LDiversity.Params(on="s", l=2)),
    LDiversity(LDiversity.Params(on="s", l=1.5, kind="entropy-grassberger")),
    TCloseness(TCloseness.Params(on="s", t=0.25)),
    AverageRisk(AverageRisk.Params(at_most=0.25)),
]


@settings(max_examples=80, deadline=None)
@given(
    tables(),
    st.lists(st.sampled_from(SENSITIVE_MODELS), min_size=1, max_size=3, unique_by=id),
    st.booleans(),
    st.booleans(),
)
def test_every_class_holds_with_any_models(table, models, strict: bool, aware: bool) -> None:
    asked = problem(*table, [k_anonymity(2), *models])
    try:
        found = split(asked, strict=strict, target=table[0][:, 3] if aware else None)
    except InputError:
        one = Assignment.whole(np.zeros(len(table[1]), dtype=np.int64), table[1])
        assert not holding(asked.models, one.table(asked.units)).all()
        return
    check(asked, found)


@settings(max_examples=80, deadline=None)
@given(tables(), st.integers(1, 3), st.booleans())
def test_moves_never_cost(table, k: int, strict: bool) -> None:
    asked = problem(*table, [k_anonymity(k + 1)])
    if asked.units.rows <= k:
        return
    penalties = [
        certainty_penalty(asked, split(asked, strict=strict, passes=passes)) for passes in (0, 1, 2, 8)
    ]
    assert penalties == sorted(penalties, reverse=True) or np.allclose(penalties, sorted(penalties)[::-1])


def cuts(asked: Problem) -> list[np.ndarray]:
    """Every cut of all units in two, as the sides of units: prefixes by number, frequency and ladder."""
    found = []
    people = asked.units.counts
    for j, axis in enumerate(asked.axes):
        at = asked.positions[j]
        present = sorted(set(at[people > 0].tolist()))
        if axis.numbers is not None:
            numbers = axis.numbers
            keys = {v: (np.isnan(numbers[v]), numbers[v]) for v in present}
            groups = [[v] for v in sorted(present, key=lambda v: keys[v])]
        elif axis.free:
            size = {v: people[at == v].sum() for v in present}
            groups = [[v] for v in sorted(present, key=lambda v: (-size[v], v))]
        else:
            level = next(
                (
                    n
                    for n, codes in enumerate(axis.ladder.codes)
                    if len({int(codes[v]) for v in present}) == 1
                ),
                axis.ladder.height,
            )
            labels = axis.ladder.codes[max(0, level - 1)]
            groups = [
                [v for v in present if labels[v] == c] for c in sorted({int(labels[v]) for v in present})
            ]
        for i in range(1, len(groups)):
            found.append(np.isin(at, [v for part in groups[:i] for v in part]))
        if axis.numbers is None:
            found += [np.isin(at, one) for one in groups[1:-1]]
    return found


@settings(max_examples=120, deadline=None)
@given(tables(12), st.integers(2, 6))
def test_the_best_cut_is_that_of_brute_force(table, k: int) -> None:
    """Tables of fewer than three times k people are cut once at most."""
    rows, counts = table
    asked = problem(rows, counts, [k_anonymity(k)])
    n = asked.units.rows
    if not k <= n < 3 * k:
        return
    whole = certainty_penalty(asked, Assignment.whole(np.zeros(len(counts), dtype=np.int64), counts))
    best = 0.0
    for side in cuts(asked):
        left = int(counts[side].sum())
        if min(left, n - left) < k:
            continue
        gain = whole - certainty_penalty(asked, Assignment.whole(side.astype(np.int64), counts))
        even = n * np.log(n) - left * np.log(left) - (n - left) * np.log(n - left)
        best = max(best, gain * even**EVENNESS if gain > 1e-12 else 0.0)
    found = split(asked, passes=0)
    check(asked, found)
    gain = whole - certainty_penalty(asked, found)
    sizes = found.table(asked.units).sizes
    even = n * np.log(n) - (sizes * np.log(sizes)).sum()
    assert gain * even**EVENNESS == pytest.approx(best, abs=1e-9)


def test_a_model_off_by_one_would_be_caught() -> None:
    """The broken twin: a model that also lets classes of k - 1 pass."""

    class OffByOne(KAnonymity):
        def __init__(self, params: KAnonymity.Params) -> None:
            self.k = params.k - 1

    rows = np.array([[1, 0, 0, 0], [2, 0, 0, 0]])
    asked = problem(rows, np.array([2, 2]), [OffByOne(OffByOne.Params(k=3))])
    found = split(asked)
    assert not holding([k_anonymity(3)], found.table(asked.units)).all()
    assert split(replace(asked, models=[k_anonymity(3)])).size == 1


def test_a_model_without_a_fast_path_is_asked_of_every_class() -> None:
    class AtLeastThree(KAnonymity):
        """Three people, told by nothing but its verdict."""

        k = 0

        def __init__(self) -> None:
            self.asked = 0

        def holds(self, table: ClassTable) -> np.ndarray:
            self.asked += 1
            return table.sizes >= 3

    model = AtLeastThree()
    rng = np.random.default_rng(3)
    rows = np.unique(rng.integers(0, VALUES, (40, 4)) % [VALUES, VALUES, VALUES, 3], axis=0)
    asked = problem(rows, np.ones(len(rows), dtype=np.int64), [model])
    found = split(asked)
    check(asked, found)
    assert model.asked
    assert found.size > 3
