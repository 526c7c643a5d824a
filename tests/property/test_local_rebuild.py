"""Boxes hold the units they should, prices are feasible, and classes built from them keep books and rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.property.test_local_recoding import k_anonymity, problem, tables

from sfumato.anonymity.partition import local
from sfumato.anonymity.partition.local_bound import granularity_bound
from sfumato.anonymity.partition.local_boxes import Boxes
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours, neighbours
from sfumato.anonymity.partition.local_pieces import Pieces
from sfumato.anonymity.partition.local_rebuild import covered, rebuild_some
from sfumato.anonymity.partition.problem import Problem, granularity


def distinct(rows: int, seed: int, k: int = 3) -> Problem:
    """Random rows, counted by distinct tuples."""
    values = np.random.default_rng(seed).integers(0, 8, (rows, 3))
    found, counts = np.unique(values, axis=0, return_counts=True)
    return problem(found, counts, np.zeros(len(found), dtype=np.int64), [k_anonymity(k)])


def listed(asked: Problem, k: int) -> tuple[Labels, Neighbours, Boxes | None]:
    counts = asked.units.counts
    labels = Labels.of(asked, np.arange(len(counts)))
    near = neighbours(labels, 8, 4)
    return labels, near, Boxes.of(labels, counts, near, k)


def sound(asked: Problem, pieces: Pieces, k: int) -> None:
    found, _ = pieces.assignment()
    counts = asked.units.counts
    assert (np.bincount(found.units, found.counts, len(counts)) == counts).all()
    assert found.table(asked.units).sizes.min() >= k
    assert granularity(asked, found) == pytest.approx(1 - pieces.cost / counts.sum())


@settings(max_examples=40, deadline=None)
@given(tables(25), st.integers(2, 4))
def test_boxes_are_all_units_under_their_labels_and_cost_what_their_rows_pay_at_least(table, k: int) -> None:
    rows, counts, sensitive = table
    asked = problem(rows, counts + 1, sensitive, [k_anonymity(k)])
    labels, _, boxes = listed(asked, k)
    if boxes is None:
        return
    axes = list(zip(labels.starts[:-1], labels.starts[1:], strict=True))
    for units, cost in zip(np.split(boxes.units, boxes.ends[:-1]), boxes.costs, strict=True):
        assert asked.units.counts[units].sum() >= k
        dear = np.sort(np.repeat(boxes.prices[units], asked.units.counts[units]))[-k:]
        assert dear.sum() <= k * cost + 1e-9
        # The finest labels that cover the units cost no more than the box, whose units are all there are.
        tight = [next(s for s in range(a, b) if len(np.unique(labels.codes[units, s])) == 1) for a, b in axes]
        assert labels.costs[labels.codes[units[0], tight]].sum() <= cost + 1e-9
        inside = (labels.codes[:, tight] == labels.codes[units[0], tight]).all(axis=1)
        assert set(np.nonzero(inside)[0]) <= set(units.tolist())


@settings(max_examples=60, deadline=None)
@given(tables(25), st.integers(2, 4), st.integers(1, 5))
def test_building_keeps_the_books_and_the_rows(table, k: int, seed: int) -> None:
    rows, counts, sensitive = table
    asked = problem(rows, counts + 1, sensitive, [k_anonymity(k)])
    labels, near, boxes = listed(asked, k)
    assume(boxes is not None)
    assert boxes is not None
    pieces = covered(boxes, labels, asked.units.counts, near, k)
    assume(pieces is not None)
    assert pieces is not None
    sound(asked, pieces, k)
    before = pieces.cost
    rebuild_some(pieces, boxes, k, 200, seed, np.zeros(len(pieces.sizes), dtype=bool))
    sound(asked, pieces, k)
    assert pieces.cost <= before + 1e-9


def test_building_again_gains_marks_what_changed_and_follows_its_seed() -> None:
    asked = distinct(600, 0)
    found = []
    for seed in (1, 1, 2):
        labels, near, boxes = listed(asked, 3)
        assert boxes is not None
        pieces = covered(boxes, labels, asked.units.counts, near, 3)
        assert pieces is not None
        before, stirred = pieces.cost, np.zeros(len(pieces.sizes), dtype=bool)
        rebuild_some(pieces, boxes.thrifty(asked.units.counts, 3), 3, 2000, seed, stirred)
        assert pieces.cost < before
        assert stirred.any()
        sound(asked, pieces, 3)
        found.append(pieces.assignment()[0])
    assert (found[0].classes == found[1].classes).all()
    assert len(found[0].classes) != len(found[2].classes) or (found[0].classes != found[2].classes).any()


def test_many_units_are_recoded_by_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = distinct(600, 1)
    monkeypatch.setattr(local, "MANY_UNITS", 10)
    found = local.local_recoding(asked)
    again = local.local_recoding(asked)
    assert (found.classes == again.classes).all()
    assert found.table(asked.units).sizes.min() >= 3
    assert found.counts.sum() == asked.units.rows
    assert granularity(asked, found) <= granularity_bound(asked, 3, 0.3) + 1e-9
    monkeypatch.setattr(local, "MANY_UNITS", 1 << 15)
    assert granularity(asked, found) > granularity(asked, local.local_recoding(asked)) - 0.02
