"""Unicity: histories counted by hand, against brute force, and in order from raw to coarse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, profile
from sfumato.contracts import PERSON, ROW, Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.unicity import NO_ORDER, NO_PLACES, NOT_LINKED, ONE_ROW, Unicity, _Histories


def purchases(people: int, seed: int = 0) -> pl.DataFrame:
    """A log like CDNOW's: a few purchases of each customer over eighteen months, one or more CDs."""
    draw = np.random.default_rng(seed)
    each = 1 + draw.geometric(0.35, people)
    whose = np.repeat(np.arange(people), each)
    days = draw.integers(0, 550, len(whose))
    return (
        pl.DataFrame(
            {
                PERSON: whose.astype(np.uint64) * 7 + 3,
                "day": pl.Series(days).cast(pl.Int32).cast(pl.Date),
                "cds": np.minimum(draw.geometric(0.5, len(whose)), 9),
            }
        )
        .sort(PERSON, "day")
        .with_row_index(ROW)
    )


def linked(
    original: pl.DataFrame, released: pl.DataFrame | None = None, kept: np.ndarray | None = None, **more
) -> Comparison:
    """A release that links the rows of each person; ``kept`` says who left it."""
    released = original if released is None else released
    columns = [column for column in original.columns if column not in (ROW, PERSON)]
    firsts = original.with_row_index("at").unique(PERSON, keep="first", maintain_order=True)["at"].to_list()
    people = original[PERSON][firsts]
    leaving = (
        released
        if kept is None
        else released.filter(pl.col(PERSON).is_in(people.filter(pl.Series(kept)).implode()))
    )
    given = compare(
        original[firsts].select(columns),
        released=released[firsts].select(columns),
        kept=kept,
        profiles={"day": profile("day", dtype="date")},
        histories=lambda names: leaving.select(ROW, PERSON, *names),
        histories_original=lambda names: original.select(ROW, PERSON, *names),
        alike=lambda _: np.array([1]),
        alike_original=lambda _: np.array([1]),
        people=people.to_numpy(),
    )  # fmt: skip
    return replace(given, **more)


def attack(comparison: Comparison, **params) -> list[Finding]:
    return Unicity().run(comparison, Unicity.Params(**params))


def log(histories: Sequence[Sequence[int]]) -> pl.DataFrame:
    """A history a person, of the numbers of places."""
    whose = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    return pl.DataFrame(
        {PERSON: whose.astype(np.uint64), "place": [place for history in histories for place in history]},
        schema_overrides={"place": pl.Int64},
    ).with_row_index(ROW)


def test_histories_counted_by_hand() -> None:
    # The first place is shared by two; with the second nobody shares both but the twins.
    found = attack(linked(log([[1, 2], [1, 3], [4, 5], [4, 5]])), points=2, top=2)
    assert one(found, "unicity.points").value == pytest.approx(0.5)
    assert one(found, "unicity.points", "2 points").value == pytest.approx(0.5)
    assert one(found, "unicity.points", "1 point").value <= 0.5
    assert one(found, "unicity.points").n == 4
    assert one(found, "unicity.points").baseline == 0.25


def test_somebody_who_has_all_points_and_more_is_in_the_way() -> None:
    found = attack(linked(log([[1, 2], [1, 2, 3]])), points=3)
    assert one(found, "unicity.points").value == pytest.approx(0.5)


def test_everybody_alike_is_nobody_alone_and_everybody_different_is() -> None:
    alike = attack(linked(log([[1, 2, 3]] * 50)))
    assert one(alike, "unicity.points").value == one(alike, "unicity.top").value == 0.0
    different = attack(linked(log([[3 * i, 3 * i + 1] for i in range(50)])))
    assert one(different, "unicity.points", "1 point").value == 1.0
    assert one(different, "unicity.top", "top 1").value == 1.0


def test_it_is_what_brute_force_finds() -> None:
    draw = np.random.default_rng(4)
    histories = [draw.integers(0, 12, draw.integers(1, 7)).tolist() for _ in range(150)]
    rows = log(histories)
    held = _Histories.of(rows, ["place"])
    order = draw.permutation(rows.height).astype(np.uint64)
    everybody = np.arange(150)
    points = held.points(order, everybody, 4)
    found = held.alone(points)
    codes = dict(zip(rows["place"].to_list(), held.tuples.tolist(), strict=True))
    sets = [{codes[place] for place in history} for history in histories]
    starts = np.cumsum([0, *map(len, histories)])
    for person, history in enumerate(histories):
        ranked = sorted(range(len(history)), key=lambda at: order[starts[person] + at])
        wanted = list(dict.fromkeys(codes[history[at]] for at in ranked))[:4]
        assert points[person].tolist() == wanted + [-1] * (4 - len(wanted))
        for n in range(1, 5):
            having = sum(set(wanted[:n]) <= theirs for theirs in sets)
            assert found[person, n - 1] == (having == 1)


def test_the_most_frequent_places() -> None:
    # One is mostly at 1 and then at 2, as nobody else; two are mostly at 2.
    found = attack(linked(log([[1, 1, 2], [2, 2, 1], [2, 2, 3, 2]])), top=2)
    assert one(found, "unicity.top", "top 1").value == pytest.approx(1 / 3)
    assert one(found, "unicity.top", "top 2").value == 1.0
    assert one(found, "unicity.top").n == 3


def test_the_first_rows_are_by_date_and_not_by_place_in_the_source() -> None:
    rows = log([[9, 1], [9, 2], [9, 3]])
    # The last row of each person in the source was the first in time.
    early = rows.with_columns(day=pl.Series([5, 1] * 3).cast(pl.Int32).cast(pl.Date))
    given = linked(early)
    first = one(attack(given, points=1), "unicity.first", "1 first row")
    assert first.value == 1.0
    late = early.with_columns(day=pl.Series([1, 5] * 3).cast(pl.Int32).cast(pl.Date))
    assert one(attack(linked(late), points=1), "unicity.first", "1 first row").value == 0.0
    named = attack(linked(rows), order="place", points=1)
    assert one(named, "unicity.first").value == 1.0
    assert one(attack(linked(rows)), "unicity.first").note == NO_ORDER
    assert one(attack(linked(rows), order="nothing"), "unicity.first").note == NO_ORDER
    only = attack(linked(early.drop("place")))
    assert one(only, "unicity.top").note == NO_PLACES


def test_a_log_like_cdnow_is_nearly_unique_and_coarse_labels_help() -> None:
    raw = purchases(3000)
    coarse = raw.with_columns(pl.col("day").dt.truncate("1mo").cast(pl.String), cds=pl.lit("*"))
    coarser = raw.with_columns(pl.col("day").dt.truncate("1y").cast(pl.String), cds=pl.lit("*"))
    found = [attack(linked(raw, released)) for released in (raw, coarse, coarser)]
    for metric in ("unicity.points", "unicity.first"):
        values = [one(each, metric).value for each in found]
        assert values[0] > values[1] > values[2]
        assert {one(each, metric).before for each in found} == {values[0]}
    assert one(found[0], "unicity.points", "4 points").value > 0.9
    assert one(found[2], "unicity.points").value < 0.01
    steps = [one(found[1], "unicity.points", target).value for target in ("1 point", "2 points", "5 points")]
    assert steps == sorted(steps)


def test_people_who_did_not_leave_are_neither_asked_nor_in_the_way() -> None:
    rows = log([[1, 2], [1, 2], [3, 4]])
    found = attack(linked(rows, kept=np.array([True, False, True])))
    assert one(found, "unicity.points").n == 2
    assert one(found, "unicity.points").value == 1.0
    assert one(found, "unicity.points").before == pytest.approx(1 / 3)
    nobody = attack(linked(rows, kept=np.zeros(3, dtype=bool)))
    assert {finding.status for finding in nobody} == {"not-measured"}


def test_rows_that_nothing_links_are_not_measured() -> None:
    rows = log([[1, 2], [1, 3]])
    apart = attack(linked(rows, alike=None, alike_original=None))
    assert {(finding.status, finding.note) for finding in apart} == {("not-measured", NOT_LINKED)}
    single = attack(compare(pl.DataFrame({"a": [1, 2]})))
    assert {finding.note for finding in single} == {ONE_ROW}


def test_groups_are_compared_and_single_people_go_to_custody() -> None:
    rows = log([[i, i + 1000] for i in range(100)] + [[5000, 5001]] * 100)
    kept: dict[str, np.ndarray] = {}
    given = linked(
        rows.with_columns(group=(pl.col("place") >= 5000).cast(pl.Int64)),
        groups=("group",),
        record=lambda metric, _, risk: kept.update({metric: risk}),
    )
    found = attack(given)
    assert one(found, "unicity.points", "group=0").value == 1.0
    assert one(found, "unicity.points", "group=1").value == 0.0
    assert one(found, "unicity.disparity", "group").value == 1.0
    assert kept["unicity.points"].sum() == 100


def test_the_same_key_asks_the_same_people() -> None:
    given = linked(purchases(400))
    assert attack(given, people=100) == attack(given, people=100)
    assert one(attack(given, people=100), "unicity.points").n == 100
