"""What a budget says of itself: declared, spent, left, and every entry."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sfumato.dp.filters import Cost, Filter, FilterName, accepts, make_filter
from sfumato.project.budgets import Account, Entry, Raise

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.accounting import Accounted, Relation

Unit = Literal["row", "subject"]

_LEAST_NOISE, _MOST_NOISE = 1e-3, 1e6


@dataclass(frozen=True)
class Spent:
    """One line of a statement: who spent what, when, where and why; ``share`` is of the whole budget."""

    number: int
    time: str
    place: str
    by: str
    why: str
    event: str
    share: float
    answered: bool


@dataclass(frozen=True)
class Unbounded:
    """A release of the same people without differential privacy: no epsilon bounds it."""

    number: int
    time: str
    place: str
    by: str
    why: str


@dataclass(frozen=True)
class Statement:
    """What was declared, what is spent and what is left of a budget.

    ``share`` is the part of the budget that is spent, in the coin of its filter: it decides whether the next
    spend is refused, and the declared epsilon and delta hold for all releases together however much of them
    is spent. ``left`` is the rest. ``estimate`` is what the same events cost by PLD had they been fixed
    beforehand: a figure to plan with, no proof; None where nothing was spent. ``fits`` is the least
    multiplier of one more Gaussian noise that the filter would accept; None where it accepts none.
    ``unbounded`` releases stand outside of all this: no epsilon bounds what they tell of people.
    """

    dataset: str
    unit: Unit
    relation: Relation
    filter: FilterName
    order: float | None
    epsilon: float
    delta: float
    share: float
    left: float
    estimate: Accounted | None
    fits: float | None
    entries: tuple[Spent, ...]
    unbounded: tuple[Unbounded, ...]
    raises: tuple[Raise, ...]

    def document(self) -> dict[str, Any]:
        """The statement as a JSON value; a figure without bounds is null."""
        whole = {**asdict(self), "raises": [each.model_dump(mode="json") for each in self.raises]}
        finite: dict[str, Any] = _finite(whole)
        return finite


def statement_of(account: Account) -> Statement:
    """The statement of an account."""
    from sfumato.dp.events import from_json, words

    declared, rule = account.declared, filter_of(account)
    epsilon, delta = limits(account)
    events = {entry.id: from_json(entry.event or {}) for entry in account.spends}
    share = share_of(rule.limit, costs(account))
    return Statement(
        dataset=account.dataset,
        unit=declared["unit"],
        relation=declared["relation"],
        filter=declared["filter"],
        order=rule.order,
        epsilon=epsilon,
        delta=delta,
        share=share,
        left=max(0.0, 1 - share),
        estimate=_estimate(list(events.values()), delta, declared["relation"]),
        fits=_least_noise(rule, costs(account)),
        entries=tuple(
            Spent(
                **_who(entry),
                event=words(events[entry.id]),
                share=share_of(rule.limit, [cost_of(entry)]),
                answered=entry.answered,
            )
            for entry in account.spends
        ),
        unbounded=tuple(Unbounded(**_who(entry)) for entry in account.entries if entry.kind == "unbounded"),
        raises=account.raises,
    )


def filter_of(account: Account) -> Filter:
    """The filter that a declaration fixed, for the budget as last raised."""
    declared = account.declared
    return make_filter(declared["filter"], *limits(account), declared["relation"], order=declared["order"])


def limits(account: Account) -> tuple[float, float]:
    """The declared epsilon and delta, as last raised."""
    if account.raises:
        return account.raises[-1].epsilon, account.raises[-1].delta
    return account.declared["epsilon"], account.declared["delta"]


def costs(account: Account) -> list[Cost]:
    """What every spend came to in the coin of the filter."""
    return [cost_of(entry) for entry in account.spends]


def cost_of(entry: Entry) -> Cost:
    """What one spend came to; without bounds where none is written."""
    cost = entry.cost or {"coin": None, "delta": 0.0}
    return Cost(math.inf if cost["coin"] is None else cost["coin"], cost["delta"])


def share_of(limit: Cost, spent: list[Cost]) -> float:
    """The part of a limit that costs take: the larger of the parts of its coin and of its delta."""
    coins, deltas = math.fsum(cost.coin for cost in spent), math.fsum(cost.delta for cost in spent)
    return max(_part(coins, limit.coin), _part(deltas, limit.delta))


def _part(spent: float, most: float) -> float:
    if not spent:
        return 0.0
    return spent / most if most else math.inf


def _who(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.id,
        "time": entry.time,
        "place": entry.place,
        "by": entry.by,
        "why": entry.why,
    }


def _estimate(events: list[DpEvent], delta: float, relation: Relation) -> Accounted | None:
    if not events:
        return None
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.events import composed

    return epsilon_of(composed(events), delta, relation=relation)


def _least_noise(rule: Filter, spent: list[Cost]) -> float | None:
    """By bisection on what the filter accepts; None for a filter that sums epsilons."""
    from dp_accounting import GaussianDpEvent

    if rule.name == "basic":
        return None

    def fits(noise: float) -> bool:
        return accepts(rule.limit, [*spent, rule.cost(GaussianDpEvent(noise))])

    low, high = _LEAST_NOISE, _MOST_NOISE
    if not fits(high):
        return None
    while high > low * 1.0005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
