"""Own rows and made rows of the same people to whoever holds both: known answers, and one by one by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.values import Finding
from sfumato.evidence.attacks import both as attack
from sfumato.evidence.attacks import both_kernels as kernels
from sfumato.evidence.attacks.both import Both, told_by_both
from sfumato.evidence.attacks.both_labels import Labels, points
from sfumato.gate import BOTH
from sfumato.pipeline.both import joined
from sfumato.pipeline.composing import People

KNOWN = ("age", "income", "region")
KEY = bytes(32)
PEOPLE = 4000
(BOUND,) = BOTH
assert BOUND.at_most is not None
AT_MOST: float = BOUND.at_most


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "MOST", 2000)
    monkeypatch.setattr(attack, "SHOWN", 300)


def people(seed: int, many: int = PEOPLE) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 90, many)
    ill = np.where(draw.random(many) < age / 120, draw.choice(["x", "y", "z"], many), "none")
    return pl.DataFrame(
        {
            "age": age,
            "income": np.round(draw.gamma(4, 8000, many) + 200 * age),
            "region": draw.choice(list("abcd"), many),
            "ill": ill,
            "score": np.round(age * 2 + draw.normal(0, 20, many)).astype(int),
        }
    )


def releases(made: str, everybody_in: bool = False, seed: int = 1) -> Both:
    """Classes of five neighbours, and rows made in some way of three quarters of the people."""
    table, fresh, draw = people(seed), people(seed + 100), np.random.default_rng(seed)
    taught = np.arange(PEOPLE) % 4 > 0
    rows = table.filter(pl.Series(taught))
    share = {"copies": 1.0, "half": 0.5, "tenth": 0.1, "fresh": 0.0, "trifles": 1.0}[made]
    repeated = rows.sample(round(share * rows.height), seed=seed)
    if made == "trifles":
        moved = (pl.Series(draw.integers(-most, most + 1, rows.height)) for most in (1, 300, 1))
        age, income, score = moved
        repeated = repeated.with_columns(
            pl.col("age") + age, pl.col("income") + income, pl.col("score") + score
        )
    inside = np.flatnonzero(np.ones(PEOPLE, bool) if everybody_in else taught)
    at = np.full(PEOPLE, -1, dtype=np.int64)
    at[inside] = np.arange(len(inside))
    own = table[inside]
    order = own.with_row_index("at").sort("region", "age", "income")["at"].to_numpy()
    classes = np.zeros(len(inside), dtype=np.int64)
    classes[order] = np.arange(len(inside)) // 5
    return Both(
        classes,
        own.select("ill", pl.col("score").cast(pl.String)),
        pl.concat([repeated, fresh[: rows.height - repeated.height]]),
        table,
        at,
        taught,
        KNOWN,
        KNOWN,
        ("ill", "score"),
    )


def figure(found: list[Finding], metric: str = "composition.both_excess", target: str = "release") -> Finding:
    (one,) = [finding for finding in found if (finding.metric, finding.target) == (metric, target)]
    return one


def ends(finding: Finding) -> tuple[float, float, float]:
    assert finding.low is not None and finding.value is not None and finding.high is not None
    return finding.low, finding.value, finding.high


@pytest.mark.parametrize("everybody_in", [False, True])
def test_copies_half_copies_and_fresh_people_in_order(everybody_in: bool) -> None:
    found = {
        made: figure(told_by_both(releases(made, everybody_in), KEY, "two releases"))
        for made in ("copies", "half", "tenth", "fresh")
    }
    copies, half, tenth, fresh = (ends(found[made]) for made in ("copies", "half", "tenth", "fresh"))
    # One in five is guessed with the own rows alone, so that .8 is all that can be gained.
    assert copies[1] > 0.75
    assert 0.3 < half[1] < 0.55
    assert copies[0] > half[2] and half[0] > tenth[2] and tenth[1] > fresh[1]
    # The worst of several figures is a little above what each is of.
    assert fresh[1] < 0.03 and fresh[2] <= AT_MOST
    assert half[2] > AT_MOST and tenth[2] > AT_MOST
    words = "who did not teach" if everybody_in else "held out, each in the place of"
    assert words in found["fresh"].note
    assert found["fresh"].before is not None
    assert found["fresh"].before > 0.2


def test_two_releases_tell_what_neither_tells_alone() -> None:
    """Rows that are nearly people's are no copies, and say which row of the class is whose."""
    found = told_by_both(releases("trifles"), KEY, "")
    success = figure(found, "composition.both_success", "score")
    assert success.value is not None and success.baseline is not None
    assert success.value > 0.5
    assert success.baseline < 0.3
    assert ends(figure(found))[0] > 0.3


def test_fresh_people_are_passed_whatever_they_are() -> None:
    found = [figure(told_by_both(releases("fresh", seed=seed), bytes([seed]) * 32, "")) for seed in range(4)]
    assert all(ends(one)[2] <= AT_MOST for one in found)
    assert abs(np.mean([ends(one)[1] for one in found])) < 0.02


def test_everybody_counts_once_and_the_same_key_gives_the_same_figures() -> None:
    both = releases("half")
    found = told_by_both(both, KEY, "")
    assert told_by_both(both, KEY, "") == found
    order = np.random.default_rng(3).permutation(PEOPLE)
    moved = replace(both, people=both.people[order], at=both.at[order], taught=both.taught[order])
    assert ends(figure(told_by_both(moved, KEY, "")))[1] == pytest.approx(ends(figure(found))[1], abs=0.03)


def test_a_control_that_shares_the_lesson_hides_it() -> None:
    """The broken twin: without people who taught nothing, copies of everybody look like statistics."""
    both = releases("copies")
    lying = replace(both, taught=np.random.default_rng(1).random(PEOPLE) < 0.5)
    lying = replace(lying, made=both.people)
    assert ends(figure(told_by_both(lying, KEY, "")))[1] < 0.1
    assert ends(figure(told_by_both(both, KEY, "")))[1] > 0.7


def test_where_nothing_can_be_learned_it_is_said_and_where_nobody_can_tell() -> None:
    both = releases("copies")
    (alone,) = told_by_both(replace(both, own=both.own.select([]), secrets=()), KEY, "")
    assert (alone.value, alone.high, alone.status) == (0, 0, "measured")
    assert "no column in common" in alone.note
    (empty,) = told_by_both(replace(both, made=both.made.clear()), KEY, "")
    assert (empty.value, empty.status) == (0, "measured")
    (apart,) = told_by_both(replace(both, taught=both.at < 0), KEY, "")
    assert (apart.value, apart.status) == (0, "measured")
    assert "nobody" in apart.note
    few = np.zeros(PEOPLE, bool)
    few[np.flatnonzero(both.at >= 0)[:20]] = True
    assert {one.status for one in told_by_both(replace(both, taught=few), KEY, "")} == {"no-power"}
    unknown = replace(both, people=both.people, matched=(*KNOWN, "town"))
    assert {one.status for one in told_by_both(unknown, KEY, "")} == {"not-measured"}
    assert "town" in told_by_both(unknown, KEY, "")[0].note
    # People who are in the release of own rows need nobody to stand in for.
    assert (
        figure(told_by_both(replace(releases("copies", True), matched=("town",)), KEY, "")).value is not None
    )


def test_records_without_secrets_and_one_column_and_missing_values() -> None:
    both = releases("copies")
    found = told_by_both(replace(both, secrets=()), KEY, "")
    assert figure(found).value == figure(found, "composition.both_record_excess").value
    holes = both.people.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.col(name)).alias(name) for name in both.people.columns
    )
    inside = np.argsort(both.at)[-(both.at >= 0).sum() :]
    own = holes[inside].select("ill", pl.col("score").cast(pl.String))
    made = holes.filter(pl.Series(both.taught))
    figures = told_by_both(replace(both, people=holes, own=own, made=made), KEY, "")
    assert ends(figure(figures))[1] > 0.3
    nulls = both.people.with_columns(pl.lit(None, dtype=pl.Int64).alias("score"))
    none = replace(
        both,
        people=nulls,
        made=nulls,
        own=both.own.select(pl.lit(None, dtype=pl.String).alias("score")).head(0).clear(len(both.classes)),
        secrets=("score",),
    )
    assert ends(figure(told_by_both(none, KEY, ""))) == pytest.approx((0, 0, 0), abs=0.01)


def test_nothing_that_is_known_is_in_the_made_rows() -> None:
    """Copies that cannot be tied to anybody say of a class no more than statistics do."""
    both = releases("copies")
    bare = replace(both, known=(), made=both.made.select("ill", "score"))
    assert ends(figure(told_by_both(bare, KEY, "")))[2] <= AT_MOST


def test_copies_are_found_among_many_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "LOOKED_THROUGH", 200)
    both = releases("copies")
    rows = attack._looked_through(both, both.people[both.members[:300]], KEY)
    assert rows.height < 600
    assert rows.join(both.people[both.members[:300]], on=KNOWN, how="semi").height >= 300


def test_somebody_is_looked_for_among_some_rows_of_a_large_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "CANDIDATES", 40)
    both = releases("copies")
    whole = replace(both, classes=np.zeros_like(both.classes))
    order, starts = attack._by_class(whole.classes, KEY)
    assert starts.tolist() == [0, 40]
    assert len(set(order.tolist())) == 40
    found = told_by_both(whole, KEY, "")
    assert ends(figure(found))[1] > 0.7
    assert attack._by_class(np.array([1, 0, 1]), KEY)[1].tolist() == [0, 1, 3]


@pytest.mark.parametrize("gains", [[0.0] * 50, [1.0, -1.0]])
def test_an_interval_is_never_a_point(gains: list[float]) -> None:
    found = attack._gain(np.array(gains))
    assert found.low < found.value == 0 < found.high


def test_the_interval_of_paired_shares_is_that_of_the_paper() -> None:
    """Bonett & Price (2012), their formula on 20 pairs of whom seven and two differ."""
    found = attack._gain(np.array([1.0] * 7 + [-1.0] * 2 + [0.0] * 11))
    first, second = 8 / 22, 3 / 22
    half = 1.959964 * math.sqrt((first + second - (first - second) ** 2) / 22)
    assert (found.low, found.high) == pytest.approx((first - second - half, first - second + half))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_nearest_rows_are_those_of_a_full_sort(seed: int) -> None:
    draw = np.random.default_rng(seed)
    columns, rows = int(draw.integers(0, 4)), int(draw.integers(3, 30))
    one, many = ((draw.integers(0, 5, (n, columns)) / 4).astype(np.float32) for n in (4, rows))
    numeric = draw.random(columns) < 0.5
    at, far = kernels.nearest(one, many, numeric, 3)
    apart = np.abs(one[:, None] - many[None])
    apart = np.where(numeric, np.minimum(apart, 1), apart > 0).sum(axis=2) / max(1, columns)
    order = np.argsort(apart, axis=1, kind="stable")[:, :3]
    assert np.array_equal(at, order)
    assert np.allclose(far, np.take_along_axis(apart, order, axis=1), atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_guesses_are_those_of_counting_by_hand(seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows, kinds, targets, near = 12, 3, 5, 4
    classes = np.sort(draw.integers(0, 3, rows))
    classes = np.unique(classes, return_inverse=True)[1].astype(np.int64)
    codes, made = draw.integers(0, kinds, (rows, 2)), draw.integers(-1, kinds, (9, 2))
    places = draw.integers(0, rows, targets)
    truth = draw.integers(0, kinds, (targets, 2))
    numeric, ranks = np.array([False, True]), np.array([[np.nan] * kinds, [0.1, 0.13, 0.9]])
    close = draw.integers(0, 9, (targets, near))
    smooth, sharp = draw.random((2, targets, near)) + 0.1
    starts = np.searchsorted(classes, np.arange(classes.max() + 2))
    found = kernels.told(
        starts,
        np.arange(rows),
        classes[places],
        places,
        truth,
        codes,
        ranks,
        numeric,
        made,
        close,
        smooth,
        sharp,
    )

    def unlike(one: int, other: int, column: int) -> float:
        if one == other or other < 0 or not numeric[column]:
            return float(one != other)
        return float(min(1.0, 10 * abs(ranks[column][one] - ranks[column][other])))

    def chance(scores: dict[int, float], own: int) -> float:
        best = max(scores.values())
        tied = [one for one, score in scores.items() if score >= best * (1 - 1e-9)]
        return (own in tied) / len(tied)

    for t in range(targets):
        inside = [row for row in range(rows) if classes[row] == classes[places[t]]]
        looks = {row: truth[t] if row == places[t] else codes[row] for row in inside}
        records = {
            row: sum(
                sharp[t, i] * math.exp(-4 * sum(unlike(look[j], made[close[t, i], j], j) for j in (0, 1)))
                for i in range(near)
            )
            for row, look in looks.items()
        }
        assert found[4, t, 2] == pytest.approx(chance(records, int(places[t])))
        assert found[0, t, 2] == pytest.approx(1 / len(inside))
        for j in (0, 1):
            counts = {
                int(v): sum(look[j] == v for look in looks.values())
                for v in {*(x[j] for x in looks.values())}
            }
            summed = {v: sum(records[row] for row in inside if looks[row][j] == v) for v in counts}
            read = {
                v: n / len(inside)
                + sum(smooth[t, i] * (1 - unlike(v, made[close[t, i], j], j)) for i in range(near))
                / smooth[t].sum()
                for v, n in counts.items()
            }
            own = int(truth[t, j])
            assert found[0, t, j] == pytest.approx(chance({v: float(n) for v, n in counts.items()}, own))
            assert found[3, t, j] == pytest.approx(chance(read, own))
            assert found[4, t, j] == pytest.approx(chance(summed, own))


def test_made_values_stand_for_the_labels_that_people_have() -> None:
    own = pl.Series(["20-29", "20-29", "30-39", None])
    labels = Labels.of(own, pl.Series([21, 29, 35, None]), np.arange(4))
    assert labels.own.tolist() == [0, 0, 1, 2]
    # A new number is its neighbour's, what is missing is missing.
    assert labels.standing_for(pl.Series([22, 34, None, 21])).tolist() == [0, 1, 2, 0]
    assert not labels.numeric
    words = Labels.of(pl.Series(["a", "b"]), pl.Series(["a1", "b1"]), np.arange(2))
    assert words.standing_for(pl.Series(["b1", "c1", "a", None])).tolist() == [1, -1, 0, -1]
    figures = Labels.of(pl.Series(["10", "9", "100"]), pl.Series([10, 9, 100]), np.arange(3))
    assert figures.numeric
    assert figures.ranks[figures.own].tolist() == pytest.approx([0.5, 1 / 6, 5 / 6])


def test_points_are_places_among_people() -> None:
    everybody = pl.DataFrame({"n": [1, 2, 3, 4, None], "s": ["a", "b", None, "a", "b"]})
    (found, other), numeric = points(everybody, ["n", "s"], [everybody, everybody[::-1]])
    assert numeric.tolist() == [True, False]
    assert found[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875, 9]
    assert np.array_equal(found[::-1], other)
    assert found[0, 1] == found[3, 1] != found[1, 1] != found[2, 1]


def test_people_are_found_again_by_a_space_that_both_releases_have() -> None:
    own = People(
        {"here": "row"},
        (),
        ("age",),
        {"ill": "kept"},
        None,
        5,
        pl.DataFrame(
            {"row": [3, 1], "label age": ["20", "30"], "label ill": ["x", "y"]},
            schema_overrides={"row": pl.UInt64},
        ),
    )
    table = pl.DataFrame(
        {
            "row": [1, 2, 3],
            "taught": [True, False, True],
            "label age": [31, 50, 22],
            "aside town": ["a", "b", "c"],
        },
        schema_overrides={"row": pl.UInt64},
    )
    everybody = People({"here": "row"}, (), ("age",), {}, None, 5, table)
    made = pl.DataFrame({"age": [25]})
    both = joined(own, everybody, made)
    assert isinstance(both, Both)
    assert both.at.tolist() == [1, -1, 0]
    assert both.taught.tolist() == [True, False, True]
    assert both.own.width == 0
    assert "town" in both.people.columns
    elsewhere = replace(everybody, spaces={"there": "row"})
    assert "nobody can tell" in str(joined(own, elsewhere, made))
    twice = replace(own, spaces={"here": "row"}, table=pl.concat([own.table, own.table]))
    assert "several rows" in str(joined(twice, everybody, made))
