"""Relations: rows below that are a person's are found whatever stands above them, and fresh ones are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from evidence_support import plan, step
from sfumato.contracts import PERSON, Tables
from sfumato.core.values import Finding, Inventory, Role
from sfumato.evidence.attacks import near_repeats
from sfumato.evidence.attacks.near_repeats import NearRepeats
from sfumato.evidence.attacks.relations import Relations
from sfumato.evidence.attacks.repeats import EXPECTED, HIT, OTHERS, SHARING, SIDE, TAUGHT, Repeats
from sfumato.evidence.tables import compared
from tables_support import Shop, comparison, of, shop, some, strangers, together

TAUGHT_SHOP, OTHERS_SHOP = shop(1500, 0), shop(1000, 1, first=10_000)
FRESH = shop(1500, 2, first=20_000)
#: What is recommended as the floor.
MOST = {
    "relations.rows_excess": 0.0075,
    "relations.whole_excess": 0.0075,
    "relations.close_excess": 0.01,
    "relations.close_rows_excess": 0.01,
}
COLUMNS = ["article", "spent", "month"]


def found(
    made: Shop, taught: Shop = TAUGHT_SHOP, others: Shop = OTHERS_SHOP
) -> dict[tuple[str, str], Finding]:
    given = comparison(of(taught, made, others))
    return {(one.metric, one.target): one for one in Relations().run(given, Relations.Params())}


def refused(figures: dict[tuple[str, str], Finding]) -> set[str]:
    high = {metric: figures[metric, "release"].high for metric in MOST}
    return {metric for metric, one in high.items() if one is None or one > MOST[metric]}


def copied(share: float = 0.03) -> Shop:
    """The rows of some who taught, below people of whom all else is drawn anew."""
    return strangers(some(TAUGHT_SHOP, share), 7)


def with_purchases(change: Callable[[pl.DataFrame], pl.DataFrame], share: float = 0.03) -> Shop:
    """Fresh people, and the rows of some who taught with something done to them."""
    given = copied(share)
    return together(
        FRESH, {**given, "purchases": change(given["purchases"]).select(FRESH["purchases"].columns)}
    )


def test_fresh_people_pass_the_floor() -> None:
    figures = found(FRESH)
    assert refused(figures) == set()
    assert {metric for metric, _ in figures} == set(Relations.metrics)
    assert "rows of 6" in figures["relations.rows_excess", "purchases"].note


def test_rows_of_people_below_others_are_found() -> None:
    figures = found(with_purchases(lambda rows: rows))
    assert refused(figures) == {"relations.rows_excess", "relations.whole_excess", "relations.close_excess"}
    assert figures["relations.whole_excess", "release"].low > 0.005  # type: ignore[operator]
    assert figures["relations.whole_excess", "purchases"].control == 0


def test_rows_of_people_dealt_to_made_ones_are_found() -> None:
    draw = np.random.default_rng(5)
    at = FRESH["customers"][PERSON]
    made = with_purchases(
        lambda rows: rows.with_columns(at.gather(draw.integers(0, len(at), rows.height)).alias(PERSON))
    )
    assert refused(found(made)) == {"relations.rows_excess"}


def test_rows_with_a_trifle_changed_are_found() -> None:
    draw = np.random.default_rng(4)
    made = with_purchases(
        lambda rows: rows.with_columns(
            (pl.col("spent") * pl.Series(draw.uniform(0.97, 1.03, rows.height))).round(2)
        )
    )
    assert refused(found(made)) == {"relations.close_excess"}


def measured(people: int, seed: int, first: int = 0) -> Shop:
    """People with one row each of many numbers, so that a row is nobody else's but for trifles."""
    draw = np.random.default_rng(seed)
    numbers = {f"v{place}": draw.lognormal(3, 0.7, people).round(1) for place in range(7)}
    person = np.arange(first, first + people, dtype=np.uint64)
    return {
        "customers": shop(people, seed, first)["customers"],
        "visits": pl.DataFrame({PERSON: person, **numbers, "kind": draw.choice(["x", "y"], people)}),
    }


def test_single_rows_with_a_trifle_changed_are_found() -> None:
    taught, others, made = measured(1500, 0), measured(1000, 1, 10_000), measured(1500, 2, 20_000)
    assert refused(found(made, taught, others)) == set()
    given, draw = strangers(some(taught, 0.03), 3), np.random.default_rng(1)
    moved = [
        (pl.col(f"v{place}") * pl.Series(draw.uniform(0.97, 1.03, given["visits"].height))).round(1)
        for place in range(7)
    ]
    near = together(made, {**given, "visits": given["visits"].with_columns(moved)})
    assert refused(found(near, taught, others)) == {"relations.close_rows_excess"}


def test_rows_that_anybody_has_are_nobodys() -> None:
    def coarse(side: Shop) -> Shop:
        return {**side, "purchases": side["purchases"].select(PERSON, pl.col("month") % 4)}

    figures = found(coarse(TAUGHT_SHOP), coarse(TAUGHT_SHOP), coarse(OTHERS_SHOP))
    rows = figures["relations.rows_excess", "purchases"]
    assert (rows.value, rows.status) == (0, "measured")
    assert "rows of 0% of people could be told" in rows.note


def test_numbers_of_which_any_is_as_rare_as_the_next_are_nobodys() -> None:
    """Cents that nobody else spent: two fifths of them are in a fresh row by chance."""

    def cents(side: Shop) -> Shop:
        return {**side, "purchases": side["purchases"].select(PERSON, "spent")}

    tables = of(cents(TAUGHT_SHOP), cents(FRESH), cents(OTHERS_SHOP))
    rows = Repeats.of(tables, "purchases", ["spent"]).rows
    for side, own in ((TAUGHT, 1), (OTHERS, 0)):
        alone = rows.filter((pl.col(SIDE) == side) & (pl.col(SHARING) == own))
        hits, expected = alone[HIT].mean(), alone[EXPECTED].mean()
        # Some are repeated several times.
        assert 0.3 < hits < expected < 2 * hits  # type: ignore[operator]
    assert refused(found(cents(FRESH), cents(TAUGHT_SHOP), cents(OTHERS_SHOP))) == set()


def test_expected_rows_are_those_of_hand() -> None:
    def rows(first: int, *articles: tuple[str, int]) -> Shop:
        person = pl.Series(PERSON, range(first, first + len(articles)), dtype=pl.UInt64)
        purchases = {"article": [one for one, _ in articles], "month": [month for _, month in articles]}
        return {"customers": person.to_frame(), "purchases": pl.DataFrame({PERSON: person, **purchases})}

    taught = rows(0, ("a", 1), ("a", 2), ("b", 2), ("c", 3))
    made = rows(10, ("a", 1), ("a", 1), ("b", 1))
    repeats = Repeats.of(of(taught, made, rows(20, ("b", 1))), "purchases", ["article", "month"])
    of_person = {row[PERSON]: row for row in repeats.rows.to_dicts()}
    # One other has article a and none month 1; of 3 made rows.
    assert of_person[0][EXPECTED] == pytest.approx(3 * 1 / 4 * 0 / 3)
    assert of_person[1][EXPECTED] == pytest.approx(3 * 1 / 4 * 1 / 3)
    assert of_person[20][EXPECTED] == pytest.approx(3 * 1 / 4 * 1 / 4)
    assert {person: row[HIT] for person, row in of_person.items()} == {
        0: True,
        1: False,
        2: False,
        3: False,
        20: True,
    }


def test_whole_sets_are_told_from_longer_ones_and_single_rows() -> None:
    def rows(*each: tuple[int, str]) -> Shop:
        person = pl.Series(PERSON, sorted({one for one, _ in each}), dtype=pl.UInt64)
        told = pl.DataFrame(list(each), schema={PERSON: pl.UInt64, "what": pl.String}, orient="row")
        return {"customers": person.to_frame(), "purchases": told}

    taught = rows((1, "p"), (1, "q"), (2, "r"), (2, "r"), (3, "s"), (4, "t"), (4, "u"), (4, "v"))
    made = rows((10, "q"), (10, "p"), (11, "r"), (12, "s"), (13, "t"), (13, "u"))
    inside, outside = Repeats.of(
        of(taught, made, rows((30, "p"), (30, "q"))), "purchases", ["what"]
    ).by_whole()
    # The first alone: the second has a row twice, the third one only, the fourth one more.
    assert inside.hits == 1
    # Somebody held out who has the same as one who taught is not alone with it.
    assert (outside.hits, outside.people) == (0, 1)


def test_near_rows_of_others_are_those_that_a_search_of_all_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_repeats, "_FIRST", 2)
    draw = np.random.default_rng(1)
    points, rows = draw.uniform(0, 4, (80, 2)), draw.uniform(0, 4, (300, 2))
    own, of_rows = draw.integers(0, 6, 80), draw.integers(1, 6, 300)
    within = np.abs(points[:, None] - rows[None]).max(axis=2) <= 1
    expected = [
        min(2, len(set(of_rows[near].tolist()) - {int(mine)})) for near, mine in zip(within, own, strict=True)
    ]
    many, one = near_repeats._others(points, own, rows, of_rows)
    assert many.tolist() == expected
    for near, mine, other, found in zip(within, own, one, many, strict=True):
        assert not found or (other != mine and other in of_rows[near])


def test_trifles_are_a_twentieth_of_a_number_and_half_a_hundredth_of_the_range_of_times() -> None:
    days = pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 12, 31), eager=True).alias("day")
    every = pl.DataFrame({PERSON: np.arange(len(days), dtype=np.uint64) + 5, "day": days, "spent": 20.0})
    one = pl.DataFrame({PERSON: np.uint64([1, 1]), "day": days[[100, 200]], "spent": [20.0, 30.0]})

    def close(*changes: pl.Expr) -> bool:
        sides = (
            pl.concat([every, one]),
            one.with_columns(pl.col(PERSON) + 1000).with_columns(changes),
            one.clear(),
        )
        shops = [{"customers": side.select(PERSON).unique(), "purchases": side} for side in sides]
        tables = Tables("customers", *shops)
        repeats = Repeats.of(tables, "purchases", ["day", "spent"])
        return NearRepeats.of(tables, "purchases", ["day", "spent"], repeats).by_whole()[0].hits == 1

    assert close(pl.col("spent") * 1.04)
    assert not close(pl.col("spent") * 1.1)
    assert close(pl.col("day") + pl.duration(days=1))
    assert not close(pl.col("day") + pl.duration(days=3))


def test_what_ten_people_do_not_reach_is_found() -> None:
    taught = {name: table.filter(pl.col(PERSON) < 400) for name, table in TAUGHT_SHOP.items()}
    tables = {"beyond": taught}
    tables["rich"] = {**taught, "purchases": taught["purchases"].with_columns(pl.lit(9000.0).alias("spent"))}
    tables["old"] = {**taught, "customers": taught["customers"].with_columns(pl.lit(130).alias("age"))}
    tables["busy"] = {**taught, "purchases": pl.concat([taught["purchases"]] * 40)}
    shares = {name: found(made, taught)["relations.beyond", "release"].value for name, made in tables.items()}
    # Nine people go beyond the tenth in each of a few figures.
    assert 0 < shares["beyond"] < 0.15  # type: ignore[operator]
    assert shares["old"] == 1
    buyers = taught["purchases"][PERSON].n_unique() / 400
    assert shares["rich"] == pytest.approx(buyers, abs=0.05)
    assert shares["busy"] > 0.7  # type: ignore[operator]


def test_pseudonyms_hide_no_copy() -> None:
    """A column of stand-ins that no row repeats is no part of what somebody knows."""

    def named(side: Shop, text: str) -> Shop:
        names = pl.format(text + "{}", pl.int_range(pl.len())).alias("slip")
        return {**side, "purchases": side["purchases"].with_columns(names)}

    steps = [step("purchases.slip", Role.DIRECT_IDENTIFIER, action="pseudonymize", approved=True)]
    made = with_purchases(lambda rows: rows)
    tables = of(named(TAUGHT_SHOP, "t"), named(made, "m"), named(OTHERS_SHOP, "o"))
    nothing = Inventory(rows=0, examined=0, target=None, columns=())
    given = compared(tables, nothing, plan(steps), bytes(32), 5_000)
    figures = {(one.metric, one.target): one for one in Relations().run(given, Relations.Params())}
    assert "relations.rows_excess" in refused(figures)


def test_the_release_has_the_worst_table_with_an_interval_for_the_choice() -> None:
    def twice(side: Shop) -> Shop:
        more = side["purchases"].select(PERSON, pl.col("month") % 2)
        return {**side, "calls": more, "marks": more}

    made = with_purchases(lambda rows: rows)
    figures = found(twice(made), twice(TAUGHT_SHOP), twice(OTHERS_SHOP))
    one, worst = (figures["relations.whole_excess", target] for target in ("purchases", "release"))
    assert worst.value == one.value
    assert worst.high > one.high  # type: ignore[operator]
    assert worst.assumes == one.assumes


@pytest.mark.parametrize("metric", list(Relations.metrics))
def test_rows_that_are_one_table_have_no_figure(metric: str) -> None:
    from made_support import comparison as rows
    from made_support import fresh

    figures = Relations().run(rows(fresh, 50, 50, 0), Relations.Params())
    (one,) = (one for one in figures if one.metric == metric)
    assert one.status == "not-measured"


def test_people_who_are_all_the_same_are_no_control() -> None:
    figures = found(FRESH, TAUGHT_SHOP, TAUGHT_SHOP)
    assert figures["relations.rows_excess", "release"].status == "error"
