"""Rows dealt to classes by quotas of strata, against what the distances and the models say themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.property.test_local_recoding import axis

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.anonymity.partition.local import local_recoding
from sfumato.anonymity.partition.local_deal import Dealer, Strata, deal_again, strata
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import neighbours
from sfumato.anonymity.partition.local_pieces import Pieces
from sfumato.anonymity.partition.problem import Assignment, Problem, granularity
from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.classes.spread import equal_distance, hierarchical_distance
from sfumato.classes.table import Units

K2 = KAnonymity(KAnonymity.Params(k=2))
TREE = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0]])


def close(t: float, **params: object) -> TCloseness:
    return TCloseness(TCloseness.Params.model_validate({"on": "s", "t": t, **params}))


CLOSE = [K2, close(0.2)]
TREES = close(0.2, distance="hierarchical", hierarchy={"kind": "file"})


def problem(rows: np.ndarray, counts: np.ndarray, codes: np.ndarray, models) -> Problem:
    """Two columns of small integers and a sensitive column ``s`` of six values with a tree."""
    axes, positions = [], []
    for j, widths in enumerate([(2, 4), (3,)]):
        values, at = np.unique(rows[:, j], return_inverse=True)
        axes.append(axis(f"c{j}", values.tolist(), widths))
        positions.append(at)
    overall = np.bincount(codes, counts, 6).astype(np.int64)
    return Problem(axes, np.stack(positions), Units(counts, {"s": Sensitive(codes, overall, TREE)}), models)


def chance(rows: int, seed: int = 0, models=CLOSE) -> Problem:
    """The sensitive value follows the first column, so that near rows are alike in it."""
    random = np.random.default_rng(seed)
    table = random.integers(0, 8, (rows, 2))
    codes = np.minimum(table[:, 0] // 2 + random.integers(0, 3, rows), 5)
    return problem(table, random.integers(1, 3, rows), codes, models)


def dealer(asked: Problem) -> tuple[Dealer, np.ndarray]:
    units = np.arange(len(asked.units.counts))
    return Dealer(asked, units, asked.units.counts, Labels.of(asked, units), 2), units


def test_strata_are_values_trees_and_halves() -> None:
    column = Sensitive(np.array([0, 4, 5, 4]), np.array([1, 0, 0, 0, 2, 1]), TREE)
    ways = strata([column], np.arange(4), np.array([1, 1, 1, 1]))
    assert [len(way.labels) for way in ways] == [1, 2, 3]
    assert all(way.of.tolist() == [0, 1, 2, 1] for way in ways)
    assert ways[1].labels.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ways[0].shares.tolist() == [0.25, 0.5, 0.25]


def test_too_many_values_are_left_to_halves_of_their_order() -> None:
    column = Sensitive(np.arange(5_000), np.ones(5_000, dtype=np.int64))
    (way,) = strata([column], np.arange(5_000), np.ones(5_000, dtype=np.int64))
    assert way.labels.shape[1] <= 256


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.int64, 12, elements=st.integers(0, 5)),
    hnp.arrays(np.int64, 12, elements=st.integers(1, 4)),
    st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True),
)
def test_excess_over_quotas_is_the_distance_times_the_size(codes, counts, members) -> None:
    """Over values for the equal distance, over a tree's levels for the hierarchical one."""
    from sfumato.anonymity.partition.local_dealing import bears, excess

    column = Sensitive(codes, np.bincount(codes, counts, 6).astype(np.int64), TREE)
    own, zeros = Sensitive(codes[members], column.overall, TREE), np.zeros(len(members), dtype=np.int64)
    spread = Contingency.of(own, zeros, counts[members], 1)
    size = int(counts[members].sum())
    for way, distance in zip(
        strata([column], np.arange(12), counts), (equal_distance, hierarchical_distance), strict=False
    ):
        held, over = np.zeros(len(way.shares)), 0.0
        for unit in members:
            for _ in range(counts[unit]):
                over += excess(held, way.shares * size, way.labels, way.of[unit])
                held[way.labels[:, way.of[unit]]] += 1
        share = float(distance(spread)[0]) * len(way.labels)
        assert over / size == pytest.approx(share)
        of_them = np.array(members), counts[members], way.of, way.labels, way.shares
        assert bears(*of_them, share)
        assert share < 1e-6 or not bears(*of_them, share - 1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 50), st.sampled_from([close(0.2), close(0.05), TREES]))
def test_what_is_dealt_holds_and_keeps_every_row(rows: int, seed: int, model: TCloseness) -> None:
    asked = chance(rows, seed, [K2, model])
    made, units = dealer(asked)
    pieces = made.dealt(neighbours(made.labels, 8, 4), 1.1)
    if pieces is None:
        return
    found, _ = pieces.assignment()
    assert holding(asked.models, found.table(asked.units)).all()
    assert (np.bincount(found.units, found.counts, len(units)) == asked.units.counts).all()
    assert granularity(asked, found) == pytest.approx(1 - pieces.cost / asked.units.rows)


def test_dealing_is_finer_than_gathering_where_near_rows_are_alike(monkeypatch) -> None:
    tables = [chance(600, seed) for seed in range(3)]
    dealt = [granularity(asked, local_recoding(asked)) for asked in tables]
    monkeypatch.setattr(Dealer, "dealt", lambda *_: None)
    gathered = [granularity(asked, local_recoding(asked)) for asked in tables]
    assert np.mean(dealt) > np.mean(gathered) + 0.03


def test_large_classes_and_rare_values() -> None:
    """k beyond what a founder looks at of a stratum, and nearly all rows in one."""
    random = np.random.default_rng(0)
    codes = (random.random(2_500) < 0.01).astype(np.int64)
    models = [KAnonymity(KAnonymity.Params(k=700)), close(0.3)]
    asked = problem(random.integers(0, 8, (2_500, 2)), np.ones(2_500, dtype=np.int64), codes, models)
    found = local_recoding(asked)
    assert holding(asked.models, found.table(asked.units)).all()


@pytest.mark.parametrize("slack", [0.2, 1.0])
def test_dealing_again_gains_and_takes_back_what_fails(slack: float) -> None:
    """With too much slack for the model classes fail after it; they are as they were then."""
    asked = chance(300)
    made, units = dealer(asked)
    near = neighbours(made.labels, 8, 4)
    pieces = made.dealt(near, 1.1)
    assert pieces is not None
    found, _ = pieces.assignment()
    # Every second pair of classes spoilt: put together.
    spoilt = Assignment(found.units, np.unique(found.classes // 2, return_inverse=True)[1], found.counts)
    pieces = Pieces.of(made.labels, asked.units.counts, near, spoilt)
    before = pieces.cost
    (kind, *_) = strata([asked.units.sensitive["s"]], units, asked.units.counts)
    deal_again(pieces, kind, slack, 2, made._failing)
    again, _ = pieces.assignment()
    assert holding(asked.models, again.table(asked.units)).all()
    assert (np.bincount(again.units, again.counts, len(units)) == asked.units.counts).all()
    assert pieces.cost < before
    assert granularity(asked, again) == pytest.approx(1 - pieces.cost / asked.units.rows)


def test_a_thorough_search_is_never_worse() -> None:
    for seed in range(5):
        asked = chance(200, seed, [KAnonymity(KAnonymity.Params(k=3))])
        quick, thorough = local_recoding(asked), local_recoding(asked, thorough=True)
        assert holding(asked.models, thorough.table(asked.units)).all()
        assert granularity(asked, thorough) >= granularity(asked, quick) - 1e-12


def test_one_stratum_has_a_quota_that_nothing_passes() -> None:
    kind = Strata.none(3)
    assert (kind.of == 0).all()
    assert kind.shares.tolist() == [1.0]


def test_quotas_off_by_a_row_would_be_caught() -> None:
    """The broken twin: classes that may pass their quotas by one row more fail the model."""
    asked = chance(400)
    made, _ = dealer(asked)
    (kind, *_) = strata([asked.units.sensitive["s"]], made.units, made.counts)
    best = max(made._ways(kind, 1.1), key=lambda way: way.slack)
    order = np.arange(len(made.units))
    right = made._deal(best, order, keep=True)[0]
    wrong = made._deal(replace(best, slack=best.slack + 1 / best.size + 0.05), order, keep=True)[0]
    assert holding(asked.models, right.table(asked.units)).all()
    assert not holding(asked.models, wrong.table(asked.units)).all()
