"""Which policies are worth a look, which is the best of them, and why no better one is there.

A policy dominates another only if it is no worse in anything and better in something beyond noise: by more
than the 95 % interval of the difference, made of the intervals of both (Zou & Donner 2008, *Statistics in
Medicine* 27, MOVER; exact counts have none).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sfumato.core.values import Finding, Value
from sfumato.tuning.aims import Aim, Aims, Limit, Side
from sfumato.tuning.study import Trial

#: The length of a 95 % interval in standard errors.
_INTERVAL = 2 * 1.959964
#: An aim chooses if at least this share of how trials differ in it is no noise.
_SIGNAL = 0.5


def is_better(aim: Aim, one: Finding, other: Finding) -> bool:
    """Whether one figure is better than another beyond noise."""
    if one.value is None or other.value is None:
        return False
    return aim.gain(one.value, other.value) > noise(aim, one, other)


def noise(aim: Aim, one: Finding, other: Finding) -> float:
    """By how much ``one`` may look better than ``other`` by chance."""
    ends = (one.low, one.high, other.low, other.high)
    if None in (one.value, other.value, *ends):
        return math.inf
    low, high, other_low, other_high = (float(end) for end in ends if end is not None)
    value, beside = float(one.value or 0.0), float(other.value or 0.0)
    if aim.goal == "low":
        return math.hypot(high - value, beside - other_low)
    return math.hypot(value - low, other_high - beside)


def dominates(aims: Sequence[Aim], one: Trial, other: Trial) -> bool:
    """Whether a trial is no worse than another in every aim, and better beyond noise in one."""
    pairs = [(aim, one.figure(aim.metric, aim.target), other.figure(aim.metric, aim.target)) for aim in aims]
    found = [(aim, a, b) for aim, a, b in pairs if a is not None and b is not None]
    if len(found) < len(aims) or any(a.value is None or b.value is None for _, a, b in found):
        return False
    no_worse = all(aim.gain(float(a.value or 0.0), float(b.value or 0.0)) >= 0 for aim, a, b in found)
    return no_worse and any(is_better(aim, a, b) for aim, a, b in found)


def held(aims: Aims, trial: Trial, people: float) -> bool:
    """Whether a trial was measured and everything holds that must."""
    return trial.status == "measured" and all(
        limit.judge(trial.figure(limit.metric, limit.target), people).holds for limit in aims.limits
    )


def holders(aims: Aims, trials: Sequence[Trial], people: float) -> list[Trial]:
    """The trials in which everything holds and every aim was measured, those with the same rows once."""
    return [
        trial
        for trial in trials
        if trial.like is None
        and held(aims, trial, people)
        and all(trial.value(aim.metric, aim.target) is not None for aim in aims.aims)
    ]


def frontier(aims: Aims, trials: Sequence[Trial], people: float) -> list[Trial]:
    """The trials that hold and that no other one dominates beyond noise, the least risk first."""
    among = holders(aims, trials, people)
    found = [one for one in among if not any(dominates(aims.aims, other, one) for other in among)]
    return sorted(found, key=lambda trial: (_badness(aims.aims[0], trial), trial.number))


def is_plain(aims: Aims, trial: Trial, among: Sequence[Trial]) -> bool:
    """Whether no other trial is as good in every aim and better in one by the figures as they stand."""

    def beats(other: Trial) -> bool:
        gains = _gains(aims.aims, other, trial)
        return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)

    return not any(beats(other) for other in among)


def signal(aim: Aim, trials: Sequence[Trial]) -> float:
    """Which share of the variance of a figure over trials is not the figures' own noise, from 0 to 1.

    >>> signal(Aim(metric="linkage.success", goal="low", unit="share", side="risk"), [])
    0.0
    """
    found = [trial.figure(aim.metric, aim.target) for trial in trials if trial.like is None]
    told = [one for one in found if one is not None and None not in (one.value, one.low, one.high)]
    variance = statistics.variance([float(one.value or 0.0) for one in told]) if len(told) > 1 else 0.0
    errors = [(float(one.high or 0.0) - float(one.low or 0.0)) / _INTERVAL for one in told]
    noise_of_one = statistics.fmean(error**2 for error in errors) if errors else 0.0
    return max(0.0, 1 - noise_of_one / variance) if variance > 0 else 0.0


def choosing(aims: Aims, trials: Sequence[Trial]) -> tuple[Aim, ...]:
    """The aims by which a policy is chosen: those in which trials differ more than by noise, or else all.

    The best of many in a figure that is mostly noise would be the luckiest.
    """
    return tuple(aim for aim in aims.aims if signal(aim, trials) >= _SIGNAL) or aims.aims


def leading(aims: Aims, trials: Sequence[Trial], side: Side) -> Aim:
    """The first aim of a side that chooses, or else the first."""
    named = [aim for aim in aims.aims if aim.side == side]
    return next((aim for aim in choosing(aims, trials) if aim.side == side), named[0])


def ranked(
    aims: Aims,
    among: Sequence[Trial],
    own: Trial | None,
    chosen_by: Sequence[Aim] = (),
    sure: Mapping[int, float] = MappingProxyType({}),
) -> list[Trial]:
    """Trials from the best down.

    Where the user said what must hold: by the first aim of use of those ``chosen_by``, by default all. Else
    by the least gain in them over the given policy ``own``: first by how ``sure`` it is, then by its size as
    a share of how far the trials differ.
    """
    chosen_by = chosen_by or aims.aims
    if aims.asked or own is None or not among:
        first = next(aim for aim in (*chosen_by, *aims.aims) if aim.side == "use")
        return sorted(among, key=lambda trial: (_badness(first, trial), _badness(aims.aims[0], trial)))
    spreads = [_spread(aim, among) for aim in chosen_by]

    def place(trial: Trial) -> tuple[float, float, float]:
        gains = [gain / spread for gain, spread in zip(_gains(chosen_by, trial, own), spreads, strict=True)]
        return -sure.get(trial.number, 0.0), -min(gains), -sum(gains)

    return sorted(among, key=place)


class Obstacle(Value):
    """A limit that binds: the nearest trial that is more useful than the best and breaks it, and by how
    much; ``beside`` are the other limits that it breaks."""

    limit: str
    trial: int
    use: float
    short: float | None
    words: str
    beside: tuple[str, ...] = ()


def obstacles(aims: Aims, trials: Sequence[Trial], best: Trial, people: float) -> list[Obstacle]:
    """For each limit that binds, what stands behind it."""
    use = leading(aims, trials, "use")
    own = best.value(use.metric, use.target)
    found = []
    for limit in aims.limits:
        behind = [
            (short, trial)
            for trial in trials
            if trial.like is None
            and (value := trial.value(use.metric, use.target)) is not None
            and own is not None
            and use.gain(value, own) > 0
            and (short := _short(limit, trial, people)) > 0
        ]
        if behind:
            short, trial = min(behind, key=lambda pair: (pair[0], pair[1].number))
            verdict = limit.judge(trial.figure(limit.metric, limit.target), people)
            found.append(
                Obstacle(
                    limit=str(limit),
                    trial=trial.number,
                    use=float(trial.value(use.metric, use.target) or 0.0),
                    short=None if math.isinf(short) else short,
                    words=verdict.words,
                    beside=tuple(words for words in broken(aims, trial, people) if words != str(limit)),
                )
            )
    return found


def broken(aims: Aims, trial: Trial, people: float) -> list[str]:
    """The limits that a trial breaks."""
    return [str(limit) for limit in aims.limits if _short(limit, trial, people) > 0]


def nearest_miss(aims: Aims, trials: Sequence[Trial], people: float) -> Trial | None:
    """The trial that breaks least, each limit in shares of its bound; None if none was measured."""

    def missing(trial: Trial) -> float:
        bounds = [limit.at_most if limit.at_most is not None else limit.at_least for limit in aims.limits]
        return sum(
            min(10.0, _short(limit, trial, people) / max(abs(bound or 0.0), 1e-3))
            for limit, bound in zip(aims.limits, bounds, strict=True)
        )

    measured = [trial for trial in trials if trial.status != "impossible"]
    return min(measured, key=lambda trial: (missing(trial), trial.number), default=None)


def _short(limit: Limit, trial: Trial, people: float) -> float:
    verdict = limit.judge(trial.figure(limit.metric, limit.target), people)
    if verdict.holds:
        return 0.0
    return math.inf if verdict.short is None else verdict.short


def _badness(aim: Aim, trial: Trial) -> float:
    value = trial.value(aim.metric, aim.target)
    if value is None:
        return math.inf
    return value if aim.goal == "low" else -value


def _gains(aims: Sequence[Aim], one: Trial, other: Trial) -> list[float]:
    return [_badness(aim, other) - _badness(aim, one) for aim in aims]


def _spread(aim: Aim, among: Sequence[Trial]) -> float:
    values = [_badness(aim, trial) for trial in among]
    return (max(values) - min(values)) or 1.0
