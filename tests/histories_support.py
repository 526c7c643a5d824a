"""Made-up shoppers: a log with times, items, amounts and something of the person, and comparisons of logs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from evidence_support import KEY, plan
from sfumato.contracts import PERSON, Comparison, Logs
from sfumato.core.values import Inventory
from sfumato.evidence.histories import compared

OPENS, DAYS, ITEMS = dt.date(2025, 1, 1), 364, 8
WINDOW = (OPENS, OPENS + dt.timedelta(DAYS))
TICKS = tuple(float(one) for one in pl.Series(WINDOW).to_physical().to_list())
FOLLOWS = np.random.default_rng(9).dirichlet(np.full(ITEMS, 0.7), ITEMS)


def shoppers(people: int, seed: int, first: int = 0) -> pl.DataFrame:
    """Events of so many people, in no order: PERSON, day, sku, spend and home."""
    random = np.random.default_rng(seed)
    rows: list[tuple[int, dt.date, str, float, str]] = []
    for person in range(first, first + people):
        day, pace, item = int(random.integers(0, 90)), random.gamma(2.0, 12) + 2, -1
        home = str(random.choice(["north", "south"]))
        while day <= DAYS:
            item = int(random.choice(ITEMS, p=FOLLOWS[item]) if item >= 0 else random.integers(0, ITEMS))
            spend = round(float(np.exp(1 + item / 4 + 0.4 * random.standard_normal())), 2)
            rows.append((person, OPENS + dt.timedelta(day), f"sku {item}", spend, home))
            if random.random() < 0.25:
                break
            day += int(random.exponential(pace)) + 1
    schema = {PERSON: pl.UInt64, "day": pl.Date, "sku": pl.String, "spend": pl.Float64, "home": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sample(fraction=1.0, shuffle=True, seed=seed)


def of(taught: pl.DataFrame, made: pl.DataFrame, others: pl.DataFrame) -> Logs:
    """Logs of shoppers."""
    ordered = made.sort(PERSON, "day", maintain_order=True)
    return Logs("day", ("sku",), ("spend",), ("home",), (TICKS[0], TICKS[1]), taught, ordered, others)


def comparison(logs: Logs, most: int = 50_000, **more: Any) -> Comparison:
    """The comparison of logs in which every column is known to outsiders."""
    nothing = Inventory(rows=logs.taught.height, examined=logs.taught.height, target=None, columns=())
    return compared(logs, nothing, plan(), KEY, most, **more)


def some(log: pl.DataFrame, share: float, first: int = 10**6) -> pl.DataFrame:
    """A share of a log's people under other numbers."""
    people = log[PERSON].unique().sort()
    chosen = people.head(round(share * len(people)))
    return log.filter(pl.col(PERSON).is_in(chosen.implode())).with_columns(pl.col(PERSON) + first)
