"""Rows that are made again and again of the same people: what all releases repeat together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.pipeline import made as way
from sfumato.pipeline import together
from sfumato.pipeline.lesson import rows_made as lesson_rows

pytestmark = pytest.mark.usefixtures("quick_documents")

Run = Callable[..., sf.Result]
ROWS = 6000
JOINT = {"composition.copies_excess", "composition.copies_close_excess"}


def policy(rows: int, **changes: Any) -> dict[str, Any]:
    return {
        "sfumato": 1,
        "dataset": {"name": "clinic", "source": {"path": "unused.csv"}, "target": "ill"},
        "columns": {
            "age": {"role": "quasi-identifier", "why": "use"},
            "income": {"role": "quasi-identifier", "why": "use"},
            "height": {"role": "quasi-identifier", "why": "use"},
            "weight": {"role": "quasi-identifier", "why": "use"},
            "pulse": {"role": "quasi-identifier", "why": "use"},
            "region": {"role": "quasi-identifier", "why": "use"},
            "ill": {"role": "insensitive", "sensitive": True, "why": "the question of the study"},
        },
        "synthesis": {"method": "copula", "rows": rows, "why": "to train on"},
        "evidence": {"holdout": 0.3, "attacks": ["membership"], "utility": ["distributions"]},
        **changes,
    }


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw = np.random.default_rng(7)
    age = draw.integers(18, 90, ROWS)
    return pl.DataFrame(
        {
            "age": age,
            "income": np.round((draw.gamma(4, 8000, ROWS) + 200 * age) / 1000) * 1000,
            # So many figures that nobody is like somebody else by chance.
            "height": np.round(draw.normal(172, 9, ROWS)).astype(int),
            "weight": np.round(draw.normal(75, 15, ROWS)).astype(int),
            "pulse": np.round(draw.normal(70, 12, ROWS)).astype(int),
            "region": draw.choice(["north", "south", "east"], ROWS, p=[0.5, 0.3, 0.2]),
            "ill": draw.random(ROWS) < age / 150,
        }
    )


@pytest.fixture
def run(tmp_path: Path, table: pl.DataFrame) -> Run:
    count = 0

    def running(written: dict[str, Any]) -> sf.Result:
        nonlocal count
        count += 1
        return sf.run(written, table, output=tmp_path / str(count), project=tmp_path / "keys")

    return running


@pytest.fixture
def repeating(monkeypatch: pytest.MonkeyPatch, table: pl.DataFrame) -> None:
    """A generator that repeats nine people in each release, others each time."""
    honest: Callable[..., pl.DataFrame] = lesson_rows
    alone = table.filter(~table.is_duplicated())

    def forgetful(lesson: Any, taught: Any, plan: Any) -> pl.DataFrame:
        made: pl.DataFrame = honest(lesson, taught, plan)
        people = lesson.rows().join(alone, on=table.columns, how="semi").sort(table.columns)
        again = people.sample(9, seed=plan.rows).select(made.columns).cast(dict(made.schema))
        return pl.concat([made[:-9], again])

    monkeypatch.setattr(way, "rows_made", forgetful)


def joint(result: sf.Result) -> dict[str, Any]:
    return {one.metric: one for one in result.findings if one.metric.startswith("composition.")}


def test_the_second_release_is_judged_with_the_first(run: Run) -> None:
    first, second = run(policy(3000)), run(policy(3500))
    assert first.passed
    assert joint(first) == {}
    assert second.passed
    assert set(joint(second)) == JOINT
    assert {one.status for one in joint(second).values()} == {"measured"}
    assert second.decision is not None
    assert {reason.metric for reason in second.decision.reasons} >= JOINT
    # Run again, a release is the same one and not an earlier one of itself.
    assert set(joint(run(policy(3000)))) == JOINT
    assert second.folder is not None
    assert "Copies in all releases together" in (second.folder / "dossier.html").read_text()


@pytest.mark.usefixtures("repeating")
def test_few_people_a_release_are_many_in_all(run: Run) -> None:
    results = (run(policy(3000 + at)) for at in range(8))
    assert next(results).passed
    refused = next(result for result in results if not result.passed)
    assert refused.decision is not None
    failed = {reason.metric for reason in refused.decision.reasons if not reason.passed}
    assert failed <= JOINT
    assert "composition.copies_excess" in failed
    # By itself it is as good as the first, which left.
    high = refused.finding("copies.excess").high
    assert high is not None
    assert high <= 0.0075


def test_people_held_out_now_who_taught_before_prove_nothing(run: Run) -> None:
    evidence = policy(0)["evidence"]
    before = run(policy(3000, evidence={**evidence, "holdout": 0.25}))
    assert before.passed
    after = run(policy(3000))
    assert not after.passed
    assert {one.status for one in joint(after).values()} == {"not-measured"}
    assert "nobody can tell" in joint(after)["composition.copies_excess"].note


def test_columns_in_other_terms_cannot_be_laid_together(run: Run) -> None:
    fewer = policy(3000)
    fewer["columns"] = {**fewer["columns"], "region": {"role": "insensitive", "action": "drop", "why": "x"}}
    assert run(fewer).passed
    assert not run(policy(3000)).passed
    # Somebody who has both has in the first only what is in the second as well.
    approved = policy(
        3000,
        approvals=[
            {"by": "A. Officer", "what": f"gate {metric}", "why": "who has the first has no more of anybody"}
            for metric in sorted(JOINT)
        ],
    )
    assert run(approved).passed


def test_fewer_columns_than_before_are_laid_together(run: Run) -> None:
    assert run(policy(3000)).passed
    fewer = policy(3000)
    fewer["columns"] = {**fewer["columns"], "region": {"role": "insensitive", "action": "drop", "why": "x"}}
    assert {one.status for one in joint(run(fewer)).values()} == {"measured"}


def test_a_made_name_in_two_logs_is_of_two_people() -> None:
    """Laid together by their names, two histories would be one that repeats neither."""
    dataset, asked = SimpleNamespace(subject="customer"), SimpleNamespace(history=object())
    snapshot = SimpleNamespace(policy=SimpleNamespace(dataset=dataset, synthesis=asked))
    fitted: Any = SimpleNamespace(released=("customer", "day"), snapshot=snapshot)
    log = pl.DataFrame({"customer": ["synthetic-1", "synthetic-1", "synthetic-2"], "day": [1, 2, 1]})
    whole = together._one_log(fitted, [log, log]).collect()
    assert whole["customer"].n_unique() == 4
    assert whole["day"].to_list() == [1, 2, 1, 1, 2, 1]
