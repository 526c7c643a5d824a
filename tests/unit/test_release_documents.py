"""What leaves says what it should, the same each time, and nothing that should stay."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

import release_example as example
from sfumato.core.errors import InputError
from sfumato.core.values import AnonymityPlan, Decision, Finding
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.account import (
    public_decision,
    public_plan,
    public_policy,
    published,
    without_whereabouts,
)
from sfumato.release.assemble import Release, assemble
from sfumato.release.custody import commit, open_custody
from sfumato.release.layout import (
    CUSTODY_FILES,
    DOCUMENTS,
    MANIFEST,
    SEALED_MAPPING,
    SEALED_PEOPLE,
    SEALED_RELEASED,
    SEALED_SYNTHESIZER,
    files_of,
)
from sfumato.release.verify import verify
from sfumato.release.writer import Outgoing

#: A plan that says nothing of people.
NO_PLAN = {"holdout_rows": None, "anonymity": None}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("house") / ".sfumato")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Release:
    return example.build(tmp_path_factory.mktemp("made"), project)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Release:
    return example.build(tmp_path_factory.mktemp("refused"), project, passed=False)


def predicate(release: Release) -> dict[str, object]:
    return dict(manifests.open_envelope((release.folder / MANIFEST).read_bytes()).predicate)


def every_text(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, with names, and what a Parquet file holds once it is decompressed."""
    texts = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                content += repr((table.to_pylist(), table.schema.metadata)).encode()
            texts[str(path.relative_to(folder))] = content + path.name.encode()
    return texts


def test_the_layout(made: Release) -> None:
    assert set(files_of(made.folder).names) == {*DOCUMENTS, MANIFEST, "data/example-survey.parquet"}
    assert files_of(made.folder).strange == ()
    assert {path.name for path in made.custody.iterdir()} == set(CUSTODY_FILES) - {
        SEALED_MAPPING,
        SEALED_PEOPLE,
        SEALED_RELEASED,
        SEALED_SYNTHESIZER,
    }
    assert made.dossier.is_file()


def test_nothing_that_stays_in_the_house_is_in_any_byte(made: Release, refused: Release) -> None:
    for release in (made, refused):
        texts = every_text(release.folder)
        assert texts
        for name, content in texts.items():
            for secret in example.SECRETS:
                assert secret.encode() not in content, (name, secret)


def test_the_search_for_leaks_would_find_one(made: Release, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    path = copy / "data" / "example-survey.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"source": example.SECRETS[0]}), path, compression="zstd")
    assert any(example.SECRETS[0].encode() in content for content in every_text(copy).values())


def test_custody_is_sealed(made: Release, project: Project) -> None:
    for path in made.custody.iterdir():
        content = path.read_bytes()
        assert content.startswith(b"age-encryption.org/v1")
        assert len(zlib.compress(content)) > 0.9 * len(content) - 200
        assert all(secret.encode() not in content for secret in example.SECRETS)


def test_custody_holds_everything_and_confirms_the_commitments(made: Release, project: Project) -> None:
    custody = open_custody(made.custody, project)
    assert custody.plan == example.plan(example.policy())
    assert list(custody.findings) == example.findings()
    assert custody.decision == example.decision()
    assert custody.commitments == predicate(made)["commitments"]
    assert custody.private["source_path"] == example.SECRET_PATH
    assert custody.confirms("source", example.SECRET_DIGEST)
    assert not custody.confirms("source", "another")
    assert not custody.confirms("inventory", example.SECRET_DIGEST)
    assert not custody.confirms("never", None)


def test_a_commitment_cannot_be_guessed_without_the_salt() -> None:
    assert commit(bytes(32), "source", "a") != commit(bytes([1]) * 32, "source", "a")
    assert commit(bytes(32), "source", "a") != commit(bytes(32), "inventory", "a")


def test_custody_that_is_damaged_missing_or_foreign_stays_closed(
    made: Release, project: Project, tmp_path: Path
) -> None:
    stranger = Project.open(tmp_path / "stranger")
    copy = Path(shutil.copytree(made.custody, tmp_path / "copy"))
    for path in copy.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InputError) as caught:
            open_custody(copy, project)
        assert caught.value.code == "custody-closed"
        assert path.name in caught.value.where
        path.write_bytes(project.seal(b"{}"))
        with pytest.raises(InputError):
            open_custody(copy, project)
        path.write_bytes(content)
    with pytest.raises(InputError):
        open_custody(made.custody, stranger)
    with pytest.raises(InputError):
        open_custody(tmp_path / "nowhere", project)
    assert open_custody(copy, project).plan.dataset == "example-survey"


def test_where_the_gate_said_no_there_are_no_data(refused: Release, project: Project) -> None:
    assert not (refused.folder / "data").exists()
    checked = verify(refused.folder, key_pem=project.public_key_pem())
    assert checked.intact
    assert checked.passed is False
    assert "without data" in checked.words
    assert predicate(refused)["passed"] is False
    assert json.loads((refused.folder / "croissant.json").read_bytes())["distribution"] == []
    assert b"no data left" in refused.dossier.read_bytes()


def test_the_ledger_has_every_attempt(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    passed = example.build(tmp_path / "a", project, findings=[])
    example.build(tmp_path / "b", project, passed=False, findings=[])
    first, second = project.releases("example-survey")
    assert (first.passed, second.passed) == (True, False)
    assert first.manifest_digest == passed.manifest_digest
    assert first.source_commitment == predicate(passed)["commitments"]["source"]  # type: ignore[index]


def test_the_same_input_gives_the_same_bytes(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = (example.build(tmp_path / name, project) for name in ("one", "two"))
    assert every_text(one.folder) == every_text(two.folder)
    assert one.manifest_digest == two.manifest_digest
    assert predicate(one)["time"] == "2023-11-14T22:13:20Z"


def test_published_figures_are_rounded(made: Release) -> None:
    evidence = json.loads((made.folder / "evidence.json").read_bytes())
    plan = json.loads((made.folder / "plan.json").read_bytes())
    by_name = {(entry["metric"], entry["target"]): entry for entry in evidence["findings"]}
    assert by_name["risk.worst_class", "release"]["n"] == 7745
    assert by_name["linkage.success", "release"]["value"] == pytest.approx(25 / 1965, abs=1e-6)
    assert plan["rows"] == 9820
    assert plan["anonymity"]["suppressed_rows"] == 115
    assert plan["anonymity"]["rows"] == 7855
    for exact in (b"9822", b"7857", b"7744", b"smallest_class", b"policy_digest", b"state"):
        assert exact not in (made.folder / "plan.json").read_bytes()
        assert exact not in (made.folder / "evidence.json").read_bytes()


def test_a_figure_about_few_people_is_withheld_everywhere(tmp_path: Path, project: Project) -> None:
    few = example.finding("fairness.error_rate", 0.428571, unit="share", n=7, target="region=zz")
    told = [few, example.finding("fairness.error_rate", 0.2, unit="share", n=700, target="region=yy")]
    made = example.build(tmp_path, project, findings=told)
    evidence = json.loads((made.folder / "evidence.json").read_bytes())
    (shown,) = (entry for entry in evidence["findings"] if entry["target"] == "region=zz")
    assert shown["value"] is None
    assert shown["n"] == 0
    page = made.dossier.read_text()
    assert "42.9" not in page
    assert "withheld" in page


def test_the_decision_in_public_quotes_published_figures_only(made: Release) -> None:
    evidence = json.loads((made.folder / "evidence.json").read_bytes())
    words = [reason["words"] for reason in evidence["decision"]["reasons"]]
    assert all("exactly" not in sentence for sentence in words)
    assert "n = 1,965" in words[1]
    assert made.decision.reasons[0].words == words[0]


def test_a_reason_without_a_finding_says_so(tmp_path: Path, project: Project) -> None:
    made = example.build(tmp_path, project, findings=[], decision=example.decision(False))
    evidence = json.loads((made.folder / "evidence.json").read_bytes())
    assert evidence["findings"] == []
    assert {reason["words"] for reason in evidence["decision"]["reasons"]} == {"there is no such finding"}


def test_a_reason_says_why_no_figure_would_have_helped(tmp_path: Path, project: Project) -> None:
    skill = {"unit": "ratio", "goal": "high"}
    refused = example.decision(False)

    def words(*told: Finding) -> str:
        asked = example.policy()
        return public_decision(refused, told, published(told, NO_PLAN), asked).reasons[2].words

    few = example.finding("learning.skill_ratio", 0.95, n=40, **skill)
    assert words(few).startswith("rests on too few people, at least 100 are asked for: 0.950")
    blunt = example.finding("learning.skill_ratio", 0.95, low=None, high=None, **skill)
    assert words(blunt).startswith("has no interval to judge by: 0.950")
    enough = example.finding("learning.skill_ratio", 0.95, **skill)
    assert words(enough, enough).startswith("measured more than once")
    assert words(enough).startswith("0.950, a complete count")


def test_the_public_policy_has_every_column_and_no_whereabouts(made: Release) -> None:
    text = (made.folder / "policy.yaml").read_text()
    written = YAML(typ="safe").load(text)
    policy = example.policy()
    assert list(written["columns"]) == list(policy.columns)
    for name, column in policy.columns.items():
        assert written["columns"][name]["role"] == column.role
        assert written["columns"][name]["why"] == column.why
        assert written["columns"][name]["action"]["do"] == column.done
    assert written["columns"]["abuse"]["known_to"] == ["neighbour"]
    assert written["columns"]["age"]["hierarchy"]["widths"] == [5, 10, 20]
    assert written["columns"]["region"]["hierarchy"] == {"kind": "file", "separator": ";"}
    assert "source" not in written["dataset"]
    assert written["approvals"][0]["by"].startswith("Dr. Ada")


def test_the_public_plan_has_levels_and_nothing_fitted() -> None:
    told = public_plan(example.plan(example.policy()))
    by_name = {column["column"]: column for column in told["columns"]}
    assert by_name["age"]["level"] == 2
    assert by_name["age"]["height"] == 5
    assert "level" not in by_name["hours"]
    assert by_name["hours"]["params"] == {"to": 5}
    assert example.SECRET_STATE not in json.dumps(told)


def test_whereabouts_are_taken_out_at_any_depth() -> None:
    given = {"Path": "/x", "kind": "k", "inner": {"salt": "s", "list": [{"file": "f", "to": 1}]}}
    assert without_whereabouts(given) == {"kind": "k", "inner": {"list": [{"to": 1}]}}


def test_a_policy_of_the_least_length_is_told_too(tmp_path: Path, project: Project) -> None:
    asked = example.policy(
        dataset={"name": "d", "source": {"path": "p.csv"}},
        anonymity=None,
        context={},
        evidence=None,
        gate=[],
        approvals=[],
    )
    plan = example.plan(asked).model_copy(update={"anonymity": None, "rows": 20, "holdout_rows": 0})
    made = example.build(tmp_path, project, asked=asked, plan=plan, findings=[])
    assert "anonymity" not in public_policy(asked)
    assert json.loads((made.folder / "plan.json").read_bytes())["anonymity"] is None
    page = made.dossier.read_text()
    assert "no recoding" in page
    assert "a person must add it" in page


def test_data_that_were_not_announced_do_not_leave(tmp_path: Path, project: Project) -> None:
    asked = example.policy()
    with pytest.raises(InputError) as caught, Outgoing(tmp_path / "out") as outgoing:
        file = example.write_data(outgoing.data_folder)
        (outgoing.data_folder / ".bucket.arrow").write_bytes(b"zz")
        assemble(
            outgoing,
            policy=asked,
            plan=example.plan(asked),
            findings=example.findings(),
            decision=example.decision(),
            data=[file],
            project=project,
            private={},
        )
    assert caught.value.code == "output-failed"
    assert not (tmp_path / "out").exists()


def test_manifest_names_versions_and_signer(made: Release, project: Project) -> None:
    told = predicate(made)
    assert told["signer"]["fingerprint"] == project.fingerprint  # type: ignore[index]
    assert {"sfumato", "python", "polars"} <= set(told["versions"])  # type: ignore[call-overload]
    assert set(told["commitments"]) == {"source", "source_path", "inventory"}  # type: ignore[call-overload]


def test_an_empty_decision_and_odd_names_do_not_break_the_page(tmp_path: Path, project: Project) -> None:
    columns = {
        '<script>alert("x")</script>': {"role": "insensitive", "why": "a & b < c"},
        "naïve größe 年齢": {"role": "insensitive", "why": "unicode"},
    }
    asked = example.policy(columns=columns)
    anonymity = AnonymityPlan(
        **{
            **example.plan(asked).anonymity.model_dump(),  # type: ignore[union-attr]
            "levels": {},
            "heights": {},
            "models": ({"model": "elsewhere:t", "t": 0.2},),
            "classes": 0,
            "rows": 0,
            "suppressed_rows": 0,
            "suppressed_share": 0.0,
            "optimal": False,
        }
    )
    plan = example.plan(asked).model_copy(update={"anonymity": anonymity, "rows": 0})
    made = example.build(
        tmp_path, project, asked=asked, plan=plan, decision=Decision(passed=False, reasons=()), passed=False
    )
    page = made.dossier.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "naïve größe 年齢" in page
