"""What the estimators have in common: the noise of a cost, the charge, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfumato.core.errors import InputError
from sfumato.dp.accounting import Accounted, epsilon_of
from sfumato.dp.training.trained import ROWS_COUNTED

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget


@dataclass(frozen=True)
class Terms:
    """Who pays for an estimator and how much, and how many rows everybody may know of."""

    budget: Budget | None
    epsilon: float
    delta: float
    size: int | None
    place: str
    by: str
    why: str
    subject: Sequence[Any] | None = None

    def public_size(self, rows: int) -> tuple[int, list[str]]:
        """The number of rows to reckon with, and a notice if it is the true one."""
        if not rows:
            raise InputError("usage", "there are no rows to learn from")
        if self.size is not None:
            if self.size < 1:
                raise InputError("usage", f"size must be at least one, and is {self.size}")
            return self.size, []
        return rows, [ROWS_COUNTED] if self._paying().relation == "add-remove" else []

    def noise(self, make_event: Callable[[float], Any]) -> float:
        """The least noise multiplier for the epsilon."""
        from sfumato.dp.accounting import noise_for

        return noise_for(make_event, self.epsilon, self.delta, relation=self._paying().relation)

    def charge(self, event: Any) -> Accounted:
        """Charge the event, before anything is drawn."""
        budget = self._paying()
        cost = epsilon_of(event, self.delta, relation=budget.relation)
        budget.spend(event, place=self.place, by=self.by, why=self.why, delta=self.delta)
        return cost

    def _one_row_each(self) -> bool:
        return self.subject is not None and len(set(self.subject)) == len(self.subject)

    def _paying(self) -> Budget:
        if self.budget is None or not hasattr(self.budget, "spend"):
            raise InputError(
                "usage", "nothing is drawn without a budget", remedy="sf.dp.Budget(epsilon, delta)"
            )
        if self.budget.unit != "row" and not self._one_row_each():
            raise InputError(
                "usage",
                "the budget is about subjects, and nothing says that each has one row",
                remedy="make one row of each subject and say fit(..., subject=), or use sf.dp.train",
            )
        return self.budget
