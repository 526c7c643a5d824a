"""A mixture of products: in each of some hundred components the fields are independent.

Every marginal of it is a product of small matrices, so that it is fitted to noisy tables by gradients and
conditioned on any fields in closed form (as in the generators of Liu, Vietri & Wu 2021, "Iterative methods
for private synthetic data"; McKenna & Liu 2022, "mixture of products").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.coded import Field, Given
from sfumato.synth.marginals.fit import Fit
from sfumato.synth.marginals.grouping import Scale, drawn_codes, restored_scales, scale_arrays
from sfumato.synth.marginals.rounding import strata
from sfumato.synth.marginals.zeros import Zeros, split, without

#: Rows whose components are drawn at once, where each row has conditions of its own.
_AT_ONCE = 4096


@dataclass(frozen=True)
class Mixture:
    """Weights of components, and in each the shares of every field's groups of codes."""

    conditional: ClassVar[bool] = True

    fields: tuple[Field, ...]
    scales: tuple[Scale, ...]
    fit: Fit
    zeros: Zeros
    learned: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """How it was learned, and how large it is."""
        return {
            **self.learned,
            "fit": "mixture",
            "components": len(self.fit.weights),
            "parameters": int(self.fit.shares.size + self.fit.weights.size),
        }

    def marginal(self, first: int, second: int) -> NDArray[np.float64]:
        """The model's shares of two fields, shape (size of first, of second); of one, on the diagonal."""
        a = self.scales[first].spread(self.fit.of(first).astype(np.float64))
        if first == second:
            return np.diag(self.fit.weights @ a)
        b = self.scales[second].spread(self.fit.of(second).astype(np.float64))
        return (self.fit.weights[:, None] * a).T @ b

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """New rows under conditions, exactly as the model has it.

        Raises:
            InputError: ``usage``: what is given cannot be.
        """
        return without(self.zeros, rows, given, lambda count, some: self._drawn(count, random, some))

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Weights, shares and groups; the rest as JSON."""
        arrays: dict[str, NDArray[Any]] = {
            "weights": self.fit.weights,
            "shares": self.fit.shares,
            **scale_arrays(self.scales),
        }
        return arrays, {"learned": dict(self.learned), "zeros": self.zeros.document()}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> Mixture:
        """The model again."""
        scales = restored_scales([field.size for field in fields], arrays)
        starts = np.concatenate([[0], np.cumsum([each.groups for each in scales])])
        fit = Fit(arrays["weights"], arrays["shares"], starts)
        zeros = Zeros.restored(fields, document["zeros"])
        return cls(tuple(fields), scales, fit, zeros, dict(document["learned"]))

    def _drawn(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        fixed, allowed = split(self.fields, given)
        weights = self.fit.weights.copy()
        shares: dict[int, NDArray[np.float64]] = {}
        scales = dict(enumerate(self.scales))
        for place, mask in allowed.items():
            scales[place], mass = _within(self.scales[place], mask)
            part = self.fit.of(place).astype(np.float64) * mass
            weights *= part.sum(axis=1)
            shares[place] = part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
        component = self._components(rows, random, weights, fixed)
        order = np.argsort(component, kind="stable")
        codes = np.empty((rows, len(self.fields)), dtype=np.int32, order="F")
        for place in range(len(self.fields)):
            if place in fixed:
                codes[:, place] = fixed[place]
                continue
            share = shares[place] if place in shares else self.fit.of(place).astype(np.float64)
            groups = strata(component[order], share, random)
            codes[order, place] = drawn_codes(scales[place], groups, random)
        return codes

    def _components(
        self,
        rows: int,
        random: np.random.Generator,
        weights: NDArray[np.float64],
        fixed: Mapping[int, NDArray[np.int32]],
    ) -> NDArray[np.int64]:
        """A component for each row, by how likely each is to have what is fixed."""
        if not fixed:
            chosen = strata(np.zeros(rows, dtype=np.int64), weights[None, :] / weights.sum(), random)
            return random.permutation(chosen)
        prior = np.log(np.maximum(weights, 1e-300))
        likely = {
            place: np.log(np.maximum(self.fit.of(place).astype(np.float64), 1e-300)).T for place in fixed
        }
        out = np.empty(rows, dtype=np.int64)
        for start in range(0, rows, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            score = np.tile(prior, (len(out[some]), 1))
            for place, codes in fixed.items():
                score += likely[place][self.scales[place].group[codes[some]]]
            np.exp(score - score.max(axis=1, keepdims=True), out=score)
            summed = np.cumsum(score, axis=1)
            at = random.random(len(summed)) * summed[:, -1]
            out[some] = np.minimum((summed <= at[:, None]).sum(axis=1), score.shape[1] - 1)
        return out


def _within(scale: Scale, mask: NDArray[np.bool_]) -> tuple[Scale, NDArray[np.float64]]:
    """The scale with allowed codes alone, and the part of each group that is allowed."""
    part = scale.within * mask
    mass: NDArray[np.float64] = np.bincount(scale.group, part, minlength=scale.groups).astype(np.float64)
    return Scale(scale.group, part / np.maximum(mass, 1e-300)[scale.group]), mass
