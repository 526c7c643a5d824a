"""What somebody who means harm, or just a careless policy, tries on a release; each attempt has failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import sfumato as sf
from sfumato.contracts import Comparison
from sfumato.demos.alcohol import prepare
from sfumato.engines.local import LocalEngine
from sfumato.pipeline import revisit, verbs
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import load_policy, policy_from
from sfumato.project import Project
from sfumato.release.account import DataFile

pytestmark = pytest.mark.usefixtures("bare_documents")

QUASI: dict[str, Any] = {"role": "quasi-identifier", "why": "known"}
TOLD: dict[str, Any] = {"role": "insensitive", "sensitive": True, "why": "told in confidence"}
FIVE = {"models": [{"model": "k-anonymity", "k": 5}], "suppression": 0.2}


def policy(columns: dict[str, Any], dataset: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    named = {"name": "people", "source": {"path": "people.csv"}} | (dataset or {})
    return {"sfumato": 1, "dataset": named, "columns": columns, **more}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def running(written: dict[str, Any], table: pl.DataFrame, output: str = "out") -> Any:
        return sf.run(written, table, output=tmp_path / output, project=tmp_path / "keys")

    return running


def table(rows: int = 2000) -> pl.DataFrame:
    """Ages and regions that outsiders know, an answer they do not, and a number that tells rows apart."""
    draw = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "number": np.arange(rows) + 70_000,
            "age": draw.integers(20, 60, rows),
            "region": draw.integers(0, 6, rows),
            "illness": draw.integers(0, 3, rows),
        }
    )


COLUMNS = {
    "age": QUASI | {"hierarchy": {"kind": "intervals", "widths": [5, 10], "from": 20, "to": 60}},
    "region": QUASI,
    "illness": TOLD,
}
#: The number leaves as it is, so that a released row can be told; a named person answers for it.
NUMBER = {"number": {"role": "insensitive", "why": "for the test"}}
NUMBERED = {"region": QUASI | {"action": {"do": "keep"}}, "illness": TOLD} | NUMBER
APPROVED = {"approvals": [{"by": "the test", "what": "column number", "why": "to tell rows"}]}


def test_the_rows_of_one_person_do_not_hide_each_other(run: Callable[..., Any]) -> None:
    """Six rows of each person look like a class of six, and are one person."""
    rows = pl.DataFrame({"id": np.repeat(np.arange(50), 6), "age": np.repeat(np.arange(50), 6)})
    kept = policy({"age": QUASI | {"action": {"do": "keep"}}}, {"subject": "id"})
    assert not run(kept, rows).passed
    assert run(kept | {"dataset": policy({})["dataset"]}, rows).passed


def test_a_person_is_one_however_the_name_is_written(run: Callable[..., Any]) -> None:
    names = ["Zo\u00eb", "Zoe\u0308", " Zo\u00eb "] * 10
    rows = pl.DataFrame({"id": names, "region": [1] * 30})
    found = run(policy({"region": QUASI | {"action": {"do": "keep"}}}, {"subject": "id"}), rows)
    (worst,) = [f for f in found.findings if f.metric == "risk.worst_class"]
    assert (worst.value, found.passed) == (1.0, False)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_negative_zero_marks_nobody(run: Callable[..., Any], form: str) -> None:
    rows = pl.DataFrame({"balance": [-0.0] + [0.0] * 99 + [1.5] * 100})
    found = run(policy({"balance": QUASI}, anonymity=FIVE, release={"format": form}), rows)
    assert found.passed
    (path,) = (found.folder / "data").iterdir()
    if form == "csv":
        assert "-" not in path.read_text()
    else:
        assert not np.signbit(pd.read_parquet(path)["balance"]).any()


def test_a_postcode_is_no_less_known_for_being_the_target(run: Callable[..., Any]) -> None:
    draw = np.random.default_rng(1)
    rows = pl.DataFrame(
        {
            "plz": [str(10_000 + i) for i in draw.integers(0, 400, 20_000)],
            "age": draw.integers(20, 60, 20_000),
        }
    )
    with pytest.raises(sf.InputError, match="called insensitive"):
        run(
            policy(
                {"plz": {"role": "insensitive", "why": "the target"}, "age": QUASI},
                {"target": "plz"},
                anonymity=FIVE,
            ),
            rows,
        )


def test_a_fixed_level_has_a_label_for_every_value(run: Callable[..., Any], tmp_path: Path) -> None:
    ladder = tmp_path / "ladder.csv"
    ladder.write_text("0;low;*\n1;low;*\n2;high;*\n")
    region = QUASI | {
        "action": {"do": "generalize", "level": 1},
        "hierarchy": {"kind": "file", "path": str(ladder)},
    }
    written = policy({"region": region, "age": COLUMNS["age"]}, anonymity=FIVE)
    with pytest.raises(sf.InputError, match=r"3 distinct value\(s\) of the data have no row"):
        run(written, table())
    ladder.write_text("".join(f"{i};{'low' if i < 3 else 'high'};*\n" for i in range(6)))
    assert set(run(written, table()).data["region"]) == {"low", "high"}


def test_a_column_that_another_transform_coarsened_is_in_the_classes(run: Callable[..., Any]) -> None:
    rounded = COLUMNS | {"age": QUASI | {"action": {"do": "round", "to": 2}}}
    found = run(policy(rounded, anonymity=FIVE), table(600))
    assert found.data.group_by("age", "region").len()["len"].min() >= 5
    assert set(found.plan.anonymity.levels) == {"age", "region"}


def test_what_the_inventory_finds_is_in_the_classes_whatever_the_policy_calls_it(
    run: Callable[..., Any],
) -> None:
    """A pseudonym of an age is an age: the policy's word that it identifies directly changes nothing."""
    alias = {"role": "direct-identifier", "action": {"do": "pseudonymize", "domain": "d"}, "why": "hidden"}
    found = run(policy(COLUMNS | {"age": alias}, anonymity=FIVE), table())
    assert found.data.group_by("age", "region").len()["len"].min() >= 5


def test_missing_is_a_value_of_its_own_in_every_class(run: Callable[..., Any]) -> None:
    few = pl.int_range(pl.len()).is_between(10, 12)
    rows = table().with_columns(region=pl.when(few).then(None).otherwise("region"))
    as_it_is = COLUMNS | {"region": QUASI | {"action": {"do": "keep"}}}
    for columns in (COLUMNS, as_it_is):
        found = run(policy(columns, anonymity=FIVE), rows)
        assert found.data.group_by("age", "region").len()["len"].min() >= 5
    assert not found.data["region"].null_count()


def test_a_csv_release_read_by_another_library_is_as_anonymous(run: Callable[..., Any]) -> None:
    found = run(policy(COLUMNS, anonymity=FIVE, release={"format": "csv"}), table())
    (path,) = (found.folder / "data").iterdir()
    assert pd.read_csv(path).groupby(["age", "region"], dropna=False).size().min() >= 5


def test_what_nobody_decided_about_does_not_leave(run: Callable[..., Any]) -> None:
    assert run(policy(COLUMNS, anonymity=FIVE), table()).data.columns == ["age", "region", "illness"]


def test_people_held_out_are_not_released_and_all_others_are(run: Callable[..., Any], tmp_path: Path) -> None:
    written = policy(NUMBERED, {"key": "number"}, evidence={"attacks": [], "utility": []}, **APPROVED)
    found = run(written, table())
    assert found.passed
    snapshot = Snapshot.open(policy_from(written), tmp_path, Project.open(tmp_path / "keys"), table())
    held, offered = (set(snapshot.part(part).collect()["number"]) for part in (True, False))
    assert set(found.data["number"]) == offered
    assert offered | held == set(table()["number"])
    assert not offered & held
    assert 300 < len(held) < 500


def test_the_probes_see_who_left_who_stayed_and_who_was_held_out(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Comparison] = []
    measured = verbs.evidence

    def watched(snapshot: Snapshot, comparison: Comparison, *rest: Any) -> Any:
        seen.append(comparison)
        return measured(snapshot, comparison, *rest)

    monkeypatch.setattr(verbs, "evidence", watched)
    as_it_is = {name: QUASI | {"action": {"do": "keep"}} for name in ("age", "region")}
    written = policy(
        as_it_is | {"illness": TOLD} | NUMBER,
        anonymity=FIVE | {"suppression": 0.5},
        evidence={"attacks": [], "utility": []},
        **APPROVED,
    )
    found = run(written, table())
    (comparison,) = seen
    numbers, released = comparison.original["number"], set(found.data["number"])
    assert set(numbers.filter(pl.Series(comparison.kept))) == released
    assert 0 < len(released) < len(numbers)
    assert not set(comparison.control["number"]) & set(numbers)
    assert set(comparison.control["number"]) | set(numbers) == set(table()["number"])
    assert comparison.released["number"].to_list() == numbers.to_list()


def test_all_rows_of_a_person_are_on_one_side(tmp_path: Path) -> None:
    rows = table().with_columns((pl.col("number") // 4).alias("person"))
    written = policy(COLUMNS, {"subject": "person", "key": "number"}, evidence={})
    snapshot = Snapshot.open(policy_from(written), tmp_path, Project.open(tmp_path / "keys"), rows)
    held, offered = (set(snapshot.part(part).collect()["person"]) for part in (True, False))
    assert held
    assert not held & offered


def test_holdout_and_twin_are_drawn_apart(tmp_path: Path) -> None:
    snapshot = Snapshot.open(policy_from(policy(COLUMNS)), tmp_path, Project.open(tmp_path / "keys"), table())
    one, two = (set(snapshot.split(0.5, True, domain).collect()["number"]) for domain in ("holdout", "twin"))
    assert len(one & two) < 0.6 * len(one)


def test_the_same_rows_in_pieces_are_the_same_source(tmp_path: Path) -> None:
    pieces = pl.concat([table()[:700], table()[700:]], rechunk=False)
    project = Project.open(tmp_path / "keys")
    one, other = (
        Snapshot.open(policy_from(policy(COLUMNS)), tmp_path, project, rows) for rows in (table(), pieces)
    )
    assert pieces.n_chunks() == 2
    assert one.release_key == other.release_key


def test_the_order_of_the_rows_tells_nothing(run: Callable[..., Any]) -> None:
    written = policy(NUMBERED, **APPROVED)
    first = run(written, table()).data["number"]
    other = run(written | {"context": {"release": "internal"}}, table(), "other").data["number"]
    assert not first.is_sorted()
    assert first.to_list() != other.to_list()
    assert sorted(first) == sorted(other)


def test_another_hierarchy_file_is_another_release(run: Callable[..., Any], tmp_path: Path) -> None:
    """The same policy with other labels neither shares its pseudonyms nor works from what was read before."""
    ladder = tmp_path / "ladder.csv"
    region = QUASI | {
        "action": {"do": "generalize", "level": 1},
        "hierarchy": {"kind": "file", "path": str(ladder)},
    }
    rows = table(300).with_columns(mail=pl.format("p{}@example.org", "number"))
    written = policy({"region": region, "age": COLUMNS["age"], "mail": ALIAS}, anonymity=FIVE)
    found = []
    for low, high in (("north", "south"), ("up", "down")):
        ladder.write_text("".join(f"{i};{low if i < 3 else high};*\n" for i in range(6)))
        found.append(run(written, rows, low))
    first, second = found
    assert first.plan.policy_digest != second.plan.policy_digest
    assert not pseudonyms(first) & pseudonyms(second)
    assert set(second.data["region"]) == {"up", "down"}


ALIAS = {"role": "direct-identifier", "action": {"do": "pseudonymize", "domain": "person"}, "why": "to trace"}


def pseudonyms(found: Any, column: str = "mail") -> set[str]:
    return set(found.data[column])


def test_pseudonyms_of_two_releases_share_nothing_unless_joined(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    rows = table().with_columns(mail=pl.format("p{}@example.org", "number"))
    other_rows = rows.with_columns(region=5 - pl.col("region"))
    answered: dict[str, Any] = {
        "anonymity": FIVE,
        "approvals": [
            {"by": "N. N.", "what": f"gate composition.{figure}", "why": "a test of pseudonyms alone"}
            for figure in ("worst_class", "joined_broken")
        ],
    }
    alone = policy(COLUMNS | {"mail": ALIAS}, **answered)
    first, same = run(alone, rows), run(alone, rows, "same")
    assert pseudonyms(first) == pseudonyms(same)
    assert not pseudonyms(first) & pseudonyms(run(alone, other_rows, "rows"))
    assert not pseudonyms(first) & pseudonyms(
        run(alone | {"context": {"release": "internal"}}, rows, "policy")
    )
    elsewhere = sf.run(alone, rows, output=tmp_path / "elsewhere", project=tmp_path / "other-keys")
    assert not pseudonyms(first) & pseudonyms(elsewhere)

    joint = {**ALIAS, "action": {**ALIAS["action"], "join": "the study follows people"}}
    joined = policy(COLUMNS | {"mail": joint}, **answered)
    both = pseudonyms(run(joined, rows, "j1")) & pseudonyms(run(joined, other_rows, "j2"))
    assert len(both) > 1000


def test_two_columns_of_one_domain_agree_and_of_two_do_not(run: Callable[..., Any]) -> None:
    rows = table().with_columns(mail=pl.format("p{}@example.org", "number"))
    rows = rows.with_columns(contact=pl.col("mail"), reply=pl.col("mail"))
    apart = {**ALIAS, "action": {**ALIAS["action"], "domain": "another"}}
    aliases = {"mail": ALIAS, "contact": ALIAS, "reply": apart}
    data = run(policy(COLUMNS | aliases, anonymity=FIVE), rows).data
    assert data["mail"].to_list() == data["contact"].to_list()
    assert not set(data["mail"]) & set(data["reply"])


def test_rows_as_written_that_break_the_promise_are_not_released(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LocalEngine.write

    def losing_rows(self: LocalEngine, frame: pl.LazyFrame, *rest: Any) -> Any:
        return write(self, frame.head(3), *rest)

    monkeypatch.setattr(LocalEngine, "write", losing_rows)
    with pytest.raises(sf.InputError, match="recheck-failed"):
        run(policy(COLUMNS, anonymity=FIVE), table())
    assert not (tmp_path / "out").exists()


def test_class_risks_are_counted_on_the_rows_as_written(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LocalEngine.write

    def losing_rows(self: LocalEngine, frame: pl.LazyFrame, *rest: Any) -> Any:
        return write(self, frame.head(3), *rest)

    assert run(policy({"region": QUASI | {"action": {"do": "keep"}}}), table()).passed
    monkeypatch.setattr(LocalEngine, "write", losing_rows)
    found = run(policy({"region": QUASI | {"action": {"do": "keep"}}}), table(), "less")
    assert not found.passed
    assert found.finding("risk.worst_class").value > 0.3


def test_columns_as_written_that_nobody_let_leave_are_not_released(tmp_path: Path) -> None:
    snapshot = Snapshot.open(
        policy_from(policy(COLUMNS, anonymity=FIVE)), tmp_path, Project.open(tmp_path / "keys"), table()
    )
    fitted = verbs.fit(snapshot, snapshot.part(False), 0)
    types = {"age": "text", "region": "integer", "illness": "integer"}
    verbs.recheck_columns(fitted, [DataFile("people.parquet", types)])
    with pytest.raises(sf.InputError, match="recheck-failed"):
        verbs.recheck_columns(fitted, [DataFile("people.parquet", {**types, "number": "integer"})])


def test_approving_one_column_approves_no_other(run: Callable[..., Any]) -> None:
    for what in ("column numb", "column numbers", "gate number"):
        approvals = [{"by": "somebody", "what": what, "why": "a mistake"}]
        with pytest.raises(sf.InputError, match="called insensitive"):
            run(policy(NUMBERED, approvals=approvals), table())


def test_a_direct_identifier_does_not_leave_as_it_is(run: Callable[..., Any]) -> None:
    rows = table().with_columns(mail=pl.format("p{}@example.org", "number"))
    kept = {"role": "direct-identifier", "action": {"do": "keep"}, "why": "by mistake"}
    with pytest.raises(sf.InputError, match="would leave as it is"):
        run(policy(COLUMNS | {"mail": kept}), rows)


def test_a_key_that_does_not_tell_rows_apart_is_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(sf.InputError, match="have a key that another row has"):
        run(policy(COLUMNS, {"key": "region"}, anonymity=FIVE), table())


class _Meddling(Watch):
    """Changes the source while a run is at work on it."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def stage(self, name: str) -> None:
        if name == "checking the rows as written":
            self.source.write_text(self.source.read_text().replace("70000,", "80000,"))


def written_study(folder: Path, **more: Any) -> Path:
    from ruamel.yaml import YAML

    folder.mkdir(parents=True, exist_ok=True)
    table().write_csv(folder / "people.csv")
    with (folder / "policy.yaml").open("w") as file:
        YAML(typ="safe").dump(policy(COLUMNS, anonymity=FIVE) | more, file)
    return folder / "policy.yaml"


def test_a_source_that_changes_while_it_is_read_is_not_released(tmp_path: Path) -> None:
    loaded = load_policy(written_study(tmp_path / "study"))
    snapshot = Snapshot.open(loaded.policy, loaded.folder, Project.open(tmp_path / "keys"))
    with pytest.raises(sf.InputError, match="source-changed"):
        verbs.run(loaded, snapshot, tmp_path / "out", _Meddling(tmp_path / "study" / "people.csv"))
    assert not (tmp_path / "out").exists()


def test_custody_opens_only_beside_its_own_release(tmp_path: Path) -> None:
    place = written_study(tmp_path)
    sf.run(place, output=tmp_path / "one")
    written_study(tmp_path, context={"release": "internal"})
    sf.run(place, output=tmp_path / "two")
    assert sf.attack(tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "custody")
    shutil.copytree(tmp_path / "one" / "custody", tmp_path / "two" / "custody")
    with pytest.raises(sf.InputError, match="custody of another release"):
        sf.attack(tmp_path / "two")


def test_an_altered_release_is_not_attacked(tmp_path: Path) -> None:
    sf.run(written_study(tmp_path), output=tmp_path / "out")
    path = tmp_path / "out" / "release" / "plan.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(sf.InputError, match="release-altered"):
        sf.attack(tmp_path / "out")


def test_another_policy_is_not_taken_for_the_releases_own(tmp_path: Path) -> None:
    place = written_study(tmp_path)
    sf.run(place, output=tmp_path / "out")
    assert revisit.attack(tmp_path / "out", policy=place)
    written_study(tmp_path, context={"release": "internal"})
    with pytest.raises(sf.InputError, match="not the policy"):
        revisit.attack(tmp_path / "out", policy=place)


def test_a_release_is_not_attacked_with_another_source_or_another_hierarchy(tmp_path: Path) -> None:
    def writing(first: str, row: str) -> None:
        (tmp_path / "ladder.csv").write_text("".join(f"{i};{first if i < 3 else 'b'};*\n" for i in range(6)))
        path = tmp_path / "people.csv"
        path.write_text(path.read_text().replace("70000,", row))

    region = QUASI | {"hierarchy": {"kind": "file", "path": "ladder.csv"}}
    place = written_study(tmp_path, columns=COLUMNS | {"region": region})
    writing("a", "70000,")
    sf.run(place, output=tmp_path / "out")
    assert sf.attack(tmp_path / "out")
    writing("c", "70000,")
    with pytest.raises(sf.InputError, match="gives another plan"):
        sf.attack(tmp_path / "out")
    writing("a", "80000,")
    with pytest.raises(sf.InputError, match="source is not the one"):
        sf.attack(tmp_path / "out")


def test_a_key_that_comes_with_a_release_vouches_for_nobody(tmp_path: Path) -> None:
    sf.run(written_study(tmp_path / "stranger"), output=tmp_path / "stranger" / "out")
    parcel = tmp_path / "parcel"
    shutil.copytree(tmp_path / "stranger" / "out" / "release", parcel / "release")
    (parcel / ".sfumato").mkdir()
    shutil.copy(tmp_path / "stranger" / ".sfumato" / "signing-key.pub", parcel / ".sfumato")
    assert not sf.verify(parcel / "release").signer_checked
    assert sf.verify(tmp_path / "stranger" / "out" / "release").signer_checked


def test_the_demo_writes_over_nothing_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("mine")
    with pytest.raises(sf.InputError, match="output-exists"):
        prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["policy.yaml"]
    assert (tmp_path / "policy.yaml").read_text() == "mine"
    (tmp_path / "policy.yaml").unlink()
    assert prepare(tmp_path) == prepare(tmp_path) == tmp_path / "policy.yaml"


def test_a_population_is_drawn_on_by_those_who_were_offered(run: Callable[..., Any]) -> None:
    """Of a whole population a fifth is held out: the rest are no longer everybody."""
    written = policy(COLUMNS, {"population": {"fraction": 1.0}}, anonymity=FIVE)
    whole = run(written, table()).finding("risk.journalist")
    assert whole.value == pytest.approx(run(written, table(), "o").finding("risk.worst_class").value)
    held = run(written | {"evidence": {"attacks": [], "utility": []}}, table(), "held")
    assert held.finding("risk.journalist").value < held.finding("risk.worst_class").value
