"""A made-up shop: customers, and purchases that hang together with them; generators in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from evidence_support import KEY, plan
from sfumato.contracts import PERSON, Comparison, Tables
from sfumato.core.values import Inventory
from sfumato.evidence.tables import compared

ARTICLES = 40
Shop = dict[str, pl.DataFrame]
_PRICES = np.exp(np.random.default_rng(9).normal(2.5, 0.8, ARTICLES))
_SHARES = np.random.default_rng(8).dirichlet(np.full(ARTICLES, 1.5))


def shop(people: int, seed: int, first: int = 0, mean: float = 4.0) -> Shop:
    """Customers with age, school and region, who have purchases of an article, spent in a month."""
    draw = np.random.default_rng(seed)
    person = np.arange(first, first + people, dtype=np.uint64)
    age, school = draw.integers(18, 85, people), draw.integers(0, 4, people)
    customers = pl.DataFrame(
        {
            PERSON: person,
            "age": age,
            "school": np.array(["none", "some", "high", "most"])[school],
            "region": draw.choice([f"r{i}" for i in range(8)], people),
            "loyal": draw.random(people) < 0.2 + age / 200,
        }
    )
    many = draw.negative_binomial(1.5, 1.5 / (mean * (0.5 + school / 3) + 1.5))
    at = np.repeat(np.arange(people), many)
    article = draw.choice(ARTICLES, len(at), p=_SHARES)
    older = draw.random(len(at)) < age[at] / 120
    article = np.where(older, article // 2, article)
    spent = _PRICES[article] * np.exp(0.3 * draw.standard_normal(len(at)) + school[at] / 6)
    purchases = pl.DataFrame(
        {
            PERSON: person[at],
            "article": np.array([f"a{i}" for i in range(ARTICLES)])[article],
            "spent": spent.round(2),
            "month": draw.integers(1, 13, len(at)),
        }
    )
    return {"customers": customers, "purchases": purchases}


def together(*parts: Mapping[str, pl.DataFrame]) -> Shop:
    """The tables of several kinds of people, one below the other."""
    return {name: pl.concat([part[name] for part in parts]) for name in parts[0]}


def some(side: Mapping[str, pl.DataFrame], share: float, first: int = 10**6) -> Shop:
    """A share of a side's people under other numbers."""
    people = side["customers"][PERSON].sort()
    chosen = people.head(round(share * len(people))).implode()
    return {
        name: table.filter(pl.col(PERSON).is_in(chosen)).with_columns(pl.col(PERSON) + first)
        for name, table in side.items()
    }


def strangers(side: Mapping[str, pl.DataFrame], seed: int) -> Shop:
    """The same rows below, of people of whom all else is drawn anew."""
    people = side["customers"]
    others = shop(people.height, seed)["customers"].with_columns(people[PERSON])
    return {**side, "customers": others}


def of(taught: Shop, made: Shop, others: Shop) -> Tables:
    return Tables("customers", taught, made, others)


def comparison(tables: Tables, most: int = 50_000, target: str | None = None, **more: Any) -> Comparison:
    """The comparison of tables in which every column is known to outsiders."""
    nothing = Inventory(rows=0, examined=0, target=target, columns=())
    return compared(tables, nothing, plan(), KEY, most, **more)
