"""A source that is taken away or changed while it is read is told of, whenever that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from conftest import Ask

from sfumato.core.errors import EXIT_WRONG_INPUT, InputError
from sfumato.pipeline import revisit, verbs
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import load_policy
from sfumato.project import Project

POLICY = """
sfumato: 1
dataset: {name: gone, source: {path: people.csv}}
columns:
  a: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  b: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
anonymity: {models: [{model: k-anonymity, k: 5}]}
evidence: {holdout: {share: 0.2}, attacks: [linkage], utility: [distributions]}
release: {format: csv}
"""


ROWS = pl.DataFrame({"a": [1, 2] * 100, "b": [1, 2, 3, 4] * 50})
#: What may become of a source: nothing is left of it, or something else.
FATES: dict[str, Callable[[Path], object]] = {
    "taken away": Path.unlink,
    "emptied": lambda path: path.write_text(""),
    "cut short": lambda path: path.write_text(path.read_text()[:101]),
    "other values": lambda path: path.write_text(path.read_text().replace("1", "ZZ")),
    "other columns": lambda path: path.write_text(path.read_text().replace("a,b", "c,d")),
    "other bytes": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "more rows": lambda path: path.write_text(path.read_text() + "7,7\n" * 9),
}


class Spoiling(Watch):
    def __init__(self, source: Path, stage: int, fate: str) -> None:
        self.source, self.left, self.fate = source, stage, FATES[fate]

    def stage(self, name: str) -> None:
        if not self.left:
            self.fate(self.source)
        self.left -= 1


def run(place: Path, watch: Watch | None = None) -> None:
    loaded = load_policy(place / "policy.yaml")
    snapshot = Snapshot.open(loaded.policy, place, Project.open(place / ".sfumato"))
    verbs.run(loaded, snapshot, place / "out", watch)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    ROWS.write_csv(tmp_path / "people.csv")
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("released")
    ROWS.write_csv(place / "people.csv")
    (place / "policy.yaml").write_text(POLICY)
    run(place)
    return place


def everything(place: Path) -> dict[str, bytes]:
    """The outputs, byte by byte."""
    return {str(path): path.read_bytes() for path in (place / "out").rglob("*") if path.is_file()}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("stage", [1, 3, 8])
def test_a_run_tells_and_leaves_nothing(place: Path, stage: int, fate: str) -> None:
    with pytest.raises(InputError) as told:
        run(place, Spoiling(place / "people.csv", stage, fate))
    assert told.value.code == "source-changed"
    assert "taken away" in told.value.what or "changed while" in told.value.what
    assert told.value.exit_code == EXIT_WRONG_INPUT
    assert not (place / "out").exists()


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("verb", [revisit.attack, revisit.evaluate])
@pytest.mark.parametrize("stage", [2, 3, 4])
def test_attack_and_evaluate_tell_and_change_nothing(
    released: Path, verb: Callable[..., object], stage: int, fate: str
) -> None:
    source, before = released / "people.csv", everything(released)
    written = source.read_bytes()
    try:
        with pytest.raises(InputError) as told:
            verb(released / "out", watch=Spoiling(source, stage, fate))
    finally:
        source.write_bytes(written)
    assert told.value.code == "source-changed"
    assert everything(released) == before


def test_a_source_that_was_only_touched_is_the_same(released: Path) -> None:
    assert revisit.attack(released / "out", watch=Touching(released / "people.csv"))


class Touching(Watch):
    def __init__(self, source: Path) -> None:
        self.source = source

    def stage(self, name: str) -> None:
        self.source.touch()


def test_what_goes_wrong_otherwise_is_told_as_it_is(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(revisit, "compare", broken)
    with pytest.raises(ZeroDivisionError):
        revisit.attack(released / "out")


def test_from_the_command_line(place: Path, ask: Ask) -> None:
    """A source that is not the one that was released is refused before anything is measured."""
    ask("run", "policy.yaml", "-o", "out", cwd=place).passes()
    kept = everything(place)
    (place / "people.csv").write_text("a,b\n" + "1,1\n" * 200)
    for verb in ("attack", "evaluate"):
        ask(verb, "out", cwd=place).refuses("not the one that the release was made from")
    (place / "people.csv").unlink()
    for verb in ("attack", "evaluate"):
        ask(verb, "out", cwd=place).refuses("people.csv")
    assert everything(place) == kept
