"""Intervals against values from tables and textbooks, and against the plain way of computing them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sfumato.evidence.intervals import (
    auc,
    bootstrap_difference,
    bootstrap_mean,
    clopper_pearson,
    newcombe,
    percentile,
    resample_counts,
    weighted_auc,
    wilson,
)
from sfumato.evidence.report import Figure

KEY = bytes(32)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_has_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    figure = wilson(successes / n, n)
    assert (round(figure.low, 4), round(figure.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # The same table, method 5.
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_has_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    figure = clopper_pearson(successes, n)
    assert (round(figure.low, 4), round(figure.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_has_the_published_values(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    (a, m), (b, n) = first, second
    figure = newcombe(wilson(a / m, m), wilson(b / n, n))
    assert (round(figure.low, 4), round(figure.high, 4)) == (low, high)


def test_no_people_give_no_figure() -> None:
    assert math.isnan(wilson(0.0, 0).value)
    assert math.isnan(clopper_pearson(0, 0).value)
    assert math.isnan(bootstrap_mean(np.array([]), KEY).value)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    draw = np.random.default_rng(0)
    truth, scores = draw.random(60) < 0.4, draw.integers(0, 8, 60).astype(float)
    above = scores[truth][:, None] - scores[~truth][None, :]
    assert auc(truth, scores) == pytest.approx(float(((above > 0) + 0.5 * (above == 0)).mean()))


def test_the_area_agrees_with_another_library() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(1)
    truth, scores = draw.random(200) < 0.3, draw.normal(size=200).round(1)
    assert auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


def test_weights_are_people_drawn_that_often() -> None:
    draw = np.random.default_rng(2)
    truth, scores = draw.random(40) < 0.5, draw.integers(0, 9, 40).astype(float)
    weights = draw.integers(0, 4, (5, 40)).astype(float)
    expected = [auc(np.repeat(truth, row.astype(int)), np.repeat(scores, row.astype(int))) for row in weights]
    assert weighted_auc(truth, scores, weights) == pytest.approx(expected)


def test_one_class_has_no_area() -> None:
    assert math.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))
    assert math.isnan(auc(np.array([], dtype=bool), np.array([])))


def test_resamples_draw_everybody_as_often_as_there_are_people() -> None:
    counts = np.concatenate(list(resample_counts(50, 30, KEY)))
    assert counts.shape == (30, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert not np.array_equal(counts[0], counts[1])
    again = np.concatenate(list(resample_counts(50, 30, KEY)))
    assert np.array_equal(counts, again)


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    draw = np.random.default_rng(3)
    base = draw.normal(size=400)
    first, second = base + 0.1, base
    paired = bootstrap_difference(first, second, KEY)
    apart = bootstrap_difference(first, draw.permutation(second), KEY)
    assert paired.high - paired.low < 0.1 * (apart.high - apart.low)


def test_mostly_undefined_resamples_give_no_figure() -> None:
    resampled = np.array([np.nan] * 10 + [0.5] * 90)
    assert math.isnan(percentile(0.5, resampled).value)
    assert percentile(0.5, np.array([0.4, 0.6] * 50)) == Figure(0.5, 0.4, 0.6)
