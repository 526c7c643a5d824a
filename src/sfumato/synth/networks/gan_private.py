"""The critic under differential privacy: it alone sees rows, by clipped gradients with noise.

In each step the critic follows a noisy sum over a Poisson sample of rows (DP-SGD: Abadi et al. 2016, arXiv
1607.00133), less that of as many made rows, clipped alike; what is done with made rows, the gradient penalty
and the other network among it, is done with what the noisy sums gave, and costs nothing (Xie et al. 2018,
arXiv 1802.06739). The penalty is on made rows alone (Mescheder, Geiger & Nowozin 2018, arXiv 1801.04406), for
one on real rows would be of them without noise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from sfumato.dp.training.clipping import Clipper
from sfumato.dp.training.run import Run
from sfumato.synth.networks.gan import penalty_of_made


def less(outputs: Any, targets: Any) -> Any:
    """The loss of a real row: how little it is taken for one."""
    del targets
    return -outputs


class Duel(Run):
    """A training of the critic, with steps of the other network between its own.

    Args:
        make: rows with conditions as the critic takes them, so many, without slope.
        answer: a step of the generator against a critic.
        each: critic's steps for one of the generator.
        weight: of the gradient penalty.
    """

    def __init__(
        self,
        *run: Any,
        make: Callable[[int], Any],
        answer: Callable[[Any], None],
        each: int,
        weight: float,
        **settings: Any,
    ) -> None:
        super().__init__(*run, **settings)
        self._make, self._answer, self._each, self._weight = make, answer, each, weight
        # Opacus hangs on the critic that is taught; what sees no rows uses copies.
        self._shadow = copy.deepcopy(self._module.critic)
        self._clipped = Clipper(copy.deepcopy(self._module.critic), _more, self._noise.inner, ghost=True)

    def _update(self, noisy: list[Any], step: int) -> None:
        """One step along both sums; then, now and then, one of the generator."""
        made = self._make(max(1, round(self._batch)))
        self._follow()
        self._clipped.clear()
        self._clipped.add_ghost(made, made)
        loss = self._weight * penalty_of_made(self._shadow, made)
        slopes = torch.autograd.grad(loss, list(self._shadow.parameters()), allow_unused=True)
        both = [
            real + fake + (0 if slope is None else slope.double() * self._batch)
            for real, fake, slope in zip(noisy, self._clipped.sums, slopes, strict=True)
        ]
        super()._update(both, step)
        if (step + 1) % self._each == 0:
            self._follow()
            self._answer(self._shadow)

    def _follow(self) -> None:
        """Bring the copies to where the critic is."""
        with torch.no_grad():
            for place in (self._shadow.parameters(), self._clipped.parameters):
                for copied, now in zip(place, self._parameters, strict=True):
                    copied.copy_(now)

    def close(self) -> None:
        """Take Opacus's hooks off."""
        self._clipped.close()


def _more(outputs: Any, targets: Any) -> Any:
    del targets
    return outputs
