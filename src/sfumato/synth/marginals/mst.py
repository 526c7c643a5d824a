"""Synthesis from the pairs of a tree that joins all fields.

MST (McKenna, Miklau & Sheldon 2021, "Winning the NIST contest: a scalable and general approach to
differentially private synthetic data", Journal of Privacy and Confidentiality 11(3)): every field is counted,
then an exponential mechanism grows a tree from the pairs that are furthest from independent, and these are
counted. Quick and easily explained; what is not joined in the tree is kept by way of others alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from sfumato import contracts
from sfumato.contracts import SynthesisModel
from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.marginals.choosing import singly
from sfumato.synth.marginals.drawing import Draws
from sfumato.synth.marginals.finish import FitParams, Progress, finished, readable
from sfumato.synth.marginals.start import Start, started
from sfumato.synth.marginals.tables import Tables
from sfumato.synth.marginals.zeros import Zeros

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: The budget's parts: single fields of that for tables, and rho of the choices. (A third each in the paper.)
_SINGLES, _CHOICES = 0.2, 0.1
#: Cells of a table hold about so many deviations of the noise.
_FINE = 4.0


class Params(FitParams):
    """What is fitted to the counts."""

    fit: Literal["mixture", "graphical"] = "graphical"
    """A graphical model as in the paper (needs the extra `synth`), or a mixture of products."""


class Mst:
    """Pairs of a spanning tree."""

    Params: ClassVar[type[contracts.Params]] = Params
    summary: ClassVar[str] = (
        "counts of pairs of columns along a tree that joins them all, and a model of them"
    )
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True

    def __init__(self, params: Any) -> None:
        self.params: Params = params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """One Gaussian for all tables, and the choices of the tree's pairs where there is more than one tree.

        >>> Mst(Params()).event((), 1000, 2.0)
        GaussianDpEvent(noise_multiplier=2.0)
        """
        del size
        from dp_accounting import GaussianDpEvent
        from dp_accounting.dp_event import ComposedDpEvent, ZCDpEvent

        tables = GaussianDpEvent(noise)
        return ComposedDpEvent([tables, ZCDpEvent(_rho(noise))]) if len(fields) > 2 else tables

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Progress | None = None,
    ) -> SynthesisModel:
        """Count, grow the tree, count its pairs, fit."""
        zeros = Zeros.of(coded.fields, self.params.zeros)
        many = len(coded.fields) - 1
        draws = Draws(private, _rho(private.noise) if private and many > 1 else 0.0)
        if private is not None:
            draws.pay(self.event(coded.fields, private.size, private.noise), "synthesis by mst")
        start = started(coded, private, draws, _SINGLES if many else 1.0)
        deviation = draws.deviation(1 - _SINGLES, many)
        tables = Tables.empty(start.groups(readable(start, deviation, _FINE, private)))
        pairs = list(itertools.combinations(range(many + 1), 2))
        if many > 1:
            pairs = _tree(start, draws, tables, pairs, private)
        start.measure(draws, tables, pairs, deviation)
        random = generator(derive(key, "marginals", "mst"))
        return finished(start, [tables], self.params, zeros, random, progress)


def _rho(noise: float) -> float:
    return _CHOICES / (1 - _CHOICES) / (2 * noise**2)


def _tree(
    start: Start,
    draws: Draws,
    tables: Tables,
    pairs: Sequence[tuple[int, int]],
    private: Private | None,
) -> list[tuple[int, int]]:
    """The pairs of a tree, by Kruskal's algorithm with noisy weights."""
    many = len(start.fields) - 1
    truth = [tables.count(start.codes, *pair) for pair in pairs]
    alone = [np.bincount(group, share) for group, share in zip(tables.groups, start.shares, strict=True)]
    known = [start.rows * np.outer(alone[i], alone[j])[None] for i, j in pairs]
    joined = np.arange(many + 1)

    def count(best: int) -> None:
        first, second = pairs[best]
        joined[joined == joined[first]] = joined[second]

    def may(each: int) -> bool:
        first, second = pairs[each]
        return bool(joined[first] != joined[second])

    rho = _rho(private.noise) / many if private else 0.0
    # Weights are of dependence itself: a tree has all its pairs counted, whatever their noise.
    taken = singly(draws, truth, many, rho, 0.0, lambda: known, count, may)
    return [pairs[each] for each in taken]
