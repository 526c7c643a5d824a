"""A killed training goes on: no more steps than were charged, no old noise again, and no other people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sfumato import dp
from sfumato.core.errors import InputError
from sfumato.dp.training import checkpoints
from sfumato.dp.training.trained import Progress, Step

ROWS, STEPS, EVERY = 30, 12, 4
COMMON: dict[str, Any] = {
    "loss": "cross-entropy", "noise_multiplier": 2.0, "delta": 1e-5, "batch": ROWS, "steps": STEPS,
    "size": ROWS, "every": EVERY,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Killed(BaseException):
    """The end of a process, as far as a test can tell."""


def data(shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn((ROWS, 3), generator=torch.Generator().manual_seed(3)) + shift
    return inputs, (inputs[:, 0] > 0).long()


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def killed_at(step: int) -> Any:
    def watch(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return watch


@pytest.fixture
def purse() -> dp.Budget:
    return dp.Budget(50.0, 1e-5)


def begun(path: Path, purse: dp.Budget, *, dies: int = 6, **kinds: Any) -> None:
    with pytest.raises(Killed):
        dp.train(module(), data(), budget=purse, checkpoint=path, watch=killed_at(dies), **COMMON, **kinds)


def resumed(path: Path, purse: dp.Budget, **kinds: Any) -> dp.Trained:
    given = {**COMMON, **kinds}
    return dp.train(module(), given.pop("data", data()), budget=purse, checkpoint=path, resume=True, **given)


@pytest.mark.parametrize(("dies", "lost"), [(1, 4), (4, 4), (6, 4), (7, 4), (8, 4), (12, 4)])
def test_what_may_have_been_done_counts_as_done(
    tmp_path: Path, purse: dp.Budget, dies: int, lost: int
) -> None:
    path = tmp_path / "state"
    begun(path, purse, dies=dies)
    after: list[int] = []
    made = resumed(path, purse, watch=lambda progress: after.append(progress.step))
    assert dies + len(after) <= STEPS
    assert made.record.lost == lost
    assert made.record.steps == STEPS - lost
    assert after == list(range((dies - 1) // EVERY * EVERY + EVERY + 1, STEPS + 1))
    assert len(purse.statement().entries) == 1
    assert len(made.history) == STEPS - lost


def test_it_is_killed_again_and_again(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    begun(path, purse, dies=2)
    with pytest.raises(Killed):
        resumed(path, purse, watch=killed_at(6))
    made = resumed(path, purse)
    assert (made.record.lost, made.record.steps) == (8, 4)


def test_the_weights_go_on_from_the_checkpoint(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    begun(path, purse, dies=6, average=0.9)
    saved = checkpoints.read(path)
    assert (saved.step, saved.entered) == (4, 8)
    tiny = {**COMMON, "average": 0.9}
    made = resumed(path, purse, **tiny)
    assert not torch.equal(made.module.weight, saved.weights["weight"])


def test_noise_and_batches_are_drawn_anew(tmp_path: Path) -> None:
    path, seen = tmp_path / "state", []
    purse = dp.Budget(50.0, 1e-5)
    begun(path, purse)
    for copy in ("a", "b"):
        shutil.copy(path, tmp_path / copy)
    for copy in ("a", "b"):
        steps: list[Step] = []
        with pytest.raises(Killed):
            resumed(tmp_path / copy, purse, trace=steps.append, watch=killed_at(9))
        seen.append(steps[0].noisy - steps[0].summed)
    assert not (seen[0] == seen[1]).any()


def test_a_checkpoint_holds_no_randomness_and_is_its_owners_alone(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    begun(path, purse)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {name for name in vars(checkpoints.read(path)) if "key" in name or "seed" in name} == set()


def test_a_finished_training_is_finished(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    begun(path, purse)
    shutil.copy(path, tmp_path / "copy")
    resumed(path, purse)
    for again in (path, tmp_path / "copy"):
        with pytest.raises(InputError, match="was finished"):
            resumed(again, purse)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("other data", {"data": data(0.1)}),
        ("other settings", {"steps": STEPS + 1}),
        ("other settings", {"noise_multiplier": 1.0}),
        ("other settings", {"lr": 0.1}),
        ("not charged", {"budget": dp.Budget(50.0, 1e-5)}),
        ("not charged", {"budget": dp.Budget(50.0, 1e-5, dataset="others")}),
    ],
)
def test_only_the_same_training_goes_on(
    tmp_path: Path, purse: dp.Budget, words: str, change: dict[str, Any]
) -> None:
    path = tmp_path / "state"
    begun(path, purse)
    with pytest.raises(InputError, match=words):
        resumed(path, change.pop("budget", purse), **change)
    assert checkpoints.read(path).entered == 8


def test_two_processes_do_not_share_a_checkpoint(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    begun(path, purse)
    with checkpoints.locked(path), pytest.raises(InputError, match="another process"):
        resumed(path, purse)


def test_a_checkpoint_that_is_none(tmp_path: Path, purse: dp.Budget) -> None:
    path = tmp_path / "state"
    with pytest.raises(InputError, match="no checkpoint"):
        resumed(path, purse)
    for junk in (b"", b"junk", b"\x80\x04cos\nsystem\n."):
        path.write_bytes(junk)
        with pytest.raises(InputError, match="no checkpoint of a training"):
            resumed(path, purse)
    torch.save({"format": 1, "step": 3}, path)
    with pytest.raises(InputError, match="no checkpoint of a training"):
        resumed(path, purse)


def test_a_place_that_cannot_be_written_is_said_before_the_charge(tmp_path: Path, purse: dp.Budget) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        dp.train(module(), data(), budget=purse, checkpoint=tmp_path / "no" / "state", **COMMON)
    assert not purse.statement().entries


def test_a_ledger_on_disk_outlives_the_process(tmp_path: Path) -> None:
    from sfumato.project import Project

    path = tmp_path / "state"
    project = Project.open(tmp_path / "project")
    begun(path, dp.Budget.open("people", project, epsilon=50.0, delta=1e-5))
    made = resumed(path, dp.Budget.open("people", project))
    assert made.record.steps == 8
