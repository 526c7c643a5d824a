"""Synthesis from pairs of fields that were chosen for how much they add.

After AIM (McKenna, Mullins, Sheldon & Miklau 2022, VLDB 15(11), "AIM: an adaptive and iterative mechanism for
differentially private synthetic data"): first every field, then the pairs that the model so far gets most
wrong, those that the noise would drown left out. A target stands beside every pair, so that what foretells it
is kept.

By default the choice follows a *sketch*: all pairs counted at once in groups so coarse that the noise leaves
them readable. The sketch says where fine counts pay, and itself tells the model of all pairs that get none.
Everything drawn is then Gaussian, and is charged in closed form; an exponential mechanism has no privacy loss
distribution here, and makes all noise about a tenth larger. With ``choice: exponential`` pairs are chosen one
by one as in the paper.

A mixture is quick, keeps all pairs best and conditions exactly. A graphical model of the chosen pairs is for
a target above all: it assumes nothing of the other pairs, where a mixture carries some of the noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pydantic

from sfumato import contracts
from sfumato.contracts import SynthesisModel
from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.marginals.choosing import Pair, by_sketch, singly
from sfumato.synth.marginals.drawing import Draws
from sfumato.synth.marginals.finish import FitParams, Progress, finished, readable
from sfumato.synth.marginals.fit import Fit, fitted
from sfumato.synth.marginals.start import Start, started
from sfumato.synth.marginals.tables import Tables
from sfumato.synth.marginals.zeros import Zeros

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: The parts of a budget: single fields; the sketch of all pairs, or rho of the choices; fine pairs the rest.
_SINGLES, _SKETCH, _CHOICES = 0.12, 0.3, 0.1
#: Cells hold about so many deviations of the noise: in the sketch, and in fine tables.
_COARSE, _FINE = 9.0, 4.0
#: So many pairs are counted finely that each has about this many groups a field.
_GROUPS = 16
#: A graphical model of more pairs than so many a field compiles for minutes.
_TWICE = 2
#: Steps of the fit between two choices.
_BETWEEN = 25


class Params(FitParams):
    """How much is counted, and what is fitted."""

    choice: Literal["sketch", "exponential"] = "sketch"
    """What pairs are chosen by under differential privacy: coarse counts of all, or one by one by score."""
    pairs: Annotated[int, pydantic.Field(ge=1, le=100_000)] | None = None
    """How many pairs are counted finely; by default as many as the noise lets be read."""


class Aim:
    """Pairs chosen by a sketch of all, or one by one."""

    Params: ClassVar[type[contracts.Params]] = Params
    summary: ClassVar[str] = (
        "counts of pairs of columns, chosen for what they add, and a model fitted to them"
    )
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True

    def __init__(self, params: Any) -> None:
        self.params: Params = params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """One Gaussian for all tables; beside it the choices, where they are made one by one.

        Neither fields nor size change it.

        >>> Aim(Params()).event((), 1000, 2.0)
        GaussianDpEvent(noise_multiplier=2.0)
        """
        del fields, size
        from dp_accounting import GaussianDpEvent
        from dp_accounting.dp_event import ComposedDpEvent, ZCDpEvent

        tables = GaussianDpEvent(noise)
        rho = self._rho(noise)
        return ComposedDpEvent([tables, ZCDpEvent(rho)]) if rho else tables

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Progress | None = None,
    ) -> SynthesisModel:
        """Count, choose, count finely, fit."""
        zeros = Zeros.of(coded.fields, self.params.zeros)
        draws = Draws(private, self._rho(private.noise) if private else 0.0)
        if private is not None:
            draws.pay(self.event(coded.fields, private.size, private.noise), "synthesis by aim")
        alone = len(coded.fields) == 1
        start = started(coded, private, draws, 1.0 if alone else _SINGLES)
        random = generator(derive(key, "marginals", "aim"))
        plan = _Plan(self.params, start, private, draws)
        tables = [plan.tables] if alone else plan.counted(random, self._rho, progress)
        return finished(start, tables, self.params, zeros, random, progress)

    def _rho(self, noise: float) -> float:
        if self.params.choice == "sketch":
            return 0.0
        return _CHOICES / (1 - _CHOICES) / (2 * noise**2)


class _Plan:
    """What is counted of pairs, and how finely: decided by what is public by then."""

    def __init__(self, params: Params, start: Start, private: Private | None, draws: Draws) -> None:
        self.params, self.start, self.private, self.draws = params, start, private, draws
        context = start.context() if params.fit == "mixture" else None
        every = list(itertools.combinations(range(len(start.fields)), 2))
        self.pairs = [pair for pair in every if context is None or context[0] not in pair]
        # A target of many codes is counted with each field by itself as well.
        partly = context is not None and context[1].max() + 1 < start.scales[context[0]].groups
        self.beside = [pair for pair in every if partly and pair not in self.pairs]
        self.share = 1 - _SINGLES - (_SKETCH if params.choice == "sketch" else 0.0)
        self.many = self._many()
        self.deviation = draws.deviation(self.share, self.many + len(self.beside))
        groups = start.groups(readable(start, self.deviation, _FINE, private))
        self.tables, self.plain = Tables.empty(groups, context), Tables.empty(groups)

    def counted(self, random: np.random.Generator, rho: Any, progress: Progress | None) -> list[Tables]:
        """The tables of pairs, those for a graphical model last."""
        self.start.measure(self.draws, self.plain, self.beside, self.deviation)
        if self.private is not None and self.params.choice == "exponential":
            self._singly(random, rho(self.private.noise) / self.many, progress)
            return [self.plain, self.tables]
        sketch = self._sketch()
        best = self._within_limit(by_sketch(self.start, sketch, self.pairs))
        self.start.measure(self.draws, self.tables, best, self.deviation)
        return [self.plain, self.tables] if self.private is None else [sketch, self.plain, self.tables]

    def _sketch(self) -> Tables:
        every = list(itertools.combinations(range(len(self.start.fields)), 2))
        deviation = self.draws.deviation(_SKETCH, len(every))
        most = readable(self.start, deviation, _COARSE, self.private)
        sketch = Tables.empty(self.start.groups(most))
        self.start.measure(self.draws, sketch, every, deviation)
        return sketch

    def _singly(self, random: np.random.Generator, rho: float, progress: Progress | None) -> None:
        truth = [self.tables.count(self.start.codes, *pair) for pair in self.pairs]
        fit: Fit | None = None
        taken: list[Pair] = []

        def says() -> list[Any]:
            nonlocal fit
            fit = fitted(
                self.start.singles,
                [self.plain, self.tables],
                random,
                components=self.params.components,
                steps=_BETWEEN,
                start=fit,
            )
            every = fit.says(self.tables) * np.float32(self.start.rows)
            return [self.tables.block(every, *pair) for pair in self.pairs]

        def count(best: int) -> None:
            self.start.measure(self.draws, self.tables, [self.pairs[best]], self.deviation)
            taken.append(self.pairs[best])
            if progress is not None:
                progress("choose", len(taken), self.many)

        def may(each: int) -> bool:
            return self._small([*taken, self.pairs[each]])

        singly(self.draws, truth, self.many, rho, self.deviation, says, count, may)

    def _within_limit(self, ranked: Sequence[Pair]) -> list[Pair]:
        if self.params.fit == "mixture":
            return list(ranked[: self.many])
        taken: list[Pair] = []
        for pair in ranked:
            if len(taken) < self.many and self._small([*taken, pair]):
                taken.append(pair)
        return taken

    def _small(self, pairs: Sequence[Pair]) -> bool:
        """Whether a model of these pairs is within the size limit."""
        if self.params.fit == "mixture":
            return True
        from sfumato.synth.marginals.graph import cells

        return cells(self.tables.groups, pairs) <= self.params.cells

    def _many(self) -> int:
        """How many pairs are counted finely."""
        if self.params.pairs is not None:
            return min(self.params.pairs, len(self.pairs))
        if self.private is None and self.params.fit == "mixture":
            return len(self.pairs)
        noise = self.private.noise if self.private is not None else 1.0
        read = self.share * (self.start.rows / (_FINE * _GROUPS**2 * noise)) ** 2
        fields = len(self.start.fields)
        most = len(self.pairs) if self.params.fit == "mixture" else min(_TWICE * fields, len(self.pairs))
        return int(min(max(read, fields), most))
