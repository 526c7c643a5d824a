"""``croissant.json`` before the outside judge: mlcroissant reads it without a word of complaint."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import release_example as example
from sfumato.project import Project
from sfumato.release.account import DataFile
from sfumato.release.assemble import Release, assemble
from sfumato.release.writer import Outgoing

#: rdflib, which mlcroissant reads JSON-LD with, still makes the graph that it has itself deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph is deprecated, use Dataset instead.:DeprecationWarning"
)


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What mlcroissant logs while it reads."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, listener = logging.getLogger("absl"), Listener(level=logging.WARNING)
    logger.addHandler(listener)
    yield heard
    logger.removeHandler(listener)


def loaded(folder: Path) -> Any:
    import mlcroissant

    return mlcroissant.Dataset(jsonld=folder / "croissant.json")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("house") / ".sfumato")


def build_csv(folder: Path, project: Project) -> Release:
    asked = example.policy()
    with Outgoing(folder) as outgoing:
        table = pa.table({"region": ["north"], "größe [cm]": [180]})
        pa.csv.write_csv(table, outgoing.data_folder / "example-survey.csv")
        return assemble(
            outgoing,
            policy=asked,
            plan=example.plan(asked),
            findings=[],
            decision=example.decision(),
            data=[DataFile("example-survey.csv", {"region": "text", "größe [cm]": "integer"})],
            project=project,
            private={},
        )


def test_it_is_accepted_without_errors_or_warnings(
    tmp_path: Path, project: Project, complaints: list[str]
) -> None:
    dataset = loaded(example.build(tmp_path, project, findings=[]).folder)
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings, complaints) == (set(), set(), [])
    assert dataset.metadata.name == "example-survey"
    assert dataset.metadata.license == ["https://spdx.org/licenses/CC-BY-4.0.html"]


def test_the_responsible_ai_terms_are_read_and_rest_on_findings(tmp_path: Path, project: Project) -> None:
    metadata = loaded(example.build(tmp_path, project).folder).metadata
    assert any("white=0" in bias for bias in metadata.data_biases)
    assert "abuse: sensitive; released as it is" in metadata.personal_sensitive_information
    assert "name: direct-identifier; dropped" in metadata.personal_sensitive_information
    assert any("not measured" in limit for limit in metadata.data_limitations)
    assert "Institute of Examples" in str(metadata.data_release_maintenance_plan)


def test_what_was_not_measured_by_group_is_not_said_to_be_fair(tmp_path: Path, project: Project) -> None:
    metadata = loaded(example.build(tmp_path, project, findings=[]).folder).metadata
    assert "not known" in str(metadata.data_biases)


def test_its_records_are_those_of_the_file(tmp_path: Path, project: Project) -> None:
    release = example.build(tmp_path, project, findings=[])
    records = list(loaded(release.folder).records("example-survey"))
    rows = pq.read_table(release.folder / "data" / "example-survey.parquet").to_pylist()
    assert len(records) == len(rows) == 20
    assert records[0]["example-survey/region"] == b"north"
    assert [record["example-survey/abuse"] for record in records] == [row["abuse"] for row in rows]


def test_a_changed_file_is_noticed_by_its_reader(tmp_path: Path, project: Project) -> None:
    release = example.build(tmp_path, project, findings=[])
    path = release.folder / "data" / "example-survey.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(Exception, match="Download") as caught:
        list(loaded(release.folder).records("example-survey"))
    assert "is not identical with the reference" in str(caught.value.__cause__)


def test_csv_and_names_with_every_letter(tmp_path: Path, project: Project, complaints: list[str]) -> None:
    dataset = loaded(build_csv(tmp_path, project).folder)
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings, complaints) == (set(), set(), [])
    (record,) = dataset.records("example-survey")
    assert sorted(record.values(), key=str) == [180, b"north"]


def test_a_refused_release_is_described_too(tmp_path: Path, project: Project, complaints: list[str]) -> None:
    dataset = loaded(example.build(tmp_path, project, passed=False, findings=[]).folder)
    assert (dataset.metadata.ctx.issues.errors, complaints) == (set(), [])
    assert dataset.metadata.distribution == []


def test_what_the_policy_does_not_say_is_not_made_up(tmp_path: Path, project: Project) -> None:
    asked = example.policy(dataset={"name": "bare", "source": {"path": "p.csv"}})
    written = json.loads(
        (example.build(tmp_path, project, asked=asked, findings=[]).folder / "croissant.json").read_bytes()
    )
    assert not {"license", "creator", "url", "rai:dataUseCases", "rai:dataCollection"} & set(written)
    issues = loaded(tmp_path / "release").metadata.ctx.issues
    assert not issues.errors
    assert [warning for warning in issues.warnings if "license" in warning]


def test_different_data_are_a_different_version(tmp_path: Path, project: Project) -> None:
    releases = (example.build(tmp_path / "a", project, findings=[]), build_csv(tmp_path / "b", project))
    versions = {json.loads((made.folder / "croissant.json").read_bytes())["version"] for made in releases}
    assert len(versions) == 2
