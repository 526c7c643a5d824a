"""What may be kept of a class at most: against every part of it, and against linear programming."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lattice_support import model
from sfumato.anonymity.lattice.least import most_rows
from sfumato.anonymity.lattice.least_kernels import capped, moved
from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.classes.table import ClassTable

TREE = np.array([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]])

#: Each with a bound of its own.
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("t-closeness", {"t": 0.2}),
    ("t-closeness", {"t": 0.2, "distance": "ordered"}),
    ("t-closeness", {"t": 0.2, "distance": "hierarchical", "hierarchy": {"kind": "file"}}),
    ("l-diversity", {"l": 2.5, "kind": "entropy"}),
    ("l-diversity", {"l": 2, "c": 0.7, "kind": "recursive"}),
    ("l-diversity", {"l": 3, "c": 2, "kind": "recursive"}),
    ("l-diversity", {"l": 3, "kind": "entropy-grassberger"}),
    ("beta-likeness", {"beta": 0.5}),
    ("beta-likeness", {"beta": 3, "enhanced": True}),
    ("delta-disclosure", {"delta": 0.8}),
    ("delta-disclosure", {"delta": 0.8, "absent": "ignored"}),
    ("alpha-k", {"alpha": 0.4, "k": 2}),
]

spreads = hnp.arrays(np.int64, 4, elements=st.integers(0, 5))
overalls = hnp.arrays(np.int64, 4, elements=st.integers(1, 9))


def classes(people: np.ndarray, overall: np.ndarray) -> ClassTable:
    """A class for each row of people by value."""
    column = Sensitive(np.tile(np.arange(4), len(people)), overall, TREE)
    numbers = np.repeat(np.arange(len(people)), 4)
    spread = Contingency.of(column, numbers, people.ravel(), len(people))
    return ClassTable(people.sum(axis=1), {"s": spread})


def within(people: np.ndarray) -> np.ndarray:
    """All parts of a class that have somebody."""
    return np.array(list(product(*(range(count + 1) for count in people))))[1:]


def most(people: np.ndarray, overall: np.ndarray, kind: Any) -> int:
    return int(most_rows([kind], classes(people[None], overall))[0])


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize(("name", "params"), MODELS)
@given(people=spreads, overall=overalls)
def test_no_part_that_holds_has_more(name: str, params: dict[str, Any], people, overall) -> None:
    kind = model(name, on="s", **params)
    parts = within(people)
    kept = parts.sum(axis=1)[kind.holds(classes(parts, overall))] if len(parts) else parts
    assert most(people, overall, kind) >= kept.max(initial=0)


@settings(max_examples=60, deadline=None)
@given(people=spreads, overall=overalls, t=st.floats(0, 0.6), tree=st.booleans())
def test_closeness_keeps_what_linear_programming_keeps(people, overall, t: float, tree: bool) -> None:
    """Of M people at the table's shares, each moves to somebody of the class, at a cost within t M."""
    from scipy.optimize import linprog

    height = np.array([[min(np.flatnonzero(a == b)) / 2 for b in TREE.T] for a in TREE.T])
    cost = height if tree else 1 - np.eye(4)
    shares = overall / overall.sum()
    from_each, to_each = np.kron(np.eye(4), np.ones(4)), np.kron(np.ones(4), np.eye(4))
    best = linprog(
        np.r_[np.zeros(16), -1],
        A_ub=np.block([[to_each, np.zeros((4, 1))], [cost.reshape(1, 16), np.array([[-t]])]]),
        b_ub=np.r_[people, 0],
        A_eq=np.hstack([from_each, -shares[:, None]]),
        b_eq=np.zeros(4),
    )
    spread = classes(people[None], overall).sensitive["s"]
    if tree:
        known = spread.nodes
        assert known is not None
        at = known.leaves[spread.values]
        found = moved(spread.starts, at, spread.counts, known.parents, known.shares, known.heights, t)
    else:
        found = capped(spread.starts, spread.values, spread.counts, shares, 1 - t)
    # Half a person is nobody, so less is not looked into.
    assert found[0] == pytest.approx(-best.fun, abs=1e-5) or max(found[0], -best.fun) < 0.5 + 1e-5


def test_what_a_class_may_keep_is_known() -> None:
    """Two values, as frequent in the table: at t = .2 two people of one let four of the other stay."""
    overall = np.array([10, 10, 0, 0])
    kind = model("t-closeness", on="s", t=0.2)
    assert most(np.array([6, 2, 0, 0]), overall, kind) == 6
    assert most(np.array([7, 3, 0, 0]), overall, kind) == 10
    assert most(np.array([9, 0, 0, 0]), overall, kind) == 0


def test_a_bound_that_forgets_the_others_would_be_caught() -> None:
    """The broken twin: the first of Newton's steps from below, not from above."""
    people, overall = np.array([5, 1, 1, 0]), np.array([4, 4, 4, 4])
    kind = model("t-closeness", on="s", t=0.3)
    parts = within(people)
    kept = parts.sum(axis=1)[kind.holds(classes(parts, overall))].max()
    spread = classes(people[None], overall).sensitive["s"]
    stricter = capped(spread.starts, spread.values, spread.counts, overall / overall.sum(), 1 - 0.2)
    assert most(people, overall, kind) >= kept > stricter[0]
