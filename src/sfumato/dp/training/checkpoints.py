"""Checkpoints: a killed training goes on, and never makes more steps than were charged.

A block of steps is entered as used *before* its first step, as the budget is charged before anything is
drawn. If the process dies within a block, nobody knows which of its steps somebody has seen, so all of them
count as made and a resumed training goes on behind the block. Randomness is not kept: what is drawn after
resuming is drawn anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfumato.core.errors import InputError

_FORMAT = 1


@dataclass
class State:
    """All that a training needs to go on; tensors and plain values, and no randomness.

    ``step`` is that of the weights, ``entered`` how many steps count as made.
    """

    settings: str
    receipt: dict[str, Any]
    salt: str
    data: str
    step: int
    entered: int
    weights: dict[str, Any]
    optimizer: dict[str, Any]
    average: list[Any]
    history: list[float]
    lost: int
    drawn: dict[float, int] = field(default_factory=dict)
    noised: dict[float, int] = field(default_factory=dict)


def fresh_salt() -> str:
    """A salt for the fingerprint of the data."""
    return secrets.token_hex(16)


def write(path: Path, state: State) -> None:
    """Write a checkpoint whole or not at all, readable by its owner alone; durable on return.

    Raises:
        InputError: ``output-failed``.
    """
    import torch

    aside = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            torch.save({"format": _FORMAT, **vars(state)}, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(
            "output-failed", f"the checkpoint cannot be written: {error.strerror}", where=str(path)
        ) from None


def read(path: Path) -> State:
    """The checkpoint at a path.

    Raises:
        InputError: ``source-missing``, or ``source-unreadable`` for anything but a checkpoint of ours.
    """
    import torch

    if not path.is_file():
        raise InputError(
            "source-missing", "there is no checkpoint", where=str(path), remedy="train without resume"
        )
    try:
        # Tensors and plain values alone: a checkpoint that somebody changed must not run anything.
        found = torch.load(path, weights_only=True, map_location="cpu")
        if found.pop("format") != _FORMAT:
            raise ValueError
        return State(**found)
    except Exception:  # noqa: BLE001 - a damaged file can make the reader raise anything
        raise InputError(
            "source-unreadable", "this is no checkpoint of a training", where=str(path)
        ) from None


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Hold a checkpoint for one process: two that go on from it would make its steps twice.

    Raises:
        InputError: ``usage``: another process holds it; ``output-failed``: there is no place for it.
    """
    if path is None:
        yield
        return
    import fcntl

    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(
            "output-failed", f"the checkpoint cannot be written: {error.strerror}", where=str(path)
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                "usage", "another process trains from this checkpoint", where=str(path)
            ) from None
        yield
    finally:
        os.close(handle)
