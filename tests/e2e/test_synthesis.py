"""Made rows through the whole way: what leaves, what is attacked, what it costs, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.contracts import Params
from sfumato.core.errors import InputError, PolicyError, RefusedError
from sfumato.pipeline import revisit
from sfumato.release.words import METHODS
from sfumato.synth import SYNTHESIZERS

pytestmark = pytest.mark.usefixtures("quick_documents")

Run = Callable[..., sf.Result]
SECRET = "zz-somebody"
ROWS = 6000
EVIDENCE: dict[str, Any] = {
    "holdout": 0.3,
    "attacks": ["membership"],
    "utility": ["distributions", "correlations"],
}
BUDGET: dict[str, Any] = {
    "budget": {"epsilon": 3.0, "delta": 1e-5},
    "epsilon": 2.0,
    "delta": 1e-6,
    "size": 4000,
    "bounds": {"age": [18, 90], "income": [0, 100_000]},
    "categories": {"region": ["north", "south", "east"], "ill": [False, True]},
}


def policy(method: str = "copula", **changes: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "name": {"role": "direct-identifier", "action": "drop", "why": "not needed"},
        "age": {"role": "quasi-identifier", "why": "use"},
        "income": {"role": "quasi-identifier", "why": "use"},
        "region": {"role": "quasi-identifier", "why": "use"},
        "ill": {"role": "insensitive", "sensitive": True, "why": "the question of the study"},
    }
    return {
        "sfumato": 1,
        "dataset": {"name": "clinic", "source": {"path": "unused.csv"}, "target": "ill"},
        "columns": columns,
        "synthesis": {"method": method, "why": "to train on", **changes.pop("synthesis", {})},
        "evidence": EVIDENCE,
        **changes,
    }


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw = np.random.default_rng(5)
    age = draw.integers(18, 90, ROWS)
    return pl.DataFrame(
        {
            "name": [f"{SECRET}-{number}" for number in range(ROWS)],
            "age": age,
            # In round figures: exact ones lie near to somebody's by chance.
            "income": np.round((draw.gamma(4, 8000, ROWS) + 200 * age) / 1000) * 1000,
            "region": draw.choice(["north", "south", "east"], ROWS, p=[0.5, 0.3, 0.2]),
            "ill": draw.random(ROWS) < age / 150,
        }
    )


@pytest.fixture
def run(tmp_path: Path, table: pl.DataFrame) -> Run:
    made = 0

    def running(written: dict[str, Any], rows: pl.DataFrame = table) -> sf.Result:
        nonlocal made
        made += 1
        return sf.run(written, rows, output=tmp_path / str(made), project=tmp_path / "keys")

    return running


def share_spent(tmp_path: Path) -> float:
    from sfumato.dp.budget import Budget
    from sfumato.project import Project

    return Budget.open("clinic", Project.open(tmp_path / "keys")).statement().share


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_text(errors="replace") for path in files}


def test_made_rows_leave_and_nobodys_own(run: Run, table: pl.DataFrame) -> None:
    result = run(policy(synthesis={"rows": 3000}))
    assert result.passed
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    made = result.data
    assert made.height == 3000
    assert made.schema == table.drop("name").schema
    own = table.drop("name").unique()
    assert made.unique().join(own, on=own.columns, how="anti").height > 0.4 * made.height
    older = made.filter(pl.col("age") > 60)["ill"].mean(), made.filter(pl.col("age") < 40)["ill"].mean()
    assert older[0] > older[1] + 0.1  # type: ignore[operator]
    assert result.finding("copies.excess").status == "measured"
    assert {finding.metric for finding in result.findings}.isdisjoint({"risk.worst_class"})
    page = texts(result.folder)["dossier.html"]
    assert "How the rows were made" in page
    assert "3,000 rows that it made leave" in page
    assert "No epsilon bounds what the rows tell of anybody" in page
    assert not any(SECRET in text for text in texts(result.folder).values())
    assert (result.folder.parent / "custody" / "synthesizer.safetensors.age").exists()


def test_the_same_policy_makes_the_same_rows(run: Run) -> None:
    first, second = run(policy()), run(policy())
    assert first.data.equals(second.data)


def test_coming_back_attacks_the_rows_that_left(run: Run, tmp_path: Path, table: pl.DataFrame) -> None:
    table.write_csv(tmp_path / "unused.csv")
    (tmp_path / "policy.json").write_text(json.dumps(policy()))
    result = sf.run(tmp_path / "policy.json", output=tmp_path / "out", project=tmp_path / "keys")
    attacked = revisit.attack(tmp_path / "out", project=tmp_path / "keys")
    for metric in ("copies.excess", "membership.advantage"):
        (again,) = (
            finding for finding in attacked if finding.metric == metric and finding.target == "release"
        )
        assert again == result.finding(metric)
    used = revisit.evaluate(tmp_path / "out", project=tmp_path / "keys")
    assert {finding.source for finding in used} == {"distributions", "correlations"}
    with pytest.raises(InputError, match="none is of anybody whom a register could name"):
        revisit.attack(tmp_path / "out", against=str(tmp_path / "unused.csv"), project=tmp_path / "keys")


#: Enough to walk the way, not to learn much.
QUICK: dict[str, dict[str, Any]] = {
    "aim": {"components": 20, "steps": 10},
    "mst": {"fit": "mixture", "components": 20, "steps": 10},
    "autoregressive": {"epochs": 1, "hidden": 8},
    "vae": {"epochs": 1, "hidden": 16, "latent": 2, "components": 4},
    "gan": {"steps": 2, "hidden": 16, "critic_steps": 1},
    "language-model": {"epochs": 1, "width": 16, "layers": 1, "heads": 2},
}


@pytest.mark.parametrize("method", list(SYNTHESIZERS))
def test_every_synthesizer_goes_the_whole_way(run: Run, table: pl.DataFrame, method: str) -> None:
    settings = QUICK.get(method, {})
    result = run(policy(method, synthesis={"rows": 1000, "settings": settings}), table)
    assert result.passed, result.decision.reasons  # type: ignore[union-attr]
    assert result.data.height == 1000
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    assert METHODS[method] in texts(result.folder)["dossier.html"].replace("&#39;", "'")
    made = result.plan.synthesis
    assert made is not None
    assert {column["column"] for column in made.coded} == {"age", "income", "region", "ill"}
    assert made.settings == settings


class Copier:
    """A synthesizer that learned the rows by heart; it is the broken twin of all others."""

    Params: ClassVar[type[Params]] = Params
    summary = "repeats the rows that it saw"
    sees: ClassVar[Literal["rows"]] = "rows"
    has_private = False
    conditional = False
    share = 1.0

    def __init__(self, params: Any) -> None:
        self.codes: Any = None
        self.facts: dict[str, Any] = {}

    def fit(self, coded: Any, key: bytes, private: Any = None, progress: Any = None) -> Any:
        self.codes = coded.codes.copy()
        return self

    def sample(self, rows: int, random: np.random.Generator, given: Any) -> Any:
        return self.codes[random.integers(0, len(self.codes), rows)]

    def state(self) -> Any:
        return {"codes": self.codes.astype(np.int64)}, {}


def test_a_synthesizer_that_repeats_people_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows learned by heart, every value kept: nothing leaves."""
    monkeypatch.setitem(SYNTHESIZERS._table, "copier", f"{__name__}:Copier")
    whole = {
        "columns": policy()["columns"] | {"income": {"role": "insensitive", "action": "drop", "why": "x"}}
    }
    result = run(policy("copier", synthesis={"rare": "keep"}))
    assert not result.passed
    assert result.folder is not None
    assert not (result.folder / "data").exists()
    # Where many people share every row, to repeat one is no copy of anybody.
    assert run(policy("copier", **whole)).finding("copies.excess").value is not None


def test_under_a_budget_the_rows_are_paid_for_and_the_figures_stay(run: Run, tmp_path: Path) -> None:
    result = run(policy("independent", synthesis={"dp": BUDGET}))
    assert result.passed
    assert result.folder is not None
    assert 0 < result.finding("dp.epsilon").value <= 2.0  # type: ignore[operator]
    assert share_spent(tmp_path) > 0
    assert result.finding("dp.unbounded").value == 0
    # What was measured on people is in the house alone, also in the gate's words.
    assert {finding.source for finding in result.findings} == {"dp"}
    assert {finding.source for finding in result.kept} >= {"copies", "membership", "distributions"}
    told = texts(result.folder)
    assert "copies.excess" in told["dossier.html"]
    left = json.loads(told["evidence.json"])
    assert {finding["source"] for finding in left["findings"]} == {"dp"}
    housed = [reason for reason in left["decision"]["reasons"] if not reason["metric"].startswith("dp.")]
    assert {reason["metric"] for reason in housed} >= {"copies.excess", "membership.tpr_at_1_all_columns"}
    assert not any(character.isdigit() for reason in housed for character in reason["words"])
    assert json.loads(told["plan.json"])["rows"] is None
    assert result.data.height == 4000
    assert "What it may tell of one row" in told["dossier.html"]


def test_figures_on_people_are_published_only_where_the_policy_says_so(run: Run) -> None:
    result = run(policy("independent", synthesis={"dp": BUDGET | {"evidence": "published"}}))
    assert result.finding("copies.excess").status == "measured"
    assert result.folder is not None
    assert "are not covered by it" in texts(result.folder)["dossier.html"]


def test_a_second_run_is_charged_and_a_spent_budget_refuses(run: Run, tmp_path: Path) -> None:
    tight = BUDGET | {"budget": {"epsilon": 2.2, "delta": 1e-5}}
    run(policy("independent", synthesis={"dp": tight}))
    before = share_spent(tmp_path)
    with pytest.raises(RefusedError) as caught:
        run(policy("independent", synthesis={"dp": tight}))
    assert caught.value.code == "budget-spent"
    assert share_spent(tmp_path) == before
    assert not (tmp_path / "2").exists()


def test_a_price_beyond_the_floor_is_refused_before_anything_is_learned(run: Run, tmp_path: Path) -> None:
    dear = BUDGET | {"budget": {"epsilon": 60.0, "delta": 1e-5}, "epsilon": 50.0}
    result = run(policy("independent", synthesis={"dp": dear}))
    assert not result.passed
    assert share_spent(tmp_path) == 0
    assert not result.kept


def test_rows_without_a_guarantee_are_entered_as_unbounded(run: Run) -> None:
    run(policy("independent", synthesis={"dp": BUDGET}))
    run(policy("independent"))
    third = run(policy("independent", synthesis={"dp": BUDGET | {"epsilon": 0.2}}))
    assert third.finding("dp.unbounded").value == 1


def test_a_plan_says_the_price_and_spends_nothing(table: pl.DataFrame, tmp_path: Path) -> None:
    found = sf.plan(policy("independent", synthesis={"dp": BUDGET}), table, project=tmp_path / "keys")
    made = found.plan.synthesis
    assert made is not None
    assert made.private is not None
    assert made.private.epsilon == pytest.approx(2.0, rel=1e-3)
    assert made.taught is None
    plain = sf.plan(policy(), table, project=tmp_path / "keys").plan.synthesis
    assert plain is not None
    assert plain.taught == pytest.approx(0.7 * ROWS, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"synthesis": {"dp": BUDGET | {"bounds": {"agee": [0, 1]}}}}, "agee"),
        ({"synthesis": {"balance": {"regions": "even"}}}, "regions"),
        ({"gate": [{"metric": "risk.unique", "at_most": 0.1}]}, "risk.unique"),
    ],
)
def test_names_that_nothing_has_are_told(run: Run, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(policy("independent", **changes))
    assert words in str(caught.value)


def test_what_looks_at_values_before_the_charge_is_refused(run: Run) -> None:
    columns = policy()["columns"]
    columns["income"] = {
        "role": "quasi-identifier",
        "action": {"do": "microaggregate", "k": 5},
        "why": "less exact",
    }
    with pytest.raises(InputError, match="which nobody charged"):
        run(policy("independent", columns=columns, synthesis={"dp": BUDGET}))


def test_under_a_budget_for_people_one_row_of_each_teaches(run: Run, table: pl.DataFrame) -> None:
    settings = QUICK["autoregressive"] | {"steps": 2}
    written = policy("autoregressive", synthesis={"dp": BUDGET, "settings": settings})
    written["dataset"]["subject"] = "name"
    several = table.with_columns(pl.Series("name", [f"{SECRET}-{number % 4500}" for number in range(ROWS)]))
    made = run(written, several).plan.synthesis
    assert made is not None
    assert made.private is not None
    assert (made.private.unit, made.private.rows_per_subject) == ("subject", 1)


def test_people_of_several_rows_are_sent_to_histories(run: Run, table: pl.DataFrame) -> None:
    written = policy()
    written["dataset"]["subject"] = "name"
    twice = table.with_columns(pl.col("name").str.head(13))
    with pytest.raises(InputError) as caught:
        run(written, twice)
    assert caught.value.code == "subject-rows"


def test_tune_varies_the_synthesizer(table: pl.DataFrame, tmp_path: Path) -> None:
    # The floor's attacks have power from some hundreds of people held out, of either half.
    evidence = EVIDENCE | {"holdout": 0.45, "attacks": ["membership"], "utility": ["correlations"]}
    written = policy(evidence=evidence)
    space = {
        "vary": {"method": ["copula", "independent"], "drop": []},
        "confirm": {"splits": 1, "again": 1, "policies": 1},
    }
    found = sf.tune(written, table, space=space, trials=2, project=tmp_path / "keys")
    tried = {trial.params.get("synthesizer", "copula"): trial for trial in found.trials}
    assert set(tried) == {"copula", "independent"}
    aims = [aim.metric for aim in found.aims.aims]
    assert aims == ["membership.advantage", "correlations.error"]
    # Columns that have nothing in common with each other are the worse table.
    assert tried["copula"].value("correlations.error", "release") < tried["independent"].value(  # type: ignore[operator]
        "correlations.error", "release"
    )


def test_tune_chooses_no_private_policy_by_the_people_of_its_release(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    written = policy("independent", synthesis={"dp": BUDGET})
    space: dict[str, Any] = {"vary": {"epsilon": [1.0], "drop": []}}
    with pytest.raises(InputError, match="differential privacy") as caught:
        sf.tune(written, table, space=space, trials=2, project=tmp_path / "keys")
    assert caught.value.code == "event-unsupported"
    table[4999:].write_csv(tmp_path / "others.csv")
    space["release_from"] = str(tmp_path / "others.csv")
    with pytest.raises(InputError, match="who is who"):
        sf.tune(written, table[:5000], space=space, trials=2, project=tmp_path / "keys")
    written["dataset"]["key"] = "name"
    # One of 5,000 people is in both.
    with pytest.raises(InputError, match="people of the source that is searched") as caught:
        sf.tune(written, table[:5000], space=space, trials=2, project=tmp_path / "keys")
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "keys" / "tune").exists()


def test_tune_weighs_epsilon_against_use_and_charges_nobody(table: pl.DataFrame, tmp_path: Path) -> None:
    written = policy("independent", synthesis={"dp": BUDGET | {"epsilon": 2.0}})
    written["evidence"] = EVIDENCE | {"holdout": 0.45, "attacks": [], "utility": ["distributions"]}
    written["dataset"]["key"] = "name"
    # The figure is a mean over columns, of which noise makes something else, each for itself.
    kinds = [f"kind {i}" for i in range(12)]
    draw = np.random.default_rng(7)
    values = {name: draw.choice(["a", "b", "c", "d"], len(table), p=[0.7, 0.2, 0.09, 0.01]) for name in kinds}
    table = table.with_columns(pl.Series(name, value) for name, value in values.items())
    written["columns"] |= {name: {"role": "quasi-identifier", "why": "use"} for name in kinds}
    declared = {name: ["a", "b", "c", "d"] for name in kinds}
    written["synthesis"]["dp"]["categories"] = BUDGET["categories"] | declared
    table[5000:].write_csv(tmp_path / "others.csv")
    space = {
        "vary": {"method": ["independent"], "epsilon": [0.002, 2.0], "drop": []},
        "confirm": {"splits": 1, "again": 1, "policies": 1},
        "release_from": str(tmp_path / "others.csv"),
    }
    found = sf.tune(written, table[:5000], space=space, trials=2, project=tmp_path / "keys")
    assert found.release_from == space["release_from"]
    by_epsilon = {trial.params.get("epsilon", 2.0): trial for trial in found.trials}
    assert set(by_epsilon) == {0.002, 2.0}
    assert found.aims.aims[0].metric == "dp.epsilon"
    small, large = (by_epsilon[epsilon].value("distributions.tv", "release") for epsilon in (0.002, 2.0))
    assert small > large + 0.1  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        share_spent(tmp_path)
    assert caught.value.code == "budget-undeclared"
