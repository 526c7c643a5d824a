"""The house's own mechanisms, each at the noise of a claim, with neighbours that show the most of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sfumato.core.errors import InputError, nearest
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.audits.repeated import mechanism
from sfumato.evidence.intervals import LEVEL

#: What one person changes, in steps of the grid.
_STEPS = 100


@dataclass(frozen=True)
class Subject:
    """A mechanism to audit: from a table to an answer, and two neighbours."""

    run: Callable[[Any], Any]
    table: Any
    neighbour: Any


def _numbers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def _gaussian(epsilon: float, delta: float, share: float) -> Subject:
    from dp_accounting import GaussianDpEvent

    from sfumato.dp import mechanisms
    from sfumato.dp.accounting import noise_for

    sigma = share * mechanisms.gaussian_sigma(noise_for(GaussianDpEvent, epsilon, delta), _STEPS)
    return Subject(lambda table: mechanisms.gaussian(table, sigma)[0], _numbers(_STEPS), _numbers(0))


def _laplace(epsilon: float, delta: float, share: float) -> Subject:
    from sfumato.dp import mechanisms

    del delta
    scale = share * _STEPS / epsilon
    return Subject(lambda table: mechanisms.laplace(table, scale)[0], _numbers(_STEPS), _numbers(0))


def _choice(epsilon: float, delta: float, share: float) -> Subject:
    from sfumato.dp import mechanisms

    del delta
    scale = share * 2 * _STEPS / epsilon
    # One person lifts one score and lowers the others: the worst of scores that may move both ways.
    return Subject(
        lambda table: mechanisms.choose(table, scale, pure=True)[0],
        _numbers(_STEPS, *[-_STEPS] * 3),
        _numbers(*[0] * 4),
    )


def _threshold(epsilon: float, delta: float, share: float) -> Subject:
    from sfumato.dp import mechanisms

    law = mechanisms.Law("laplace", share * _STEPS / epsilon)
    bar = mechanisms.threshold_for(mechanisms.Law("laplace", _STEPS / epsilon), _STEPS, 1, delta)

    def run(counts: Any) -> float:
        found = mechanisms.keep_large(counts, law, bar, _STEPS, 1, delta)[1]
        return float(found[0]) if len(found) else float("nan")

    # A group that is kept about as often as not: of a single person's a run would see nothing.
    return Subject(run, _numbers(bar + _STEPS), _numbers(bar))


#: Every mechanism that has a name for ``sfumato audit mechanism``, and whether it needs a delta.
HOUSE: dict[str, tuple[Callable[[float, float, float], Subject], bool]] = {
    "gaussian": (_gaussian, True),
    "laplace": (_laplace, False),
    "choice": (_choice, False),
    "threshold": (_threshold, True),
}


def house(
    name: str,
    *,
    epsilon: float,
    delta: float = 1e-6,
    runs: int = 20_000,
    trials: int = 40,
    quieter: float = 1.0,
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Audit one of the house's own mechanisms at the noise that a claim needs.

    Args:
        name: "gaussian", "laplace", "choice" (the noisy best of four) or "threshold" (counts that are large).
        delta: for those that have one; zero for the others.
        quieter: draw with this share of the noise and claim all of it: a broken twin.

    Raises:
        InputError: ``unknown-name``; ``usage`` for a claim that the mechanism cannot make.
    """
    if name not in HOUSE:
        raise InputError("unknown-name", f"there is no mechanism {name!r}", remedy=nearest(name, HOUSE))
    make, has_delta = HOUSE[name]
    if not epsilon > 0 or (has_delta and not 0 < delta < 1) or not 0 < quieter <= 1:
        raise InputError(
            "usage", "an audit needs an epsilon above 0, a delta in 0..1 and a share of the noise"
        )
    drawn = make(epsilon, delta, quieter)
    return mechanism(
        drawn.run,
        drawn.table,
        drawn.neighbour,
        epsilon=epsilon,
        delta=delta if has_delta else 0.0,
        runs=runs,
        trials=trials,
        what=name if quieter == 1 else f"{name} with {quieter:g} of its noise",
        level=level,
        seed=seed,
    )
