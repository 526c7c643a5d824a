"""Audits by repeating: a mechanism is run many times on a table and on a neighbour of it.

Which of the two it was given is a fair coin of each run, and guesses from what came out are counted as in
:mod:`sfumato.evidence.audits.onerun`: a run is a canary. This needs no interval for each of two shares, so
that fewer runs prove as much as with Clopper and Pearson's intervals. It finds gross faults; small ones take
runs that grow as e to the epsilon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.evidence.audits.choosing import LEAST_RUNS, choose, encode
from sfumato.evidence.audits.game import Claim, Curve, Twin, judged, powers
from sfumato.evidence.audits.onerun import Guesses, coins, gaussian_mu
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.intervals import LEVEL

_TRIALS = 40


def mechanism(
    run: Callable[[Any], Any],
    table: Any,
    neighbour: Any,
    *,
    epsilon: float,
    delta: float = 0.0,
    curve: Curve = (),
    runs: int = 20_000,
    trials: int = _TRIALS,
    what: str = "mechanism",
    relation: str = "add-remove",
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Try to prove that a mechanism costs more than it claims, by running it many times.

    A score and a number of guesses are chosen on half of the runs and tested on the other. The bound holds
    for any mechanism; the twins that the power is measured on are Laplace's mechanism, or with a delta the
    Gaussian, that costs exactly what is claimed.

    Args:
        run: from a table to an answer: a number, an array of always the same shape, or plain data.
        table, neighbour: two tables that differ by one unit under ``relation``.
        epsilon, delta: what is claimed.
        curve: more (epsilon, delta) pairs that are claimed with it, as of a known event.
        runs: of the mechanism, on both tables together; at least 100.
        trials: of each twin, for the power; 0 measures none.
        seed: of the coins and draws of the audit, not of the mechanism.

    Raises:
        InputError: ``usage`` for a claim that is none, or too few runs.
    """
    claim = Claim(epsilon, delta, curve)
    if runs < LEAST_RUNS:
        raise InputError("usage", f"at least {LEAST_RUNS} runs are needed")
    key = derive(bytes(32), "audit", what, str(seed))
    inside = coins(runs, generator(derive(key, "coins")))
    outputs = encode([run(table if is_in else neighbour) for is_in in inside])
    guesses, method = _guessed(outputs, inside, delta, generator(derive(key, "choice")))
    twin = twin_of(epsilon, delta)

    def caught(share: float, draw: np.random.Generator) -> bool:
        drawn = coins(runs, draw)
        found, _ = _guessed(twin(drawn, share, draw)[:, None], drawn, delta, draw)
        return claim.refuted(found, level)

    return judged(
        guesses,
        claim,
        kind="mechanism",
        what=what,
        method=f"{runs:,} runs and {method}",
        relation=relation,
        level=level,
        powers=[*powers(caught, trials, key)],
        notes=("what is guessed was chosen on one half of the runs and tested on the other",),
    )


def twin_of(epsilon: float, delta: float) -> Twin:
    """A mechanism for two neighbouring counts that costs exactly this, drawn for the power alone."""
    mu = gaussian_mu(epsilon, delta) if delta else 0.0

    def laplace(inside: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.float64]:
        return inside + draw.laplace(0, share / max(epsilon, 1e-9), len(inside))

    def gaussian(inside: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.float64]:
        return inside + draw.normal(0, share / max(mu, 1e-9), len(inside))

    return gaussian if delta else laplace


def _guessed(
    outputs: NDArray[np.float64], inside: NDArray[np.bool_], delta: float, draw: np.random.Generator
) -> tuple[Guesses, str]:
    half = len(inside) // 2
    event = choose(outputs[:half], inside[:half], delta, draw)
    return event.guesses(outputs[half:], inside[half:], draw), event.words
