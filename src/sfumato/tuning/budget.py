"""How long a search may go on."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field

from sfumato.core.errors import InputError

_BUDGET = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h)\s*$")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
#: A search of a day is a mistake in the unit.
_LONGEST = 7 * 24 * 3600
_MOST_TRIALS = 100_000
#: At most this share of a time is kept back for what follows the search.
_RESERVE = 0.5
#: Without a word on how long: so many trials.
TRIALS = 40


@dataclass
class Budget:
    """How long a search may go on: so many trials, or until a time; ``reserve`` is kept for what follows."""

    trials: int | None = None
    seconds: float | None = None
    begun: float = field(default_factory=time.monotonic)

    def allows(self, done: int, typical: float, after: int, *, free: bool) -> bool:
        """Whether another trial fits, where ``after`` more that take as long are to come.

        A trial that is ``free`` was measured by the search that is resumed.
        """
        if self.trials is not None:
            return done < self.trials
        assert self.seconds is not None
        reserve = min(typical * after, self.seconds * _RESERVE)
        return free or done == 0 or self.spent + typical + reserve < self.seconds

    def affords(self, typical: float) -> float:
        """How many more trials' worth of time there is; without a time there is no end of it."""
        if self.seconds is None or not typical:
            return math.inf
        return max(0.0, self.seconds - self.spent) / typical

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun


def budget_of(budget: str | None, trials: int | None) -> Budget:
    """How long a search may go on, from the two ways to say it.

    Raises:
        InputError: ``usage``.
    """
    if budget is not None and trials is not None:
        raise InputError(
            "usage", "a search has either a budget of time or a number of trials", where="--budget"
        )
    if budget is not None:
        return Budget(seconds=seconds(budget))
    if trials is not None and not 1 <= trials <= _MOST_TRIALS:
        raise InputError(
            "usage",
            f"a search has 1 to {_MOST_TRIALS:,} trials",
            where=f"--trials {trials}",
            remedy="such as --trials 40, or a time: --budget 10m",
        )
    return Budget(trials=TRIALS if trials is None else trials)


def seconds(budget: str) -> float:
    """A budget of time in seconds.

    Raises:
        InputError: ``usage``.

    >>> seconds("10m"), seconds("1.5h")
    (600.0, 5400.0)
    """
    found = _BUDGET.match(budget)
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < length <= _LONGEST:
        raise InputError(
            "usage",
            "a budget is a time of at most a week",
            where=f"--budget {budget}",
            remedy="such as 30s, 10m or 1h; or give a number of trials with --trials",
        )
    return length
