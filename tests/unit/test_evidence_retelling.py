"""Retelling: histories that are a person's but for one side of them are found, and fresh ones are not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from histories_support import OPENS, comparison, of, shoppers, some
from sfumato.contracts import PERSON
from sfumato.core.values import Finding
from sfumato.evidence.attacks.retelling import END, START, Retelling, sides
from sfumato.evidence.attacks.trifles import Scale, near
from sfumato.evidence.histories import persons, sources
from sfumato.gate import BEYOND_FLOOR, RETOLD_FLOOR

TAUGHT, OTHERS, FRESH = shoppers(1600, 0), shoppers(900, 1), shoppers(1500, 2)
#: What the floor asks of each figure.
MOST = {bound.metric: bound.at_most for bound in RETOLD_FLOOR}


def found(made: pl.DataFrame, taught: pl.DataFrame = TAUGHT) -> dict[tuple[str, str], Finding]:
    given = comparison(of(taught, made, OTHERS))
    return {(one.metric, one.target): one for one in Retelling().run(given, Retelling.Params())}


def with_some(change: pl.Expr | list[pl.Expr], share: float = 0.05) -> pl.DataFrame:
    """Fresh people, and so many of those who taught with something changed."""
    return pl.concat([FRESH, some(TAUGHT, share).with_columns(change).select(FRESH.columns)])


def refused(made: pl.DataFrame) -> set[str]:
    figures = found(made)
    worst = {metric: figures[metric, "release"].high for metric in MOST}
    return {metric for metric, high in worst.items() if high is None or high > MOST[metric]}  # type: ignore


def test_fresh_people_pass_the_floor() -> None:
    assert refused(FRESH) == set()


def test_histories_that_are_repeated_are_found() -> None:
    assert {"retelling.excess", "retelling.close_excess"} <= refused(with_some([]))


def test_histories_with_all_dates_moved_are_found() -> None:
    moved = pl.col("day") + pl.duration(days=pl.col(PERSON).cast(pl.Int64) % 41 - 20)
    figures = found(with_some(moved))
    assert figures["retelling.excess", START].low > 0.02  # type: ignore[operator]
    assert "retelling.excess" in refused(with_some(moved))


def test_histories_with_every_amount_changed_are_found() -> None:
    other = (pl.col("spend") * (1.5 + (pl.int_range(pl.len()) % 7) / 10)).round(2)
    figures = found(with_some(other))
    assert figures["retelling.excess", "but for spend"].low > 0.02  # type: ignore[operator]
    assert figures["retelling.excess", START].value < 0.01  # type: ignore[operator]
    assert "retelling.excess" in refused(with_some(other))


def test_histories_that_end_sooner_are_found() -> None:
    """The last event of each is gone, so that no whole history is anybody's."""
    last = pl.col("day") == pl.col("day").max().over(PERSON)
    cut = some(TAUGHT, 0.08).filter(~last).select(FRESH.columns)
    figures = found(pl.concat([FRESH, cut]))
    assert figures["retelling.excess", END].low > 0.01  # type: ignore[operator]
    assert figures["retelling.excess", START].value < 0.01  # type: ignore[operator]
    assert "retelling.excess" in refused(pl.concat([FRESH, cut]))


def test_histories_with_a_trifle_changed_everywhere_are_found() -> None:
    draw = np.random.default_rng(4)
    rows = some(TAUGHT, 0.05).height
    days, share = draw.integers(-1, 2, rows), draw.uniform(0.97, 1.03, rows)
    changed = [
        pl.col("day") + pl.duration(days=pl.Series(days)),
        (pl.col("spend") * pl.Series(share)).round(2),
    ]
    assert refused(with_some(changed)) == {"retelling.close_excess"}


def test_what_ten_people_do_not_reach_is_found() -> None:
    giant = some(FRESH, 0.01).with_columns(pl.lit(9000.0).alias("spend"))
    # Nine people reach farther than ten do: in length, in the largest amounts, in the smallest.
    assert found(TAUGHT)["retelling.beyond", "release"].value < 0.02  # type: ignore[operator]
    large = found(pl.concat([FRESH, giant]))["retelling.beyond", "release"].value
    assert large is not None
    assert large > BEYOND_FLOOR[0].at_most  # type: ignore[operator]
    few = found(FRESH, taught=TAUGHT.filter(pl.col(PERSON) < 9))["retelling.beyond", "release"]
    assert few.value == 1


def test_columns_left_are_those_without_a_side() -> None:
    logs = of(TAUGHT, FRESH, OTHERS)
    left = sides(logs, list(sources(logs)))
    assert set(left) == {START, END, "but for day", "but for sku", "but for spend"}
    assert "spend, event 3" in left[END]
    assert not {"spend, event 4", "events"} & set(left[END])
    assert "day, event 1" not in left[START]
    assert "day, event 2" in left[START]
    assert not [name for name in left["but for day"] if name.startswith("day")]
    # Of when alone there is nothing left without it.
    when = set(sides(logs, ["day, event 1", "day, event 2", "home"]))
    assert when == {START, END, "but for sku", "but for spend"}


def test_near_points_are_those_that_a_search_of_all_finds() -> None:
    draw = np.random.default_rng(1)
    points, others = draw.uniform(0, 6, (60, 3)), draw.uniform(0, 6, (200, 3))
    within = (np.abs(points[:, None] - others[None]).max(axis=2) <= 1).sum(axis=1)
    assert near(points, others, 3).tolist() == np.minimum(within, 3).tolist()
    assert near(points, others[:0], 2).tolist() == [0] * 60


def test_a_trifle_is_half_a_hundredth_of_the_window_and_a_twentieth_of_an_amount() -> None:
    logs = of(TAUGHT, FRESH, OTHERS)
    events = [(1, OPENS, "a", 20.0, "north"), (1, OPENS + dt.timedelta(28), "b", 30.0, "north")]
    one = pl.DataFrame(events, schema=TAUGHT.schema, orient="row")

    def close(*changes: pl.Expr) -> bool:
        people = [persons(part, logs).drop(PERSON) for part in (one, one.with_columns(changes))]
        scale = Scale.fit(logs, people[0], people[1:])
        return bool(near(scale.points(people[1]), scale.points(people[0]), 1)[0])

    assert close(pl.col("spend") * 1.04)
    assert not close(pl.col("spend") * 1.1)
    assert close(pl.col("day") + pl.duration(days=1))
    assert not close(pl.col("day") + pl.duration(days=3))
    assert not close(pl.col("sku").str.replace("b", "c"))


@pytest.mark.parametrize("metric", list(Retelling.metrics))
def test_rows_that_are_no_histories_have_no_figure(metric: str) -> None:
    from made_support import comparison as rows
    from made_support import fresh

    (one,) = (
        one for one in Retelling().run(rows(fresh, 50, 50, 0), Retelling.Params()) if one.metric == metric
    )
    assert one.status == "not-measured"
