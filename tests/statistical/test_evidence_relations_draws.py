"""Rows below made people over many keys: fresh people are passed, and whatever copies rows is caught.

ALPHA is the chance that a test fails where all is well: a share of at most 0.1 % of people is found by chance
on each side, and of so many independent runs no more may miss than the binomial quantile allows.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from sfumato.contracts import PERSON
from sfumato.evidence.attacks.relations import Relations
from sfumato.evidence.attacks.repeats import CHANCE, Repeats
from tables_support import Shop, comparison, of, shop, some, strangers, together

pytestmark = pytest.mark.statistical

ALPHA, RUNS, PEOPLE = 1e-6, 20, 2000
BOUNDS = {
    "relations.rows_excess": 0.0075,
    "relations.whole_excess": 0.0075,
    "relations.close_excess": 0.01,
    "relations.close_rows_excess": 0.01,
}
COLUMNS = (["article", "spent", "month"], ["spent"], ["article", "month"], ["spent", "month"], ["month"])


def shops(seed: int) -> tuple[Shop, Shop, Shop]:
    """People who teach, fresh ones and others."""
    taught, made, others = (shop(PEOPLE, 3 * seed + part, 10_000 * part) for part in range(3))
    return taught, made, others


def refused(taught: Shop, made: Shop, others: Shop) -> set[str]:
    found = Relations().run(comparison(of(taught, made, others)), Relations.Params())
    high = {one.metric: one.high for one in found if one.target == "release"}
    return {metric for metric, most in BOUNDS.items() if high[metric] is None or high[metric] > most}


def test_fresh_people_are_hardly_ever_turned_away() -> None:
    turned = sum(bool(refused(*shops(seed))) for seed in range(RUNS))
    assert turned <= binom.ppf(1 - ALPHA, RUNS, 0.02)


def test_chance_finds_no_more_than_is_declared() -> None:
    """In columns that tell people apart well, hardly, and not at all."""
    hits = dict.fromkeys(("row", "whole"), 0)
    runs = 8
    for seed in range(runs):
        taught, made, others = shops(100 + seed)
        for columns in COLUMNS:
            repeats = Repeats.of(of(taught, made, others), "purchases", columns)
            for way, both in (("row", repeats.by_row()), ("whole", repeats.by_whole())):
                hits[way] += sum(side.hits for side in both)
    most = binom.ppf(1 - ALPHA, runs * len(COLUMNS) * 2 * PEOPLE, CHANCE)
    assert max(hits.values()) <= most


@pytest.mark.parametrize("kind", ["strangers", "whole people", "dealt", "trifles"])
def test_whatever_copies_three_in_a_hundred_is_refused_at_every_key(kind: str) -> None:
    for seed in range(4):
        taught, made, others = shops(seed)
        draw, given = np.random.default_rng(seed), some(taught, 0.03)
        rows = given["purchases"].height
        if kind != "whole people":
            given = strangers(given, 10**5 + seed)
        if kind == "dealt":
            to = made["customers"][PERSON].gather(draw.integers(0, PEOPLE, rows))
            given["purchases"] = given["purchases"].with_columns(to.alias(PERSON))
        if kind == "trifles":
            moved = (pl.col("spent") * pl.Series(draw.uniform(0.97, 1.03, rows))).round(2)
            given["purchases"] = given["purchases"].with_columns(moved)
        assert refused(taught, together(made, given), others)
