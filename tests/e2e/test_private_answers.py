"""Answers under differential privacy through the whole way: what leaves, what it costs, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.core.errors import InputError, PolicyError, RefusedError

pytestmark = pytest.mark.usefixtures("quick_documents")

Run = Callable[..., sf.Result]
SECRET = "zz-somebody"
QUERIES: list[dict[str, Any]] = [
    {"query": "count", "why": "how many there are"},
    {"query": "mean", "of": "age", "bounds": [0, 100], "why": "how old they are"},
    {"query": "histogram", "of": "region", "categories": ["north", "south"], "why": "where they live"},
]


def policy(**changes: Any) -> dict[str, Any]:
    dataset = {"name": "clinic", "source": {"path": "unused.csv"}} | changes.pop("dataset", {})
    asked = {"budget": {"epsilon": 2.0, "delta": 1e-6}, "epsilon": 1.0, "delta": 1e-7, "queries": QUERIES}
    return {"sfumato": 1, "dataset": dataset, "dp": asked | changes.pop("dp", {}), **changes}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw, n = np.random.default_rng(11), 3217
    return pl.DataFrame(
        {
            "name": [f"{SECRET}-{number}" for number in range(n)],
            "visitor": draw.integers(0, 900, n),
            "age": draw.integers(18, 90, n),
            "region": draw.choice(["north", "south", f"{SECRET}-island"], n, p=[0.5, 0.4, 0.1]),
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


def spent(tmp_path: Path) -> float:
    from sfumato.dp.budget import Budget
    from sfumato.project import Project

    return Budget.open("clinic", Project.open(tmp_path / "keys")).statement().share


def test_answers_leave_and_no_rows(run: Run, table: pl.DataFrame) -> None:
    result = run(policy())
    assert result.passed
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    data = result.data
    assert data.columns == ["name", "cell", "value", "low", "high", "words"]
    figures = dict(zip(zip(data["name"], data["cell"], strict=True), data["value"], strict=True))
    (mean,) = (value for (name, _), value in figures.items() if name.startswith("mean"))
    truth = table["age"].mean()
    assert isinstance(truth, float)
    # The noise of a mean of 3,217 ages at a third of epsilon 1 is far below a year: 20 would be a fault.
    assert abs(mean - truth) < 20
    assert result.finding("dp.epsilon").value == pytest.approx(1.0, rel=1e-3)
    assert result.finding("dp.epsilon").status == "proven"


def test_nothing_leaves_that_was_not_asked(run: Run, table: pl.DataFrame) -> None:
    """No value of the data, no category that was not declared, and not how many rows there are."""
    # A noisy count could be the true one by chance.
    result = run(policy(dp={"queries": QUERIES[1:]}))
    assert result.folder is not None
    for path in result.folder.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            text = path.read_text(errors="replace")
            assert SECRET not in text, path.name
            for count in (table.height, round(table.height, -1), 3215):
                assert f"{count:,}" not in text, path.name
                assert f'"rows":{count}' not in text, path.name
    assert not any(SECRET in str(value) for column in result.data for value in column)
    assert json.loads((result.folder / "plan.json").read_text())["rows"] is None


def test_the_same_again_costs_nothing_and_says_the_same(run: Run, tmp_path: Path) -> None:
    first = run(policy())
    cost = spent(tmp_path)
    second = run(policy())
    assert cost > 0
    assert spent(tmp_path) == cost
    assert second.data.equals(first.data)


def test_other_rows_are_charged_anew(run: Run, tmp_path: Path, table: pl.DataFrame) -> None:
    first = run(policy())
    cost = spent(tmp_path)
    second = run(policy(), table.head(3000))
    assert spent(tmp_path) == pytest.approx(2 * cost)
    assert not second.data.equals(first.data)


def test_the_same_people_have_no_second_budget_under_another_name(run: Run, table: pl.DataFrame) -> None:
    run(policy())
    with pytest.raises(InputError) as caught:
        run(policy(dataset={"name": "hospital"}))
    assert caught.value.code == "budget-mismatch"
    assert '"clinic"' in str(caught.value)
    # Another table is not known to be the same people; the name that has the budget is told the same again.
    assert run(policy(dataset={"name": "hospital"}), table.head(3000)).passed
    assert run(policy()).passed


def test_what_does_not_fit_is_refused_before_anything_is_drawn(
    run: Run, tmp_path: Path, table: pl.DataFrame
) -> None:
    for rows in range(3000, 3216):
        try:
            run(policy(dp={"epsilon": 2.0, "delta": 1e-6}), table.head(rows))
        except RefusedError as refused:
            assert refused.code == "budget-spent"
            assert refused.exit_code == 3
            break
    else:
        raise AssertionError("a budget of epsilon 2 paid for more than 200 releases of epsilon 2")
    # The first fits by its privacy loss alone, and takes the whole budget.
    assert spent(tmp_path) >= 1
    assert rows == 3001


def test_what_the_gate_refuses_beforehand_costs_nothing(run: Run, tmp_path: Path) -> None:
    result = run(policy(gate=[{"metric": "dp.epsilon", "at_most": 0.5}]))
    assert not result.passed
    assert result.folder is not None
    assert not (result.folder / "data").exists()
    assert spent(tmp_path) == 0


def test_the_floor_needs_a_name(run: Run) -> None:
    loose: dict[str, Any] = {"dp": {"budget": {"epsilon": 50, "delta": 1e-6}, "epsilon": 20.0}}
    assert not run(policy(**loose)).passed
    gate: dict[str, Any] = {"gate": [{"metric": "dp.epsilon", "at_most": 25}]}
    with pytest.raises(PolicyError, match="asks less than the floor"):
        run(policy(**loose, **gate))
    approved = [{"by": "N. N.", "what": "gate dp.epsilon", "why": "a test"}]
    assert run(policy(**loose, **gate, approvals=approved)).passed


def test_a_release_of_rows_is_unbounded(run: Run, tmp_path: Path) -> None:
    """It has no epsilon, and later answers say so; the composition of rows does not count answers."""
    rows = {
        "sfumato": 1,
        "dataset": {"name": "clinic", "source": {"path": "unused.csv"}},
        "columns": {
            "region": {"role": "quasi-identifier", "action": {"do": "drop"}, "why": "not asked for"},
            "age": {
                "role": "quasi-identifier",
                "hierarchy": {"kind": "intervals", "widths": [20, 40], "from": 0, "to": 120},
                "why": "known",
            },
        },
        "anonymity": {"models": [{"model": "k-anonymity", "k": 20}]},
    }
    before = run(policy())
    assert before.finding("dp.unbounded").value == 0
    left = run(rows)
    assert left.passed
    assert not [finding for finding in left.findings if finding.metric.startswith("composition.")]
    assert run(policy(dp={"epsilon": 0.5})).finding("dp.unbounded").value == 1
    result = run(policy(dp={"epsilon": 0.25}, gate=[{"metric": "dp.unbounded", "at_most": 0}]))
    assert not result.passed
    assert result.folder is not None
    assert "no epsilon bounds" in (result.folder / "dossier.html").read_text().replace("\n", " ")


def test_people_with_several_rows(run: Run, table: pl.DataFrame) -> None:
    """The unit is the person, and the same questions need more noise than for rows."""
    by_row = run(policy(dataset={"name": "rows"}), table[1:])
    by_person = run(policy(dataset={"name": "clinic", "subject": "visitor"}, dp={"rows_per_subject": 3}))
    assert by_person.plan.private is not None
    assert by_person.plan.private.unit == "subject"
    for name in by_row.data["name"].unique():
        wide, narrow = (
            (found.filter(pl.col("name") == name).select((pl.col("high") - pl.col("low")).mean()).item())
            for found in (by_person.data, by_row.data)
        )
        assert wide > 1.5 * narrow


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": {"subject": "visitor"}}, "rows_per_subject must bound"),
        ({"dp": {"rows_per_subject": 3}}, "name dataset.subject"),
        ({"columns": {"age": {"role": "insensitive", "why": "x"}}}, "answers leave, and no rows"),
        ({"anonymity": {"models": [{"model": "k-anonymity", "k": 5}]}}, "use two policies"),
        ({"dp": {"epsilon": 3.0}}, "more than the budget"),
        ({"dp": {"queries": [{"query": "count"}]}}, "needs a why"),
        ({"dp": {"queries": [{"query": "mean", "of": "age", "why": "x"}]}}, "bounds"),
        ({"dp": {"queries": [{"query": "mean", "of": "agee", "bounds": [0, 1], "why": "x"}]}}, "agee"),
        ({"gate": [{"metric": "linkage.success", "at_most": 0.1}]}, "nothing that this policy measures"),
    ],
)
def test_policies_that_cannot_be_meant(run: Run, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(policy(**changes))
    assert words in str(caught.value)


def test_columns_are_still_needed_without_dp(run: Run) -> None:
    with pytest.raises(PolicyError, match="at least one column"):
        run({"sfumato": 1, "dataset": {"name": "clinic", "source": {"path": "unused.csv"}}})


def test_another_budget_than_the_one_on_record_is_refused(run: Run) -> None:
    run(policy())
    with pytest.raises(InputError) as caught:
        run(policy(dp={"budget": {"epsilon": 5.0, "delta": 1e-6}}))
    assert caught.value.code == "budget-mismatch"


def test_a_plan_draws_nothing_and_declares_nothing(tmp_path: Path, table: pl.DataFrame) -> None:
    found = sf.plan(policy(), table, project=tmp_path / "keys")
    assert found.plan.private is not None
    assert found.plan.private.epsilon == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(InputError) as caught:
        spent(tmp_path)
    assert caught.value.code == "budget-undeclared"


def test_answers_have_no_rows_to_attack(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "keys"))
    result = run(policy())
    assert result.folder is not None
    with pytest.raises(InputError, match="no rows to attack"):
        sf.attack(result.folder.parent)


def test_the_gate_can_demand_an_audit(run: Run) -> None:
    """The mechanism is audited on made-up rows before it is used; what nobody audited meets no threshold."""
    gate = [{"metric": "audit.excess", "at_most": 0.0}]
    with pytest.raises(PolicyError, match="nothing that this policy measures"):
        run(policy(gate=gate))
    result = run(policy(gate=gate, dp={"audit": True}))
    assert result.passed
    assert (result.finding("audit.epsilon_lower").value or 0) <= 1
    assert result.finding("audit.power").status == "measured"


def test_the_release_is_audited_by_the_rows(
    run: Run, tmp_path: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts that left are as far from the truth as was charged; a release without noise is caught."""
    from sfumato.dp import mechanisms
    from sfumato.pipeline.auditing import audit_release

    # At its own level it calls one fair release in a thousand violated.
    monkeypatch.setattr("sfumato.evidence.audits.released.ALPHA", 1e-9)
    table.write_csv(tmp_path / "people.csv")
    ages = {"query": "histogram", "of": "age", "categories": list(range(18, 90)), "why": "how old they are"}
    written = policy(dataset={"source": {"path": str(tmp_path / "people.csv")}}, dp={"queries": [ages]})
    sf.run(written, output=tmp_path / "fair", project=tmp_path / "keys")
    fair = audit_release(tmp_path / "fair", project=tmp_path / "keys")
    assert not fair.violated
    assert fair.power == 1
    monkeypatch.setattr(mechanisms, "gaussian", lambda values, _: values.astype(float))
    monkeypatch.setattr("sfumato.dp.queries.base.gaussian", lambda values, _: values)
    sf.run(written, output=tmp_path / "quiet", project=tmp_path / "other keys")
    assert audit_release(tmp_path / "quiet", project=tmp_path / "other keys").violated


def test_a_release_without_counts_has_nothing_to_audit_by_rows(
    run: Run, tmp_path: Path, table: pl.DataFrame
) -> None:
    from sfumato.pipeline.auditing import audit_release

    table.write_csv(tmp_path / "people.csv")
    written = policy(dataset={"source": {"path": str(tmp_path / "people.csv")}}, dp={"queries": QUERIES[1:2]})
    sf.run(written, output=tmp_path / "mean", project=tmp_path / "keys")
    with pytest.raises(InputError, match="none of the answers is a count"):
        audit_release(tmp_path / "mean", project=tmp_path / "keys")
