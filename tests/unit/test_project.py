"""The project: keys for one owner, made once; a ledger that survives; custody that opens whole or not."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from sfumato.core.errors import InputError
from sfumato.project import Project, locate
from sfumato.project import keys as key_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def record(project: Project, dataset: str = "survey", **changes: object) -> int:
    given: dict[str, object] = {
        "dataset": dataset,
        "time": "2026-01-01T00:00:00Z",
        "policy_digest": "a" * 64,
        "source_commitment": "b" * 64,
        "manifest_digest": "c" * 64,
        "passed": True,
    }
    return project.record(**given | changes)  # type: ignore[arg-type]


def test_a_project_is_open_to_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        project = Project.open(tmp_path / ".sfumato")
        record(project)
    finally:
        os.umask(old)
    assert mode(project.folder) == 0o700
    assert mode(project.folder / "keys.json") == 0o600
    assert mode(project.folder / "ledger.sqlite") == 0o600
    assert mode(project.folder / "signing-key.pub") == 0o644
    assert (project.folder / ".gitignore").read_text() == "*\n"


def test_opening_again_gives_the_same_keys(tmp_path: Path) -> None:
    first, second = Project.open(tmp_path / "p"), Project.open(tmp_path / "p", create=False)
    assert first.secret == second.secret
    assert len(first.secret) == 32
    assert first.fingerprint == second.fingerprint
    assert second.unseal(first.seal(b"kept")) == b"kept"
    assert (tmp_path / "p" / "signing-key.pub").read_bytes() == first.public_key_pem()


def test_two_projects_share_nothing(tmp_path: Path) -> None:
    one, other = Project.open(tmp_path / "one"), Project.open(tmp_path / "other")
    assert one.secret != other.secret
    assert one.fingerprint != other.fingerprint


def test_no_project_is_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Project.open(tmp_path / "p", create=False)
    assert caught.value.code == "project-key"
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o660])
def test_keys_that_others_can_read_are_refused(tmp_path: Path, open_to: int) -> None:
    project = Project.open(tmp_path / "p")
    (project.folder / "keys.json").chmod(open_to)
    with pytest.raises(InputError) as caught:
        Project.open(tmp_path / "p")
    assert caught.value.code == "project-key"
    assert "chmod 600" in caught.value.remedy
    (project.folder / "keys.json").chmod(0o600)
    assert Project.open(tmp_path / "p").fingerprint == project.fingerprint


def test_a_folder_that_others_can_change_is_refused(tmp_path: Path) -> None:
    Project.open(tmp_path / "p")
    (tmp_path / "p").chmod(0o777)
    with pytest.raises(InputError, match="others than the owner can change"):
        Project.open(tmp_path / "p")


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"not json",
        lambda _: b"[]",
        lambda written: json.dumps({**written, "secret": "c2hvcnQ="}).encode(),
        lambda written: json.dumps({**written, "signing_key": "zz-not-pem"}).encode(),
        lambda written: json.dumps({**written, "custody_identity": "AGE-SECRET-KEY-ZZ"}).encode(),
        lambda written: json.dumps({key: written[key] for key in ("secret", "signing_key")}).encode(),
    ],
)
def test_damaged_keys_are_refused_and_not_quoted(tmp_path: Path, damage: object) -> None:
    project = Project.open(tmp_path / "p")
    path = project.folder / "keys.json"
    written = json.loads(path.read_bytes())
    path.write_bytes(damage(written))  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        Project.open(tmp_path / "p")
    assert caught.value.code == "project-key"
    assert caught.value.__cause__ is None
    for secret in (written["secret"], written["custody_identity"], "zz-not-pem"):
        assert secret not in str(caught.value)


def test_lost_keys_are_not_replaced_where_something_depends_on_them(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    (project.folder / "keys.json").unlink()
    with pytest.raises(InputError, match="the keys are gone"):
        Project.open(tmp_path / "p")
    assert not (project.folder / "keys.json").exists()


def test_a_project_shows_no_key(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    written = json.loads((project.folder / "keys.json").read_bytes())
    shown = repr(project) + repr(key_files.load(project.folder))
    assert written["secret"] not in shown
    assert written["custody_identity"] not in shown
    assert repr(project.secret) not in shown


def _create(folder: str, ready: object, found: object) -> None:
    ready.wait()  # type: ignore[attr-defined]
    found.put(Project.open(Path(folder)).fingerprint)  # type: ignore[attr-defined]


def test_creators_at_once_end_with_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    ready, found = context.Barrier(4), context.Queue()
    creators = [context.Process(target=_create, args=(str(tmp_path / "p"), ready, found)) for _ in range(4)]
    for creator in creators:
        creator.start()
    prints = {found.get(timeout=60) for _ in creators}
    for creator in creators:
        creator.join()
    assert prints == {Project.open(tmp_path / "p", create=False).fingerprint}
    left = {path.name for path in (tmp_path / "p").iterdir()}
    assert left == {"keys.json", "signing-key.pub", ".gitignore"}


def test_a_half_written_file_is_never_taken_for_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(key_files.os, "fsync", no_space)
    with pytest.raises(InputError, match="No space left"):
        Project.open(tmp_path / "p")
    assert list((tmp_path / "p").iterdir()) == []


def test_sealed_data_open_whole_or_not_at_all(tmp_path: Path) -> None:
    project, stranger = Project.open(tmp_path / "p"), Project.open(tmp_path / "q")
    sealed = project.seal(b"zz-salts" * 50)
    assert b"zz-salts" not in sealed
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in (altered, sealed[:-5], b"", b"zz"):
        with pytest.raises(InputError) as caught:
            project.unseal(wrong)
        assert caught.value.code == "custody-closed"
    with pytest.raises(InputError):
        stranger.unseal(sealed)
    assert project.unseal(sealed) == b"zz-salts" * 50


def test_the_ledger_keeps_every_attempt_in_order(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    assert project.releases("survey") == ()
    numbers = [record(project), record(project, "other"), record(project, manifest_digest=None, passed=False)]
    assert numbers == sorted(numbers)
    found = Project.open(tmp_path / "p").releases("survey")
    assert [entry.id for entry in found] == [numbers[0], numbers[2]]
    assert [entry.passed for entry in found] == [True, False]
    assert found[1].manifest_digest is None


def _record_some(folder: str, count: int) -> None:
    project = Project.open(Path(folder), create=False)
    for _ in range(count):
        record(project)


def test_runs_at_once_all_reach_the_ledger(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    context = multiprocessing.get_context("forkserver")
    runs = [context.Process(target=_record_some, args=(str(project.folder), 5)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(project.releases("survey")) == 15


def test_an_uncommitted_entry_is_gone_after_a_crash(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    record(project)
    crashed = sqlite3.connect(project.folder / "ledger.sqlite")
    crashed.execute("DELETE FROM releases")
    crashed.close()
    assert len(project.releases("survey")) == 1


def test_a_damaged_ledger_is_one_clear_error(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    (project.folder / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(InputError) as caught:
        record(project)
    assert caught.value.code == "project-ledger"


def test_where_a_project_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SFUMATO_HOME", raising=False)
    assert locate(tmp_path) == tmp_path / ".sfumato"
    monkeypatch.setenv("SFUMATO_HOME", str(tmp_path / "home"))
    assert locate(tmp_path) == tmp_path / "home"
    assert locate(tmp_path, tmp_path / "given") == tmp_path / "given"
