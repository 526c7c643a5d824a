"""Rows drawn field by field have the distribution of the joint that the heads are of.

Every test here fails by chance with probability at most ALPHA; the heads are exact, so nothing but the
drawing is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare

from sfumato.synth.coded import Field
from sfumato.synth.networks import draws
from sfumato.synth.networks.draws import Drawer

pytestmark = pytest.mark.statistical
ALPHA = 1e-6
ROWS = 40_000
FIELDS = (Field("a", "a", 2, False), Field("b", "b", 3, False), Field("c", "c", 4, False))
JOINT = np.random.default_rng(7).dirichlet(np.full(24, 0.7)).reshape(2, 3, 4)


@dataclass(frozen=True)
class Exact:
    """Heads of a known joint."""

    joint: NDArray[np.float64]

    def begun(self, rows: int) -> Known:
        return Known(self.joint, np.zeros((rows, 3), dtype=np.int32), [])


@dataclass(frozen=True)
class Known:
    """Rows of which some fields are told."""

    joint: NDArray[np.float64]
    codes: NDArray[np.int32]
    seen: list[int]

    def tell(self, place: int, codes: NDArray[np.int32]) -> None:
        self.codes[:, place] = codes
        self.seen.append(place)

    def scores(self, place: int, rows: slice) -> NDArray[np.float32]:
        gone = tuple(axis for axis in range(3) if axis not in (*self.seen, place))
        table = np.moveaxis(self.joint.sum(axis=gone, keepdims=True), place, -1)
        index = [self.codes[rows, axis] for axis in range(3) if axis != place]
        return np.log(table[tuple(index)] + 1e-30).astype(np.float32).T


def drawer(any_order: bool) -> Drawer:
    return Drawer(Exact(JOINT), FIELDS, (0, 1, 2), any_order)


def fits(codes: NDArray[np.int32], joint: NDArray[np.float64]) -> float:
    """The p-value of rows against a joint; none where the joint has none."""
    counts = np.zeros(joint.shape)
    np.add.at(counts, tuple(codes.T), 1)
    assert counts[joint == 0].sum() == 0
    there = joint > 0
    return float(chisquare(counts[there], joint[there] / joint.sum() * len(codes)).pvalue)


@pytest.mark.parametrize("any_order", [True, False])
def test_nothing_given(any_order: bool) -> None:
    codes = drawer(any_order).rows(ROWS, np.random.default_rng(0), {})
    assert fits(codes, JOINT) > ALPHA


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_code_for_each_row(place: int) -> None:
    fixed = np.ones(ROWS, dtype=np.int32)
    codes = drawer(True).rows(ROWS, np.random.default_rng(1), {place: fixed})
    only = np.zeros_like(JOINT)
    index: list[slice | int] = [slice(None)] * 3
    index[place] = 1
    only[tuple(index)] = JOINT[tuple(index)]
    assert fits(codes, only) > ALPHA


def test_one_choice_and_a_code_are_exact() -> None:
    some = np.array([True, False, True])
    codes = drawer(True).rows(ROWS, np.random.default_rng(2), {1: some, 2: np.full(ROWS, 3, dtype=np.int32)})
    only = np.zeros_like(JOINT)
    only[:, some, 3] = JOINT[:, some, 3]
    assert fits(codes, only) > ALPHA


@pytest.mark.parametrize("any_order", [True, False])
def test_more_candidates_come_as_near_as_wished(any_order: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choices in two fields, or a code that the order brings last: exact but for one over the candidates."""
    monkeypatch.setattr(draws, "_CANDIDATES", 256)
    rows = 2000
    choices = {1: np.array([True, False, True]), 2: np.array([False, True, False, True])}
    for given in (choices, {2: np.full(rows, 2, dtype=np.int32)}):
        codes = drawer(any_order).rows(rows, np.random.default_rng(3), given)
        only = JOINT.copy()
        for place, fixed in given.items():
            allowed = fixed if fixed.dtype == np.bool_ else np.arange(4) == fixed[0]
            only *= np.expand_dims(allowed, [axis for axis in range(3) if axis != place])
        assert fits(codes, only) > ALPHA


def test_a_broken_order_shows() -> None:
    """Given what comes last, drawing in the only order without weighing would give the wrong rows."""
    fixed = np.full(ROWS, 2, dtype=np.int32)
    free = drawer(False).rows(ROWS, np.random.default_rng(4), {})
    free[:, 2] = fixed
    only = np.zeros_like(JOINT)
    only[:, :, 2] = JOINT[:, :, 2]
    assert fits(free, only) < ALPHA


@pytest.mark.parametrize("far", [0.0, 900.0, -900.0])
def test_very_many_codes_by_stretches(far: float) -> None:
    """More codes than stretches divide; some cannot be; scores of any height."""
    random = np.random.default_rng(5)
    shares = random.dirichlet(np.full(717, 0.3))
    shares[random.random(717) < 0.2] = 0
    scores = np.where(shares > 0, np.log(np.maximum(shares, 1e-300)), -np.inf) + far
    columns = np.repeat(scores.astype(np.float32)[:, None], ROWS, axis=1)
    drawn = draws._chosen(draws._shares(columns), random)
    counts = np.bincount(drawn, minlength=717)
    assert counts[shares == 0].sum() == 0
    often = shares / shares.sum() * ROWS >= 5
    pooled = np.append(counts[often], counts[~often].sum())
    expected = np.append(shares[often], shares[~often].sum()) / shares.sum() * ROWS
    assert chisquare(pooled, expected).pvalue > ALPHA


def test_the_last_that_can_be_is_met_at_the_very_end() -> None:
    shares = np.repeat(np.array([[0.1], [0.2], [0.0]], dtype=np.float32), 3, axis=1)
    assert draws._met(shares, np.array([0.0, 0.4, 1.0])).tolist() == [0, 1, 1]
