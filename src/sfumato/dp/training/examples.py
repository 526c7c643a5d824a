"""What is trained on: rows, or subjects with all their rows, of which a Poisson sample chooses."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError


@dataclass(frozen=True)
class Chunk:
    """Rows that are worked on together: whole examples, or a piece of a single one.

    ``places`` says for each row which of the chunk's ``count`` examples it belongs to; ``last`` is false
    while more of a single large example is to come.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    count: int
    last: bool = True


class Examples:
    """Inputs and targets, and which rows are one example.

    Args:
        data: ``(inputs, targets)``, arrays or tensors of equal length, or a map-style ``Dataset`` of such
            pairs.
        subject: for each row whose it is; None if each row is an example.

    Raises:
        InputError: ``usage`` for a DataLoader, no rows, lengths that differ, or numbers that are none.
    """

    def __init__(self, data: Any, subject: Sequence[Any] | None) -> None:
        import torch

        _refuse_loader(data)
        self._dataset: Any = None
        if isinstance(data, torch.utils.data.Dataset):
            self._dataset = data
            self.rows = len(data)
            if self.rows:
                self.inputs, self.targets = self.take(np.arange(1))
        else:
            self.inputs, self.targets = _pair(data)
            self.rows = len(self.inputs)
        if not self.rows:
            raise InputError("usage", "there are no rows to train on")
        self.subjects = subject is not None
        self._of, self._starts, self._order = _units(subject, self.rows)
        self.count = len(self._starts) - 1

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Inputs and targets of some rows, as tensors."""
        import torch

        if self._dataset is None:
            chosen = torch.from_numpy(rows)
            return self.inputs[chosen], self.targets[chosen]
        pairs = [self._dataset[int(row)] for row in rows]
        return (
            torch.stack([torch.as_tensor(one[0]) for one in pairs]),
            torch.stack([torch.as_tensor(one[1]) for one in pairs]),
        )

    def chunks(self, chosen: NDArray[np.int64], most: int) -> Iterator[Chunk]:
        """The rows of the chosen examples, at most ``most`` at a time, no example torn but one too large."""
        sizes = self._starts[chosen + 1] - self._starts[chosen]
        begin = 0
        while begin < len(chosen):
            fitting = int(np.searchsorted(np.cumsum(sizes[begin : begin + most]), most, side="right"))
            if fitting == 0:
                yield from self._pieces(int(chosen[begin]), most)
                begin += 1
                continue
            taken = chosen[begin : begin + fitting]
            rows = np.concatenate([self._order[self._starts[one] : self._starts[one + 1]] for one in taken])
            yield Chunk(rows, np.repeat(np.arange(fitting), sizes[begin : begin + fitting]), fitting)
            begin += fitting

    def _pieces(self, one: int, most: int) -> Iterator[Chunk]:
        rows = self._order[self._starts[one] : self._starts[one + 1]]
        for at in range(0, len(rows), most):
            piece = rows[at : at + most]
            yield Chunk(piece, np.zeros(len(piece), dtype=np.int64), 1, at + most >= len(rows))

    def fingerprint(self, salt: bytes) -> str:
        """A salted digest: of all numbers of tensors, of the length alone of a ``Dataset``."""
        digest = hmac.new(salt, f"{self.rows} {self.count}".encode(), "sha256")
        if self._dataset is None:
            for part in (self.inputs, self.targets):
                digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        digest.update(self._of.tobytes())
        return digest.hexdigest()


def _refuse_loader(data: Any) -> None:
    import torch

    if isinstance(data, torch.utils.data.DataLoader):
        raise InputError(
            "usage",
            "a DataLoader chooses the batches itself, and shuffled batches are no Poisson sample: they cost"
            " more privacy than would be charged",
            remedy="give the data themselves (loader.dataset); batches are drawn here, each row for itself",
        )
    if isinstance(data, torch.utils.data.IterableDataset):
        raise InputError(
            "usage",
            "rows that come one after another cannot be sampled each for itself",
            remedy="give tensors or a Dataset with a length and single rows",
        )


def _pair(data: Any) -> tuple[Any, Any]:
    import torch

    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise InputError("usage", "the data must be (inputs, targets) or a torch Dataset")
    inputs, targets = (torch.as_tensor(part).detach() for part in data)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise InputError("usage", "inputs and targets are not of the same rows")
    for name, part in (("inputs", inputs), ("targets", targets)):
        if part.dtype.is_floating_point and not bool(torch.isfinite(part).all()):
            raise InputError(
                "usage",
                f"the {name} hold values that are no finite numbers",
                remedy="say beforehand what becomes of missing values, by a rule that looks at one row alone",
            )
    return inputs, targets


def _units(
    subject: Sequence[Any] | None, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each row its example; where each example begins in the order of rows; that order."""
    if subject is None:
        return np.arange(rows), np.arange(rows + 1), np.arange(rows)
    given = np.asarray(subject)
    if given.shape != (rows,):
        raise InputError("usage", "subject must name one subject for each row")
    if given.dtype == object and any(one is None or one != one for one in given):
        raise InputError("usage", "a row has no subject", remedy="leave rows without a subject out")
    _, of = np.unique(given, return_inverse=True)
    order = np.argsort(of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(of))])
    return of.astype(np.int64), starts.astype(np.int64), order.astype(np.int64)
