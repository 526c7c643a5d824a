"""The verbs from Python, with every kind of table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sfumato as sf
from sfumato.demos.alcohol import people

pytestmark = pytest.mark.usefixtures("quick_documents")

POLICY: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "survey", "source": {"path": "unused.csv"}, "target": "employ"},
    "columns": {
        "age": {
            "role": "quasi-identifier",
            "hierarchy": {"kind": "intervals", "widths": [5, 10, 20], "from": 20, "to": 60},
            "why": "registers have it",
        },
        "married": {
            "role": "quasi-identifier",
            "hierarchy": {"kind": "suppress"},
            "why": "neighbours know it",
        },
        "white": {"role": "quasi-identifier", "hierarchy": {"kind": "suppress"}, "why": "visible"},
        "abuse": {"role": "insensitive", "sensitive": True, "why": "told in confidence"},
        "employ": {"role": "insensitive", "sensitive": True, "why": "the target"},
    },
    "anonymity": {"models": [{"model": "k-anonymity", "k": 5}], "suppression": 0.05},
}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return people().select("name", "age", "married", "white", "abuse", "employ")


@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame, pa.Table])
def test_the_kind_of_table_that_goes_in_comes_out(table: pl.DataFrame, kind: type, tmp_path: Path) -> None:
    given = table if kind is pl.DataFrame else table.to_pandas() if kind is pd.DataFrame else table.to_arrow()
    result = sf.run(POLICY, given, output=tmp_path / "out", project=tmp_path / "keys")
    assert result.passed
    assert isinstance(result.data, kind)
    released = pl.DataFrame(result.data)
    assert released.columns == ["age", "married", "white", "abuse", "employ"]
    assert released.group_by("age", "married", "white").len()["len"].min() >= 5
    assert result.finding("risk.worst_class").value <= 0.2
    assert "passed" in result._repr_html_()


def test_without_evidence_all_rows_go(table: pl.DataFrame, tmp_path: Path) -> None:
    result = sf.run(POLICY, table, output=tmp_path / "out", project=tmp_path / "keys")
    assert result.plan.holdout_rows == 0
    assert len(result.data) == table.height - result.plan.anonymity.suppressed_rows


def test_where_every_row_goes_linkage_runs_on_a_twin(table: pl.DataFrame, tmp_path: Path) -> None:
    policy = POLICY | {"evidence": {"holdout": 0, "attacks": ["linkage"], "utility": ["learning"]}}
    result = sf.run(policy, table, output=tmp_path / "out", project=tmp_path / "keys")
    excess = result.finding("linkage.excess")
    assert excess.status == "measured"
    assert "twin" in excess.note
    assert result.finding("learning.auc").status == "not-measured"
    metrics = [(finding.metric, finding.target) for finding in result.findings]
    assert len(metrics) == len(set(metrics))


def test_a_gate_on_what_was_not_measured_refuses(table: pl.DataFrame, tmp_path: Path) -> None:
    policy = POLICY | {
        "evidence": {"holdout": 0, "attacks": [], "utility": ["learning"]},
        "gate": [{"metric": "learning.skill_ratio", "at_least": 0.1}],
    }
    result = sf.run(policy, table, output=tmp_path / "out", project=tmp_path / "keys")
    assert not result.passed
    assert not (result.folder / "data").exists()
    with pytest.raises(sf.InputError, match="no released rows"):
        _ = result.data


def test_a_leak_is_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    """Without a recoding everyone's own age stays: the floor refuses, whatever the policy asks for."""
    columns = {name: dict(column) for name, column in POLICY["columns"].items()}
    columns["age"] = {"role": "quasi-identifier", "action": {"do": "keep"}, "why": "left as it is"}
    for name in ("married", "white"):
        columns[name] = {"role": "quasi-identifier", "action": {"do": "keep"}, "why": "left as it is"}
    policy = {key: value for key, value in POLICY.items() if key != "anonymity"} | {"columns": columns}
    result = sf.run(policy, table.head(300), output=tmp_path / "out", project=tmp_path / "keys")
    assert not result.passed


def test_inspect_takes_a_table(table: pl.DataFrame) -> None:
    found = sf.inspect(table.to_pandas(), target="employ")
    assert found.column("name").role == "direct-identifier"
    assert found.column("age").role == "quasi-identifier"


def test_plan_writes_nothing_but_keys(
    table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = sf.plan(POLICY, table)
    assert result.plan.anonymity.smallest_class >= 5
    assert [path.name for path in tmp_path.iterdir()] == [".sfumato"]
    assert not result.passed


def test_a_policy_that_does_not_fit_lists_every_problem(table: pl.DataFrame, tmp_path: Path) -> None:
    columns = POLICY["columns"] | {"agee": {"role": "insensitive", "why": "typo"}}
    problems = sf.check(POLICY | {"columns": columns}, table, project=tmp_path / "keys")
    assert any('did you mean "age"?' in problem.remedy for problem in problems)
    with pytest.raises(sf.PolicyError):
        sf.run(POLICY | {"columns": columns}, table, output=tmp_path / "out", project=tmp_path / "keys")
    assert not (tmp_path / "out").exists()


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(sf.InputError, match="is not a table"):
        sf.inspect(42)


def test_public_names_are_all_there() -> None:
    for name in sf.__all__:
        assert getattr(sf, name) is not None
    with pytest.raises(AttributeError):
        _ = sf.no_such_name


def test_a_second_release_of_the_same_people_is_measured_with_the_first(
    table: pl.DataFrame, tmp_path: Path
) -> None:
    def released(*names: str) -> sf.Result:
        columns = {name: POLICY["columns"][name] for name in names}
        policy = POLICY | {
            "columns": columns,
            "dataset": {"name": "survey", "source": {"path": "unused.csv"}},
        }
        return sf.run(policy, table, output=tmp_path / "-".join(names), project=tmp_path / "keys")

    first, again, second = released("age", "abuse"), released("age", "abuse"), released("married", "abuse")
    composition = "composition.worst_class"
    assert not any(finding.metric == composition for result in (first, again) for finding in result.findings)
    assert second.finding(composition).status == "measured"
    assert "1 earlier release" in (second.folder / "dossier.html").read_text()


def test_a_csv_release_reads_back_in_its_own_types(table: pl.DataFrame, tmp_path: Path) -> None:
    coded = table.with_columns(pl.Series("abuse", ["1.50", "1.5"] * (table.height // 2)))
    result = sf.run(
        POLICY | {"release": {"format": "csv"}}, coded, output=tmp_path / "out", project=tmp_path / "keys"
    )
    assert set(result.data["abuse"]) == {"1.50", "1.5"}


def test_a_release_that_another_project_signed_is_not_replaced(table: pl.DataFrame, tmp_path: Path) -> None:
    theirs = sf.run(POLICY, table, output=tmp_path / "out", project=tmp_path / "theirs")
    before = (theirs.folder / "manifest.json").read_bytes()
    with pytest.raises(sf.InputError, match="another project signed") as refused:
        sf.run(POLICY, table, output=tmp_path / "out", project=tmp_path / "ours")
    assert refused.value.code == "output-exists"
    assert (theirs.folder / "manifest.json").read_bytes() == before
    assert sf.run(POLICY, table, output=tmp_path / "out", project=tmp_path / "theirs").passed
