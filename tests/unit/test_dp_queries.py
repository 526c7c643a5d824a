"""Private statistics: known answers without noise, what is charged, and what is refused before it is."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from dp_queries_support import column_of, exactly
from sfumato import dp
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp import mechanisms
from sfumato.dp.accounting import epsilon_of
from sfumato.dp.answers import Answers
from sfumato.dp.calibration import calibrate
from sfumato.dp.contributions import bounded
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID
from sfumato.dp.queries.contingency import agree, nearest_counts
from sfumato.dp.queries.covariance import nearest_psd
from sfumato.dp.queries.questions import Question, answer_names

PEOPLE = pl.DataFrame(
    {
        "age": [20, 30, 40, 50, None, 70, 15, 99],
        "pay": [1.5, 2.5, float("nan"), 4.0, 5.0, float("inf"), -3.0, None],
        "sex": ["F", "M", "M", "F", None, "X", "F", "M"],
        "works": [True, False, None, True, True, False, True, True],
        "who": ["a", "a", "a", "b", "b", "c", None, "d"],
    }
)
EMPTY = PEOPLE.clear()
ALL = [
    dp.count(),
    dp.count("age"),
    dp.sum("pay", (0, 10)),
    dp.mean("age", (0, 100)),
    dp.mean("age", (0, 100), rows=7),
    dp.variance("age", (0, 100)),
    dp.quantiles("age", (0, 100)),
    dp.quantile("age", (0, 100), interval=False),
    dp.histogram("sex", categories=["F", "M"], other="else", missing="none", nonnegative=True),
    dp.contingency({"sex": ["F", "M"], "works": [True, False]}, margins=[["sex"], ["sex", "works"]]),
    dp.contingency({"sex": ["F", "M"], "age": {"edges": [0, 40, 100]}}, nonnegative=True),
    dp.covariance({"age": (0, 100), "pay": (0, 10)}),
    dp.correlation({"age": (0, 100), "pay": (0, 10)}),
    dp.group_by({"sex": ["F", "M"]}, "mean", of="age", bounds=(0, 100)),
    dp.group_by({"sex": ["F", "M"]}, "sum", of="age", bounds=(0, 100)),
    dp.group_by({"sex": ["F", "M"]}),
    dp.top_k("sex", 1, categories=["F", "M"]),
    dp.bounds("pay"),
]
FOUND = [
    dp.group_by(["sex"], delta=1e-8),
    dp.group_by(["sex", "works"], "mean", of="age", bounds=(0, 100), delta=1e-8),
    dp.group_by(["sex"], "sum", of="age", bounds=(-100, 100), delta=1e-8),
]


def budget(epsilon: float = 100.0, delta: float = 1e-5, **said: Any) -> dp.Budget:
    return dp.Budget(epsilon, delta, **said)


def test_every_query_of_the_registry_is_tried_here() -> None:
    assert {given.query for given in ALL + FOUND} == set(QUERIES)


@pytest.mark.parametrize("given", ALL + FOUND, ids=lambda given: given.name)
@pytest.mark.parametrize(
    "table", [EMPTY, PEOPLE.head(1), PEOPLE, pl.DataFrame({name: [None] for name in PEOPLE.columns})]
)
def test_every_query_stands_any_table(table: pl.DataFrame, given: Question) -> None:
    (answer,) = dp.ask(table, [given], budget=budget(), epsilon=1.0)
    rows = answer.table.drop_nulls(["value", "low", "high"])
    assert (rows["low"] <= rows["high"]).all()
    assert rows.select(pl.all_horizontal(pl.col("value", "low", "high").is_finite()).all()).item()
    again = Answers.from_document(json.loads(json.dumps(_document(answer))))
    assert again[0].table.equals(answer.table)


def _document(answer: Any) -> dict[str, Any]:
    return Answers((answer,), 1.0, 1e-6, 2.0, "pld", "add-remove", "row", None, 0.95, "").document()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dp.count(), [8]),
        (dp.count("age"), [7]),
        (dp.count("pay"), [6]),
        (dp.sum("age", (0, 100)), [324]),
        (dp.sum("age", (25, 60), missing=50), [25 + 30 + 40 + 50 + 50 + 60 + 25 + 60]),
        (dp.sum("pay", (0, 10)), [1.5 + 2.5 + 4 + 5 + 10 + 0]),
        (dp.sum("works", (0, 1)), [5]),
        (dp.mean("age", (0, 100)), [324 / 7]),
        (dp.mean("age", (0, 100), rows=7), [324 / 7]),
        (dp.variance("age", (0, 100)), [np.var([20, 30, 40, 50, 70, 15, 99])]),
        (dp.quantiles("age", (0, 100), [0.0, 0.5], interval=False), [0, 40]),
        (dp.histogram("sex", categories=["F", "M"], other="else", missing="none"), [3, 3, 1, 1]),
        (dp.histogram("sex", categories=["F", "M"]), [3, 3]),
        (dp.histogram("works", categories=[True, False]), [5, 2]),
        (dp.histogram("age", categories=[20, 99.0]), [1, 1]),
        (dp.histogram("age", edges=[20, 40, 99], other="else"), [2, 4, 1]),
        (dp.histogram("pay", edges=[0, 2, 5], other="else", missing="none"), [1, 3, 2, 2]),
        (dp.contingency({"sex": ["F", "M"], "works": [True, False]}), [3, 0, 1, 1]),
        (dp.contingency({"sex": ["F", "M"], "works": [True, False]}, margins=[["works"]]), [4, 1]),
        (dp.group_by({"sex": ["F", "M"]}, "mean", of="age", bounds=(0, 100)), [85 / 3, 169 / 3]),
        (dp.group_by({"sex": ["F", "Q"]}, "sum", of="age", bounds=(0, 60)), [85, 0]),
        (dp.group_by(["sex"], delta=1e-8), [3, 3, 1]),
        (dp.group_by(["sex"], "sum", of="age", bounds=(0, 60), delta=1e-8), [85, 130, 60]),
        (dp.bounds("age", least=1, most=256), [8, 128]),
    ],
    ids=lambda given: given.name if isinstance(given, Question) else "",
)
def test_without_noise_it_is_the_statistic(given: Question, expected: list[float]) -> None:
    cells, _ = exactly(PEOPLE, given)
    assert column_of(cells) == pytest.approx(expected, rel=1e-7, abs=1e-6)


def test_covariance_and_correlation_are_those_of_the_whole_rows() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(50, 10, 2000)
    frame = pl.DataFrame({"a": one, "b": one / 2 + rng.normal(0, 5, 2000), "c": rng.normal(0, 1, 2000)})
    sides = {"a": (0, 100), "b": (-50, 100), "c": (-5, 5)}
    cells, _ = exactly(frame, dp.covariance(sides))
    expected = np.cov(frame.to_numpy().T, bias=True)[np.triu_indices(3)]
    assert column_of(cells) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    cells, _ = exactly(frame, dp.correlation(sides))
    expected = np.corrcoef(frame.to_numpy().T)[np.triu_indices(3, 1)]
    assert column_of(cells) == pytest.approx(expected, abs=1e-5)


def test_categories_are_those_of_dates_and_enums() -> None:
    day = datetime.date(2020, 2, 29)
    frame = pl.DataFrame(
        {"day": [day, None, day], "kind": pl.Series(["x", "y", "x"], dtype=pl.Enum(["x", "y"]))}
    )
    cells, _ = exactly(frame, dp.histogram("day", categories=["2020-02-29"], missing="?"))
    assert column_of(cells) == [2, 1]
    cells, _ = exactly(frame, dp.histogram("kind", categories=["y", "z"], other="more"))
    assert column_of(cells) == [1, 0, 2]


def test_top_k_is_in_order() -> None:
    frame = pl.DataFrame({"town": ["a"] * 5 + ["b"] * 9 + ["c"] * 7 + ["zzz"] * 50})
    cells, _ = exactly(frame, dp.top_k("town", 2, categories=["a", "b", "c"]))
    assert column_of(cells, "town") == ["b", "c"]


@pytest.mark.parametrize("delta", [1e-6, 0.0])
@pytest.mark.parametrize("relation", ["add-remove", "replace-one"])
def test_a_release_costs_what_it_says(delta: float, relation: Any) -> None:
    ledger = dp.Budget(50.0, delta, filter="rdp" if delta else "basic", relation=relation)
    queries = ALL + FOUND if delta else ALL
    answers = dp.ask(PEOPLE, queries, budget=ledger, epsilon=2.0)
    assert 1.99 < answers.epsilon <= 2.0
    assert len(ledger.statement().entries) == 1
    assert ledger.statement().entries[0].answered
    assert math.isclose(sum(answer.share for answer in answers), 1.0)
    assert all(answer.epsilon < 2.0 for answer in answers)


def test_a_basic_budget_is_told_the_delta() -> None:
    with pytest.raises(InputError, match="adds up the deltas"):
        dp.ask(PEOPLE, [dp.count()], budget=dp.Budget(1.0, 1e-5, filter="basic"), epsilon=0.5)


def test_weights_share_the_noise() -> None:
    asked = [dp.count(weight=3.0), dp.count("age")]
    found = calibrate(asked, epsilon=1.0, noise=None, delta=0.0)
    (one,), (other,) = found.laws
    assert isinstance(one, mechanisms.Law)
    assert isinstance(other, mechanisms.Law)
    assert (one.scale, other.scale) == (pytest.approx(GRID / 0.75), pytest.approx(GRID / 0.25))
    found = calibrate(asked, epsilon=None, noise=2.0, delta=1e-6)
    (one,), (other,) = found.laws
    assert one.deviation**-2 + other.deviation**-2 == pytest.approx((2 * GRID) ** -2)  # type: ignore[union-attr]


def test_what_is_charged_bounds_what_opendp_proves() -> None:
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian, make_laplace
    from opendp.metrics import l1_distance, l2_distance

    mechanisms._opendp()
    domain = vector_domain(atom_domain(T="i64"))
    for sensitivity, multiplier in ((GRID, 0.7), (GRID, 40.0), (7, 2.0)):
        sigma = mechanisms.gaussian_sigma(multiplier, sensitivity)
        event = mechanisms.gaussian_event(sigma, sensitivity)
        assert event.noise_multiplier >= multiplier * (1 - 1e-12)
        rho = make_gaussian(domain, l2_distance(T="i64"), scale=sigma).map(sensitivity)
        assert rho <= 1 / (2 * multiplier**2)
    for sensitivity, scale in ((GRID, 3.0 * GRID), (3, 1.7), (96, 40.0)):
        proven = make_laplace(domain, l1_distance(T="i64"), scale=scale).map(sensitivity)
        for coordinates in (1, 2):
            event = mechanisms.laplace_event(scale, sensitivity, coordinates=coordinates)
            assert epsilon_of(event, 0.0).epsilon == pytest.approx(proven)


def test_a_coarser_discrete_laplace_costs_no_less() -> None:
    from dp_accounting.dp_event import DiscreteLaplaceDpEvent

    fine = epsilon_of(DiscreteLaplaceDpEvent(1 / 512, 512), 1e-2).epsilon
    charged = epsilon_of(mechanisms.laplace_event(512.0, 512), 1e-2).epsilon
    assert fine <= charged <= fine * 1.02


def test_choices_cost_what_opendp_proves() -> None:
    from opendp import measures, metrics
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_noisy_top_k

    mechanisms._opendp()
    for one_way in (True, False):
        metric = metrics.linf_distance(T="i64", monotonic=one_way)
        space = vector_domain(atom_domain(T="i64")), metric
        pure = make_noisy_top_k(*space, measures.max_divergence(), k=3, scale=4.0).map(2)
        event = mechanisms.choice_event(4.0, 2, picks=3, one_way=one_way, pure=True)
        assert event.epsilon == pytest.approx(pure)
        rho = make_noisy_top_k(*space, measures.zero_concentrated_divergence(), k=3, scale=4.0).map(2)
        event = mechanisms.choice_event(4.0, 2, picks=3, one_way=one_way, pure=False)
        assert event.rho == pytest.approx(rho)


def test_small_groups_are_not_found() -> None:
    frame = pl.DataFrame({"town": ["big"] * 5000 + ["small"]})
    (answer,) = dp.ask(frame, [dp.group_by(["town"], delta=1e-9)], budget=budget(), epsilon=1.0)
    assert answer.table["town"].to_list() == ["big"]


class Watch:
    """What happens in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        noised = mechanisms._noised

        def watched(values: Any, kind: Any, scale: float) -> Any:
            self.events.append("draw")
            return noised(values, kind, scale)

        monkeypatch.setattr(mechanisms, "_noised", watched)
        for name in ("spend", "settle"):
            self._watch(monkeypatch, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        original = getattr(dp.Budget, name)

        def watched(budget: dp.Budget, *given: Any, **named: Any) -> Any:
            found = original(budget, *given, **named)
            self.events.append(name)
            return found

        monkeypatch.setattr(dp.Budget, name, watched)


def test_charged_once_then_drawn_then_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    dp.ask(PEOPLE, [dp.count(), dp.mean("age", (0, 100))], budget=budget(), epsilon=1.0)
    assert watch.events == ["spend", "draw", "draw", "settle"]


def test_a_spent_budget_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = dp.Budget(1.0, 0.0, filter="basic")
    dp.ask(PEOPLE, [dp.count()], budget=ledger, epsilon=0.9)
    watch = Watch(monkeypatch)
    with pytest.raises(RefusedError, match="budget"):
        dp.ask(PEOPLE, [dp.count("age")], budget=ledger, epsilon=0.2)
    assert watch.events == []


@pytest.mark.parametrize(
    ("queries", "said", "message"),
    [
        ([dp.mean("ages", (0, 1))], {}, 'did you mean "age"'),
        ([dp.mean("sex", (0, 1))], {}, "no numbers"),
        ([dp.histogram("age", categories=["old"])], {}, "declared category is none"),
        ([{"of": "age"}], {}, "which one it is"),
        ([], {}, "no query"),
        ([dp.count()], {"epsilon": None}, "either epsilon or noise"),
        ([dp.count()], {"noise": 1.0}, "either epsilon or noise"),
        ([dp.count()], {"epsilon": -1.0}, "positive"),
        ([dp.count()], {"epsilon": math.nan}, "positive"),
        ([dp.count()], {"confidence": 1.0}, "confidence"),
        ([dp.count()], {"subject": "who", "rows_per_subject": 1}, "protects a row"),
        ([dp.count()], {"rows_per_subject": 2}, "without a subject"),
        ([dp.group_by(["sex"], delta=1e-4)], {}, "thresholds alone"),
        ([dp.group_by(["sex"], delta=1e-9)], {"delta": 0.0}, "thresholds alone"),
        ([dp.contingency({"age": list(range(10_000)), "pay": list(range(10_000))})], {}, "cells"),
    ],
)
def test_refused_before_anything_is_charged(queries: Any, said: Any, message: str) -> None:
    ledger = budget()
    with pytest.raises(InputError) as refused:
        dp.ask(PEOPLE, queries, budget=ledger, **{"epsilon": 1.0, **said})
    assert message in str(refused.value)
    assert ledger.statement().entries == ()


@pytest.mark.parametrize(
    ("query", "params", "message"),
    [
        ("mean", {"of": "age"}, "Field required"),
        ("mean", {"of": "age", "bounds": (9, 9)}, "below"),
        ("mean", {"of": "age", "bounds": (0, math.inf)}, "finite"),
        ("mean", {"of": "age", "bounds": (0, 1), "weight": 0}, "greater than 0"),
        ("histogram", {"of": "age"}, "either categories or edges"),
        ("histogram", {"of": "age", "edges": [3, 1]}, "ascend"),
        ("histogram", {"of": "sex", "categories": ["F"], "other": "F"}, "same label"),
        ("histogram", {"of": "sex", "categories": ["secret-value", "secret-value"]}, "same label"),
        ("contingency", {"columns": {"a": [1]}, "margins": [["b"]]}, "declared"),
        ("quantiles", {"of": "age", "bounds": (0, 1), "at": [0.5, 0.2]}, "ascend"),
        ("top-k", {"of": "sex", "categories": ["F"], "k": 2}, "more than"),
        ("group-by", {"by": ["sex"]}, "delta"),
        ("group-by", {"by": {"sex": ["F"]}, "statistic": "mean"}, "of and bounds"),
        ("variance", {"of": "age", "bounds": (0, 1), "range": 3}, "not permitted"),
    ],
)
def test_wrong_parameters_are_named_without_their_values(query: str, params: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        dp.question(query, **params)
    assert message in str(refused.value)
    assert "secret-value" not in str(refused.value)
    assert str(refused.value).startswith(query)


def test_an_unknown_query_has_a_hint() -> None:
    with pytest.raises(InputError, match="no query"):
        dp.question("medain", of="age")


def test_the_same_question_is_answered_from_the_ledger() -> None:
    ledger = budget()
    first = dp.ask(PEOPLE, [dp.count(), dp.bounds("pay")], budget=ledger, epsilon=1.0)
    again = dp.ask(PEOPLE, [dp.count(), dp.bounds("pay")], budget=ledger, epsilon=1.0)
    assert again.replayed
    assert again.document() == first.document()
    assert len(ledger.statement().entries) == 1
    fresh = dp.ask(PEOPLE, [dp.count(), dp.bounds("pay")], budget=ledger, epsilon=1.0, fresh=True)
    other = dp.ask(PEOPLE.head(7), [dp.count(), dp.bounds("pay")], budget=ledger, epsilon=1.0)
    assert not fresh.replayed
    assert not other.replayed
    assert len(ledger.statement().entries) == 3


def test_a_subject_must_be_bounded() -> None:
    ledger = budget(unit="subject")
    for said in ({}, {"subject": "who"}, {"subject": "who", "rows_per_subject": 0}):
        with pytest.raises(InputError, match="subject"):
            dp.ask(PEOPLE, [dp.count()], budget=ledger, epsilon=1.0, **said)  # type: ignore[arg-type]
    answers = dp.ask(PEOPLE, ALL + FOUND, budget=ledger, epsilon=1.0, subject="who", rows_per_subject=2)
    assert "at most 2 rows" in answers.words[0]
    (_, two) = (
        calibrate([dp.count()], epsilon=1.0, noise=None, delta=0.0, rows=rows).laws[0][0] for rows in (1, 2)
    )
    assert two.scale == pytest.approx(2 * GRID)  # type: ignore[union-attr]


def test_bounding_leaves_what_is_declared() -> None:
    kept = bounded(PEOPLE, "who", 2)
    assert kept.group_by("who").len().sort("who").rows() == [("a", 2), ("b", 2), ("c", 1), ("d", 1)]
    assert bounded(EMPTY, "who", 1).height == 0
    with pytest.raises(InputError, match="no column"):
        bounded(PEOPLE, "whom", 1)


def test_margins_agree() -> None:
    rng = np.random.default_rng(2)
    frame = pl.DataFrame({name: rng.integers(0, size, 3000) for name, size in (("a", 3), ("b", 4), ("c", 2))})
    given = dp.contingency(
        {"a": [0, 1, 2], "b": [0, 1, 2, 3], "c": [0, 1]}, margins=[["a", "b"], ["b", "c"], ["c"]]
    )
    (answer,) = dp.ask(frame, [given], budget=budget(), epsilon=1.0)
    table = answer.table
    one = table.filter(pl.col("c") == "(all)").group_by("b").agg(pl.col("value").sum()).sort("b")
    other = table.filter((pl.col("a") == "(all)") & (pl.col("b") != "(all)"))
    other = other.group_by("b").agg(pl.col("value").sum()).sort("b")
    assert one["value"].to_list() == pytest.approx(other["value"].to_list())


def test_margins_are_the_least_squares_answer() -> None:
    rng = np.random.default_rng(3)
    sizes, margins = (3, 4, 2), [(0, 1), (1, 2), (0,), ()]
    rows, scales = [], []
    cube = np.arange(24).reshape(sizes)
    for margin, scale in zip(margins, (1.0, 3.0, 0.5, 2.0), strict=True):
        gone = tuple(axis for axis in range(3) if axis not in margin)
        for cell in np.ndindex(*(sizes[axis] for axis in margin)):
            at = [slice(None)] * 3
            for axis, place in zip(margin, cell, strict=True):
                at[axis] = slice(place, place + 1)
            row = np.zeros(24)
            row[cube[tuple(at)].ravel()] = 1
            rows.append(row)
            scales.append(scale)
        del gone
    design, weights = np.array(rows), np.array(scales)
    noisy = design @ rng.poisson(20, 24) + rng.normal(0, weights)
    fitted = design @ np.linalg.lstsq(design / weights[:, None], noisy / weights, rcond=None)[0]
    ends = np.cumsum([12, 8, 3, 1])[:-1]
    drawn = [
        mechanisms_drawn(part, scale)
        for part, scale in zip(np.split(noisy, ends), (1.0, 3.0, 0.5, 2.0), strict=True)
    ]
    ours = agree(drawn, margins, sizes)
    assert np.concatenate([values for values, _ in ours]) == pytest.approx(fitted)
    hat = design @ np.linalg.pinv(design / weights[:, None]) / weights
    spread = np.sqrt(np.diag(hat @ np.diag(weights**2) @ hat.T))
    for (_, deviation), part in zip(ours, np.split(spread, ends), strict=True):
        assert part == pytest.approx(deviation)


def mechanisms_drawn(values: Any, scale: float) -> Any:
    from sfumato.dp.queries.base import Drawn

    return Drawn(np.asarray(values), mechanisms.Law("gaussian", scale * GRID))


def test_nearest_counts_are_not_negative_and_keep_the_total() -> None:
    found = nearest_counts(np.array([5.0, -2.0, 1.0, 0.5]))
    assert found.min() >= 0
    assert found.sum() == pytest.approx(4.5)
    assert nearest_counts(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert nearest_counts(np.array([-1.0, -2.0])).tolist() == [0.0, 0.0]


def test_a_matrix_becomes_positive_semidefinite() -> None:
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert np.linalg.eigvalsh(nearest_psd(matrix)).min() >= -1e-12
    assert nearest_psd(np.eye(2)) == pytest.approx(np.eye(2))


def test_a_drowned_mean_has_no_figure() -> None:
    (answer,) = dp.ask(PEOPLE, [dp.mean("age", (0, 100))], budget=budget(), epsilon=0.001)
    if answer.value is None:
        assert (answer.low, answer.high) == (0.0, 100.0)
        assert "no figure" in answer.words


def test_answers_are_read_as_table_text_and_page() -> None:
    frame = pl.DataFrame({"sex": ["<b>", "M"] * 400})
    answers = dp.ask(
        frame, [dp.count(), dp.histogram("sex", categories=["<b>", "M"])], budget=budget(), epsilon=1.0
    )
    assert answers.to_polars()["cell"].to_list() == ["", "sex=<b>", "sex=M"]
    assert "<b>" not in answers._repr_html_()
    assert "epsilon 1" in str(answers)
    assert answers["count"].value is not None
    assert len(answers) == 2
    with pytest.raises(InputError, match="no answer"):
        answers["counts"]
    with pytest.raises(InputError, match="2 figures"):
        answers[1].value  # noqa: B018


def test_a_policys_mapping_asks_the_same() -> None:
    written = {"query": "mean", "of": "age", "bounds": [0, 100], "why": "the board asked", "name": "age"}
    (answer,) = dp.ask(PEOPLE, [written], budget=budget(), epsilon=1.0)
    assert answer.name == "age"
    names = [given.name for given in (dp.count(), dp.count())]
    assert names == ["count", "count"]
    assert answer_names([dp.count(), dp.count()]) == ["count", "count (2)"]


def test_pandas_is_asked_alike() -> None:
    (answer,) = dp.ask(
        PEOPLE.to_pandas(), [dp.histogram("works", categories=[True])], budget=budget(), epsilon=1.0
    )
    assert answer.value == pytest.approx(5, abs=30)
