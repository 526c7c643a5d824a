"""A part of a budget that is charged at once, for several draws made one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.dp.budget import Budget, Receipt

if TYPE_CHECKING:
    from dp_accounting import DpEvent


def reserve(
    budget: Budget,
    events: Sequence[DpEvent],
    *,
    delta: float,
    place: str,
    by: str = "",
    why: str = "",
) -> Prepaid:
    """Charge events together, as one spend, and keep them for the draws that they were charged for.

    Together they cost less than one after another, and a work of several steps cannot stop halfway for want
    of budget.

    Raises:
        RefusedError: ``budget-spent``: they do not fit; nothing was charged.
    """
    from dp_accounting.dp_event import ComposedDpEvent

    event = events[0] if len(events) == 1 else ComposedDpEvent(list(events))
    receipt = budget.spend(event, place=place, by=by, why=why, delta=delta or None)
    return Prepaid(budget, events, receipt)


class Prepaid(Budget):
    """What was charged to a budget already: it can be spent on just the events that it was charged for.

    Made by :func:`reserve`. An event that was not among them, or comes a second time, is refused: what is
    drawn is what was paid for.

    >>> from dp_accounting import GaussianDpEvent
    >>> budget = Budget(1.0, 1e-6)
    >>> events = [GaussianDpEvent(20.0), GaussianDpEvent(30.0)]
    >>> prepaid = reserve(budget, events, delta=1e-6, place="synthesis")
    >>> len(budget.statement().entries)
    1
    >>> prepaid.spend(GaussianDpEvent(30.0), place="model").place
    'model'
    >>> len(prepaid.left)
    1
    """

    def __init__(self, budget: Budget, events: Sequence[DpEvent], receipt: Receipt) -> None:
        self._store = budget._store
        self.dataset = budget.dataset
        self.unit, self.relation, self.filter = budget.unit, budget.relation, budget.filter
        self.receipt = receipt
        self._left = [_key(event) for event in events]

    @property
    def left(self) -> tuple[bytes, ...]:
        """The events that nothing was drawn for yet, as canonical JSON."""
        return tuple(self._left)

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
        """Take an event that was charged already.

        Raises:
            InputError: ``usage``: it was not charged, or was drawn already.
        """
        del by, why, key, delta
        from sfumato.dp.events import words

        try:
            self._left.remove(_key(event))
        except ValueError:
            raise InputError(
                "usage",
                "this was not among what the budget was charged for",
                where=place,
                remedy="please report this as a bug",
            ) from None
        return Receipt(self.dataset, self.receipt.number, place, words(event), 0.0)

    def affords(self, event: DpEvent, *, delta: float | None = None) -> bool:
        """Whether the event was charged and not drawn yet."""
        del delta
        return _key(event) in self._left

    def settle(self, receipt: Receipt, answers: object) -> None:
        """Nothing: the spend as a whole is settled with the budget that was charged."""


def _key(event: DpEvent) -> bytes:
    from sfumato.dp.events import to_json

    return canonical_json(to_json(event))
