"""The best of several private runs, and what choosing it costs.

Trying settings until one comes out well looks at the data again and again. Charging every try costs as many
times as much. Repeating a *random* number of times, and telling nothing of the tries but the best, costs
about two or three times one run however many they were (Liu & Talwar 2019; Papernot & Steinke 2022, whose
theorems are charged here). What a run is scored by is a part of its cost: a score computed from the data must
be private and in the run's event. How long it all took tells how many runs there were: keep that secret too.

The number of runs is drawn exactly, from the system's randomness, with whole numbers only.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.budget import Budget, Receipt

if TYPE_CHECKING:
    from dp_accounting import DpEvent

T = TypeVar("T")


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """The best run: its score and what it returned. How many there were stays unsaid; it is secret."""

    score: float
    outcome: T
    receipt: Receipt


class Prepaid(Budget):
    """A budget for one run that was paid for together with others: it accepts what was declared, once."""

    def __init__(self, paid: Budget, receipt: Receipt, event: DpEvent) -> None:
        from sfumato.dp.events import to_json

        self._store = paid._store
        self.dataset, self.unit, self.relation, self.filter = (
            paid.dataset,
            paid.unit,
            paid.relation,
            paid.filter,
        )
        self._receipt = receipt
        parts = getattr(event, "events", None)
        self._open = [_text(to_json(part)) for part in ([event] if parts is None else parts)]

    def spend(
        self,
        event: DpEvent,
        *,
        place: str,
        by: str = "",
        why: str = "",
        key: str = "",
        delta: float | None = None,
    ) -> Receipt:
        """The receipt of the whole, if the event is a part of what was paid for and not done yet.

        Raises:
            RefusedError: ``budget-spent``: it is not.
        """
        from sfumato.dp.events import to_json

        del place, by, why, key, delta
        asked = _text(to_json(event))
        if asked not in self._open:
            raise RefusedError(
                "budget-spent",
                "the run does something that was not declared as a part of it",
                where=self.dataset,
                remedy="declare everything that one run does, its score included, as its event",
            )
        self._open.remove(asked)
        return self._receipt

    def affords(self, event: DpEvent, *, delta: float | None = None) -> bool:
        """Whether the event is a part of what was paid for and not done yet."""
        from sfumato.dp.events import to_json

        del delta
        return _text(to_json(event)) in self._open

    def settle(self, receipt: Receipt, answers: Mapping[str, Any]) -> None:
        """Nothing is stored of a single run: all but the best are secret."""

    def replay(self, key: str) -> None:
        """Nothing: a run repeated must be drawn afresh."""


def choosing(event: DpEvent, *, mean: float, shape: float = 1.0) -> DpEvent:
    """The event of the best of a random number of runs.

    Args:
        event: everything that one run does, its score included.
        mean: how many runs there are on average, at least 1.
        shape: of the number's distribution: 1 is geometric, 0 logarithmic (cheapest, and most often a single
            run), whole numbers above are sums of geometric ones, infinity is Poisson (never many more than
            the mean, and sometimes none).

    Raises:
        InputError: ``usage``: a mean or a shape that cannot be drawn.
    """
    from dp_accounting.dp_event import RepeatAndSelectDpEvent

    drawable = shape == math.inf or (0 <= shape <= 64 and float(shape).is_integer())
    if not (1 <= mean < math.inf and drawable):
        raise InputError(
            "usage",
            f"a number of runs with mean {mean} and shape {shape} cannot be drawn",
            remedy="choose a mean from 1, and a shape of 0, 1, 2, ... or infinity",
        )
    return RepeatAndSelectDpEvent(event, float(mean), float(shape))


def best_of(
    run: Callable[[Budget], tuple[float, T]],
    *,
    budget: Budget,
    event: DpEvent,
    mean: float,
    shape: float = 1.0,
    place: str,
    by: str = "",
    why: str = "",
) -> Chosen[T] | None:
    """Run a random number of times and keep the best; charged as a whole before the first run.

    Each run must be drawn alike (a setting to try is drawn inside, at random) and from fresh randomness.
    Of equal scores the first is kept, which is one of them at random.

    Args:
        run: one run: it gets a budget that is paid for, and returns its score (more is better) and outcome.
        budget: what everything is charged to.
        event, mean, shape: see :func:`choosing`.

    Returns:
        The best; None where the number of runs drawn was none (Poisson only).

    Raises:
        RefusedError: ``budget-spent``: before any run, if the whole does not fit; or in a run, if it does
            what was not declared.
        InputError: ``event-unsupported``; ``usage``.
    """
    receipt = budget.spend(choosing(event, mean=mean, shape=shape), place=place, by=by, why=why)
    best: tuple[float, T] | None = None
    for _ in range(draw_runs(mean, shape)):
        score, outcome = run(Prepaid(budget, receipt, event))
        # A score that is none loses against every other.
        if best is None or score > best[0] or math.isnan(best[0]):
            best = score, outcome
    return None if best is None else Chosen(*best, receipt)


def draw_runs(mean: float, shape: float) -> int:
    """A number of runs, drawn securely: truncated negative binomial or Poisson (Papernot & Steinke 2022).

    The stopping chance is rounded up to a fraction, so that the true mean is at most the one charged for.
    """
    if shape == math.inf:
        return _poisson(Fraction(mean))
    if mean == 1:
        return 1
    stop = _stopping(mean, shape)
    if shape == 0:
        return _logarithmic(stop)
    while True:
        runs = sum(_failures(stop) for _ in range(int(shape)))
        if runs:
            return runs


def _stopping(mean: float, shape: float) -> Fraction:
    """The stopping chance at which the number of runs has this mean (Definition 1 there), by bisection."""
    low, high = 0.0, 1.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _mean(middle, shape) > mean else (low, middle)
    return Fraction(high)


def _mean(stop: float, shape: float) -> float:
    if shape == 0:
        return (1 / stop - 1) / -math.log(stop)
    return shape * (1 - stop) / (stop * -math.expm1(shape * math.log(stop)))


def _chance(chance: Fraction) -> bool:
    return secrets.randbelow(chance.denominator) < chance.numerator


def _failures(stop: Fraction) -> int:
    """How often it goes on before it stops."""
    count = 0
    while not _chance(stop):
        count += 1
    return count


def _logarithmic(stop: Fraction) -> int:
    """k with a chance in proportion to (1 - stop)^k / k: a geometric number, kept with the chance 1 / k."""
    while True:
        count = 1 + _failures(stop)
        if not secrets.randbelow(count):
            return count


def _poisson(mean: Fraction) -> int:
    """As many Poisson numbers of mean one as go in, and of one more each unit with the chance of the rest."""
    whole, rest = divmod(mean, 1)
    count = sum(_poisson_of_one() for _ in range(int(whole)))
    return count + sum(_chance(rest) for _ in range(_poisson_of_one()))


def _poisson_of_one() -> int:
    """Duchon & Duvignau 2016, by whole numbers alone."""
    size, gap, count = 1, 0, 1
    while True:
        drawn = 1 + secrets.randbelow(size + 1)
        if drawn == size + 1:
            count += 1
        elif drawn > gap:
            count, gap = count - 1, size + 1
        else:
            return count
        size += 1


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)
