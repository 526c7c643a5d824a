"""Outputs appear whole or not at all, whatever moment a run is killed at."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sfumato.core.errors import InputError
from sfumato.release import manifest as manifests
from sfumato.release.layout import MANIFEST, SEALED_PLAN
from sfumato.release.manifest import digest_of, sign, signer_entry, statement
from sfumato.release.writer import STAGING, Outgoing

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def stage(outgoing: Outgoing, text: str) -> None:
    (outgoing.data_folder / "people.csv").write_text(text)
    outgoing.write("plan.json", text.encode())
    names = ("data/people.csv", "plan.json")
    digests = {name: digest_of(outgoing.release_folder / name) for name in names}
    predicate = {
        "sfumato": "0",
        "dataset": "d",
        "time": "t",
        "passed": True,
        "signer": signer_entry(SIGNER.public_key()),
    }
    outgoing.write(MANIFEST, sign(statement(digests, predicate), SIGNER))
    outgoing.keep(SEALED_PLAN, text.encode())


def nothing(staged: Path) -> None:
    assert (staged / MANIFEST).exists()


def produce(folder: Path, text: str) -> None:
    with Outgoing(folder) as outgoing:
        stage(outgoing, text)
        outgoing.commit(nothing)


def contents(folder: Path) -> tuple[str, str, str]:
    return (
        (folder / "release" / "plan.json").read_text(),
        (folder / "release" / "data" / "people.csv").read_text(),
        (folder / "custody" / SEALED_PLAN).read_text(),
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_output_appears_whole(tmp_path: Path) -> None:
    produce(tmp_path / "out", "new")
    assert contents(tmp_path / "out") == ("new", "new", "new")
    assert left(tmp_path / "out") == ["custody", "release"]
    assert (tmp_path / "out" / "custody").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "custody" / SEALED_PLAN).stat().st_mode & 0o777 == 0o600


def test_an_earlier_output_is_replaced_whole(tmp_path: Path) -> None:
    produce(tmp_path, "old")
    produce(tmp_path, "new")
    assert contents(tmp_path) == ("new", "new", "new")
    assert left(tmp_path) == ["custody", "release"]


def test_nothing_is_left_of_an_output_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Outgoing(tmp_path / "out") as outgoing:
        stage(outgoing, "new")
        raise ZeroDivisionError
    assert not (tmp_path / "out").exists()
    with Outgoing(tmp_path / "out") as outgoing:
        stage(outgoing, "new")
    assert not (tmp_path / "out").exists()


def test_a_last_check_that_fails_leaves_the_old_output(tmp_path: Path) -> None:
    produce(tmp_path, "old")

    def refuse(staged: Path) -> None:
        raise InputError("output-failed", "no")

    with pytest.raises(InputError), Outgoing(tmp_path) as outgoing:
        stage(outgoing, "new")
        outgoing.commit(refuse)
    assert contents(tmp_path) == ("old", "old", "old")
    assert left(tmp_path) == ["custody", "release"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, code: int) -> None:
    produce(tmp_path, "old")
    with pytest.raises(InputError) as caught, Outgoing(tmp_path) as outgoing:
        stage(outgoing, "new")
        raise OSError(code, os.strerror(code))
    assert caught.value.code == "output-failed"
    assert contents(tmp_path) == ("old", "old", "old")
    assert left(tmp_path) == ["custody", "release"]


def test_an_error_that_is_not_of_the_output_passes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Outgoing(tmp_path):
        (tmp_path / "no such source").read_bytes()


class StopError(Exception):
    pass


@pytest.mark.parametrize("step", range(4))
def test_an_exchange_that_fails_half_way_is_undone(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(tmp_path, "old")
    rename, count = Path.rename, 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == step + 1:
            raise StopError
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StopError):
        produce(tmp_path, "new")
    assert contents(tmp_path) == ("old", "old", "old")
    assert left(tmp_path) == ["custody", "release"]


def _killed(folder: Path, step: int) -> None:
    rename, count = Path.rename, 0

    def dying(self: Path, target: Path) -> Path:
        nonlocal count
        if count == step:
            os._exit(9)
        count += 1
        return rename(self, target)

    Path.rename = dying  # type: ignore[method-assign,assignment]
    with Outgoing(folder) as outgoing:
        stage(outgoing, "new")
        outgoing.commit(nothing)
        os._exit(9)


@pytest.mark.parametrize("step", range(5))
def test_after_a_kill_the_next_run_finds_the_old_output_or_the_new(tmp_path: Path, step: int) -> None:
    produce(tmp_path, "old")
    run = multiprocessing.get_context("forkserver").Process(target=_killed, args=(tmp_path, step))
    run.start()
    run.join()
    assert run.exitcode == 9
    assert any(name.startswith(STAGING) for name in left(tmp_path))
    with Outgoing(tmp_path):
        pass
    expected = "new" if step == 4 else "old"
    assert contents(tmp_path) == (expected,) * 3
    assert left(tmp_path) == ["custody", "release"]


def test_nothing_has_a_final_name_after_a_first_run_is_killed(tmp_path: Path) -> None:
    run = multiprocessing.get_context("forkserver").Process(target=_killed, args=(tmp_path / "out", 1))
    run.start()
    run.join()
    produce(tmp_path / "out", "next")
    assert contents(tmp_path / "out") == ("next",) * 3
    assert left(tmp_path / "out") == ["custody", "release"]


def test_a_run_at_work_is_not_taken_for_stale(tmp_path: Path) -> None:
    with Outgoing(tmp_path) as first:
        stage(first, "first")
        produce(tmp_path, "second")
        assert contents(tmp_path) == ("second",) * 3
        first.commit(nothing)
    assert contents(tmp_path) == ("first",) * 3
    assert left(tmp_path) == ["custody", "release"]


def foreign_release(folder: Path) -> None:
    (folder / "release").mkdir()
    (folder / "release" / "thesis.txt").write_text("mine")


def foreign_manifest(folder: Path) -> None:
    (folder / "release").mkdir()
    (folder / "release" / MANIFEST).write_text('{"name": "a web page"}')


def added_file(folder: Path) -> None:
    produce(folder, "old")
    (folder / "release" / "notes.txt").write_text("mine")


def linked_release(folder: Path) -> None:
    produce(folder / "elsewhere", "old")
    (folder / "release").symlink_to(folder / "elsewhere" / "release")


def foreign_custody(folder: Path) -> None:
    produce(folder, "old")
    (folder / "custody" / "letters.txt").write_text("mine")


def custody_alone(folder: Path) -> None:
    produce(folder, "old")
    (folder / "release").rename(folder / "shipped")


def custody_file(folder: Path) -> None:
    (folder / "custody").write_text("mine")


@pytest.mark.parametrize(
    "occupy",
    [
        foreign_release,
        foreign_manifest,
        added_file,
        linked_release,
        foreign_custody,
        custody_alone,
        custody_file,
    ],
)
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, occupy: object) -> None:
    occupy(tmp_path)  # type: ignore[operator]
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        produce(tmp_path, "new")
    assert caught.value.code == "output-exists"
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError) as caught:
        produce(tmp_path / "out", "new")
    assert caught.value.code == "output-exists"
    assert (tmp_path / "out").read_text() == "mine"


def test_staging_is_closed_outside_its_block(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with block"):
        _ = Outgoing(tmp_path).data_folder


def test_the_time_of_a_release_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert manifests.timestamp() == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(InputError):
        manifests.timestamp()
