"""Releases of people's own rows and of rows made of them: whichever is second is measured with the first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.evidence.attacks import both as attack
from sfumato.pipeline import both
from sfumato.pipeline import made as way
from sfumato.pipeline.lesson import rows_made as lesson_rows

pytestmark = pytest.mark.usefixtures("quick_documents", "fewer")

Run = Callable[..., sf.Result]
ROWS = 4400
BOTH = "composition.both_excess"
#: Somebody answers for made rows that are known to repeat people; nobody for both releases together.
ANSWERED = {
    "gate": [
        {"metric": name, "at_most": 1.0, "least_n": 1}
        for name in ("copies.excess", "copies.close_excess", "membership.tpr_at_1_all_columns")
    ],
    "approvals": [
        {"by": "A. Officer", "what": f"gate {name}", "why": "the recipient knows everybody"}
        for name in ("copies.excess", "copies.close_excess", "membership.tpr_at_1_all_columns")
    ],
}


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "sfumato": 1,
        "dataset": {"name": "clinic", "source": {"path": "unused.csv"}, "target": "ill"},
        "columns": {
            "age": {"role": "quasi-identifier", "why": "use"},
            "income": {"role": "quasi-identifier", "why": "use"},
            "region": {"role": "quasi-identifier", "why": "use"},
            "ill": {"role": "insensitive", "sensitive": True, "why": "the question of the study"},
            "marker": {"role": "insensitive", "sensitive": True, "why": "measured in the study"},
        },
        "evidence": {"holdout": 0.25, "attacks": [], "utility": []},
        **changes,
        "approvals": [
            *(
                {"by": "A. Officer", "what": f"column {name}", "why": "nobody knows it"}
                for name in ("ill", "marker")
            ),
            *changes.get("approvals", ()),
        ],
    }


def own(**changes: Any) -> dict[str, Any]:
    models = [{"model": "k-anonymity", "k": 5}]
    return policy(anonymity={"method": "partition", "models": models}, **changes)


def made(rows: int = 3000, **changes: Any) -> dict[str, Any]:
    return policy(synthesis={"method": "copula", "rows": rows, "why": "to train on"}, **changes)


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw = np.random.default_rng(5)
    age = draw.integers(18, 90, ROWS)
    return pl.DataFrame(
        {
            "person": [f"p{at}" for at in range(ROWS)],
            "age": age,
            "income": np.round((draw.gamma(4, 8000, ROWS) + 200 * age) / 100) * 100,
            "region": draw.choice(["north", "south", "east"], ROWS, p=[0.5, 0.3, 0.2]),
            "ill": draw.random(ROWS) < age / 150,
            "marker": np.round(age + draw.normal(0, 30, ROWS)).astype(int),
        }
    )


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "MOST", 1500)
    monkeypatch.setattr(attack, "SHOWN", 200)


@pytest.fixture
def run(tmp_path: Path, table: pl.DataFrame) -> Run:
    count = 0

    def running(written: dict[str, Any], rows: pl.DataFrame | None = None) -> sf.Result:
        nonlocal count
        count += 1
        rows = table.drop("person") if rows is None else rows
        return sf.run(written, rows, output=tmp_path / str(count), project=tmp_path / "keys")

    return running


@pytest.fixture
def by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthesizer that repeats the people who taught it, one in each of ``plan.settings``'s rows."""
    honest: Callable[..., pl.DataFrame] = lesson_rows

    def repeating(lesson: Any, taught: Any, plan: Any) -> pl.DataFrame:
        rows: pl.DataFrame = honest(lesson, taught, plan)
        people = lesson.rows().select(rows.columns).cast(dict(rows.schema))
        whole: pl.DataFrame = pl.concat([people, rows[people.height :]])
        return whole

    monkeypatch.setattr(way, "rows_made", repeating)


def refusing(result: sf.Result) -> set[str]:
    assert result.decision is not None
    return {reason.metric for reason in result.decision.reasons if not reason.passed}


@pytest.mark.parametrize("order", [(own(), made()), (made(), own())], ids=["made second", "own second"])
def test_honest_rows_pass_and_are_measured_with_the_others(run: Run, order: Any) -> None:
    first, second = (run(written) for written in order)
    assert first.passed
    assert not [one for one in first.findings if one.metric.startswith("composition.")]
    assert second.passed, refusing(second)
    assert second.decision is not None
    assert [reason.passed for reason in second.decision.reasons if reason.metric == BOTH] == [True]
    assert {one.target for one in second.findings if one.metric == BOTH} == {"release", "ill", "marker"}
    found = second.finding(BOTH)
    assert found.before is not None and found.before > 0.2
    assert "held out, each in the place of" in found.note
    # There is no release of its own kind to be composed with.
    assert "composition.worst_class" not in {reason.metric for reason in second.decision.reasons}
    assert second.folder is not None
    assert "Learned from own and made rows together" in (second.folder / "dossier.html").read_text()


@pytest.mark.usefixtures("by_heart")
def test_people_repeated_by_made_rows_are_refused_beside_their_own(run: Run) -> None:
    assert run(own()).passed
    after = run(made(3300, **ANSWERED))
    assert refusing(after) == {BOTH}
    value = after.finding(BOTH).value
    assert value is not None and value > 0.6


@pytest.mark.usefixtures("by_heart")
def test_own_rows_of_people_whom_made_ones_repeat_are_refused(run: Run) -> None:
    assert run(made(3300, **ANSWERED)).passed
    after = run(own())
    assert refusing(after) == {BOTH}
    named = [{"by": "A. Officer", "what": f"gate {BOTH}", "why": "the first recipient deleted theirs"}]
    assert run(own(approvals=named)).passed


@pytest.mark.usefixtures("by_heart")
@pytest.mark.parametrize("forgotten", ["after_own", "after_made"])
def test_a_way_that_forgets_the_earlier_release_lets_nothing_leave(
    run: Run, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The broken twin: the gate knows from the ledger that something is to be measured."""
    monkeypatch.setattr(both, forgotten, lambda *_: [])
    order = (own(), made(3300, **ANSWERED)) if forgotten == "after_own" else (made(3300, **ANSWERED), own())
    first, second = (run(written) for written in order)
    assert first.passed
    assert refusing(second) == {BOTH}
    assert second.decision is not None
    assert "nothing measured it" in {reason.words for reason in second.decision.reasons}


def test_what_an_older_version_kept_is_not_enough(run: Run, tmp_path: Path) -> None:
    assert run(made()).passed
    (kept,) = (tmp_path / "keys").rglob("*.beside.age")
    kept.unlink()
    after = run(own())
    assert refusing(after) == {BOTH}
    assert after.finding(BOTH).status == "not-measured"
    assert "run its policy again" in after.finding(BOTH).note
    assert run(made()).passed
    assert run(own()).passed


def test_people_of_two_sources_are_found_by_a_key_and_strangers_are_not(
    run: Run, table: pl.DataFrame
) -> None:
    def keyed(written: dict[str, Any], key: str | None) -> dict[str, Any]:
        return written | {"dataset": written["dataset"] | {"key": key}}

    later = table.sample(fraction=0.9, seed=1, shuffle=True)
    assert run(keyed(made(), "person"), table).passed
    after = run(keyed(own(), "person"), later)
    assert after.passed, refusing(after)
    assert after.finding(BOTH).n > 1000
    strangers = run(keyed(own(), None), later.drop("person"))
    assert BOTH in refusing(strangers)
    assert "dataset.key" in strangers.finding(BOTH).note


def test_own_rows_of_other_people_have_nothing_to_do_with_it(run: Run, table: pl.DataFrame) -> None:
    keyed = {"dataset": policy()["dataset"] | {"key": "person"}}
    assert run(made(2700, **keyed), table[:3600]).passed
    after = run(own(**keyed), table[3600:])
    assert after.passed, refusing(after)
    assert after.finding(BOTH).value == 0
    assert "nobody who is in" in after.finding(BOTH).note


def test_people_who_are_in_and_did_not_teach_are_the_control(run: Run) -> None:
    everybody = own()
    del everybody["evidence"]
    assert run(everybody).passed
    after = run(made())
    assert after.passed, refusing(after)
    assert "of the release of own rows who did not teach" in after.finding(BOTH).note


def test_made_rows_of_several_releases_are_looked_through_together(run: Run) -> None:
    assert run(made()).passed
    assert run(made(3100)).passed
    after = run(own())
    assert after.passed, refusing(after)
    assert "2 earlier releases of rows made" in after.finding(BOTH).note
    # And the third release of made rows with the own ones, and with both made before.
    third = run(made(3200))
    assert third.passed, refusing(third)
    assert third.decision is not None
    assert {BOTH, "composition.copies_excess"} <= {reason.metric for reason in third.decision.reasons}
