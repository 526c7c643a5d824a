"""Several releases to whoever knows people's values and not their classes, against counting one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sfumato as sf
from sfumato.core.values import Finding
from sfumato.evidence.attacks import composition_labels
from sfumato.evidence.attacks.composition import Joint, compose
from sfumato.evidence.attacks.composition_classes import ABSENT
from sfumato.evidence.attacks.composition_labels import Shown, candidates, chances
from sfumato.pipeline.composing import People
from sfumato.pipeline.covered import _inside, _runs
from sfumato.project import Project


@st.composite
def several(draw: st.DrawFn) -> list[Shown]:
    people = draw(st.integers(1, 10))

    def codes(low: int, high: int, columns: int) -> np.ndarray:
        cells = draw(st.lists(st.integers(low, high), min_size=people * columns, max_size=people * columns))
        return np.array(cells, dtype=np.int64).reshape(people, columns)

    found = []
    for _ in range(draw(st.integers(1, 3))):
        columns = draw(st.integers(0, 2))
        plain = codes(ABSENT, 1, 1)[:, 0]
        labels, values = codes(0, 2, columns), codes(0, 2, columns)
        labels[plain == ABSENT] = values[plain == ABSENT] = ABSENT
        seed = np.random.default_rng(draw(st.integers(0, 99)))
        covers = tuple(seed.random((3, 3)) < 0.5 for _ in range(columns))
        found.append(Shown(plain, labels, values, covers))
    return found


@settings(deadline=None)
@given(several())
def test_candidates_are_all_whom_every_release_allows(releases: list[Shown]) -> None:
    people = range(len(releases[0].plain))

    def allows(one: Shown, person: int, other: int) -> bool:
        if one.plain[person] != one.plain[other]:
            return False
        cells = zip(one.covers, one.labels[other], one.values[person], strict=True)
        return one.plain[person] == ABSENT or all(bool(cover[label, value]) for cover, label, value in cells)

    expected = [sum(all(allows(one, a, b) for one in releases) for b in people) for a in people]
    found = candidates(releases)
    assert found is not None
    assert found.tolist() == expected
    picked = chances(releases)
    assert picked is not None
    own = [all(allows(one, person, person) for one in releases) for person in people]
    assert picked.tolist() == [mine / max(1, n) for mine, n in zip(own, expected, strict=True)]


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_runs_come_back(inside: list[bool]) -> None:
    flags = np.array(inside, dtype=bool)
    assert _inside(_runs(flags), len(flags)).tolist() == inside


def joint() -> Joint:
    """Two classes of two in each release; the labels of the second release cover everybody."""
    classes = (np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    none, own = np.zeros((4, 0), np.int64), np.arange(4)[:, None]
    first = Shown(classes[0], none, none, ())
    second = Shown(np.zeros(4, np.int64), classes[1][:, None], own, (np.ones((2, 4), dtype=bool),))
    return Joint(classes, 2, {}, (first, second))


def figures(found: list[Finding]) -> dict[str, Finding]:
    return {finding.metric: finding for finding in found}


def test_who_knows_no_classes_is_left_with_more_people() -> None:
    found = figures(compose(joint(), "two"))
    assert found["composition.success"].value == 1
    assert found["composition.by_labels"].value == 0.5
    assert found["composition.worst_by_labels"].value == 0.5
    assert found["composition.by_labels"].baseline == 0.5


def test_what_is_too_much_to_count_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition_labels, "MOST", 3)
    found = figures(compose(joint(), "two"))
    assert found["composition.by_labels"].status == "not-measured"
    assert "composition.worst_by_labels" not in found


Run = Callable[..., sf.Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    draw, n = np.random.default_rng(5), 600
    table = pl.DataFrame({"age": draw.integers(20, 80, n), "region": draw.choice(list("abcdef"), n)})
    made = 0

    def running(k: int, method: str = "partition") -> sf.Result:
        nonlocal made
        made += 1
        quasi = {"role": "quasi-identifier", "why": "known"}
        policy: dict[str, Any] = {
            "sfumato": 1,
            "dataset": {"name": "survey", "source": {"path": "unused.csv"}},
            "columns": {"age": quasi, "region": quasi},
            "anonymity": {"method": method, "models": [{"model": "k-anonymity", "k": k}]},
        }
        return sf.run(policy, table, output=tmp_path / str(made), project=tmp_path / "keys")

    return running


@pytest.mark.usefixtures("quick_documents")
@pytest.mark.parametrize("method", ["partition", "microaggregation"])
def test_releases_with_labels_of_their_own(run: Run, tmp_path: Path, method: str) -> None:
    assert run(5, method).passed
    second = run(7, method)
    by_labels, bound = second.finding("composition.by_labels"), second.finding("composition.success")
    assert by_labels.value is not None
    assert bound.value is not None
    assert 0 < by_labels.value <= bound.value
    assert (by_labels.baseline or 0) > 0
    project = Project.open(tmp_path / "keys")
    (record,) = project.ledger.passed()[:1]
    content = project.people.of(record.made)
    assert content is not None
    kept = People.from_parquet(content)
    assert kept is not None
    assert set(kept.covered) == {"age", "region"}


@pytest.mark.usefixtures("quick_documents")
def test_labels_that_do_not_overlap_have_no_such_figure(run: Run) -> None:
    assert run(5, "lattice").passed
    assert not [f for f in run(7, "lattice").findings if f.metric == "composition.by_labels"]
