"""What a fit under differential privacy costs, and one spend for all of it.

The cost of a synthesizer never follows from what the domain turns out to be: so domains and models are one
schedule, fixed before anything is drawn, and one spend; and so is a noisy count of the people, where one is
needed. Only where a synthesizer's cost follows from their number the count is a spend of its own, before the
others: what comes after it costs at most the rest of epsilon whatever was counted, and the two epsilons are
added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sfumato.core.errors import InputError, RefusedError
from sfumato.synth.synthetic import Charged

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.budget import Budget
    from sfumato.dp.prepaid import Prepaid
    from sfumato.dp.statements import Unit

#: Of epsilon, what a count of the people is worth where nobody declared their number.
_COUNT_SHARE = 0.02
#: Of delta, what the threshold of undeclared categories may take.
_DELTA_SHARE = 0.05
#: A number of people to try a schedule with before anything is known of theirs.
_SOME = 10_000
_STEPS = 100


@dataclass(frozen=True)
class Terms:
    """What a fit may cost; ``share`` of it goes to domains, in which numbers have about so many ``bins``."""

    budget: Budget
    epsilon: float
    delta: float
    share: float
    bins: int

    @classmethod
    def of(cls, budget: Budget, epsilon: float | None, delta: float | None, share: float, bins: int) -> Terms:
        """The terms; where neither epsilon nor delta is asked for, the whole budget.

        Raises:
            InputError: ``usage``: nothing would be left for models.
        """
        if not 0 <= share < 1:
            raise InputError("usage", "a share is from 0 to below 1", where="domain_share")
        asked = budget.epsilon if epsilon is None else epsilon
        return cls(budget, asked, budget.delta if delta is None else delta, share, bins)

    @property
    def threshold_delta(self) -> float:
        """What the thresholds of undeclared categories take of delta, all of them together."""
        return _DELTA_SHARE * self.delta


class Work(Protocol):
    """What is learned, each person in one row of it at most in every table."""

    @property
    def people(self) -> int:
        """How many there are: private, unless the relation makes it public."""

    def events(self, terms: Terms, size: int, domain_noise: float, noise: float) -> list[DpEvent]:
        """What is drawn of domains and of models, about so many people there.

        It follows from what is public alone, and costs less the more noise there is.
        """


@dataclass(frozen=True)
class Paid:
    """What was charged: the noise of domains and of models, and the ``prepaid`` that they are drawn from."""

    prepaid: Prepaid
    domain_noise: float
    noise: float
    charged: Charged

    def settled(self) -> None:
        """Whatever was charged was drawn."""
        if self.prepaid.left:
            raise AssertionError("a synthesizer did not draw what was charged for it")


def pay(work: Work, terms: Terms, size: int | None, ledger: Mapping[str, str]) -> Paid:
    """Charge everything that is drawn; the number of people is counted here, where it is not public.

    Args:
        size: about how many people there are, as everybody may know it.
        ledger: place, by and why.

    Raises:
        InputError: ``usage``: what was declared does not suit the columns, or is no number of people.
        RefusedError: ``budget-spent``: the budget does not allow it; nothing was drawn.
    """
    from sfumato.dp.events import composed, to_json
    from sfumato.dp.prepaid import reserve

    budget = terms.budget
    if size is not None and size < 1:
        raise InputError("usage", "people are counted from 1", where="size")
    if size is None and budget.relation == "replace-one":
        size = work.people
    first = _COUNT_SHARE * terms.epsilon if size is None else 0.0
    before: list[DpEvent] = []
    if size is None and follows_size(work, terms):
        size, event = _counted_before(work, terms, first, ledger)
        before = [event]
        schedule = _affordable(work, replace(terms, epsilon=terms.epsilon - first), size)
    else:
        schedule = _Schedule.of(work, terms, size or _SOME, first)
    prepaid = reserve(budget, schedule.events, delta=terms.delta, **ledger)
    if size is None:
        prepaid.spend(schedule.events[0], place="count of rows")
        size = _count(work, first)
    epsilon, replaced = schedule.cost()
    extra = first if before else 0.0
    charged = Charged(
        epsilon=epsilon + extra,
        delta=terms.delta,
        replace_epsilon=replaced + 2 * extra,
        event=to_json(composed([*before, *schedule.events])),
        size=size,
        unit=budget.unit,
        relation=budget.relation,
    )
    return Paid(prepaid, schedule.domain_noise, schedule.noise, charged)


def follows_size(work: Work, terms: Terms) -> bool:
    """Does the cost follow from the number of people?"""
    one, other = (work.events(terms, size, 2.0, 2.0) for size in (_SOME, 100 * _SOME))
    return bool(one != other)


def own_budget(epsilon: float | None, delta: float | None, unit: Unit = "row") -> Budget:
    """A budget for one fit alone."""
    from sfumato.dp.budget import Budget

    if epsilon is None or delta is None:
        raise InputError("usage", "an epsilon needs a delta", remedy="choose one, such as 1e-6")
    return Budget(epsilon, delta, unit=unit)


@dataclass(frozen=True)
class _Schedule:
    """What is drawn, one after another: a count of people if its epsilon is not 0, then the work's own."""

    work: Work
    terms: Terms
    size: int
    count: float
    domain_noise: float
    noise: float

    @classmethod
    def of(cls, work: Work, terms: Terms, size: int, count: float) -> _Schedule:
        """The schedule with the least noise whose cost is within the terms."""
        from dp_accounting import GaussianDpEvent

        from sfumato.dp.accounting import noise_for
        from sfumato.dp.events import composed

        relation = terms.budget.relation
        whole = noise_for(GaussianDpEvent, terms.epsilon, terms.delta, relation=relation)
        domain_noise = whole / math.sqrt(terms.share) if terms.share else math.inf
        start = cls(work, terms, size, count, domain_noise, 1.0)
        noise = noise_for(
            lambda each: composed(replace(start, noise=each).events),
            terms.epsilon,
            terms.delta,
            relation=relation,
        )
        return replace(start, noise=noise)

    @property
    def events(self) -> list[DpEvent]:
        """What is charged."""
        from sfumato.dp.mechanisms import laplace_event

        drawn = self.work.events(self.terms, self.size, self.domain_noise, self.noise)
        return [*([laplace_event(1 / self.count, 1)] if self.count else []), *drawn]

    def cost(self) -> tuple[float, float]:
        """The epsilon, and that of replacing one person's data."""
        from sfumato.dp.accounting import epsilon_of
        from sfumato.dp.events import composed

        found = epsilon_of(composed(self.events), self.terms.delta, relation=self.terms.budget.relation)
        return found.epsilon, found.replace_epsilon

    def noisier(self, factor: float) -> _Schedule:
        """The schedule with all noise so many times as large."""
        return replace(self, domain_noise=self.domain_noise * factor, noise=self.noise * factor)


def _count(work: Work, epsilon: float) -> int:
    """A noisy number of people, for an epsilon that was charged."""
    from sfumato.dp.mechanisms import laplace

    return max(1, int(laplace(np.array([work.people]), 1 / epsilon)[0]))


def _counted_before(
    work: Work, terms: Terms, epsilon: float, ledger: Mapping[str, str]
) -> tuple[int, DpEvent]:
    """A noisy number of people, charged; refused where what comes after it would not be accepted."""
    from sfumato.dp.events import composed
    from sfumato.dp.mechanisms import laplace_event

    event = laplace_event(1 / epsilon, 1)
    after = _Schedule.of(work, replace(terms, epsilon=terms.epsilon - epsilon), _SOME, 0.0)
    if not terms.budget.affords(composed([event, *after.events]), delta=terms.delta):
        raise _refused(terms.budget)
    place = f"{ledger['place']}: count of rows"
    terms.budget.spend(event, place=place, by=ledger["by"], why=ledger["why"])
    return _count(work, epsilon), event


def _affordable(work: Work, terms: Terms, size: int) -> _Schedule:
    """The schedule, with as much more noise as the budget's filter asks for now that something was drawn."""
    from sfumato.dp.events import composed

    schedule = _Schedule.of(work, terms, size, 0.0)
    for step in range(_STEPS):
        found = schedule.noisier(1.03**step)
        if terms.budget.affords(composed(found.events), delta=terms.delta):
            return found
    raise _refused(terms.budget)


def _refused(budget: Budget) -> RefusedError:
    return RefusedError(
        "budget-spent",
        "what is left of the privacy budget does not allow this",
        where=budget.dataset,
        remedy="ask for less epsilon, or have the budget raised by somebody who answers for it",
    )
