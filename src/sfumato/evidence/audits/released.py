"""Audits of answers that left: their noise, as custody can see it, against what was charged for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.evidence.audits.game import powers
from sfumato.evidence.audits.looking import ALPHA, LEDGER, NOISE, forgotten
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.audits.record import Record

_TRIALS = 1000

Law = Literal["gaussian", "laplace"]


def release(
    answers: ArrayLike,
    truth: ArrayLike,
    scales: ArrayLike,
    law: Law,
    *,
    drawn: Sequence[Any],
    charged: Sequence[Any],
    epsilon: float,
    delta: float,
    relation: str = "add-remove",
    trials: int = _TRIALS,
    what: str = "release",
    seed: int = 0,
) -> Audit:
    """Audit noisy answers by who has the rows: the noise must be as large as was charged, and charged at all.

    One set of answers says nothing about epsilon by guessing. But their distance from the truth is the noise
    itself, and the sum of its squares (or sizes, for Laplace's law) has a known law, exact for continuous
    noise and, rounding apart, for discrete.

    Args:
        answers: as they were drawn, before anything was made consistent; shape (n,).
        truth: the same from the rows, with the bounds that were declared; shape (n,).
        scales: of each answer's noise, in its unit: the deviation, or Laplace's parameter.
        law: of the noise.
        drawn: the events of the draws, without sampling.
        charged: the events of the ledger.
        epsilon, delta: what the release claims.
        trials: of each twin, for the power.

    Raises:
        InputError: ``usage`` for no answers, or shapes that differ.
    """
    noisy, exact, wide = (np.asarray(part, dtype=np.float64) for part in (answers, truth, scales))
    if not len(noisy) or noisy.shape != exact.shape or noisy.shape != wide.shape or not (wide > 0).all():
        raise InputError(
            "usage", "answers, truth and scales are not of the same answers, or a scale is not above 0"
        )
    record = Record()
    for event in charged:
        record.charge(event)
    for event in drawn:
        record.noise(event)
    noise = (noisy - exact) / wide
    faults = [*forgotten(record)]
    if _too_quiet(noise, law):
        faults.append(f"the noise has {_size(noise, law):.2g} of the size that was charged")

    def caught(share: float, draw: np.random.Generator) -> bool:
        drawing = draw.standard_normal if law == "gaussian" else draw.laplace
        return _too_quiet(share * drawing(size=len(noise)), law)

    return Audit(
        kind="release",
        what=what,
        method=f"the noise of {len(noise):,} answers and their charges",
        claimed_epsilon=epsilon,
        claimed_delta=delta,
        relation=relation,
        tested=len(noise),
        powers=tuple(powers(caught, trials, derive(bytes(32), "audit", what, str(seed)))),
        faults=tuple(faults),
        checks=(LEDGER, NOISE),
    )


def _size(noise: NDArray[np.float64], law: Law) -> float:
    """The noise's deviation, or mean size, over what it should be."""
    return float(np.sqrt((noise**2).mean()) if law == "gaussian" else np.abs(noise).mean())


def _too_quiet(noise: NDArray[np.float64], law: Law) -> bool:
    from scipy.special import gammainc

    n = len(noise)
    if law == "gaussian":
        return bool(gammainc(n / 2, float((noise**2).sum()) / 2) <= ALPHA)
    return bool(gammainc(n, float(np.abs(noise).sum())) <= ALPHA)
