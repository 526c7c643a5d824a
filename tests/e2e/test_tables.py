"""Several tables through the whole way: what leaves, what is attacked, what it costs, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import sfumato as sf
from sfumato.contracts import Params
from sfumato.core.errors import InputError, RefusedError
from sfumato.pipeline import revisit
from sfumato.project import Project
from sfumato.release.custody import open_table
from sfumato.release.layout import SEALED_SYNTHESIZER
from sfumato.synth import SYNTHESIZERS, relations
from sfumato.synth.coded import Coded

pytestmark = pytest.mark.usefixtures("quick_documents")

Frames = dict[str, pl.DataFrame]
Run = Callable[..., sf.Result]
SECRET, PEOPLE, HELD_OUT = "zz-somebody", 2700, 0.45
USE: dict[str, Any] = {"role": "quasi-identifier", "why": "use"}
EVIDENCE: dict[str, Any] = {
    "holdout": HELD_OUT,
    "attacks": [{"membership": {"members": 1000}}],
    "utility": ["tables"],
}
BUDGET: dict[str, Any] = {
    "budget": {"epsilon": 3.2, "delta": 1e-5},
    "epsilon": 3.0,
    "delta": 1e-6,
    "size": 1500,
    "bounds": {"age": [18, 80], "purchases.spent": [0, 200], "items.count": [1, 3]},
    "categories": {
        "region": ["east", "north"],
        "purchases.shop": ["mall", "web"],
        "items.sku": [f"sku {i}" for i in range(6)],
    },
}


@pytest.fixture(scope="module")
def shop() -> Frames:
    """People, what they bought (the young buy more often, and on the web), and what was in it."""
    draw = np.random.default_rng(3)
    age = draw.integers(18, 80, PEOPLE)
    names = np.array([f"{SECRET}-{number:05}" for number in draw.permutation(PEOPLE)])
    people = pl.DataFrame(
        {"id": names, "age": age, "region": draw.choice(["east", "north"], PEOPLE, p=[0.3, 0.7])}
    )
    of = np.repeat(np.arange(PEOPLE), np.minimum(draw.poisson(np.where(age < 40, 3.0, 1.0)), 8))
    web = draw.random(len(of)) < np.where(age[of] < 40, 0.9, 0.2)
    bought = pl.DataFrame(
        {
            "number": draw.permutation(len(of)) + 1,
            "customer": names[of],
            "shop": np.where(web, "web", "mall"),
            "spent": np.minimum(np.exp(draw.normal(2.5 + age[of] / 80, 0.6)), 190).round(2),
        }
    )
    lines = np.repeat(np.arange(len(of)), 1 + draw.integers(0, 2, len(of)))
    items = pl.DataFrame(
        {
            "purchase": bought["number"].to_numpy()[lines],
            "sku": [f"sku {i}" for i in np.minimum(draw.geometric(0.4, len(lines)) - 1, 5)],
            "count": draw.integers(1, 4, len(lines)),
            "note": f"{SECRET} said so",
        }
    )
    return {"people": people, "purchases": bought.sample(fraction=1, shuffle=True, seed=1), "items": items}


@pytest.fixture
def run(tmp_path: Path, shop: Frames) -> Run:
    made = 0

    def running(written: dict[str, Any], tables: Mapping[str, Any] = shop) -> sf.Result:
        nonlocal made
        made += 1
        given = {name: rows for name, rows in tables.items() if name in ("people", *written["tables"])}
        return sf.run(written, given, output=tmp_path / str(made), project=tmp_path / "keys")

    return running


def policy(method: str = "copula", *, most: tuple[int, int] | None = None, **changes: Any) -> dict[str, Any]:
    tables: dict[str, Any] = {
        "purchases": {
            "source": {"path": "purchases.csv"},
            "key": "customer",
            "id": "number",
            "columns": {"shop": USE, "spent": USE},
        },
        "items": {
            "source": {"path": "items.csv"},
            "key": "purchase",
            "of": "purchases",
            "columns": {"sku": USE, "count": USE},
        },
    }
    if most is not None:
        tables = {
            name: table | {"most": many} for (name, table), many in zip(tables.items(), most, strict=True)
        }
    return {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "people.csv"}, "subject": "id"},
        "columns": {"age": USE, "region": USE},
        "tables": tables,
        "synthesis": {"method": method, "why": "to train on", **changes.pop("synthesis", {})},
        "evidence": EVIDENCE,
        **changes,
    }


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_text(errors="replace") for path in files}


def refused(result: sf.Result) -> set[str]:
    assert result.decision is not None
    return {reason.metric for reason in result.decision.reasons if not reason.passed}


def web_by_age(tables: Frames) -> list[float]:
    """The share of purchases on the web, of the young and of the others."""
    both = tables["purchases"].join(tables["people"], left_on="customer", right_on="id")
    shares = both.group_by(pl.col("age") < 40).agg((pl.col("shop") == "web").mean()).sort("age")
    return [float(share) for share in shares["shop"]]


def test_tables_leave_that_hang_together_and_nobodys_own(run: Run, shop: Frames, tmp_path: Path) -> None:
    result = run(policy())
    assert not refused(result)
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    made = result.data
    assert list(made) == ["people", "purchases", "items"]
    assert made["items"].columns == ["purchase", "sku", "count"]
    # Every key leads to a row that is there, and names are made.
    for child, key, above, name in (
        ("purchases", "customer", "people", "id"),
        ("items", "purchase", "purchases", "number"),
    ):
        assert made[child].join(made[above], left_on=key, right_on=name, how="anti").is_empty()
        assert made[above][name].is_unique().all()
    assert not made["people"]["id"].is_in(shop["people"]["id"].implode()).any()
    assert not made["purchases"]["number"].is_in(shop["purchases"]["number"].implode()).any()
    assert made["people"].height == pytest.approx((1 - HELD_OUT) * PEOPLE, rel=0.06)
    # Seven in ten more of the purchases of the young are on the web; a copula bends, and does not break.
    others, young = web_by_age(made)
    assert young - others > 0.35
    assert result.plan.synthesis is not None
    assert result.plan.synthesis.rows == sum(table.height for table in made.values())
    for metric in ("copies.excess", "relations.rows_excess", "relations.beyond", "tables.across_tv"):
        assert result.finding(metric).status == "measured"
    assert result.finding("tables.across_tv").control is not None
    told = texts(result.folder)
    assert not any(SECRET in text for text in told.values())
    assert "People have rows in several tables" in told["dossier.html"]
    assert "hangs on purchases by purchase" in told["dossier.html"]
    steps = {step["column"]: step["action"] for step in json.loads(told["plan.json"])["columns"]}
    assert (steps["items.sku"], steps["items.purchase"], steps["items.note"]) == ("learn", "name", "drop")
    described = json.loads(told["croissant.json"])["recordSet"]
    assert {one["name"]: len(one["field"]) for one in described} == {"people": 3, "purchases": 4, "items": 3}
    assert "path" not in told["policy.yaml"]
    sealed = open_table(result.folder.parent / "custody", SEALED_SYNTHESIZER, Project.open(tmp_path / "keys"))
    (tmp_path / "again.safetensors").write_bytes(sealed)
    assert relations.load(tmp_path / "again.safetensors").sample(5)["people"].height == 5


def test_every_key_is_paid_for_by_whole_people_and_figures_stay(run: Run, tmp_path: Path) -> None:
    written = policy("aim", most=(8, 2), synthesis={"dp": BUDGET})
    result = run(written)
    assert not refused(result)
    made = result.plan.synthesis
    assert made is not None
    assert made.private is not None
    assert (made.private.unit, made.private.rows_per_subject) == ("subject", 1)
    assert 0 < result.finding("dp.epsilon").value <= 3.0  # type: ignore[operator]
    assert (made.taught, made.people) == (None, 1500)
    assert {finding.source for finding in result.findings} == {"dp"}
    assert {finding.source for finding in result.kept} >= {"copies", "relations", "tables"}
    assert result.folder is not None
    told = texts(result.folder)
    assert json.loads(told["plan.json"])["rows"] is None
    assert "in each table, chosen at random" in told["dossier.html"]
    assert result.data["purchases"].group_by("customer").len()["len"].max() <= 8
    with pytest.raises(RefusedError) as caught:
        run(written)
    assert caught.value.code == "budget-spent"


def test_coming_back_finds_the_same(tmp_path: Path, shop: Frames) -> None:
    for name, table in shop.items():
        table.write_csv(tmp_path / f"{name}.csv")
    written = policy(release={"format": "csv"}, synthesis={"rows": 1100})
    (tmp_path / "policy.json").write_text(json.dumps(written))
    first = sf.run(tmp_path / "policy.json", output=tmp_path / "out", project=tmp_path / "keys")
    assert first.data["people"].height == 1100
    attacked = revisit.attack(tmp_path / "out", project=tmp_path / "keys")
    used = revisit.evaluate(tmp_path / "out", project=tmp_path / "keys")
    for metric in ("copies.excess", "relations.rows_excess", "relations.whole_excess"):
        again = [one for one in attacked if (one.metric, one.target) == (metric, "release")]
        assert again == [first.finding(metric)]
    assert {finding.source for finding in used} == {"tables"}
    # A table below is as much of the source as the people's.
    with (tmp_path / "items.csv").open("a") as file:
        file.write("1,sku 1,2,more\n")
    with pytest.raises(InputError) as caught:
        revisit.attack(tmp_path / "out", project=tmp_path / "keys")
    assert caught.value.code == "source-changed"


def test_the_same_is_made_of_files_and_of_tables(tmp_path: Path, shop: Frames, run: Run) -> None:
    for name, table in shop.items():
        table.write_parquet(tmp_path / f"{name}.parquet")
    written = policy()
    written["dataset"]["source"]["path"] = str(tmp_path / "people.parquet")
    for name, table in written["tables"].items():
        table["source"]["path"] = str(tmp_path / f"{name}.parquet")
    read = sf.plan(written, project=tmp_path / "keys").plan
    given = sf.plan(policy(), shop, project=tmp_path / "keys").plan
    assert read.steps == given.steps
    assert read.synthesis == given.synthesis
    mixed = sf.plan(written, {"items": shop["items"].head(600)}, project=tmp_path / "keys").plan
    assert [step.column for step in mixed.steps] == [step.column for step in read.steps]


def test_tables_that_left_before_are_judged_with_those_made_now(run: Run) -> None:
    first, second = run(policy(synthesis={"rows": 1200})), run(policy(synthesis={"rows": 1300}))
    assert first.passed
    joint = {one.metric: one for one in second.findings if one.metric.startswith("composition.")}
    assert {"composition.copies_excess", "composition.relations_rows_excess"} <= set(joint)
    assert {one.status for one in joint.values()} == {"measured"}
    assert "together with 1 earlier release" in joint["composition.relations_rows_excess"].note
    assert second.decision is not None
    assert set(joint) <= {reason.metric for reason in second.decision.reasons}


class Repeater:
    """A model that learned the rows of a table by heart; the broken twin."""

    Params: ClassVar[type[Params]] = Params
    summary = "repeats the rows that it saw"
    sees: ClassVar[Literal["rows"]] = "rows"
    has_private = False
    conditional = False

    def __init__(self, params: Any) -> None:
        self.facts: dict[str, Any] = {}
        self.kept = np.zeros((0, 0), dtype=np.int32)

    def fit(self, coded: Coded, key: bytes, private: Any = None, progress: Any = None) -> Any:
        taught = Repeater(None)
        taught.kept = coded.codes
        return taught

    def sample(self, rows: int, random: np.random.Generator, given: Any) -> NDArray[np.int32]:
        return self.kept[random.integers(0, len(self.kept), rows)]

    def state(self) -> Any:
        return {}, {}


def test_a_maker_that_repeats_rows_is_refused(
    run: Run, shop: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SYNTHESIZERS._table, "twin", f"{__name__}:Repeater")
    # Each value is common, and so has a code of its own; together they are one person's.
    draw, rows = np.random.default_rng(5), shop["purchases"].height
    bought = shop["purchases"].with_columns(
        pl.col("spent").round(0).clip(1, 40),
        month=pl.Series(draw.integers(1, 13, rows)),
        hour=pl.Series(draw.integers(0, 24, rows)),
        till=pl.Series(draw.integers(0, 40, rows)),
    )
    written = policy("twin")
    written["tables"]["purchases"]["columns"] |= {"month": USE, "hour": USE, "till": USE}
    result = run(written, shop | {"purchases": bought})
    assert not result.passed
    assert result.folder is not None
    assert not (result.folder / "data").exists()
    assert "relations.rows_excess" in refused(result)


@pytest.mark.parametrize(
    ("table", "change", "where"),
    [
        ("purchases", pl.lit("nobody").alias("customer"), "table purchases, column customer"),
        ("purchases", pl.lit(None, dtype=pl.String).alias("customer"), "table purchases, column customer"),
        ("purchases", pl.lit(7, dtype=pl.Int64).alias("number"), "table purchases, column number"),
        ("people", pl.lit("the same").alias("id"), "column id"),
        ("items", pl.lit(10**9, dtype=pl.Int64).alias("purchase"), "table items, column purchase"),
    ],
)
def test_rows_that_hang_on_nobody_are_refused(
    shop: Frames, tmp_path: Path, table: str, change: pl.Expr, where: str
) -> None:
    broken = (
        shop[table]
        .with_row_index("row")
        .with_columns(
            pl.when(pl.col("row") < 20)
            .then(change)
            .otherwise(pl.col(change.meta.output_name()))
            .alias(change.meta.output_name())
        )
    )
    with pytest.raises(InputError) as caught:
        sf.plan(policy(), shop | {table: broken.drop("row")}, project=tmp_path / "keys")
    assert (caught.value.code, caught.value.where) == ("column-values", where)
    assert SECRET not in str(caught.value)


def test_keys_that_gaps_made_floats_lead_where_whole_ones_do(shop: Frames, tmp_path: Path) -> None:
    numbers = {name: float(place) for place, name in enumerate(shop["people"]["id"])}
    people = shop["people"].with_columns(pl.col("id").replace_strict(numbers).cast(pl.Int64))
    bought = shop["purchases"].with_columns(pl.col("customer").replace_strict(numbers))
    assert bought["customer"].dtype == pl.Float64
    tables = shop | {"people": people, "purchases": bought}
    found = sf.plan(policy(), tables, project=tmp_path / "keys").plan
    assert found.synthesis is not None
    assert found.synthesis.taught == pytest.approx((1 - HELD_OUT) * PEOPLE, rel=0.06)


def test_tune_varies_who_makes_tables(shop: Frames, tmp_path: Path) -> None:
    space = {
        "minimize": ["membership.advantage", "tables.across_tv"],
        "vary": {"drop": [], "method": ["copula", "independent"]},
        "confirm": {"splits": 1, "again": 1, "policies": 1},
    }
    found = sf.tune(policy(), shop, space=space, trials=2, project=tmp_path / "keys")
    tried = {trial.params.get("synthesizer", "copula"): trial for trial in found.trials}
    assert set(tried) == {"copula", "independent"}
    # Who buys on the web is the same of all ages where columns have nothing in common.
    measured = {name: trial.value("tables.across_tv") for name, trial in tried.items()}
    assert tried["copula"].status == "measured"
    assert tried["independent"].status == "hopeless" or measured["copula"] < measured["independent"]  # type: ignore[operator]
