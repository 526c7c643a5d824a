"""The steps of one training: draw, clip, sum, add noise, step; entered before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.budget import Budget, Receipt
from sfumato.dp.events import words
from sfumato.dp.training import checkpoints
from sfumato.dp.training.checkpoints import State
from sfumato.dp.training.clipping import Clipper, Loss
from sfumato.dp.training.examples import Examples
from sfumato.dp.training.feeding import Feeder, Views
from sfumato.dp.training.noise import GridNoise, Noise, TorchNoise
from sfumato.dp.training.randomness import Randomness
from sfumato.dp.training.trained import Progress, Record, Settings, Step

_GHOST_FROM = 1_000_000
#: Numbers that the gradients of single rows may take in memory at a time.
_IN_MEMORY = 2**26
_MOST_ROWS = 4096
_BLOCKS = 20


class Run:
    """A training on its way.

    Args:
        settings: what was, or will be, charged.
        module: prepared.
        batch: what the noisy sum is divided by: the expected number of examples, as everybody may know it.
    """

    def __init__(
        self,
        settings: Settings,
        module: Any,
        loss: Loss,
        examples: Examples,
        *,
        optimizer: str | Callable[[list[Any]], Any],
        schedule: Callable[[float], float] | None,
        views: Views | None,
        ghost: bool | None,
        physical_batch: int | None,
        seed: int | None,
        device: str | None,
        batch: float,
    ) -> None:
        import torch

        self.settings, self.examples, self.record = settings, examples, Record()
        self.history: list[float] = []
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._module = module.to(self._device)
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._numbers = sum(p.numel() for p in self._parameters)
        self._schedule, self._batch = schedule, batch
        single = views is None and not examples.subjects
        if ghost and not single:
            raise InputError(
                "usage",
                "ghost clipping takes one row for one example",
                remedy="leave ghost, subject or views out",
            )
        self._ghost = single and self._numbers >= _GHOST_FROM if ghost is None else ghost
        if physical_batch is not None and physical_batch < 1:
            raise InputError("usage", f"physical_batch must be at least one row, and is {physical_batch}")
        most = physical_batch or self._fitting()
        self._feeder = Feeder(examples, self._module, views, most, ghost=self._ghost)
        self._loss = loss
        self._optimizer = _made(optimizer, self._parameters, settings.lr)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._randomness = Randomness.fresh(seed)
        self._noise = self._make_noise()
        self._average: list[Any] = []
        self._at = self._entered = 0
        self._path: Path | None = None
        self._every = settings.steps
        self.receipt: Receipt | None = None
        self._salt, self._data = checkpoints.fresh_salt(), ""

    def _fitting(self) -> int:
        """How many rows at a time fit into memory."""
        if self._ghost:
            return _MOST_ROWS
        return int(max(1, min(_MOST_ROWS, _IN_MEMORY // self._numbers)))

    def _make_noise(self) -> Noise:
        std = self.settings.noise_multiplier * self.settings.clip
        if self.settings.secure:
            return GridNoise(std, self.settings.clip, self._numbers, self._randomness)
        return TorchNoise(std, self.settings.clip, self._randomness)

    def begin(self, path: Path | None, every: int | None, receipt: Receipt) -> None:
        """Start at the first step; charged already."""
        self._keep_at(path, every)
        self.receipt = receipt
        if path is not None:
            self._data = self.examples.fingerprint(bytes.fromhex(self._salt))
        if self.settings.average is not None:
            self._average = [p.detach().clone() for p in self._parameters]

    def resume(self, path: Path | None, every: int | None, saved: State, budget: Budget) -> None:
        """Go on behind the last step that counts as made.

        Raises:
            InputError: ``usage`` if settings or budget are others, or the training was finished already;
                ``source-changed`` for other data.
        """
        where = str(path)
        if saved.settings != self.settings.digest():
            raise InputError(
                "usage", "the checkpoint is of a training with other settings", where=where,
                remedy="resume with the settings it began with, or train anew and be charged",
            )  # fmt: skip
        if saved.data != self.examples.fingerprint(bytes.fromhex(saved.salt)):
            raise InputError(
                "source-changed", "the checkpoint is of a training on other data", where=where,
                remedy="resume with the rows it began with: they were charged, others were not",
            )  # fmt: skip
        self.receipt = self._charged(budget, saved, where)
        self._keep_at(path, every)
        self._salt, self._data = saved.salt, saved.data
        self._module.load_state_dict(saved.weights)
        self._optimizer.load_state_dict(saved.optimizer)
        self._average = [one.to(self._device) for one in saved.average]
        self.history = list(saved.history)
        self.record = Record(dict(saved.drawn), dict(saved.noised), saved.lost + saved.entered - saved.step)
        self._at = self._entered = saved.entered

    def _charged(self, budget: Budget, saved: State, where: str) -> Receipt:
        """The receipt of the training; refused if this budget did not pay, or paid for one that is over."""
        number = saved.receipt["number"] if saved.receipt["dataset"] == budget.dataset else None
        paid = [one for one in budget.statement().entries if one.number == number]
        if not paid or paid[0].event != words(self.settings.event):
            raise InputError(
                "usage", "this budget was not charged for the training of the checkpoint", where=where,
                remedy="resume with the budget that was; one in memory ends with its process",
            )  # fmt: skip
        if paid[0].answered:
            raise InputError(
                "usage", "the training of this checkpoint was finished", where=where,
                remedy="train anew and be charged",
            )  # fmt: skip
        return Receipt(budget.dataset, paid[0].number, paid[0].place, paid[0].event, paid[0].share)

    def _keep_at(self, path: Path | None, every: int | None) -> None:
        self._path = path
        self._every = every or max(1, math.ceil(self.settings.steps / _BLOCKS))
        if self._every < 1:
            raise InputError("usage", f"every must be at least one step, and is {every}")

    def go(self, watch: Callable[[Progress], None] | None, trace: Callable[[Step], None] | None) -> None:
        """Make the steps that are left."""
        clipper = Clipper(self._module, self._loss, self._noise.inner, ghost=self._ghost)
        try:
            while self._at < self.settings.steps:
                if self._at >= self._entered:
                    self._enter()
                made = self._step(clipper)
                if trace is not None:
                    trace(made())
                self._at += 1
                if watch is not None:
                    watch(Progress(self._at, self.settings.steps, self.history[-1], self.settings))
        finally:
            clipper.close()
        self._enter()
        if not self.record.covered(self.settings):
            raise AssertionError("more was drawn than was charged")

    def _enter(self) -> None:
        """Enter the next block as made, before its first step."""
        self._entered = min(self.settings.steps, self._at + self._every)
        if self._path is None or self.receipt is None:
            return
        checkpoints.write(
            self._path,
            State(
                settings=self.settings.digest(),
                receipt={"dataset": self.receipt.dataset, "number": self.receipt.number},
                salt=self._salt,
                data=self._data,
                step=self._at,
                entered=self._entered,
                weights=dict(self._module.state_dict()),
                optimizer=self._optimizer.state_dict(),
                average=self._average,
                history=self.history,
                lost=self.record.lost,
                drawn=self.record.drawn,
                noised=self.record.noised,
            ),
        )

    def _step(self, clipper: Clipper) -> Callable[[], Step]:
        step = self._at
        chosen = self._draw(step)
        clipper.clear()
        with self._apart(step):
            self._feeder.feed(clipper, chosen, self._randomness.stream("views", step))
        if clipper.seen > 1 and clipper.broken == clipper.seen:
            raise InputError(
                "usage",
                f"in step {step + 1} the loss is a number for none of the rows",
                remedy="take a smaller learning rate"
                if step
                else "try the module and the loss on rows that you made up",
            )
        noisy = self._noised(clipper.sums, step)
        self._update(noisy, step)

        def made() -> Step:
            flat = [
                np.concatenate([one.cpu().numpy().ravel() for one in part]) for part in (clipper.sums, noisy)
            ]
            return Step(step, chosen, flat[0], flat[1], clipper.broken)

        return made

    @contextmanager
    def _apart(self, step: int) -> Iterator[None]:
        """PyTorch's generator with numbers for this step's rows alone, and as it was afterwards.

        How many a module draws for its rows tells how many they are: what is drawn later must not show it.
        """
        import torch

        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(self._randomness.stream("module", step).words(1)[0] >> np.uint64(1)))
            yield

    def _draw(self, step: int) -> NDArray[np.int64]:
        self.record.sampled(self.settings.rate)
        return self._randomness.stream("batch", step).chosen(self.examples.count, self.settings.rate)

    def _noised(self, sums: list[Any], step: int) -> list[Any]:
        self.record.added(self.settings.noise_multiplier)
        return self._noise.add(sums, step)

    def _update(self, noisy: list[Any], step: int) -> None:
        """One step of the optimizer along the noisy mean, and of the average behind it."""
        import torch

        size = 0.0
        for p, one in zip(self._parameters, noisy, strict=True):
            mean = one / self._batch
            size += float(mean.square().sum())
            p.grad = mean.to(p.dtype)
        factor = 1.0 if self._schedule is None else self._schedule(step / self.settings.steps)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.history.append(math.sqrt(size))
        if not all(bool(torch.isfinite(p).all()) for p in self._parameters):
            raise InputError(
                "usage",
                f"after step {step + 1} the weights are no finite numbers any more",
                remedy="take a smaller learning rate",
            )
        if self.settings.average is not None:
            decay = min(self.settings.average, (1 + step) / (10 + step))
            for kept, p in zip(self._average, self._parameters, strict=True):
                kept.lerp_(p.detach(), 1 - decay)

    def finished(self) -> Any:
        """The module, with the averaged weights if there is an average, ready to be asked."""
        import torch

        with torch.no_grad():
            for kept, p in zip(self._average, self._parameters, strict=False):
                p.copy_(kept)
        for p in self._parameters:
            p.grad = None
        return self._module.eval()


def _made(optimizer: str | Callable[[list[Any]], Any], parameters: list[Any], lr: float) -> Any:
    import torch

    if optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=0.9)
    if optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr)
    if not callable(optimizer):
        raise InputError(
            "usage", f"there is no optimizer {optimizer!r}", remedy='"sgd", "adam" or a function'
        )
    return optimizer(parameters)
