"""What networks have in common that are charged for shares of codes, and for steps along noisy gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.events import composed
from sfumato.dp.prepaid import Prepaid, reserve
from sfumato.dp.training.trained import sampled_gaussian
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.learning import need_deep

if TYPE_CHECKING:
    from dp_accounting import DpEvent

Told = Callable[[str, int, int], None]
Model = TypeVar("Model")

#: The part of the cost under differential privacy that the shares of single codes take.
_MARGINAL_SHARE = 0.1
_LEAST_NOISE = 1e-3


class Deep(Generic[Model]):
    """A network that learns from rows, with parameters ``private_batch`` and ``private_steps``."""

    sees: ClassVar[Literal["rows", "marginals"]] = "rows"
    has_private: ClassVar[bool] = True
    params: Any

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """The shares of codes, then all steps: what a fit is charged."""
        del fields
        return composed(self._events(size, noise))

    def fit(
        self, coded: Coded, key: bytes, private: Private | None = None, progress: Told | None = None
    ) -> Model:
        """Learn from coded rows.

        Raises:
            InputError: ``usage``: no rows or no fields, or PyTorch or Opacus is not installed.
        """
        need_deep()
        if not coded.codes.size:
            raise InputError("usage", "there are no rows to learn from")
        if private is not None:
            return self._private(coded, key, private, progress)
        return self._open(coded, key, progress)

    @abstractmethod
    def _open(self, coded: Coded, key: bytes, progress: Told | None) -> Model:
        """Without differential privacy."""

    @abstractmethod
    def _private(self, coded: Coded, key: bytes, private: Private, progress: Told | None) -> Model:
        """Under differential privacy: two draws, charged as one."""

    def _rate(self, size: int) -> float:
        """The share of rows that takes part in a step."""
        return min(1.0, float(self.params.private_batch) / max(1, size))

    def _events(self, size: int, noise: float) -> list[DpEvent]:
        rate, steps = self._rate(size), self.params.private_steps
        return [sampled_gaussian(1.0, beside(noise, rate, steps), 1), sampled_gaussian(rate, noise, steps)]

    def _shares(self, coded: Coded, private: Private) -> tuple[Prepaid, NDArray[np.float64]]:
        """What is left to spend on the steps, and noisy shares of codes, shape (sum of sizes,)."""
        from sfumato.synth.networks import vae_heads

        events = self._events(private.size, private.noise)
        paid = reserve(private.budget, events, delta=private.delta, place="synthesis")
        paid.spend(events[0], place="shares of codes")
        noise = beside(private.noise, self._rate(private.size), self.params.private_steps)
        return paid, vae_heads.noisy_shares(coded, noise)


def beside(noise: float, rate: float, steps: int) -> float:
    """The noise multiplier of the shares: a fixed part of the cost of the steps, as the central limit has it.

    The limit (Dong, Roth & Su 2022) only parts what is charged: the charge itself is of the events.
    """
    steps_cost = rate * math.sqrt(steps * math.expm1(min(50.0, noise**-2)))
    return max(_LEAST_NOISE, math.sqrt((1 - _MARGINAL_SHARE) / _MARGINAL_SHARE) / steps_cost)


def weights_of(network: Any) -> int:
    """How many numbers are taught."""
    return int(sum(one.numel() for one in network.parameters()))
