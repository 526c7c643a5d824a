"""A release that never left is taken back: who may, what remains of it, and what is counted afterwards."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import Ask

import sfumato as sf
from sfumato.core.canonical import sha256
from sfumato.project import Project
from sfumato.release import withdrawal
from sfumato.release.layout import MANIFEST, WITHDRAWAL

pytestmark = pytest.mark.usefixtures("quick_documents")

WORST = "composition.worst_class"
SAID = {"by": "Ada Example, data owner", "why": "the recipient refused it unread"}


def policy(*, fine: bool, k: int = 5) -> dict[str, Any]:
    ladder = {"kind": "intervals", "widths": [10, 20, 60], "from": 20, "to": 80}
    age: dict[str, Any] = {"role": "quasi-identifier", "hierarchy": ladder, "why": "known"}
    if fine:
        age = {"role": "quasi-identifier", "action": {"do": "keep"}, "why": "known"}
    region = {} if fine else {"region": {"role": "quasi-identifier", "why": "known"}}
    return {
        "sfumato": 1,
        "dataset": {"name": "survey", "source": {"path": "unused.csv"}},
        "columns": {"age": age, **region},
        "anonymity": {"models": [{"model": "k-anonymity", "k": k}]},
    }


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw, n = np.random.default_rng(7), 1200
    return pl.DataFrame({"age": draw.integers(20, 80, n), "region": draw.choice(list("abcdef"), n)})


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "keys"))
    return tmp_path / "keys"


def crossing(table: pl.DataFrame, place: Path) -> sf.Result:
    return sf.run(policy(fine=True, k=2), table, output=place)


def test_what_was_withdrawn_is_counted_no_more(tmp_path: Path, table: pl.DataFrame, keys: Path) -> None:
    first = sf.run(policy(fine=False), table, output=tmp_path / "first")
    assert first.passed
    assert not crossing(table, tmp_path / "second").passed
    said = sf.withdraw(tmp_path / "first", **SAID)
    assert (said.by, said.why, list(said.runs)) == (SAID["by"], SAID["why"], [1])
    again = crossing(table, tmp_path / "second")
    assert again.folder is not None
    assert again.passed is again.finding("risk.worst_class").high is not None or again.decision is not None
    assert not [f for f in again.findings if f.metric.startswith("composition.")]
    page = (again.folder / "dossier.html").read_text()
    assert "what was loosened" in page
    assert SAID["why"] in page
    assert "a release of survey is not counted" in page


def test_its_data_are_gone_and_it_verifies_as_withdrawn(
    tmp_path: Path, table: pl.DataFrame, keys: Path
) -> None:
    first = sf.run(policy(fine=False), table, output=tmp_path / "first")
    assert first.folder is not None
    copy = Path(shutil.copytree(first.folder, tmp_path / "copy"))
    sf.withdraw(first.folder, **SAID)
    assert not (first.folder / "data").exists()
    found = sf.verify(first.folder)
    assert found.intact
    assert found.exit_code == 1
    assert found.withdrawn is not None
    assert (
        found.words == f"withdrawn on {found.withdrawn.time} by {SAID['by']}, before it left: {SAID['why']}"
    )
    # A copy that was made before: at home it is known, and by its signature elsewhere nothing is.
    assert sf.verify(copy).withdrawn == found.withdrawn
    assert sf.verify(copy, key=keys / "signing-key.pub").exit_code == 1
    # The folder says it to whoever has no project.
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (keys / name).unlink(missing_ok=True)
    assert sf.verify(first.folder, key=keys / "signing-key.pub").withdrawn is not None
    assert sf.verify(copy, key=keys / "signing-key.pub").exit_code == 0


def test_all_runs_of_it_are_meant_and_a_later_one_counts_again(
    tmp_path: Path, table: pl.DataFrame, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same time in both: their manifests are the same to the byte.
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    one, two = (sf.run(policy(fine=False), table, output=tmp_path / name) for name in ("one", "two"))
    assert list(sf.withdraw(tmp_path / "two", **SAID).runs) == [1, 2]
    assert sf.verify(tmp_path / "one" / "release").withdrawn is not None
    sf.run(policy(fine=False), table, output=tmp_path / "two")
    assert sf.verify(tmp_path / "two" / "release").exit_code == 0
    assert sf.verify(tmp_path / "one" / "release").exit_code == 0
    assert crossing(table, tmp_path / "third").finding(WORST).status == "measured"
    assert one.passed
    assert two.passed


def test_what_cannot_be_withdrawn(tmp_path: Path, table: pl.DataFrame, keys: Path) -> None:
    first = sf.run(policy(fine=False), table, output=tmp_path / "first")
    refused = crossing(table, tmp_path / "second")
    assert first.folder is not None
    assert refused.folder is not None
    with pytest.raises(sf.InputError, match="the gate let no data leave"):
        sf.withdraw(refused.folder, **SAID)
    for words in ({"by": " "}, {"why": ""}):
        with pytest.raises(sf.InputError, match="nobody can answer"):
            sf.withdraw(first.folder, **(SAID | words))
    stranger = Project.open(tmp_path / "stranger")
    with pytest.raises(sf.InputError, match="not by the expected"):
        sf.withdraw(first.folder, project=stranger.folder, **SAID)
    with pytest.raises(sf.InputError, match="no manifest"):
        sf.withdraw(tmp_path, **SAID)
    (altered := first.folder / "plan.json").write_bytes(altered.read_bytes() + b" ")
    with pytest.raises(sf.InputError, match="has been changed"):
        sf.withdraw(first.folder, **SAID)
    assert (first.folder / "data").exists()
    altered.write_bytes(altered.read_bytes()[:-1])
    sf.withdraw(first.folder, **SAID)
    with pytest.raises(sf.InputError, match="withdrawn already"):
        sf.withdraw(first.folder, **SAID)
    for verb in (sf.attack, sf.evaluate):
        with pytest.raises(sf.InputError, match="withdrawn on"):
            verb(tmp_path / "first")


def test_a_ledger_without_the_release_does_not_withdraw_it(
    tmp_path: Path, table: pl.DataFrame, keys: Path
) -> None:
    first = sf.run(policy(fine=False), table, output=tmp_path / "first")
    for path in keys.glob("ledger.sqlite*"):
        path.unlink()
    with pytest.raises(sf.InputError, match="ledger does not have it") as told:
        sf.withdraw(tmp_path / "first", **SAID)
    assert told.value.code == "release-withdrawn"
    assert first.folder is not None
    assert (first.folder / "data").exists()


def test_an_interrupted_withdrawal_is_finished(
    tmp_path: Path, table: pl.DataFrame, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data go first: until the ledger has it, the release counts."""
    sf.run(policy(fine=False), table, output=tmp_path / "first")
    folder = tmp_path / "first" / "release"

    def die(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as broken:
        broken.setattr("sfumato.project.ledger.Ledger.withdraw", die)
        with pytest.raises(InterruptedError):
            sf.withdraw(folder, **SAID)
    assert not (folder / "data").exists()
    assert not crossing(table, tmp_path / "second").passed
    said = sf.withdraw(folder, by="Somebody Else", why="another reason")
    assert said.by == SAID["by"]
    assert list(Project.open(keys).ledger.withdrawals()) == [(1, (folder / WITHDRAWAL).read_bytes())]


@pytest.mark.parametrize("forge", ["foreign", "altered", "renamed"])
def test_a_ledger_that_somebody_changed_is_noticed(
    tmp_path: Path, table: pl.DataFrame, keys: Path, forge: str
) -> None:
    sf.run(policy(fine=False), table, output=tmp_path / "first")
    project, folder = Project.open(keys), tmp_path / "first" / "release"
    (record,) = project.ledger.passed()
    said = withdrawal.Withdrawal(dataset="survey", time="t", **SAID, runs=withdrawal.covers([record]))
    signer = Project.open(tmp_path / "stranger").signer if forge == "foreign" else project.signer
    content = withdrawal.signed(said, signer)
    if forge == "altered":
        content = content[:-20] + b"A" + content[-19:]
    project.ledger.withdraw(content)
    if forge == "renamed":
        with sqlite3.connect(keys / "ledger.sqlite") as connection:
            connection.execute("UPDATE releases SET manifest_digest = 'another'")
    for asking in (lambda: crossing(table, tmp_path / "second"), lambda: sf.verify(folder)):
        with pytest.raises(sf.InputError, match="withdrawal 1 in the ledger is not what was signed"):
            asking()


def test_a_withdrawal_in_the_folder_must_be_of_its_signer(
    tmp_path: Path, table: pl.DataFrame, keys: Path
) -> None:
    sf.run(policy(fine=False), table, output=tmp_path / "first")
    folder = tmp_path / "first" / "release"
    said = {"dataset": "survey", "time": "t", **SAID}
    runs = {1: "another"}
    mine = Project.open(keys).signer
    stranger = Project.open(tmp_path / "stranger").signer
    own = {1: sha256((folder / MANIFEST).read_bytes())}
    for content, words in (
        (withdrawal.signed(withdrawal.Withdrawal(runs=runs, **said), mine), "another release"),
        (withdrawal.signed(withdrawal.Withdrawal(runs=own, **said), stranger), "another key"),
        ((folder / MANIFEST).read_bytes(), "another kind"),
        (b"{}", "cannot be read as a signed statement"),
        (b" " * (2**20 + 1), "too large"),
    ):
        (folder / WITHDRAWAL).write_bytes(content)
        found = sf.verify(folder)
        assert not found.intact
        assert words in found.words
    (folder / WITHDRAWAL).unlink()
    assert sf.verify(folder).intact


def test_its_folder_may_be_used_again(tmp_path: Path, table: pl.DataFrame, keys: Path) -> None:
    sf.run(policy(fine=False), table, output=tmp_path / "first")
    sf.withdraw(tmp_path / "first", **SAID)
    assert sf.run(policy(fine=False), table, output=tmp_path / "first").passed
    assert not (tmp_path / "first" / "release" / WITHDRAWAL).exists()


def test_from_the_command_line(survey: Path, ask: Ask) -> None:
    ask("run", "policy.yaml", "-o", "out", cwd=survey).passes()
    ask("withdraw", "out/release", "--why", "never sent", cwd=survey).refuses("--by")
    said = ask("withdraw", "out", "--why", "never sent", "--by", "Ada", "--json", cwd=survey).passes().json
    assert (said["by"], said["why"]) == ("Ada", "never sent")
    found = ask("verify", "out/release", cwd=survey)
    assert found.code == 1
    assert "withdrawn on" in found.out
    assert "never sent" in found.out
    ask("withdraw", "out", "--why", "never sent", "--by", "Ada", cwd=survey).refuses("withdrawn already")
    ask("run", "policy.yaml", "-o", "out", cwd=survey).passes()
    told = ask("withdraw", "out", "--why", "never sent", "--by", "Ada", cwd=survey).passes().out
    assert "Nothing calls back what left" in told


def test_what_a_release_cost_stays_spent(tmp_path: Path, table: pl.DataFrame, keys: Path) -> None:
    from sfumato.dp.budget import Budget

    asked = {
        "budget": {"epsilon": 2.0, "delta": 1e-6},
        "epsilon": 1.0,
        "delta": 1e-7,
        "queries": [{"query": "count", "why": "how many there are"}],
    }
    dataset = {"name": "clinic", "source": {"path": "unused.csv"}}
    answers = sf.run({"sfumato": 1, "dataset": dataset, "dp": asked}, table, output=tmp_path / "answers")
    assert answers.passed
    before = Budget.open("clinic", Project.open(keys)).statement().share
    sf.withdraw(tmp_path / "answers", **SAID)
    assert not (tmp_path / "answers" / "release" / "data").exists()
    assert Budget.open("clinic", Project.open(keys)).statement().share == before > 0
