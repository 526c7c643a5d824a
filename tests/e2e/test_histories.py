"""Histories through the whole way: what leaves, what is attacked, what it costs, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from histories_support import shoppers
from sfumato.contracts import PERSON, Params
from sfumato.core.errors import RefusedError
from sfumato.pipeline import revisit
from sfumato.project import Project
from sfumato.release.custody import open_table
from sfumato.release.layout import SEALED_SYNTHESIZER
from sfumato.synth.sequences import MODELS, SyntheticHistories
from sfumato.synth.sequences.histories import Histories

pytestmark = pytest.mark.usefixtures("quick_documents")

Run = Callable[..., sf.Result]
SECRET, PEOPLE, HELD_OUT = "zz-somebody", 2250, 0.44
EVIDENCE: dict[str, Any] = {
    "holdout": HELD_OUT,
    "attacks": [{"membership": {"members": 1000}}, {"copies": {"people": 1000}}],
    "utility": ["histories"],
}
BUDGET: dict[str, Any] = {
    "budget": {"epsilon": 2.2, "delta": 1e-5},
    "epsilon": 2.0,
    "delta": 1e-6,
    "size": 1500,
    "bounds": {"spend": [0, 60]},
    "categories": {"sku": [f"sku {i}" for i in range(8)], "home": ["north", "south"]},
}
PARTS = ("day", "sku", "spend", "home")
#: Enough to walk the way, not to learn much.
QUICK = {"events": {"epochs": 1, "hidden": 8}, "ngram": {}}


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    told = shoppers(PEOPLE, 0).with_columns(pl.format(f"{SECRET}-{{}}", PERSON).alias("customer"))
    return told.drop(PERSON).with_columns(pl.lit("a note").alias("note"))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.synth.sequences.events._LEAST_STEPS", 150)
    monkeypatch.setattr("sfumato.synth.sequences.events._PRIVATE_STEPS", 10)
    monkeypatch.setattr("sfumato.evidence.attacks.density._TREES", 4)
    monkeypatch.setattr("sfumato.evidence.learners.BAGS", 1)


@pytest.fixture
def run(tmp_path: Path, log: pl.DataFrame) -> Run:
    made = 0

    def running(written: dict[str, Any], rows: pl.DataFrame = log) -> sf.Result:
        nonlocal made
        made += 1
        return sf.run(written, rows, output=tmp_path / str(made), project=tmp_path / "keys")

    return running


def policy(method: str = "ngram", *, history: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    parts = {
        "time": "day",
        "items": ["sku"],
        "amounts": ["spend"],
        "statics": ["home"],
        "window": ["2025-01-01", "2025-12-31"],
    }
    return {
        "sfumato": 1,
        "dataset": {"name": "shop", "source": {"path": "log.csv"}, "subject": "customer"},
        "columns": {name: {"role": "quasi-identifier", "why": "use"} for name in PARTS},
        "synthesis": {
            "method": method,
            "history": parts | (history or {}),
            "settings": QUICK.get(method, {}),
            "why": "to try models on",
            **changes.pop("synthesis", {}),
        },
        "evidence": EVIDENCE,
        **changes,
    }  # fmt: skip


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_text(errors="replace") for path in files}


def share_spent(tmp_path: Path) -> float:
    from sfumato.dp.budget import Budget

    return Budget.open("shop", Project.open(tmp_path / "keys")).statement().share


def ordered(made: pl.DataFrame) -> bool:
    gaps = made.select(pl.col("day").to_physical().diff().over("customer")).drop_nulls().to_series()
    return bool((gaps >= 0).all())


@pytest.mark.parametrize("method", list(MODELS))
def test_histories_leave_and_nobodys_own(run: Run, log: pl.DataFrame, method: str, tmp_path: Path) -> None:
    learning = EVIDENCE | {"utility": ["histories", {"learning": {"models": [], "floor": False}}]}
    result = run(policy(method, evidence=learning))
    assert result.passed, [reason for reason in result.decision.reasons if not reason.passed]  # type: ignore
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    made = result.data
    assert made.columns == [name for name in log.columns if name != "note"]
    assert made["customer"].str.starts_with("synthetic-").all()
    assert made["customer"].n_unique() == pytest.approx((1 - HELD_OUT) * PEOPLE, rel=0.06)
    # A person's events stand together, in time; whose come first says nothing.
    assert ordered(made)
    assert made["customer"].rle().len() == made["customer"].n_unique()
    assert not made["customer"].unique(maintain_order=True).is_sorted()
    assert made["home"].n_unique() == 2
    assert made.group_by("customer").agg(pl.col("home").n_unique())["home"].max() == 1
    own = log.select("day", "sku", "spend", "home").unique()
    assert made.unique().join(own, on=own.columns, how="anti").height > 0.5 * made.height
    for metric in ("copies.excess", "retelling.excess", "histories.length_ks", "learning.auc"):
        assert result.finding(metric).status == "measured"
    assert result.finding("histories.transitions_tv").control is not None
    page = texts(result.folder)["dossier.html"]
    assert "a person&#39;s events are a history" in page or "a person's events are a history" in page
    assert "No epsilon bounds what the rows tell of anybody" in page
    assert not any(SECRET in text for text in texts(result.folder).values())
    sealed = open_table(result.folder.parent / "custody", SEALED_SYNTHESIZER, Project.open(tmp_path / "keys"))
    (tmp_path / "again.safetensors").write_bytes(sealed)
    assert SyntheticHistories.load(tmp_path / "again.safetensors").name == method


@pytest.mark.parametrize("method", list(MODELS))
def test_under_a_budget_whole_people_are_paid_for_and_figures_stay(
    run: Run, method: str, tmp_path: Path
) -> None:
    written = policy(method, history={"longest": 12}, synthesis={"dp": BUDGET})
    result = run(written)
    assert result.folder is not None
    made = result.plan.synthesis
    assert made is not None
    assert made.private is not None
    assert (made.private.unit, made.private.rows_per_subject) == ("subject", 12)
    assert 0 < result.finding("dp.epsilon").value <= 2.0  # type: ignore[operator]
    assert share_spent(tmp_path) > 0
    assert (made.taught, made.people) == (None, 1500)
    # What was measured on people is in the house alone.
    assert {finding.source for finding in result.findings} == {"dp"}
    assert {finding.source for finding in result.kept} >= {"copies", "membership", "retelling", "histories"}
    told = texts(result.folder)
    assert {finding["source"] for finding in json.loads(told["evidence.json"])["findings"]} == {"dp"}
    assert json.loads(told["plan.json"])["rows"] is None
    assert "at most 12, the first ones" in told["dossier.html"]
    # The network has learned too little here to be sure of passing.
    assert result.passed or method == "events"
    if result.passed:
        assert result.data.group_by("customer").len()["len"].max() <= 12  # type: ignore[operator]
        assert ordered(result.data)
    before = share_spent(tmp_path)
    with pytest.raises(RefusedError) as caught:
        run(written)
    assert caught.value.code == "budget-spent"
    assert share_spent(tmp_path) == before


def test_coming_back_finds_the_same(tmp_path: Path, log: pl.DataFrame) -> None:
    log.write_csv(tmp_path / "log.csv")
    written = policy(release={"format": "csv"}, history={"people": 1100})
    (tmp_path / "policy.json").write_text(json.dumps(written))
    first = sf.run(tmp_path / "policy.json", output=tmp_path / "out", project=tmp_path / "keys")
    assert first.data["customer"].n_unique() == 1100
    attacked = revisit.attack(tmp_path / "out", project=tmp_path / "keys")
    used = revisit.evaluate(tmp_path / "out", project=tmp_path / "keys")
    for metric in ("copies.excess", "retelling.excess", "membership.advantage"):
        again = [one for one in attacked if (one.metric, one.target) == (metric, "release")]
        assert again == [first.finding(metric)]
    assert {finding.source for finding in used} == {"histories"}


class Repeater:
    """A model that learned histories by heart, and tells them with all dates moved; the broken twin."""

    Params: ClassVar[type[Params]] = Params
    summary = "repeats the histories that it saw"
    sees: ClassVar[Literal["rows"]] = "rows"
    has_private = False
    declared_bins = 32
    moved = 0

    def __init__(self, params: Any) -> None:
        self.facts: dict[str, Any] = {}

    def fit(
        self, coding: Any, histories: Histories, key: bytes, private: Any = None, progress: Any = None
    ) -> Any:
        self.kept = histories
        return self

    def sample(self, people: int, random: np.random.Generator) -> Histories:
        own, chosen = self.kept, random.integers(0, self.kept.people, people)
        lengths = own.lengths[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        events = np.concatenate([np.arange(own.starts[one], own.starts[one + 1]) for one in chosen])
        times = own.times[events] + np.repeat(random.integers(-self.moved, self.moved + 1, people), lengths)
        return Histories(
            starts, np.clip(times, 0, 364), own.gaps[events], own.codes[events], own.statics[chosen]
        )

    def state(self) -> Any:
        return {}, {}


class Mover(Repeater):
    """The same with all dates of a history moved."""

    moved = 9


class Shuffler(Repeater):
    """The same with the dates of a history in any order."""

    def sample(self, people: int, random: np.random.Generator) -> Histories:
        made = super().sample(people, random)
        return Histories(made.starts, random.permutation(made.times), made.gaps, made.codes, made.statics)


#: In few bins a code is one value; amounts in round figures, so that a copy is one to the cent.
@pytest.fixture
def round_figures(log: pl.DataFrame) -> pl.DataFrame:
    return log.with_columns(pl.col("spend").round(0).clip(1, 12))


@pytest.mark.parametrize("twin", ["Repeater", "Mover"])
def test_a_maker_that_repeats_people_is_refused(
    run: Run, twin: str, round_figures: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS._table, "twin", f"{__name__}:{twin}")
    result = run(policy("twin"), round_figures)
    assert not result.passed
    assert result.folder is not None
    assert not (result.folder / "data").exists()
    refused = {reason.metric for reason in result.decision.reasons if not reason.passed}  # type: ignore
    assert "retelling.excess" in refused


def test_histories_out_of_order_are_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._table, "twin", f"{__name__}:Shuffler")
    gate = [{"metric": "histories.unordered", "at_most": 0}]
    result = run(policy("twin", gate=gate))
    assert result.finding("histories.unordered").value > 0.3  # type: ignore[operator]
    assert "histories.unordered" in {one.metric for one in result.decision.reasons if not one.passed}  # type: ignore


def test_a_second_log_is_judged_with_the_first(run: Run) -> None:
    first, second = (run(policy(history={"people": people})) for people in (1100, 1200))
    assert first.passed
    joint = {one.metric: one for one in second.findings if one.metric.startswith("composition.")}
    figures = ("copies_excess", "copies_close_excess", "retelling_excess", "retelling_close_excess")
    assert set(joint) == {f"composition.{name}" for name in figures}
    assert {one.status for one in joint.values()} == {"measured"}
    assert "together with 1 earlier release" in joint["composition.retelling_excess"].note
    assert second.decision is not None
    assert set(joint) <= {reason.metric for reason in second.decision.reasons}


def test_events_outside_the_window_and_of_nobody_are_left_out(log: pl.DataFrame, tmp_path: Path) -> None:
    late = log.head(3).with_columns(pl.lit("2099-01-01").str.to_date().alias("day"))
    nobody = log.head(3).with_columns(pl.lit(None, dtype=pl.String).alias("customer"))
    found = sf.plan(policy(), pl.concat([log, late, nobody]), project=tmp_path / "keys").plan
    assert found.synthesis is not None
    assert found.synthesis.rows is None
    assert found.synthesis.taught == pytest.approx((1 - HELD_OUT) * PEOPLE, rel=0.06)
    assert found.synthesis.people == 5 * round(found.synthesis.taught / 5)


def test_the_day_that_the_window_closes_on_is_in_it(log: pl.DataFrame, tmp_path: Path) -> None:
    evening = pl.datetime(2025, 12, 31, 18, time_unit="us").alias("day")
    found = sf.plan(policy(), log.with_columns(evening), project=tmp_path / "keys").plan.synthesis
    assert found is not None
    assert found.taught == pytest.approx((1 - HELD_OUT) * PEOPLE, rel=0.06)


def test_tune_varies_who_makes_histories(log: pl.DataFrame, tmp_path: Path) -> None:
    written = policy(evidence=EVIDENCE | {"utility": ["histories"]})
    space = {
        "minimize": ["membership.advantage", "histories.transitions_tv"],
        "vary": {"drop": []},
        "confirm": {"splits": 1, "again": 1, "policies": 1},
    }
    found = sf.tune(written, log, space=space, trials=2, project=tmp_path / "keys")
    assert {trial.params.get("synthesizer", "ngram") for trial in found.trials} == {"ngram", "events"}
