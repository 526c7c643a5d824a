"""Several releases of the same people through the whole way: what passes, what is refused, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.core.values import Finding
from sfumato.pipeline import verbs
from sfumato.pipeline.composing import People
from sfumato.project import Project

pytestmark = pytest.mark.usefixtures("quick_documents")

Run = Callable[..., sf.Result]
WORST, BROKEN = "composition.worst_class", "composition.joined_broken"
JOIN = {"do": "pseudonymize", "domain": "person", "join": "the study follows people"}
ALIAS = {"role": "direct-identifier", "action": JOIN, "why": "to follow people"}


def ages(*widths: int) -> dict[str, Any]:
    ladder = {"kind": "intervals", "widths": list(widths), "from": 20, "to": 80}
    return {"role": "quasi-identifier", "hierarchy": ladder, "why": "known"}


COLUMNS: dict[str, Any] = {
    "age": ages(10, 20, 60),
    "region": {"role": "quasi-identifier", "why": "known"},
    "illness": {"role": "insensitive", "sensitive": True, "why": "told in confidence"},
}


def policy(columns: dict[str, Any] | None = None, *, k: int = 5, **more: Any) -> dict[str, Any]:
    dataset = {"name": "survey", "source": {"path": "unused.csv"}} | more.pop("dataset", {})
    asked = {name: column for name, column in (COLUMNS | (columns or {})).items() if column is not None}
    models = {"models": [{"model": "k-anonymity", "k": k}]}
    return {"sfumato": 1, "dataset": dataset, "columns": asked, "anonymity": models, **more}


def approved(*figures: str) -> list[dict[str, str]]:
    return [{"by": "N. N.", "what": f"gate {figure}", "why": "never left"} for figure in figures]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw, n = np.random.default_rng(7), 1200
    return pl.DataFrame(
        {
            "id": draw.permutation(n) + 10_000,
            "age": draw.integers(20, 80, n),
            "region": draw.choice(list("abcdef"), n),
            "illness": draw.choice(["flu", "cold", "cough", "none"], n),
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


def shuffled(table: pl.DataFrame) -> pl.DataFrame:
    return table.sample(fraction=1, shuffle=True, seed=3)


def together(result: sf.Result) -> dict[str, Finding]:
    return {
        f.metric: f for f in result.findings if f.metric.startswith("composition.") and f.target == "release"
    }


def test_the_same_policy_on_the_same_source_is_the_same_release(run: Run, tmp_path: Path) -> None:
    for _ in range(3):
        result = run(policy())
        assert result.passed
        assert together(result) == {}
    assert len(list((tmp_path / "keys" / "people").iterdir())) == 1


def test_nested_releases_pass(run: Run) -> None:
    """A coarser release, or one of fewer columns, says nothing that the finer one does not say."""
    fine = run(policy())
    decades = ages(10, 20, 60) | {"action": {"do": "generalize", "level": 1}}
    coarse, fewer = run(policy({"age": ages(20, 60)})), run(policy({"region": None, "age": decades}))
    assert fine.passed
    for result in (coarse, fewer):
        assert result.passed
        assert together(result)[WORST].value == together(coarse)[WORST].value
        assert together(result)["composition.below_k"].value == 0


def test_nested_releases_hold_out_the_same_people(run: Run) -> None:
    """Otherwise who is missing from one release and not from the other would be few in many classes."""
    attacked = {"evidence": {"attacks": ["uniqueness"], "utility": []}}
    assert run(policy(**attacked)).passed
    again = run(policy({"age": ages(20, 60)}, **attacked))
    assert again.passed
    assert together(again)["composition.below_k"].value == 0


def test_another_name_holds_out_other_people(run: Run) -> None:
    attacked = {"evidence": {"attacks": ["uniqueness"], "utility": []}}
    assert run(policy(**attacked)).passed
    again = run(policy({"age": ages(20, 60)}, dataset={"name": "renamed"}, **attacked))
    assert together(again)["composition.below_k"].n < again.plan.rows


def test_releases_that_cross_are_tested_on_their_union(run: Run, table: pl.DataFrame) -> None:
    """Each is 5-anonymous, and whoever holds both is left with the classes of all columns together."""
    crossing = {"age": {"role": "quasi-identifier", "action": {"do": "keep"}, "why": "known"}, "region": None}
    first, second = (
        run(policy()),
        run(policy(crossing, anonymity={"models": [{"model": "k-anonymity", "k": 2}]})),
    )
    assert first.passed
    assert not second.passed
    assert not (second.folder / "data").exists()
    union = table.with_columns(pl.col("age").cast(pl.String))
    classes = union.group_by("age", "region").len()["len"]
    found = together(second)
    assert found[WORST].value == 1 / classes.min()
    small = union.group_by("age", "region").len().filter(pl.col("len") < 2)["len"].sum()
    assert found["composition.below_k"].value == pytest.approx(small / table.height)
    # What was refused did not leave: the third is tested with the first alone.
    assert run(policy({"age": ages(20, 60)})).passed


def test_another_name_does_not_make_it_another_dataset(run: Run) -> None:
    assert run(policy()).passed
    renamed = run(policy({"age": ages(15, 30, 60), "region": None}, dataset={"name": "renamed"}))
    assert together(renamed)[WORST].status == "measured"


def test_people_of_another_source_cannot_be_told_without_a_key(run: Run, table: pl.DataFrame) -> None:
    assert run(policy()).passed
    second = run(policy(), shuffled(table))
    assert not second.passed
    finding = together(second)[WORST]
    assert finding.status == "not-measured"
    assert "dataset.key" in finding.note
    assert "dataset.key" in (second.folder / "dossier.html").read_text()
    answered = policy(approvals=approved(WORST))
    assert run(answered, shuffled(table)).passed


def test_with_a_key_people_are_found_again_in_another_source(run: Run, table: pl.DataFrame) -> None:
    keyed = policy(dataset={"key": "id"})
    assert run(keyed).passed
    same = run(keyed, shuffled(table))
    assert same.passed
    assert together(same)[WORST].n == table.height


def test_who_left_the_source_can_be_subtracted(run: Run, table: pl.DataFrame) -> None:
    keyed = policy(dataset={"key": "id"})
    assert run(keyed).passed
    later = run(keyed, table.tail(table.height - 12))
    assert not later.passed
    assert together(later)["composition.differenced"].n == 12
    assert later.finding("composition.subtracted", "illness").value > 0


def test_a_shared_domain_of_pseudonyms_joins_releases(run: Run, table: pl.DataFrame) -> None:
    """The recipient joins by pseudonym: what was promised of classes must hold on the join."""
    assert run(policy({"id": ALIAS})).passed
    crossing = policy({"id": ALIAS, "age": ages(5, 15, 60), "region": None})
    second = run(crossing, shuffled(table))
    assert together(second)[WORST].status == "measured"
    broken = together(second)[BROKEN]
    assert not second.passed
    assert broken.value is not None
    assert broken.value > 0
    assert broken.value == together(second)["composition.below_k"].value
    coarser = run(policy({"id": ALIAS, "age": ages(20, 60)}), shuffled(table))
    assert coarser.passed
    assert together(coarser)[BROKEN].value == 0


def test_pseudonyms_that_nobody_can_join_break_nothing(run: Run, table: pl.DataFrame) -> None:
    own = ALIAS | {"action": {"do": "pseudonymize", "domain": "person"}}
    assert run(policy({"id": own})).passed
    second = run(policy({"id": own}, approvals=approved(WORST)), shuffled(table))
    assert second.passed
    assert together(second)[BROKEN].value == 0


def test_a_lost_table_is_not_measured(run: Run, tmp_path: Path) -> None:
    assert run(policy()).passed
    for kept in (tmp_path / "keys" / "people").iterdir():
        kept.unlink()
    second = run(policy({"age": ages(20, 60)}))
    assert not second.passed
    assert together(second)[WORST].status == "not-measured"


def test_custody_has_who_has_which_labels(run: Run, tmp_path: Path, table: pl.DataFrame) -> None:
    result = run(policy())
    sealed = (tmp_path / "1" / "custody" / "released.parquet.age").read_bytes()
    kept = People.from_parquet(Project.open(tmp_path / "keys").unseal(sealed))
    assert kept is not None
    assert kept.table.height == len(result.data)
    assert kept.known == ("age", "region")
    assert list(kept.sensitive) == ["illness"]


def test_a_release_that_left_meanwhile_is_not_overlooked(
    run: Run, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = verbs.decide

    def slowly(*arguments: Any) -> Any:
        monkeypatch.setattr(verbs, "decide", decide)
        assert run(policy({"age": ages(20, 60)})).passed
        return decide(*arguments)

    monkeypatch.setattr(verbs, "decide", slowly)
    with pytest.raises(sf.InputError, match="another release of the same people"):
        run(policy())


def test_figures_by_group(run: Run) -> None:
    evidence = {"attacks": [], "utility": [], "holdout": 0, "fairness": {"groups": ["region"]}}
    grouped = {"evidence": evidence, "dataset": {"target": "illness"}}
    assert run(policy(**grouped)).passed
    second = run(policy({"age": ages(20, 60)}, **grouped))
    assert second.passed
    groups = [f for f in second.findings if f.metric == "composition.success" and "=" in f.target]
    assert {f.target for f in groups} == {f"region={name}" for name in "abcdef"}
    assert second.finding("composition.success_gap", "region").status == "measured"


def test_no_name_of_a_space_says_what_it_is(run: Run, table: pl.DataFrame, tmp_path: Path) -> None:
    run(policy({"id": ALIAS}, dataset={"key": "id"}))
    ledger = (tmp_path / "keys" / "ledger.sqlite").read_bytes()
    assert b"pseudonym" not in ledger
