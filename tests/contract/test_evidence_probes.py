"""What every registered probe must keep, on ordinary data and on bad."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from evidence_support import as_is, compare, local, made, planned, starred
from sfumato.contracts import COUNT, Comparison, Params
from sfumato.core.values import Finding
from sfumato.evidence import TABLES, learners, probe
from sfumato.evidence.attacks.controls import OVERLAP
from sfumato.evidence.run import measure

NAMES = [name for table in TABLES for name in table]
PARAMS = {
    "findings": {
        "queries": [
            {"name": "mean", "mean": "number", "by": "group"},
            {"name": "slope", "coefficient": "number", "of": "y", "on": ["town"]},
        ]
    },
    "fairness": {"groups": ("group",)},
}


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "BAGS", 1)


def ordinary(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "number": draw.normal(size=rows).round(2),
            "town": draw.choice(["a", "b", "c"], rows),
            "group": draw.integers(0, 2, rows),
            "y": draw.integers(0, 2, rows),
        }
    )


BASE = ordinary(300)
BAD: dict[str, pl.DataFrame] = {
    "ordinary": BASE,
    "empty": BASE.clear(),
    "one row": BASE[:1],
    "two rows": BASE[:2],
    "all missing": BASE.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("number"), pl.lit(None, dtype=pl.String).alias("town")
    ),
    "no type": BASE.with_columns(number=pl.lit(None)),
    "constant": BASE.with_columns(number=pl.lit(1.0), town=pl.lit("a"), group=pl.lit(1)),
    "one class": BASE.with_columns(y=pl.lit(1)),
    "no target": BASE.with_columns(y=pl.lit(None, dtype=pl.Int64)),
    "rare class": BASE.with_columns(y=(pl.int_range(300) == 5).cast(pl.Int64)),
    "unicode": BASE.with_columns(town=pl.Series(["ß", "東京", "a\u0301", "\u202e", "", " "] * 50)),
    "huge numbers": BASE.with_columns(number=pl.Series([1e308, -1e308, 5e-324] * 100)),
    "not numbers": BASE.with_columns(number=pl.Series([math.nan, math.inf, -math.inf] * 100)),
    "all different": BASE.with_columns(
        town=pl.Series([f"v{i}" for i in range(300)]), group=pl.int_range(300)
    ),
    "dates": BASE.with_columns(number=pl.Series([date(1900 + i % 90, 1, 1) for i in range(300)])),
    "booleans": BASE.with_columns(group=pl.col("group") == 1, y=pl.col("y") == 1),
    "missing groups": BASE.with_columns(group=pl.when(pl.col("group") == 1).then(1)),
    "odd names": BASE.with_columns(pl.Series("literal: \n^.*$", np.arange(300) % 7)),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    kind = probe(name)
    assert kind.summary
    assert issubclass(kind.Params, Params)
    assert kind.metrics
    for metric, (goal, line) in kind.metrics.items():
        assert metric == metric.lower()
        assert "." in metric
        assert goal in ("low", "high")
        assert line
    assert set(kind.units) == set(kind.metrics)
    assert kind.rowwise <= set(kind.metrics)


@pytest.mark.parametrize(
    "describe", [as_is, starred, lambda f: f.drop("town", "number")], ids=["raw", "stars", "few"]
)
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_bad_data_give_findings_and_no_traceback(name: str, kind: str, describe: Callable) -> None:
    frame = BAD[kind]
    half = frame.height // 2
    kept = np.arange(half) % 4 != 0
    given = compare(frame[:half], describe, kept=kept, control=frame[half:], target="y", population=0.01)
    check(name, given)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_labels_that_overlap_on_bad_data_give_findings_and_no_traceback(name: str, kind: str) -> None:
    frame = BAD[kind]
    half = frame.height // 2
    classes = [-1 if i % 4 == 0 else i // 9 for i in range(half)]
    counted = {
        name: lambda columns: frame.group_by(columns).len(COUNT)
        for name in ("count_population", "count_population_original")
    }
    recoded = ["number", "town"]
    check(name, local(frame[:half], classes, recoded, control=frame[half:], target="y", **counted))


@pytest.mark.parametrize("limit", [0, 15])
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["downcoding", "minimality"])
def test_a_level_chosen_on_bad_data_gives_findings_and_no_traceback(name: str, kind: str, limit: int) -> None:
    frame, columns = BAD[kind], ("number", "town")
    half = frame.height // 2

    def described(people: pl.DataFrame) -> pl.DataFrame:
        return people.with_columns(pl.lit("*").alias(column) for column in columns)

    def finer(column: str, people: pl.DataFrame) -> pl.DataFrame:
        return described(people).with_columns(people[column])

    given = compare(frame[:half], described, control=frame[half:], finer=finer, suppressible=limit)
    models = [{"model": "k-anonymity", "k": 3}]
    if name == "minimality":
        models = [{"model": "p-sensitive", "on": "group", "p": 2, "k": 3}]
    check(name, planned(given, models, levels=dict.fromkeys(columns, 1)))


ROWS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "none": lambda rows: rows.clear(),
    "one": lambda rows: rows[:1],
    "fewer": lambda rows: rows[: rows.height // 3],
    "as many": lambda rows: rows,
    "more": lambda rows: pl.concat([rows, rows[::-1], rows]),
}


FRAMES = [
    *((kind, many) for kind in ("ordinary", "one row", "all missing") for many in ROWS),
    *((kind, many) for kind in BAD for many in ("fewer", "more")),
]


@pytest.mark.parametrize(("kind", "many"), dict.fromkeys(FRAMES))
def test_made_rows_on_bad_data_give_findings_and_no_error(kind: str, many: str) -> None:
    frame = BAD[kind]
    half = frame.height // 2
    given = made(frame[:half], ROWS[many](frame[:half]), control=frame[half:], target="y", groups=("group",))
    found = measure(given, {name: PARAMS.get(name, {}) for name in NAMES})
    for name in NAMES:
        part, findings = probe(name), [finding for finding in found if finding.source == name]
        judge(name, findings)
        # What is said of rowwise figures is that they are not measured, and once.
        silent = [finding for finding in findings if finding.metric in part.rowwise]
        assert {finding.metric for finding in silent} == part.rowwise
        assert all(finding.status == "not-measured" for finding in silent)
        if many == "none":
            assert not any(finding.status == "measured" for finding in findings)
    assert not any(finding.status == "error" and finding.note != OVERLAP for finding in found)


@pytest.mark.parametrize("name", NAMES)
def test_made_rows_without_control_are_never_measured_as_good(name: str) -> None:
    found = measure(made(BASE[:150], BASE[150:], target="y"), {name: PARAMS.get(name, {})})
    judge(name, [finding for finding in found if finding.source == name])
    excess = [finding for finding in found if finding.metric.endswith("excess")]
    assert not any(finding.status == "measured" for finding in excess)


def check(name: str, given: Comparison) -> None:
    part = probe(name)
    judge(name, part().run(given, part.Params(**PARAMS.get(name, {}))))


def judge(name: str, findings: list[Finding]) -> None:
    part = probe(name)
    assert {finding.metric for finding in findings} == set(part.metrics)
    assert len({(finding.metric, finding.target) for finding in findings}) == len(findings)
    for finding in findings:
        goal, _ = part.metrics[finding.metric]
        assert (finding.goal, finding.unit) == (goal, part.units[finding.metric])
        if finding.status == "measured":
            assert finding.low <= finding.value <= finding.high
            assert finding.n > 0
        else:
            assert finding.value is None
            assert finding.note


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice(name: str) -> None:
    given = compare(BASE[:200], control=BASE[200:], target="y", population=0.1)
    part = probe(name)
    params = part.Params(**PARAMS.get(name, {}))
    assert part().run(given, params) == part().run(given, params)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_released_is_never_measured_as_good(name: str) -> None:
    given = compare(BASE[:200], kept=np.zeros(200, dtype=bool), control=BASE[200:], target="y")
    part = probe(name)
    findings = part().run(given, part.Params(**PARAMS.get(name, {})))
    measured = {finding.metric for finding in findings if finding.status == "measured"}
    assert measured <= {"fairness.suppressed", "fairness.suppression_gap"}


def test_a_column_of_very_many_categories_is_bounded() -> None:
    rows = 60_000
    frame = pl.DataFrame(
        {"town": pl.int_range(rows, eager=True).cast(pl.String), "group": pl.int_range(rows, eager=True) % 3}
    )
    given = compare(frame[: rows // 2], control=frame[rows // 2 :])
    for name in ("uniqueness", "linkage", "distributions", "correlations"):
        part = probe(name)
        assert part().run(given, part.Params())
