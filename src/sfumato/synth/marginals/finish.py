"""The last step of every synthesizer from marginals: a model fitted to what was counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from sfumato import contracts
from sfumato.contracts import SynthesisModel
from sfumato.synth.coded import Private
from sfumato.synth.marginals.fit import fitted
from sfumato.synth.marginals.mixture import Mixture
from sfumato.synth.marginals.start import Start
from sfumato.synth.marginals.tables import Tables
from sfumato.synth.marginals.zeros import Zeros

Progress = Callable[[str, int, int], None]

#: Groups of a field in a fine table at most, and of all fields together (the time of a step is its square).
_MOST, _WIDTH = 32, 1200
#: A graphical model is fitted in steps of this many of the mixture's.
_GRAPH_STEPS = 2


class FitParams(contracts.Params):
    """What is fitted to the counts."""

    fit: Literal["mixture", "graphical"] = "mixture"
    """A mixture of products, or a graphical model (needs the extra `synth`)."""
    components: Annotated[int, pydantic.Field(ge=1, le=5000)] = 600
    """Components of the mixture."""
    steps: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 600
    """Steps of the fit."""
    cells: Annotated[int, pydantic.Field(ge=100, le=100_000_000)] = 500_000
    """The size limit of a graphical model, in cells; pairs that would pass it are left out."""
    zeros: tuple[dict[str, tuple[int, ...]], ...] = ()
    """Combinations of codes that cannot be: of each field named one of its codes, all at once."""


def readable(start: Start, deviation: float, times: float, private: Private | None) -> int:
    """How many groups a field may have for cells to hold so many deviations of the noise."""
    most = max(4, min(_MOST, _WIDTH // len(start.fields)))
    if private is None:
        return most
    return int(min(max(round(math.sqrt(start.rows / deviation / times)), 2), most))


def finished(
    start: Start,
    tables: Sequence[Tables],
    params: Any,
    zeros: Zeros,
    random: np.random.Generator,
    progress: Progress | None,
) -> SynthesisModel:
    """The model that the parameters ask for, fitted to all that was counted."""
    counted = sum(len(each.pairs) for each in tables)
    cells = sum(int((each.precision > 0).sum()) // 2 * len(each.shares) for each in tables)
    facts: Mapping[str, Any] = {"tables": len(start.fields) + counted, "cells": cells}
    if params.fit == "graphical":
        from sfumato.synth.marginals.graph import fitted_graph

        return fitted_graph(start, tables[-1], _GRAPH_STEPS * params.steps, zeros, facts)
    told = None if progress is None else (lambda done, of: progress("fit", done, of))
    fit = fitted(
        start.singles, tables, random, components=params.components, steps=params.steps, progress=told
    )
    return Mixture(start.fields, start.scales, fit, zeros, {**facts, "steps": params.steps})
