"""The figures of the best policies again, on people, splits and draws that the search never saw.

Each policy is fitted again on several keyed splits of the people set aside, the same ones for all, so that
gains over the given policy are paired. Their interval is that of resampled means that share people
(Nadeau & Bengio 2003, *Machine Learning* 52: the variance is counted with what the splits overlap).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from sfumato.core.errors import InputError
from sfumato.core.values import Finding, Status, Unit, Value
from sfumato.evidence import ATTACKS
from sfumato.policy.model import Policy
from sfumato.tuning.aims import Aim, Aims, Side
from sfumato.tuning.frontier import noise
from sfumato.tuning.measuring import Bench, Figures, told
from sfumato.tuning.study import Trial

Word = Literal["better", "no difference told", "worse"]
#: A gain counts as shrunk below this share of what the search found.
_SHRUNK = 0.5


class Gain(Value):
    """What a policy gains over the given one in one aim: in the search, and confirmed with an interval."""

    aim: str
    searched: float | None
    value: float | None
    low: float | None
    high: float | None
    word: Word | Literal["not measured"]
    held_up: Literal["confirmed", "shrunk", "lost", "no gain", "not measured"]


class Elsewhere(Value):
    """A figure that was no aim, under the given policy and this one; a positive gain is a better figure."""

    metric: str
    unit: Unit
    side: Side
    given: float
    value: float
    gain: float
    low: float
    high: float
    word: Word


class Confirmed(Value):
    """A policy on the people set aside. ``broken`` are the limits that do not hold there; ``others`` are
    what it is still good for with targets that no search looked at; ``elsewhere`` is everything else that
    the policy's evidence measures; ``note`` says why there is nothing."""

    trial: int
    figures: tuple[Finding, ...] = ()
    gains: tuple[Gain, ...] = ()
    broken: tuple[str, ...] = ()
    others: tuple[Finding, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    note: str = ""


def measure_again(
    bench: Bench, policy: Policy, splits: int, watch: Callable[[], None], *, whole: bool = False
) -> list[Figures] | str:
    """A policy's figures on each split of the people set aside, or why there are none.

    Args:
        whole: everything that the policy's evidence measures, and not what is wanted alone.
    """
    found = []
    for split in range(splits):
        watch()
        try:
            found.append(bench.measure(policy, "confirm", split, whole=whole))
        except InputError as error:
            return told(error)
    return found


def confirmed(
    bench: Bench, trial: Trial, own: Trial | None, again: list[Figures] | str, beside: list[Figures] | str
) -> Confirmed:
    """What the people set aside say of a trial, against the given policy ``own`` on the same splits."""
    if isinstance(again, str):
        return Confirmed(trial=trial.number, note=again)
    aims, people = bench.aims, bench.shares["confirm"]
    places = {*aims.places, *((one.metric, one.target) for one in trial.figures)}
    figures = tuple(pooled([one.findings for one in again], *place) for place in sorted(places))
    by_place = {(one.metric, one.target): one for one in figures}
    broken = [
        str(limit)
        for limit in aims.limits
        if not limit.judge(by_place.get((limit.metric, limit.target)), people).holds
    ]
    gains = () if own is None or isinstance(beside, str) else _gains(aims, trial, own, again, beside)
    return Confirmed(trial=trial.number, figures=figures, gains=gains, broken=tuple(broken))


def pooled(every: Sequence[Sequence[Finding]], metric: str, target: str) -> Finding:
    """The mean of a figure over splits, with the mean ends of its intervals: no narrower than one split's."""
    found = [one for findings in every for one in findings if (one.metric, one.target) == (metric, target)]
    silent = [one for one in found if one.status != "measured"]
    if silent or len(found) != len(every):
        status: Status = silent[0].status if silent else "not-measured"
        note = silent[0].note if silent else "not every split has it"
        unit, goal, source = (
            (found[0].unit, found[0].goal, found[0].source) if found else ("ratio", "low", "tune")
        )
        return Finding(
            metric=metric, target=target, unit=unit, goal=goal, n=0, status=status, source=source, note=note
        )
    means = {
        name: statistics.fmean(values)
        for name in ("value", "low", "high", "before", "baseline", "control")
        if None not in (values := [getattr(one, name) for one in found])
    }
    n = min(one.n for one in found)
    return found[0].model_copy(update={"before": None, "baseline": None, "control": None, **means, "n": n})


def _gains(
    aims: Aims, trial: Trial, own: Trial, again: Sequence[Figures], beside: Sequence[Figures]
) -> tuple[Gain, ...]:
    return tuple(_gain(aim, trial, own, again, beside) for aim in aims.aims)


def _gain(aim: Aim, trial: Trial, own: Trial, again: Sequence[Figures], beside: Sequence[Figures]) -> Gain:
    before, after = trial.value(aim.metric, aim.target), own.value(aim.metric, aim.target)
    searched = None if before is None or after is None else aim.gain(before, after)
    found = paired(aim, again, beside)
    if found is None:
        return Gain(
            aim=aim.name,
            searched=searched,
            value=None,
            low=None,
            high=None,
            word="not measured",
            held_up="not measured",
        )
    value, half = found
    return Gain(
        aim=aim.name,
        searched=searched,
        value=value,
        low=value - half,
        high=value + half,
        word=_word(value, half),
        held_up=_held_up(searched, value),
    )


def elsewhere(aims: Aims, again: Sequence[Figures], beside: Sequence[Figures]) -> tuple[Elsewhere, ...]:
    """What of the whole release was measured on every split of both policies and was no aim."""
    asked = {aim.metric for aim in aims.aims if aim.target == "release"}
    told = []
    for one in again[0].findings:
        if one.target != "release" or one.metric in asked or one.source == "plan":
            continue
        side: Side = "risk" if one.source in ATTACKS else "use"
        aim = Aim(metric=one.metric, goal=one.goal, unit=one.unit, side=side)
        found = paired(aim, again, beside)
        if found is not None:
            now, given = (
                pooled([each.findings for each in all_], one.metric, "release").value
                for all_ in (again, beside)
            )
            assert now is not None
            assert given is not None
            gain, half = found
            told.append(
                Elsewhere(
                    metric=one.metric,
                    unit=one.unit,
                    side=side,
                    given=given,
                    value=now,
                    gain=gain,
                    low=gain - half,
                    high=gain + half,
                    word=_word(gain, half),
                )
            )
    return tuple(told)


def _word(value: float, half: float) -> Word:
    if value - half > 0:
        return "better"
    return "worse" if value + half < 0 else "no difference told"


def paired(aim: Aim, again: Sequence[Figures], beside: Sequence[Figures]) -> tuple[float, float] | None:
    """The mean gain of one policy over another on the same splits, and half its 95 % interval.

    None if a split did not measure it. Of one split the interval is that of two figures by themselves.
    """
    pairs = [(_figure(one, aim), _figure(other, aim)) for one, other in zip(again, beside, strict=True)]
    told = [(a, b) for a, b in pairs if a is not None and b is not None]
    gains = [aim.gain(a.value, b.value) for a, b in told if a.value is not None and b.value is not None]
    if not pairs or len(gains) < len(pairs):
        return None
    if len(gains) == 1:
        return gains[0], noise(aim, *told[0])
    plan = again[0].plan
    return statistics.fmean(gains), _half(gains, plan.holdout_rows, plan.rows - plan.holdout_rows)


def _figure(figures: Figures, aim: Aim) -> Finding | None:
    found = [one for one in figures.findings if (one.metric, one.target) == (aim.metric, aim.target)]
    return found[0] if len(found) == 1 and found[0].status == "measured" else None


def _half(gains: Sequence[float], tested: int, taught: int) -> float:
    """Half the 95 % interval of the mean of paired gains over splits that share people."""
    from scipy.special import stdtrit

    overlap = tested / taught if tested else 1.0
    spread = statistics.variance(gains) * (1 / len(gains) + overlap)
    return float(stdtrit(len(gains) - 1, 0.975)) * math.sqrt(spread)


def _held_up(
    searched: float | None, value: float
) -> Literal["confirmed", "shrunk", "lost", "no gain", "not measured"]:
    if searched is None:
        return "not measured"
    if searched <= 0:
        return "no gain"
    if value <= 0:
        return "lost"
    return "shrunk" if value < _SHRUNK * searched else "confirmed"
