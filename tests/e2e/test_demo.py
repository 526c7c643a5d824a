"""The demo, walked once as a user walks it, and its release looked at with other tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from known_secrets import in_processes
from sfumato.project import Project

SFUMATO = Path(sys.executable).with_name("sfumato")
QUASI = ["age", "educ", "married", "famsize", "white"]
ASKED = [*QUASI, "northeast", "midwest", "south", "centcity", "outercity"]


def sfumato(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SFUMATO, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=in_processes({**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}),
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = sfumato("demo", "-o", folder)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def test_the_demo_says_what_was_found_done_measured_and_decided(demo: Path) -> None:
    printed = (demo / "printed.txt").read_text()
    for words in (
        "direct identifiers",
        "quasi-identifiers",
        "k-anonymity (k 20)",
        "risk.worst_class",
        "learning.auc",
    ):
        assert words in printed
    assert "The gate passed the release." in printed
    assert str(demo / "release" / "dossier.html") in printed.replace("\n", "")


def test_the_released_rows_are_twenty_anonymous_read_with_another_library(demo: Path) -> None:
    released = pd.read_parquet(demo / "release" / "data" / "alcohol-survey.parquet")
    assert released.groupby(QUASI, dropna=False).size().min() >= 20
    original = pd.read_csv(demo / "people.csv")
    assert len(original) * 0.7 < len(released) < len(original) * 0.85
    assert original.groupby(ASKED, dropna=False).size().eq(1).sum() / len(original) == pytest.approx(
        0.59, abs=0.005
    )


def test_sensitive_answers_keep_their_distribution(demo: Path) -> None:
    released = pd.read_parquet(demo / "release" / "data" / "alcohol-survey.parquet")
    original = pd.read_csv(demo / "people.csv")
    assert released["abuse"].mean() == pytest.approx(original["abuse"].mean(), abs=0.01)
    assert set(released["employ"].unique()) == {0, 1}


def test_no_direct_identifier_leaves(demo: Path) -> None:
    columns = pq.read_schema(demo / "release" / "data" / "alcohol-survey.parquet").names
    health = ["exhealth", "vghealth", "goodhealth", "fairhealth"]
    assert columns == ["email", "abuse", *QUASI, *health, "employ"]
    released = pd.read_parquet(demo / "release" / "data" / "alcohol-survey.parquet")
    assert not released["email"].str.contains("@").any()
    assert released["email"].nunique() == len(released)


def occurring(values: list[bytes], text: bytes) -> list[bytes]:
    """Those that are in the text: its pieces as long as the shortest of them rule out nearly all."""
    least = min(map(len, values))
    pieces = {text[at : at + least] for at in range(len(text) - least + 1)}
    return [value for value in values if value[:least] in pieces and value in text]


def test_no_invented_identifier_is_in_any_byte_of_the_release(demo: Path) -> None:
    people = pd.read_csv(demo / "people.csv")
    files = [path.read_bytes() for path in (demo / "release").rglob("*") if path.is_file()]
    table = pq.read_table(demo / "release" / "data" / "alcohol-survey.parquet")
    files.append("\n".join(str(value) for column in table.columns for value in column.to_pylist()).encode())
    everything = b"\n".join(files).lower()
    for column in ("name", "email", "respondent"):
        values = [value.lower().encode() for value in people[column]]
        found = occurring(values, everything)
        assert not found, f"{len(found)} values of {column}"
    assert occurring([b"employ", values[7]], everything + values[7]) == [b"employ", values[7]]


def test_no_path_and_nothing_fitted_is_in_the_release(demo: Path) -> None:
    for path in (demo / "release").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(demo).encode() not in content, path.name
            assert b"people.csv" not in content, path.name
            assert b"__sfumato" not in content, path.name


def test_few_predicates_made_from_the_release_single_anybody_out(demo: Path) -> None:
    found = json.loads((demo / "release" / "evidence.json").read_text())["findings"]
    (excess,) = [one for one in found if (one["metric"], one["target"]) == ("singling_out.excess", "release")]
    assert excess["high"] < 0.2
    assert excess["before"] > 0.5


def test_suppressed_people_left_wholly(demo: Path) -> None:
    plan = json.loads(sfumato("plan", demo / "policy.yaml", "--json").stdout)
    released = pq.read_table(demo / "release" / "data" / "alcohol-survey.parquet")
    assert released.num_rows == plan["anonymity"]["rows"] - plan["anonymity"]["suppressed_rows"]
    assert plan["findings"] == []
    assert plan["decision"] is None


def test_verify_accepts_the_release_and_a_foreign_key_does_not(demo: Path, tmp_path: Path) -> None:
    key = demo / ".sfumato" / "signing-key.pub"
    assert sfumato("verify", demo / "release", "--key", key).returncode == 0
    Project.open(tmp_path / "other")
    assert sfumato("verify", demo / "release", "--key", tmp_path / "other" / key.name).returncode == 1


def test_verify_by_a_stranger_says_that_the_signer_is_not_checked(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "release", tmp_path / "release")
    done = sfumato("verify", "release", cwd=tmp_path)
    assert done.returncode == 0
    assert "signer not checked" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    "name",
    [
        "data/alcohol-survey.parquet",
        "evidence.json",
        "dossier.html",
        "dossier.pdf",
        "datasheet.md",
        "notice.md",
        "croissant.json",
        "policy.yaml",
        "plan.json",
    ],
)
def test_one_changed_byte_in_any_file_is_refused(demo: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(demo / "release", tmp_path / "release")
    path = tmp_path / "release" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert sfumato("verify", tmp_path / "release").returncode == 1


def test_the_same_inputs_and_key_give_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    assert sfumato("run", demo / "policy.yaml", "-o", tmp_path).returncode == 0
    first, again = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in (folder / "release").rglob("*")
            if path.is_file()
        }
        for folder in (demo, tmp_path)
    )
    assert len(first) > 9
    assert first == again


def test_attack_and_evaluate_find_what_the_run_found(demo: Path) -> None:
    attacks = json.loads(sfumato("attack", demo, "--json").stdout)["findings"]
    uses = json.loads(sfumato("evaluate", demo, "--json").stdout)["findings"]
    published = json.loads((demo / "release" / "evidence.json").read_text())["findings"]
    names = {(finding["metric"], finding["target"]) for finding in published}
    assert names == {(finding["metric"], finding["target"]) for finding in attacks + uses}


def test_attack_with_a_register_that_says_who_is_who(demo: Path, tmp_path: Path) -> None:
    people = pd.read_csv(demo / "people.csv").head(2000)
    people[["name", "age", "married", "white", "famsize"]].to_csv(tmp_path / "register.csv", index=False)
    done = sfumato("attack", demo, "--against", tmp_path / "register.csv", "--truth", "name", "--json")
    found = {finding["metric"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["linkage.success"]["value"] < 0.05
    assert found["linkage.excess"]["low"] <= 0.01


def test_a_changed_source_is_not_taken_for_the_original(demo: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(demo, moved)
    lines = (moved / "people.csv").read_text().splitlines()
    (moved / "people.csv").write_text("\n".join(lines[:-1]) + "\n")
    done = sfumato("attack", moved, "--policy", moved / "policy.yaml")
    assert done.returncode == 2
    assert "[source-changed]" in done.stderr
