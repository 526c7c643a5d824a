"""Histories as rows of people, and how made ones go: known answers on small logs, and odd ones."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from histories_support import OPENS, comparison, of, shoppers
from sfumato.contracts import PERSON, Comparison, Logs
from sfumato.core.values import Finding, Role
from sfumato.evidence.histories import SHOWN, coming, persons, sources, unordered
from sfumato.evidence.run import always, measure
from sfumato.evidence.utility.histories import Histories


def log(*events: tuple[int, int, str | None, float | None]) -> pl.DataFrame:
    """Events of (person, day, item, amount)."""
    schema = {PERSON: pl.UInt64, "day": pl.Date, "sku": pl.String, "spend": pl.Float64, "home": pl.String}
    rows = [(who, OPENS + dt.timedelta(day), item, spend, "north") for who, day, item, spend in events]
    return pl.DataFrame(rows, schema=schema, orient="row")


def judged(logs: Logs) -> dict[tuple[str, str], Finding]:
    given = comparison(logs)
    return {(one.metric, one.target): one for one in Histories().run(given, Histories.Params())}


def test_a_person_is_one_row_with_gaps_and_what_comes_late() -> None:
    long = [(2, 10 + 3 * i, "tea", float(i)) for i in range(SHOWN + 2)]
    logs = of(log((1, 20, "milk", 2.0), (1, 5, "tea", 1.0), *long), log((1, 0, "tea", 1.0)), log())
    people = persons(logs.taught, logs)
    assert people.columns == [PERSON, *sources(logs)]
    first, second = people.to_dicts()
    assert (first["events"], first["home"]) == (2, "north")
    assert (first["day, event 1"], first["sku, event 1"], first["spend, event 1"]) == (5.0, "tea", 1.0)
    assert (first["day, event 2"], first["sku, event 2"]) == (15.0, "milk")
    assert first["day, event 3"] is None
    assert first["spend, after event 8"] is None
    assert second["events"] == SHOWN + 2
    assert (second["day, after event 8"], second["spend, after event 8"]) == (6.0, 8.0 + 9.0)


def test_who_comes_again_is_told_from_the_first_two_thirds() -> None:
    # The window is 364 days: what is known ends on day 242.67.
    events = log(
        (1, 10, "a", 1.0), (1, 200, "b", 3.0), (1, 300, "a", 9.0), (2, 100, "a", 5.0), (3, 250, "a", 1.0)
    )
    known = coming(events, of(events, events, events), "again").to_dicts()
    assert [row["again"] for row in known] == [True, False, None]
    assert known[0]["events so far"] == 2
    assert known[0]["since the last"] == pytest.approx(364 * 2 / 3 - 200)
    assert known[0]["between first and last"] == 190
    assert (known[0]["spend, mean"], known[0]["spend, most"], known[0]["sku, last"]) == (2.0, 3.0, "b")
    assert known[0]["events of late"] == 1


def test_the_same_histories_are_no_distance_apart() -> None:
    taught = shoppers(300, 0)
    found = judged(of(taught, taught, shoppers(100, 1)))
    for metric in set(Histories.metrics):
        assert found[metric, "release"].value == pytest.approx(0, abs=1e-12), metric


def test_distances_are_those_of_hand() -> None:
    taught = log((1, 0, "a", 1.0), (1, 2, "b", 1.0), (2, 0, "a", 1.0), (2, 2, "b", 1.0))
    made = log((1, 0, "a", 1.0), (1, 2, "a", 5.0), (2, 0, "a", 1.0))
    found = judged(of(taught, made, log()))
    assert found["histories.length_ks", "release"].value == 0.5
    assert found["histories.mean_length", "release"].value == 0.25
    assert found["histories.gap_ks", "release"].value == 0
    assert found["histories.amount_ks", "release"].value == pytest.approx(1 / 3)
    # Of those who taught b follows a; here a does.
    assert found["histories.transitions_tv", "release"].value == 1
    assert found["histories.repeats", "release"].value == 1


def test_rows_that_go_back_in_time_are_counted() -> None:
    taught = shoppers(300, 0)
    logs = of(taught, taught, shoppers(100, 1))
    shuffled = logs.made.sample(fraction=1.0, shuffle=True, seed=3)
    found = judged(replace(logs, made=shuffled))["histories.unordered", "release"]
    assert found.value == unordered(shuffled, "day") > 0.5
    assert found.low == found.high == found.value


def test_fresh_people_are_near_and_dealt_ones_are_not() -> None:
    taught, others = shoppers(1500, 0), shoppers(700, 1)
    found = judged(of(taught, shoppers(1500, 2), others))
    dealt = shoppers(1500, 2).with_columns(pl.col("sku").shuffle(seed=1))
    apart = judged(of(taught, dealt, others))
    near, far = (one["histories.transitions_tv", "release"] for one in (found, apart))
    assert near.high is not None
    assert far.low is not None
    assert near.high < 0.15 < far.low
    assert found["histories.length_ks", "release"].value == pytest.approx(0, abs=0.06)


def test_a_comparison_of_histories_is_one_of_people() -> None:
    logs = of(shoppers(300, 0), shoppers(200, 1), shoppers(100, 2))
    given = comparison(logs, most=250)
    assert (given.original.height, given.control.height, int(given.kept.sum())) == (250, 100, 200)
    assert given.original.columns == list(sources(logs))
    assert all(profile.role is Role.QUASI_IDENTIFIER for profile in given.inventory.columns)
    later = given.foretelling
    assert later is not None
    # Rows are the same people, so that groups of one are groups of the other.
    assert later.original["home"].to_list() == given.original["home"].to_list()
    assert later.inventory.target == "comes again"
    assert always(made=True, histories=True) == ("copies", "membership", "retelling")


def _odd() -> dict[str, Logs]:
    taught, others = shoppers(120, 0), shoppers(120, 1)
    nothing, every = taught.clear(), pl.int_range(pl.len()).cast(pl.String).alias("sku")
    missing = taught.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("spend"), pl.lit(None, dtype=pl.String).alias("sku")
    )
    odd = taught.with_columns(
        pl.Series("spend", np.resize([np.nan, np.inf, -np.inf, 1e308, 0.0], taught.height))
    )
    first = taught.filter(pl.col(PERSON) == taught[PERSON][0])
    return {
        "nobody made": of(taught, nothing, others),
        "nobody taught": of(nothing, taught, others),
        "nobody held out": of(taught, taught, nothing),
        "nobody": of(nothing, nothing, nothing),
        "one person": of(first, first, others),
        "one event each": of(taught.unique(PERSON), others.unique(PERSON), others.unique(PERSON)),
        "no values": of(missing, missing, missing),
        "odd amounts": of(odd, odd, others),
        "many items": of(*(part.with_columns(every) for part in (taught, others, others))),
    }


@pytest.mark.parametrize("kind", _odd())
def test_odd_logs_give_findings_and_no_traceback(kind: str) -> None:
    given: Comparison = comparison(_odd()[kind])
    found = measure(given, {"histories": {}, "distributions": {}, "learning": {"models": []}})
    assert not [one for one in found if one.status == "error" and "failed" in one.note]
    assert {one.source for one in found} >= {"copies", "membership", "retelling", "histories", "learning"}
