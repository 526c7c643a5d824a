"""How the networks of the synthesizers learn without differential privacy: seeds, threads, when to stop.

The same key and rows give the same weights on a CPU, however many cores it has. Nothing here adds noise: what
learns under differential privacy goes through :func:`sfumato.dp.training.train.train`.
"""

from __future__ import annotations

import hmac
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.dp.training import tensorfile
from sfumato.dp.training.modules import need_deep

__all__ = ["Learned", "Plan", "arrays_of", "device", "learn", "load", "need_deep", "seeded"]

#: From a module, a batch (the tensors' rows) and a torch.Generator to the loss of each row, shape (rows,).
Loss = Callable[[Any, tuple[Any, ...], Any], Any]
#: Is told what is done, how far it has come, and of how much.
Watch = Callable[[str, int, int], None]

_FEWEST_TO_VALIDATE = 40
_MOST_AT_ONCE = 4096


@dataclass(frozen=True)
class Plan:
    """How long, in what steps, and when to stop.

    The learning rate rises over ``warmup`` of the steps and falls along a cosine to zero at the last. A share
    ``held`` of the rows is not learned from; when their loss has not fallen for ``patience`` epochs, learning
    stops, and the weights are those with the least loss.
    """

    epochs: int
    batch: int
    lr: float = 2e-3
    decay: float = 0.01
    warmup: float = 0.05
    held: float = 0.05
    patience: int = 5

    def factor(self, share: float) -> float:
        """What the learning rate is multiplied with after a share of the steps."""
        if share < self.warmup:
            return (share + 1e-3) / (self.warmup + 1e-3)
        return 0.5 * (1 + math.cos(math.pi * (share - self.warmup) / (1 - self.warmup)))


@dataclass(frozen=True)
class Learned:
    """What came of it; losses are means a row, in nats.

    ``gap`` is the loss of rows held out less that of as many rows learned from: well above zero where rows
    were learned by heart. None where there were too few rows to hold any out.
    """

    module: Any
    epochs: int
    loss: float
    validation: float | None

    @property
    def gap(self) -> float | None:
        """How much better the rows learned from are foretold."""
        return None if self.validation is None else self.validation - self.loss


@contextmanager
def seeded(key: bytes) -> Iterator[Any]:
    """PyTorch with one thread and its own random numbers, from a 32-byte key; both as before afterwards.

    Yields a ``torch.Generator`` (CPU) of the key as well.
    """
    import torch
    from threadpoolctl import threadpool_limits

    seed = int.from_bytes(derive(key, "torch")[:8], "big") >> 1
    cuda = list(range(torch.cuda.device_count()))
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=cuda), threadpool_limits(1):
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_num_threads(threads)


def device() -> str:
    """The GPU if there is one; sums on it may differ in their last digits from run to run."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def arrays_of(module: Any, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The weights and buffers of a module, for a synthesizer's state."""
    return {prefix + name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def load(module: Any, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Any:
    """The module with the weights that :func:`arrays_of` gave, to be asked.

    Raises:
        InputError: ``source-unreadable``: they are of another module.
    """
    import torch

    try:
        module.load_state_dict(
            {
                name.removeprefix(prefix): torch.from_numpy(np.array(array))
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
        )
    except (RuntimeError, TypeError):
        raise InputError("source-unreadable", "these are not the weights of this network") from None
    return module.eval()


def learn(
    module: Any,
    data: Sequence[Any],
    loss: Loss,
    plan: Plan,
    key: bytes,
    *,
    progress: Watch | None = None,
    what: str = "learning",
    checkpoint: Path | None = None,
) -> Learned:
    """Learn from rows until those held out are foretold no better. Nothing about it is private.

    Args:
        module: a ``torch.nn.Module``; it is changed in place, and moved to the GPU if there is one.
        data: tensors of as many rows, at least one.
        loss: what it draws it draws from the generator that it is given, on the CPU, or from PyTorch's own.
        key: 32 bytes: for the rows held out, batches, and draws in the loss.
        progress: called after each epoch.
        checkpoint: a file that is written after each epoch, and gone when all is done. If it is there at the
            beginning, learning goes on from it and ends in the same weights.

    Raises:
        InputError: ``usage``: the weights became no numbers, or the checkpoint is of something else;
            ``output-failed``: it cannot be written.
    """
    with seeded(derive(key, "learn")):
        return _Learning(module, data, loss, plan, key, checkpoint).go(progress, what)


@dataclass
class _At:
    """How far it is: JSON but for the tensors."""

    epoch: int = 0
    step: int = 0
    best: float = math.inf
    best_epoch: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


class _Learning:
    """One course of learning."""

    def __init__(
        self, module: Any, data: Sequence[Any], loss: Loss, plan: Plan, key: bytes, checkpoint: Path | None
    ) -> None:
        import torch

        self._device = device()
        self._module, self._loss, self._plan, self._key = module.to(self._device), loss, plan, key
        self._data = tuple(data)
        order = self._shuffled("held", torch.arange(len(self._data[0])))
        held = round(len(order) * plan.held) if len(order) >= _FEWEST_TO_VALIDATE else 0
        self._held, self._rows = order[:held], order[held:]
        parameters = [p for p in module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            parameters, lr=plan.lr, weight_decay=plan.decay, fused=self._device == "cpu"
        )
        self._steps = plan.epochs * math.ceil(len(self._rows) / plan.batch)
        self._at = _At()
        self._checkpoint = None if checkpoint is None else _Checkpoint(checkpoint, self._mark())

    def _mark(self) -> str:
        """A digest of what is learned, and from what, under the key."""
        digest = hmac.new(self._key, canonical_json(asdict(self._plan)), "sha256")
        for tensor in self._data:
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()

    def go(self, progress: Watch | None, what: str) -> Learned:
        if self._checkpoint is not None:
            self._at = self._checkpoint.resumed(self._module, self._optimizer) or self._at
        while self._at.epoch < self._plan.epochs and not self._over():
            self._epoch()
            if self._checkpoint is not None:
                self._checkpoint.write(self._module, self._optimizer, self._at)
            if progress is not None:
                progress(what, self._at.epoch, self._plan.epochs)
        if self._at.weights:
            self._module.load_state_dict(self._at.weights)
        if self._checkpoint is not None:
            self._checkpoint.remove()
        known = self._mean(self._rows[: max(len(self._held), _FEWEST_TO_VALIDATE)])
        unknown = self._mean(self._held) if len(self._held) else None
        return Learned(self._module.eval().cpu(), self._at.epoch, known, unknown)

    def _over(self) -> bool:
        return len(self._held) > 0 and self._at.epoch - self._at.best_epoch >= self._plan.patience

    def _epoch(self) -> None:
        import torch

        at = self._at
        name = f"epoch {at.epoch}"
        torch.manual_seed(_seed(self._key, name))
        draws = torch.Generator().manual_seed(_seed(self._key, name, "loss"))
        self._module.train()
        for rows in self._shuffled(name, self._rows).split(self._plan.batch):
            rate = self._plan.lr * self._plan.factor(at.step / self._steps)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.zero_grad(set_to_none=True)
            self._loss(self._module, self._batch(rows), draws).mean().backward()
            torch.nn.utils.clip_grad_norm_(self._module.parameters(), 5.0)
            self._optimizer.step()
            at.step += 1
        at.epoch += 1
        if not all(bool(torch.isfinite(p).all()) for p in self._module.parameters()):
            raise InputError(
                "usage", "the weights are no finite numbers any more", remedy="take a smaller learning rate"
            )
        if len(self._held):
            self._judge()

    def _judge(self) -> None:
        """Keep the weights if the rows held out are foretold better than ever."""
        found = self._mean(self._held)
        if found < self._at.best:
            self._at.best, self._at.best_epoch = found, self._at.epoch
            state = self._module.state_dict()
            self._at.weights = {name: tensor.detach().clone() for name, tensor in state.items()}

    def _mean(self, rows: Any) -> float:
        """The mean loss of rows, by the same draws each time."""
        import torch

        torch.manual_seed(_seed(self._key, "validation"))
        draws = torch.Generator().manual_seed(_seed(self._key, "validation", "loss"))
        self._module.eval()
        with torch.no_grad():
            total = sum(
                float(self._loss(self._module, self._batch(some), draws).double().sum())
                for some in rows.split(_MOST_AT_ONCE)
            )
        return total / len(rows)

    def _batch(self, rows: Any) -> tuple[Any, ...]:
        return tuple(tensor[rows].to(self._device) for tensor in self._data)

    def _shuffled(self, use: str, rows: Any) -> Any:
        import torch

        generator = torch.Generator().manual_seed(_seed(self._key, use, "order"))
        return rows[torch.randperm(len(rows), generator=generator)]


def _seed(key: bytes, *use: str) -> int:
    return int.from_bytes(derive(key, *use)[:8], "big") >> 1


class _Checkpoint:
    """A safetensors file of weights, best weights, and the moments of the optimizer."""

    def __init__(self, path: Path, mark: str) -> None:
        self._path, self._mark = path, mark

    def resumed(self, module: Any, optimizer: Any) -> _At | None:
        """Where it was left, with module and optimizer as they were; None if there is no file."""
        import torch

        if not self._path.is_file():
            return None
        arrays, said = tensorfile.read(self._path.read_bytes())
        if said.get("mark") != self._mark:
            raise InputError(
                "usage", "the checkpoint is of other rows, another key or another plan",
                where=str(self._path), remedy="remove it to begin anew",
            )  # fmt: skip
        groups: dict[str, dict[str, Any]] = {"now": {}, "best": {}, "first": {}, "second": {}}
        for name, array in arrays.items():
            group, _, place = name.partition("/")
            groups[group][place] = torch.from_numpy(np.array(array))
        at = _At(**json.loads(said["at"]), weights=groups["best"])
        module.load_state_dict(groups["now"])
        for name, p in module.named_parameters():
            if name in groups["first"]:
                optimizer.state[p] = {
                    "step": torch.tensor(float(at.step)),
                    "exp_avg": groups["first"][name].to(p.device),
                    "exp_avg_sq": groups["second"][name].to(p.device),
                }
        return at

    def write(self, module: Any, optimizer: Any, at: _At) -> None:
        """Whole or not at all, readable by its owner alone."""
        arrays = {**arrays_of(module, "now/"), **{f"best/{n}": _plain(t) for n, t in at.weights.items()}}
        for name, p in module.named_parameters():
            if p in optimizer.state:
                arrays[f"first/{name}"] = _plain(optimizer.state[p]["exp_avg"])
                arrays[f"second/{name}"] = _plain(optimizer.state[p]["exp_avg_sq"])
        plain = {"epoch": at.epoch, "step": at.step, "best": at.best, "best_epoch": at.best_epoch}
        content = tensorfile.written(arrays, {"mark": self._mark, "at": json.dumps(plain)})
        aside = self._path.with_name(self._path.name + ".part")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            aside.replace(self._path)
        except OSError as error:
            raise InputError(
                "output-failed", f"the checkpoint cannot be written: {error.strerror}", where=str(self._path)
            ) from None

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _plain(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
