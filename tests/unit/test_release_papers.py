"""The datasheet and the notice: filled from what is known, signed with the rest, plain text throughout."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import release_example as example
from sfumato.project import Project
from sfumato.release.assemble import Release
from sfumato.release.layout import DATASHEET, DOCUMENTS, NOTICE
from sfumato.release.papers import datasheet_md, notice_md
from sfumato.release.verify import verify

CLAIMS = re.compile(
    r"\b(anonymous|anonymised|anonymized|safe|private|compliant|guaranteed?)\b", re.IGNORECASE
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("papers")
    return example.build(folder / "out", Project.open(folder / "p"))


def test_the_datasheet_has_the_sections_of_datasheets_for_datasets(made: Release) -> None:
    text = (made.folder / DATASHEET).read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Motivation",
        "Composition",
        "Collection",
        "Preparation, cleaning, labelling",
        "Uses",
        "Distribution",
        "Maintenance",
    ]
    for words in (
        "research on employment",
        "Institute of Examples",
        "made by a test",
        "5-anonymity",
        "7,745",
    ):
        assert words in text, words
    assert text.count("**To be answered by a person:**") >= 5


def test_the_notice_is_short_and_says_what_risk_is_left(made: Release) -> None:
    text = (made.folder / NOTICE).read_text()
    assert len(text.split()) < 450
    assert "with a chance of 20.0\N{NO-BREAK SPACE}% at most" in text
    assert "Some risk remains" in text
    assert "taken out: name." in text


def test_they_claim_nothing(made: Release) -> None:
    for name in (DATASHEET, NOTICE):
        assert CLAIMS.findall((made.folder / name).read_text()) == []


def test_they_are_documents_of_the_release(made: Release) -> None:
    assert {DATASHEET, NOTICE} <= set(DOCUMENTS)
    assert verify(made.folder).intact
    assert all(name in made.dossier.read_text() for name in (DATASHEET, NOTICE))


@pytest.mark.parametrize("name", [DATASHEET, NOTICE])
def test_a_change_to_one_is_noticed(made: Release, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    path = folder / name
    path.write_text(path.read_text().replace("a", "b", 1))
    assert not verify(folder).intact


def test_a_refused_release_says_that_nothing_was_given_out() -> None:
    refused = example.account(passed=False)
    assert "no data were given out" in notice_md(refused).decode()
    assert "it has no data" in datasheet_md(refused).decode()


def test_text_of_the_policy_stays_text() -> None:
    dataset = {
        "name": "odd",
        "source": {"path": "p.csv"},
        "purpose": "a\n\n# heading\n\n[link](http://x.y) <script>",
        "owner": "{dataset.name} *us*",
    }
    text = datasheet_md(example.account(dataset=dataset)).decode()
    assert "\n# heading" not in text
    assert "\\<script\\>" in text
    assert "{dataset.name} \\*us\\*" in text
