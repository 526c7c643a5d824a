"""How likely each row is the source of what is known of people: coded columns against the formula."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import compare
from sfumato.evidence.attacks.likeness import EXACT, LIKE, Rows, Trust
from sfumato.evidence.attacks.linkability import _Halves


def made(rows: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "number": draw.integers(0, 90, rows),
            "text": draw.choice(["a", "b", "c", None], rows).tolist(),
            "flag": draw.random(rows) < 0.2,
            "few": draw.integers(0, 4, rows),
        }
    )


def of(released: pl.DataFrame) -> Rows:
    given = compare(released)
    return Rows.of(given, released.columns, released, np.ones(released.height, dtype=np.int64), released)


def by_formula(rows: Rows, people: pl.DataFrame, released: pl.DataFrame, trust: Trust, names) -> np.ndarray:
    """Errors, slips and the own label, cell by cell as the module writes them."""
    total = np.zeros((people.height, released.height))
    for column in rows.columns:
        if column.name not in names:
            continue
        theirs, ours = (frame[column.name].to_numpy() for frame in (people, released))
        missing = [frame[column.name].is_null().to_numpy() for frame in (people, released)]
        same = (theirs[:, None] == ours[None]) & ~(missing[0][:, None] | missing[1][None])
        same |= missing[0][:, None] & missing[1][None]
        share = np.array(
            [np.mean((ours == x) | (missing[1] & m)) for x, m in zip(ours, missing[1], strict=True)]
        )
        found = trust.errors + np.where(same, (1 - trust.slips - trust.errors) / share, 0.0)
        if column.bins is None:
            found = found + trust.slips
        else:
            inside = [column.bins.codes(each.astype(float)) for each in (theirs, ours)]
            of_bin = column.of_bin[inside[0]][:, None]
            found = found + np.where(inside[0][:, None] == inside[1][None], trust.slips / of_bin, 0.0)
        total += np.log(found)
    behind = total - total.max(axis=1, keepdims=True)
    return np.where(behind > -30, np.exp(behind), 0.0)


@pytest.mark.parametrize("trust", [EXACT, LIKE])
def test_likelihoods_are_those_of_the_formula(trust: Trust) -> None:
    released, people = made(300, 1), made(70, 2)
    rows = of(released)
    found = np.zeros((70, 300))
    for part, some in rows.cells(people).likelihoods(trust, range(4), np.arange(300)):
        found[part] = some
    expected = by_formula(rows, people, released, trust, released.columns)
    assert found == pytest.approx(expected, rel=2e-4, abs=1e-9)


@pytest.mark.parametrize("half", [(0,), (1, 2, 3), (0, 1), (2,)])
def test_halves_that_differ_for_nobody_are_one(half: tuple[int, ...]) -> None:
    released, people = made(500, 3), made(40, 4)
    rows = of(released)
    cells = rows.cells(people)
    split = half, tuple(j for j in range(4) if j not in half)
    halves = _Halves.of_rows(rows, split, (cells,))
    assert len(halves.shown[0]) <= len(halves.shown[1])
    first, second = (
        by_formula(rows, people, released, LIKE, [released.columns[j] for j in side]) for side in split
    )
    expected = first @ second.T / second.sum(axis=1)
    assert halves.ratio(cells, LIKE) == pytest.approx(expected, rel=1e-3)


def test_the_posterior_is_the_share_of_likelihood_of_each_class() -> None:
    released, people = made(200, 5), made(30, 6)
    rows = of(released)
    secret = np.random.default_rng(7).integers(0, 3, 200)
    expected = by_formula(rows, people, released, LIKE, released.columns) @ np.eye(3)[secret]
    found = rows.cells(people).posterior(LIKE, secret, 3)
    assert found == pytest.approx(expected / expected.sum(axis=1, keepdims=True), rel=1e-3, abs=1e-6)
