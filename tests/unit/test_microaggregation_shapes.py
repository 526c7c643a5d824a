"""Microaggregation in the shapes that break tools."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.anonymity.microaggregation import aggregate, close, cluster, loss, mdav, univariate, vmdav
from sfumato.anonymity.microaggregation.coordinates import MOST_CATEGORIES, categorical, numeric, ordinal
from sfumato.core.errors import InputError

METHODS = {
    "mdav": mdav,
    "vmdav": vmdav,
    "cluster": cluster,
    "univariate": lambda points, k: univariate(points[:, 0], k),
    "close": lambda points, k: close(points, np.arange(len(points)) % 3, k, 0.5),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_no_finite_number_is_refused_without_telling_it(method: str, bad: float) -> None:
    points = np.zeros((9, 2))
    points[4, 0] = bad
    with pytest.raises(InputError) as caught:
        METHODS[method](points, 3)
    assert caught.value.code == "column-values"
    assert "1e" not in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_k_beyond_the_rows_is_impossible(method: str) -> None:
    with pytest.raises(InputError) as caught:
        METHODS[method](np.zeros((4, 1)), 5)
    assert caught.value.code == "anonymity-impossible"


@pytest.mark.parametrize("method", METHODS)
def test_a_k_below_one_is_refused(method: str) -> None:
    with pytest.raises(InputError, match="at least 1"):
        METHODS[method](np.zeros((4, 1)), 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [3, 5])
def test_fewer_than_two_classes_are_one(method: str, rows: int) -> None:
    points = np.arange(rows, dtype=float)[:, None]
    assert METHODS[method](points, 3).tolist() == [0] * rows


@pytest.mark.parametrize("method", METHODS)
def test_one_point_many_times(method: str) -> None:
    sizes = np.bincount(METHODS[method](np.full((50, 3), 7.5), 4))
    assert sizes.min() >= 4
    assert sizes.sum() == 50


@pytest.mark.parametrize("method", ["mdav", "vmdav", "cluster"])
def test_thirty_columns_of_which_most_are_constant(method: str) -> None:
    points = np.zeros((400, 30))
    points[:, 3] = np.arange(400) % 7
    points[:, 20:] = np.random.default_rng(1).normal(size=(400, 10))
    sizes = np.bincount(METHODS[method](points, 5))
    assert sizes.min() >= 5


def test_no_columns_and_no_matrix_are_refused() -> None:
    for points in (np.zeros((5, 0)), np.zeros(5)):
        with pytest.raises(InputError, match="shape"):
            cluster(points, 2)


def test_large_k_goes_the_short_way() -> None:
    points = np.random.default_rng(2).normal(size=(900, 2))
    classes = cluster(points, 40)
    assert 40 <= np.bincount(classes).min() <= np.bincount(classes).max() <= 79
    assert loss(points, classes) <= loss(points, mdav(points, 40))


def test_several_parts_lose_less_than_mdav_alone() -> None:
    """With 3,000 points there are parts, and their borders must be mended."""
    points = np.random.default_rng(3).normal(size=(3000, 3))
    assert loss(points, cluster(points, 5)) < 0.9 * loss(points, mdav(points, 5))


def test_few_distinct_points_lose_next_to_nothing() -> None:
    points = np.random.default_rng(4).integers(0, 3, (4000, 3)).astype(float)
    assert loss(points, cluster(points, 5)) < 1e-3


def test_an_offset_costs_no_digits() -> None:
    points = np.random.default_rng(5).integers(0, 99, (300, 2)).astype(float)
    assert cluster(points + 2.0**40, 4).tolist() == cluster(points, 4).tolist()
    assert univariate(points[:, 0] + 2.0**40, 4).tolist() == univariate(points[:, 0], 4).tolist()


def test_t_of_zero_makes_classes_like_the_table() -> None:
    sensitive = np.tile([0, 1], 20)
    classes = close(np.arange(40.0)[:, None], sensitive, 2, 0.0)
    assert all(sensitive[classes == c].mean() == 0.5 for c in range(classes.max() + 1))
    assert classes.max() > 0


def test_wrong_use_is_refused() -> None:
    points = np.zeros((4, 1))
    with pytest.raises(InputError, match="t from 0 to 1"):
        close(points, np.zeros(4, dtype=np.int64), 2, 1.5)
    with pytest.raises(InputError, match="sensitive value for each"):
        close(points, np.zeros(3, dtype=np.int64), 2, 0.5)
    with pytest.raises(InputError, match="gamma"):
        vmdav(points, 2, -0.1)
    with pytest.raises(InputError, match="mean, median or mode"):
        aggregate(np.zeros(4), np.zeros(4, dtype=np.int64), "most")  # type: ignore[arg-type]


def test_a_variable_class_grows_over_its_near_neighbours() -> None:
    """Solanas & Martinez-Balleste's picture: two groups of 3 and 4 stay whole."""
    points = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [9.3]])
    assert np.bincount(vmdav(points, 3, 1.1)).tolist() == [3, 4] or loss(points, vmdav(points, 3, 1.1)) < 0.01


def test_integers_stay_integers() -> None:
    found = aggregate(np.array([1, 2, 4, 5]), np.array([0, 0, 1, 1]))
    assert found.dtype.kind == "i"
    assert found.tolist() == [2, 4]
    assert aggregate(np.array([3, 3, 8]), np.array([0, 0, 0]), "mode").tolist() == [3]
    assert aggregate(np.array([3, 4, 8]), np.array([0, 0, 0]), "median").tolist() == [4]


def test_a_column_of_missing_values() -> None:
    column = np.full(6, np.nan)
    assert numeric(column)[:, 0].tolist() == [0.0] * 6
    assert np.isnan(aggregate(column, np.array([0, 0, 0, 1, 1, 1]))).all()
    assert np.isnan(aggregate(column, np.array([0, 0, 0, 1, 1, 1]), "median")).all()


def test_rare_categories_share_a_coordinate() -> None:
    codes = np.repeat(np.arange(100), np.arange(100, 0, -1))
    found = categorical(codes)
    assert found.shape == (len(codes), MOST_CATEGORIES)
    assert (found.sum(axis=1) == 1).all()
    assert (found[codes == 0, 0] == 1).all()


def test_ranks_of_equal_values_are_equal() -> None:
    found = ordinal(np.array([2, 2, -1, 7]))
    assert found[0].tolist() == found[1].tolist()
    assert found[2, 1] > 0
