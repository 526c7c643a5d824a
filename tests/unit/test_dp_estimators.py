"""Estimators under differential privacy: declared domains, exact sums, the charge, scikit-learn's manners."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.linear_model import LinearRegression as PlainLinear
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from sfumato import dp
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.training import sums
from sfumato.dp.training.features import Declared
from sfumato.dp.training.trained import ROWS_COUNTED

ROWS = 3000
DECLARED: dict[str, Any] = {"bounds": {"age": (0, 100), "gain": (0, 100_000)}, "categories": {"job": "abc"}}


def people(rows: int = ROWS) -> pl.DataFrame:
    draw = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "age": draw.uniform(0, 100, rows),
            "job": draw.choice(list("abc"), rows),
            "gain": np.where(draw.random(rows) < 0.8, 0, draw.uniform(0, 1e5, rows)),
        }
    )


def labels(frame: pl.DataFrame) -> np.ndarray:
    middle = (frame["age"] - 50).abs().to_numpy() < 20
    return np.where(middle ^ (frame["job"] == "a").to_numpy(), "yes", "no")


def budget(epsilon: float = 20.0, **kinds: Any) -> dp.Budget:
    return dp.Budget(epsilon, 1e-5, **kinds)


def logistic(**kinds: Any) -> dp.LogisticRegression:
    given = {"budget": budget(), "epsilon": 5.0, "delta": 1e-5, "size": ROWS, "classes": ["no", "yes"]}
    return dp.LogisticRegression(**{**given, **DECLARED, **kinds})


def test_features_follow_from_the_declaration_alone() -> None:
    frame = pl.DataFrame({"age": [0.0, 50.0, 120.0], "job": ["a", "z", "c"], "gain": [-5.0, 1e5, 100.0]})
    declared = Declared(DECLARED["bounds"], DECLARED["categories"], 3, "refuse").fit(frame)
    found = declared.design(frame).toarray()
    assert declared.names == [
        "constant", "age=0", "age=1", "age=2", "job=a", "job=b", "job=c", "job: anything else",
        "gain=0", "gain=1", "gain=2",
    ]  # fmt: skip
    assert found[:, 0].tolist() == [1, 1, 1]
    assert found[:, 1:4].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert found[:, 4:8].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    share = 2 * math.log(2) / math.log(1001)
    assert found[:, 8:] == pytest.approx(np.array([[1, 0, 0], [0, 0, 1], [1 - share, share, 0]]))
    alone = np.vstack([declared.design(frame[i : i + 1]).toarray() for i in range(3)])
    assert (alone == found).all()
    assert np.linalg.norm(found, axis=1).max() <= declared.radius == 2


def test_no_row_is_longer_than_declared() -> None:
    frame = people()
    declared = Declared(DECLARED["bounds"], DECLARED["categories"], 8, "category").fit(frame)
    design = declared.design(frame)
    assert np.sqrt(design.multiply(design).sum(axis=1)).max() <= declared.radius
    assert np.diff(design.indptr).max() == declared.filled


def test_missing_values_have_a_declared_rule() -> None:
    frame = people(50).with_columns(
        age=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("age")),
        job=pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise(pl.col("job")),
    )
    with pytest.raises(InputError, match="missing") as caught:
        logistic().fit(frame, labels(people(50)))
    assert caught.value.where == "age"
    model = logistic(missing="category", size=50).fit(frame, labels(people(50)))
    assert model.predict(frame).shape == (50,)
    names = model.features_.names
    row = model.features_.design(frame).toarray()[3]
    assert row[names.index("age: anything else")] == 1
    assert row[[n for n, name in enumerate(names) if name.startswith("age=")]].tolist() == [0.0] * 8


def test_sums_are_exact_and_one_row_moves_them_by_its_bound_at_most() -> None:
    rows = csr_matrix(np.random.default_rng(0).uniform(0, 1, (500, 4)))
    weights = np.random.default_rng(1).normal(size=(500, 2))
    bound, cell = 0.5, 0.5 / sums._CELLS
    made = sums.RowSums(rows, 2.0, 4)
    whole = made._whole(weights, bound, cell)
    for left_out in range(0, 500, 50):
        kept = np.arange(500) != left_out
        moved = whole - sums.RowSums(rows[kept], 2.0, 4)._whole(weights[kept], bound, cell)
        assert np.linalg.norm(moved.astype(float)) <= sums._CELLS
    order = np.random.default_rng(2).permutation(500)
    assert (sums.RowSums(rows[order], 2.0, 4)._whole(weights[order], bound, cell) == whole).all()
    by_hand = np.zeros((4, 2))
    for row, weight in zip(rows.toarray() / 2, weights, strict=True):
        part = np.outer(row, weight)
        by_hand += part * min(1.0, bound / np.linalg.norm(part))
    assert whole * cell == pytest.approx(by_hand, abs=1e-4)


def test_second_moments_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    rows, target = draw.uniform(0, 0.5, (400, 4)), draw.uniform(-1, 1, 400)
    seen: list[tuple[np.ndarray, float]] = []

    def silent(values: np.ndarray, sigma: float) -> np.ndarray:
        seen.append((values, sigma))
        return values

    monkeypatch.setattr("sfumato.dp.mechanisms.gaussian", silent)
    found = sums.noisy_moments(csr_matrix(rows), target, 2**0.5, 4, 3.0)
    joined = np.column_stack([rows, target]) / 2**0.5
    assert found == pytest.approx(joined.T @ joined, abs=0.2)
    sums.noisy_moments(csr_matrix(rows[1:]), target[1:], 2**0.5, 4, 3.0)
    (all_of_them, sigma), (without_one, _) = seen
    assert np.linalg.norm((all_of_them - without_one).astype(float)) * 3.0 <= sigma


def test_it_learns_what_bends() -> None:
    frame, fresh = people(), people().reverse()
    model = logistic().fit(frame, labels(frame))
    assert model.score(fresh, labels(fresh)) > 0.7
    straight = logistic(knots=2).fit(frame, labels(frame))
    truth = labels(frame) == "yes"
    # Age acts in the middle: no straight line has it.
    only_others = frame.with_columns(job=pl.lit("b"))
    assert roc_auc_score((frame["age"] - 50).abs() < 20, model.decision_function(only_others)) > 0.8
    assert roc_auc_score(truth, straight.decision_function(frame)) < roc_auc_score(
        truth, model.decision_function(frame)
    )


def test_more_than_two_classes() -> None:
    frame = people()
    job = frame["job"].to_numpy()
    model = logistic(classes=list("cab")).fit(frame, job)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(frame).sum(axis=1) == pytest.approx(1)
    assert (model.predict(frame) == job).mean() > 0.9


def test_the_charge_comes_first_and_is_what_it_says() -> None:
    purse = budget()
    model = logistic(budget=purse).fit(people(), labels(people()))
    assert 4.99 < model.epsilon_ <= 5 < model.replace_epsilon_
    assert len(purse.statement().entries) == 1
    assert model.notices_ == []
    assert logistic(size=None).fit(people(), labels(people())).notices_ == [ROWS_COUNTED]
    with pytest.raises(RefusedError):
        logistic(budget=budget(1.0)).fit(people(), labels(people()))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("without a budget", {"budget": None}),
        ("about subjects", {"budget": budget(unit="subject")}),
        ("has no declared domain", {"bounds": {"age": (0, 100)}}),
        ("has no declared domain", {"bounds": None}),
        ("there is no column 'wage'", {"bounds": {**DECLARED["bounds"], "wage": (0, 1)}}),
        ("no interval", {"bounds": {"age": (100, 0), "gain": (0, 1)}}),
        ("two knots", {"knots": 1}),
        ("no rule", {"missing": "mean"}),
        ("classes are not declared", {"classes": None}),
        ("none of the declared classes", {"classes": ["no", "maybe"]}),
        ("size must be", {"size": 0}),
    ],
)
def test_what_is_not_declared_is_refused_free_of_charge(words: str, change: dict[str, Any]) -> None:
    model = logistic(**change)
    with pytest.raises(InputError, match=words):
        model.fit(people(50), labels(people(50)))
    if change.get("budget", model.budget) is not None:
        assert not model.budget.statement().entries


def test_no_rows_one_row_and_other_columns() -> None:
    with pytest.raises(InputError, match="no rows"):
        logistic().fit(people()[:0], [])
    model = logistic(size=1).fit(people(1), labels(people(1)))
    assert model.predict(people(3)).shape == (3,)
    with pytest.raises(InputError, match="other columns"):
        model.predict(people().drop("job"))
    with pytest.raises(InputError, match="one label"):
        logistic().fit(people(5), ["yes"])


def test_tables_of_every_kind_and_scikit_learns_manners() -> None:
    frame = people()
    table: pd.DataFrame = frame.to_pandas()
    model = clone(logistic(budget=budget()))
    assert model.fit(table, labels(frame)).predict(table).shape == (ROWS,)
    assert model.get_params()["epsilon"] == 5.0
    assert cross_val_score(logistic(budget=budget(40.0), size=ROWS), table, labels(frame), cv=2).shape == (2,)
    array = frame.select("age", "gain").to_numpy()
    pipe = make_pipeline(
        dp.LogisticRegression(
            budget=budget(), bounds={0: (0, 100), 1: (0, 1e5)}, classes=["no", "yes"], delta=1e-5
        )
    )
    assert pipe.fit(array, labels(frame)).predict_proba(array).shape == (ROWS, 2)


@pytest.mark.parametrize("kind", [dp.LogisticRegression, dp.LinearRegression, dp.MLPClassifier])
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
    ],
)
def test_scikit_learns_own_checks_that_read_nothing_from_the_rows(kind: Any, check: str) -> None:
    """The others fit arrays of no declared domain and classes, or ask for the same answer twice."""
    getattr(estimator_checks, check)(kind.__name__, kind())


def linear(**kinds: Any) -> dp.LinearRegression:
    given = {"budget": budget(), "epsilon": 5.0, "delta": 1e-5, "target": (0, 10), **DECLARED}
    return dp.LinearRegression(**{**given, **kinds})


def test_least_squares_comes_near_that_without_noise() -> None:
    frame = people()
    truth = (frame["age"] / 20 + 3 * (frame["job"] == "a").cast(pl.Float64)).to_numpy()
    model = linear().fit(frame, truth)
    features = model.features_.design(frame)
    plain = PlainLinear().fit(features, truth).predict(features)
    assert math.sqrt(np.mean((model.predict(frame) - plain) ** 2)) < 0.5
    assert 4.99 < model.epsilon_ <= 5 < model.replace_epsilon_
    assert model.coef_.shape == (len(model.feature_names_),)
    assert model.score(frame, truth) > 0.8


@pytest.mark.parametrize(
    ("words", "change", "target"),
    [
        ("no declared bounds", {"target": None}, np.zeros(50)),
        ("no interval", {"target": (1, 1)}, np.zeros(50)),
        ("missing in rows", {}, np.full(50, np.nan)),
        ("one target for each", {}, np.zeros(49)),
        ("without a budget", {"budget": None}, np.zeros(50)),
    ],
)
def test_least_squares_refuses_free_of_charge(words: str, change: dict[str, Any], target: Any) -> None:
    model = linear(**change)
    with pytest.raises(InputError, match=words):
        model.fit(people(50), target)
    assert model.budget is None or not model.budget.statement().entries


def test_least_squares_stays_in_bounds_and_stands_little_data() -> None:
    model = linear().fit(people(1), [1e9])
    assert ((model.predict(people()) >= 0) & (model.predict(people()) <= 10)).all()
    with pytest.raises(InputError, match="no rows"):
        linear().fit(people(5)[:0], [])


def test_the_small_network_learns() -> None:
    frame = people()
    model = dp.MLPClassifier(
        budget=budget(), epsilon=5.0, delta=1e-5, classes=["no", "yes"], size=ROWS, hidden=8, **DECLARED
    ).fit(frame, labels(frame))
    assert model.score(frame, labels(frame)) > 0.8
    assert model.predict_proba(frame).sum(axis=1) == pytest.approx(1)
    assert 4.9 < model.epsilon_ <= 5
    assert model.notices_ == []
    assert model.trained_.record.event == model.event_


def test_a_budget_about_subjects_takes_one_row_of_each() -> None:
    from sfumato.core.errors import InputError
    from sfumato.dp.budget import Budget
    from sfumato.dp.training.linear import LinearRegression

    numbers = np.linspace(0, 1, 200)[:, None]
    budget = Budget(3.0, 1e-6, unit="subject")
    model = LinearRegression(budget=budget, epsilon=1.0, bounds=(0, 1), target=(0, 1))
    for subject in (None, [1] * 200):
        with pytest.raises(InputError, match="each has one row"):
            model.fit(numbers, numbers[:, 0], subject=subject)
    assert model.fit(numbers, numbers[:, 0], subject=range(200)).epsilon_ <= 1
