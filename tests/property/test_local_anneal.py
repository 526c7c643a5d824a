"""Annealing keeps the books and the number of rows, follows its seed, and its tables say what labels cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.property.test_local_recoding import k_anonymity, problem, tables

from sfumato.anonymity.partition import local_anneal
from sfumato.anonymity.partition.local import local_recoding
from sfumato.anonymity.partition.local_anneal import Spans, anneal
from sfumato.anonymity.partition.local_bound import granularity_bound
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import neighbours
from sfumato.anonymity.partition.local_pieces import Pieces
from sfumato.anonymity.partition.problem import Assignment, Problem, granularity
from sfumato.classes.grouping import group


def distinct(rows: int, seed: int, k: int = 3) -> Problem:
    """Random rows, counted by distinct tuples."""
    values = np.random.default_rng(seed).integers(0, 8, (rows, 3))
    found, counts = np.unique(values, axis=0, return_counts=True)
    return problem(found, counts, np.zeros(len(found), dtype=np.int64), [k_anonymity(k)])


def begun(asked: Problem, k: int) -> Pieces:
    """Classes by chance, of k rows or more."""
    counts = asked.units.counts
    labels = Labels.of(asked, np.arange(len(counts)))
    numbers = np.minimum(np.cumsum(counts) // (2 * k), counts.sum() // (2 * k) - 1).clip(0)
    numbers, _ = group(numbers, counts)
    return Pieces.of(labels, counts, neighbours(labels, 8, 4), Assignment.whole(numbers, counts))


def annealed(asked: Problem, k: int, seed: int) -> tuple[Pieces, np.ndarray, float]:
    """Classes annealed, those that changed, and what they cost before."""
    pieces = begun(asked, k)
    before, stirred = pieces.cost, np.zeros(len(pieces.sizes), dtype=bool)
    spans = Spans.of(Labels.of(asked, np.arange(len(asked.units.counts))))
    assert spans is not None
    anneal(pieces, spans, k, 2000, seed, stirred)
    return pieces, stirred, before


@settings(max_examples=60, deadline=None)
@given(tables(25), st.integers(2, 4), st.integers(1, 5))
def test_annealing_keeps_the_books_and_the_rows(table, k: int, seed: int) -> None:
    rows, counts, sensitive = table
    counts = counts + 1
    assume(counts.sum() >= k and (rows != rows[0]).any())
    asked = problem(rows, counts, sensitive, [k_anonymity(k)])
    assume(begun(asked, k).assignment()[0].table(asked.units).sizes.min() >= k)
    pieces, stirred, before = annealed(asked, k, seed)
    found, homes = pieces.assignment()
    assert (np.bincount(found.units, found.counts, len(counts)) == counts).all()
    assert found.table(asked.units).sizes.min() >= k
    assert granularity(asked, found) == pytest.approx(1 - pieces.cost / counts.sum())
    assert pieces.cost == pytest.approx(before) or stirred[homes].any()


def test_chance_is_the_seed_alone() -> None:
    asked = distinct(300, 0)
    first, again, other = (annealed(asked, 3, seed)[0].assignment()[0] for seed in (1, 1, 2))
    assert (first.units == again.units).all()
    assert (first.classes == again.classes).all()
    assert len(first.units) != len(other.units) or (first.classes != other.classes).any()


def test_classes_by_chance_become_finer() -> None:
    pieces, _, before = annealed(distinct(300, 0), 3, 1)
    assert pieces.cost < 0.95 * before


@settings(max_examples=60, deadline=None)
@given(tables(12))
def test_tables_say_what_the_labels_of_classes_cost(table) -> None:
    rows, counts, sensitive = table
    asked = problem(rows, counts + 1, sensitive, [k_anonymity(2)])
    labels = Labels.of(asked, np.arange(len(rows)))
    spans = Spans.of(labels)
    assert spans is not None
    first, last = spans.places.min(axis=0), spans.places.max(axis=0)
    together = Assignment.whole(np.zeros(len(rows), dtype=np.int64), asked.units.counts)
    price = local_anneal.price(spans.starts, spans.widths, spans.costs, first, last)
    assert 1 - price == pytest.approx(granularity(asked, together))


def test_an_axis_of_too_many_values_is_not_annealed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = distinct(200, 1)
    stirred = granularity(asked, local_recoding(asked))
    monkeypatch.setattr(local_anneal, "LARGEST_TABLES", 10)
    assert Spans.of(Labels.of(asked, np.arange(len(asked.units.counts)))) is None
    assert granularity(asked, local_recoding(asked)) <= stirred


def test_a_quick_search_is_of_many_units_with_few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """It still satisfies the models and keeps all rows, and is not finer than a full one."""
    from sfumato.anonymity.partition import local

    asked = distinct(400, 2)
    full = granularity(asked, local_recoding(asked))
    monkeypatch.setattr(local, "FEW_UNITS", 10)
    found = local_recoding(asked)
    assert found.counts.sum() == asked.units.rows
    assert found.table(asked.units).sizes.min() >= 3
    assert granularity(asked, found) <= full


def test_raised_prices_prove_more_than_rows_do_one_by_one() -> None:
    asked = distinct(300, 3)
    rows, prices = (granularity_bound(asked, 3, room) for room in (0.0, 0.2))
    assert granularity(asked, local_recoding(asked, thorough=True)) <= prices < rows - 1e-3
