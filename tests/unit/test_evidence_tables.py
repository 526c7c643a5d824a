"""Several tables as rows of people, and how made ones hang together: known answers, and odd tables."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from evidence_support import KEY, inventory, plan, profile, step
from sfumato.contracts import COUNT, PERSON, Comparison, Tables
from sfumato.core.values import Finding, Role
from sfumato.evidence.made import fresh
from sfumato.evidence.run import always, measure
from sfumato.evidence.tables import SHOWN, alike, compared, persons, sources, told, told_sources
from sfumato.evidence.utility.tables import RelatedTables
from tables_support import Shop, comparison, of, shop, together

DAY = dt.date(2025, 3, 1)


def family(*rows: tuple[int, str | None, float | None], people: int = 2) -> Shop:
    """People from 1, and rows of (person, article, spent)."""
    schema = {PERSON: pl.UInt64, "article": pl.String, "spent": pl.Float64}
    numbers = pl.Series(PERSON, range(1, people + 1), dtype=pl.UInt64)
    return {
        "customers": pl.DataFrame({PERSON: numbers, "age": [40 + i for i in range(people)]}),
        "purchases": pl.DataFrame(list(rows), schema=schema, orient="row"),
    }


def judged(tables: Tables, **more: Any) -> dict[tuple[str, str], Finding]:
    given = comparison(tables)
    return {(one.metric, one.target): one for one in RelatedTables().run(given, RelatedTables.Params(**more))}


def test_a_person_is_one_row_with_the_first_rows_and_what_comes_late() -> None:
    side = family((2, "b", 1.0), (2, "a", 9.0), (2, "a", 2.0), *((1, "c", float(i)) for i in range(6)))
    people = persons(side, "customers")
    assert people.columns == [PERSON, *sources(side, "customers")]
    first, second = people.to_dicts()
    assert (first["age"], first["purchases: rows"], second["purchases: rows"]) == (40, 6, 3)
    assert [first[f"purchases.spent, row {place}"] for place in range(1, SHOWN + 1)] == [0, 1, 2, 3]
    assert first["purchases.spent, after row 4"] == 4 + 5
    shown = [(second[f"purchases.article, row {i}"], second[f"purchases.spent, row {i}"]) for i in (1, 2, 3)]
    assert shown == [("a", 2.0), ("a", 9.0), ("b", 1.0)]
    assert second["purchases.article, row 4"] is None
    assert second["purchases.spent, after row 4"] is None


def test_rows_in_another_order_make_the_same_person() -> None:
    side = shop(200, 0)
    shuffled = {name: table.sample(fraction=1.0, shuffle=True, seed=4) for name, table in side.items()}
    for make in (persons, told):
        assert make(side, "customers").equals(make(shuffled, "customers"), null_equal=True)


def test_every_type_makes_columns() -> None:
    draw = np.random.default_rng(0)
    person = pl.Series(PERSON, np.repeat(np.arange(20, dtype=np.uint64), 6))
    rows = pl.DataFrame(
        {
            PERSON: person,
            "kind": pl.Series(draw.choice(["a", "b"], 120)).cast(pl.Categorical),
            "day": pl.Series([DAY + dt.timedelta(int(i)) for i in draw.integers(0, 9, 120)]),
            "at": pl.Series([dt.datetime(2025, 1, 1, int(i)) for i in draw.integers(0, 9, 120)]),
            "is": draw.random(120) < 0.5,
            "odd": np.resize([np.nan, np.inf, -np.inf, 1e308, 0.0, -0.0], 120),
            "none": pl.Series([None] * 120),
            "some": pl.Series([None, "x"] * 60),
        }
    )
    side = {"people": pl.DataFrame({PERSON: person.unique().sort()}), "rows": rows}
    people, known = persons(side, "people"), told(side, "people")
    assert people.columns == [PERSON, *sources(side, "people")]
    assert known.columns == [PERSON, *told_sources(side, "people")]
    assert people["rows.kind, row 1"].dtype == pl.String
    assert people["rows.day, row 1"].dtype == pl.Date
    found = known.filter(pl.col(PERSON) == 3).to_dicts()[0]
    mine = rows.filter(pl.col(PERSON) == 3)
    assert found["rows.is, how often"] == mine["is"].mean()
    assert found["rows.day, largest"] == mine["day"].max()
    assert found["rows.some, most often"] == "x"
    assert found["rows.none, most often"] is None


def test_what_is_told_of_rows_is_their_mean_largest_and_most_frequent() -> None:
    side = family((1, "b", 1.0), (1, "a", 9.0), (1, "b", 2.0))
    first, second = told(side, "customers").to_dicts()
    assert first["purchases.spent, mean"] == 4
    assert first["purchases.spent, largest"] == 9
    assert (first["purchases.article, most often"], first["purchases.article, different"]) == ("b", 2)
    assert (second["purchases: rows"], second["purchases.spent, mean"]) == (0, None)


def test_columns_are_of_the_tables_columns() -> None:
    of_columns = sources(family(), "customers")
    assert of_columns["age"] == "age"
    assert of_columns["purchases: rows"] is None
    assert (
        of_columns["purchases.spent, row 2"]
        == of_columns["purchases.spent, after row 4"]
        == "purchases.spent"
    )
    # A column of people that has the name of another gets it.
    side = family()
    side["customers"] = side["customers"].rename({"age": "purchases: rows"})
    assert list(sources(side, "customers"))[:2] == ["purchases: rows", "purchases: rows, too"]
    assert persons(side, "customers").width == len(sources(side, "customers")) + 1


def test_sides_get_the_same_types() -> None:
    one, other = family((1, "a", 1.0)), family((1, "a", 1.0))
    other["purchases"] = other["purchases"].with_columns(
        pl.col("spent").cast(pl.Int64), pl.lit(3).alias("more")
    )
    other["customers"] = other["customers"].with_columns(pl.lit("forty").alias("age"))
    same = alike(of(one, other, one))
    for name in one:
        assert same.taught[name].schema == same.made[name].schema == same.others[name].schema
    assert same.made["purchases"].schema["spent"] == pl.Float64
    assert "more" not in same.made["purchases"].columns
    assert same.taught["customers"].schema["age"] == pl.String


@pytest.mark.parametrize(
    ("taught", "made", "kind"),
    [
        (pl.Series([7]), pl.Series([None]), pl.Int64()),
        (pl.Series([None]), pl.Series([None]), pl.String()),
        (pl.Series([7], dtype=pl.Int8), pl.Series([7], dtype=pl.UInt64), pl.Int64()),
        (pl.Series(["a"], dtype=pl.Categorical), pl.Series(["a"]), pl.String()),
        (pl.Series(["a"], dtype=pl.Enum(["a"])), pl.Series(["a"], dtype=pl.Enum(["b", "a"])), pl.String()),
        (pl.Series([DAY]), pl.Series([dt.datetime(2025, 3, 1)]), pl.Datetime("us")),
        (
            pl.Series([DAY]).cast(pl.Datetime("ms", "UTC")),
            pl.Series([DAY]).cast(pl.Datetime("us")),
            pl.Datetime("us"),
        ),
        (pl.Series([True]), pl.Series(["true"]), pl.String()),
    ],
)
def test_values_meet_in_a_type_of_both(taught: pl.Series, made: pl.Series, kind: pl.DataType) -> None:
    people = pl.DataFrame({PERSON: [1]})
    sides = [{"people": people.with_columns(part.alias("it"))} for part in (taught, made, taught)]
    same = alike(Tables("people", *sides))
    found = [side["people"]["it"] for side in (same.taught, same.made, same.others)]
    assert {one.dtype for one in found} == {kind}
    assert made.null_count() or found[0].to_list() == found[1].to_list()


def test_a_comparison_of_tables_is_one_of_people() -> None:
    known = {"purchases.spent": profile("purchases.spent", Role.INSENSITIVE, sensitive=True)}
    columns = ["age", "school", "region", "loyal", "purchases.article", "purchases.spent", "purchases.month"]
    steps = [step("age"), step("purchases.spent", Role.INSENSITIVE, sensitive=True)]
    tables = of(shop(300, 0), shop(200, 1), shop(100, 2))
    given = compared(tables, inventory(columns, known, "loyal"), plan(steps), KEY, 250, groups=("school",))
    assert given.made
    assert (given.original.height, given.control.height, int(given.kept.sum())) == (250, 100, 200)
    assert (given.plan.rows, given.plan.holdout_rows) == (400, 100)
    of_columns = sources(tables.taught, "customers")
    assert given.original.columns == list(of_columns)
    assert given.tables is not None
    assert given.count(["purchases: rows"])[COUNT].sum() == 200
    spent = [name for name, source in of_columns.items() if source == "purchases.spent"]
    assert {one.column for one in given.plan.steps} == {"age", *spent}
    assert all(given.inventory.column(name).sensitive for name in spent)
    assert given.inventory.column("purchases: rows").role is Role.QUASI_IDENTIFIER
    known_of = given.foretelling
    assert known_of is not None
    assert given.inventory.target == known_of.inventory.target == "loyal"
    assert known_of.original["age"].to_list() == given.original["age"].to_list()
    assert known_of.inventory.column("purchases.spent, mean").sensitive
    assert always(made=True, histories=False, tables=True) == ("copies", "membership", "relations")
    # A target below is none of the people's.
    below = compared(tables, inventory(columns, known, "purchases.month"), plan(), KEY, 250)
    assert below.inventory.target is None


def test_people_held_out_stand_in_the_place_of_made_ones() -> None:
    given = comparison(of(shop(300, 0), shop(200, 1), shop(100, 2)))
    people = fresh(given)
    assert people is not None
    assert people.tables is not None
    assert given.tables is not None
    assert people.tables.made is given.tables.others
    found = {one.metric: one for one in measure(given, {"tables": {}}) if one.target == "release"}
    floor = {one.metric: one for one in RelatedTables().run(people, RelatedTables.Params())}
    assert found["tables.mean_count"].control == floor["tables.mean_count"].value


def test_the_same_tables_are_no_distance_apart() -> None:
    taught = shop(300, 0)
    found = judged(of(taught, taught, shop(100, 1)))
    assert {metric for metric, _ in found} == set(RelatedTables.metrics)
    for (metric, target), one in found.items():
        assert one.value == pytest.approx(0, abs=1e-12), (metric, target)


def test_distances_are_those_of_hand() -> None:
    taught = family((1, "a", 1.0), (1, "a", 2.0), (2, "b", 1.0), (2, "b", 2.0))
    made = family((1, "a", 1.0), (1, "b", 1.0), (1, "a", 2.0))
    found = judged(of(taught, made, family()))
    # Two rows each; three and none.
    assert found["tables.count_ks", "purchases"].value == 0.5
    assert found["tables.mean_count", "purchases"].value == 0.25
    assert found["tables.column_tv", "purchases.article"].value == pytest.approx(2 / 3 - 1 / 2)
    assert found["tables.column_tv", "age"].value == 0
    # Of those who taught the first has a, the second b; of made ones the first has all.
    spent = (abs(1 / 4 - 2 / 3) + abs(1 / 4 - 1 / 3) + 1 / 4 + 1 / 4) / 2
    articles = (abs(1 / 2 - 2 / 3) + 1 / 3 + 1 / 2) / 2
    assert found["tables.across_tv", "purchases"].value == pytest.approx((articles + spent) / 2)
    worst = max(one.high or 0.0 for (metric, _), one in found.items() if metric == "tables.column_tv")
    assert found["tables.column_tv", "release"].high == worst


def test_fresh_people_are_near_and_those_that_hang_on_nobody_are_not() -> None:
    taught, others, made = shop(1500, 0), shop(1500, 1), shop(1500, 2)
    dealt = {**made, "purchases": made["purchases"].with_columns(pl.col("spent").shuffle(seed=1) * 3)}
    less = {**made, "purchases": made["purchases"].filter(pl.int_range(pl.len()) % 2 == 0)}
    near, far, few = (judged(of(taught, each, others)) for each in (made, dealt, less))
    for metric, most in (("across_tv", 0.09), ("column_tv", 0.1), ("count_ks", 0.06), ("mean_count", 0.12)):
        assert near[f"tables.{metric}", "release"].value < most  # type: ignore[operator]
    assert far["tables.across_tv", "release"].low > 0.15  # type: ignore[operator]
    assert far["tables.column_tv", "release"].low > 0.3  # type: ignore[operator]
    assert few["tables.mean_count", "release"].low > 0.3  # type: ignore[operator]
    assert few["tables.count_ks", "release"].low > 0.1  # type: ignore[operator]


def test_a_sample_of_people_is_looked_at_with_all_rows() -> None:
    taught, made = shop(3000, 0), shop(3000, 2)
    found = judged(of(taught, made, shop(100, 1)), people=500)
    assert found["tables.mean_count", "release"].n == 500
    assert found["tables.mean_count", "release"].value < 0.3  # type: ignore[operator]


def _odd() -> dict[str, Tables]:
    taught, others = shop(120, 0), shop(120, 1)
    nobody = {name: table.clear() for name, table in taught.items()}
    rowless = {**taught, "purchases": taught["purchases"].clear()}
    gone = {
        name: table.with_columns(
            pl.lit(None, table.schema[column]).alias(column) for column in table.columns[1:]
        )
        for name, table in taught.items()
    }
    bare = {name: table.select(PERSON) for name, table in taught.items()}
    one = {name: table.filter(pl.col(PERSON) == 5) for name, table in taught.items()}
    odd = {
        **taught,
        "purchases": taught["purchases"].with_columns(
            pl.Series("spent", np.resize([np.nan, np.inf, -np.inf, 1e308, 0.0], taught["purchases"].height)),
            pl.int_range(pl.len()).cast(pl.String).alias("article"),
        ),
    }
    same = {**taught, "purchases": taught["purchases"].with_columns(pl.lit("x").alias("article"))}
    names = {
        side: {
            name: table.rename({"month": "a, b", "spent": "ü.\n"} if name == "purchases" else {})
            for name, table in part.items()
        }
        for side, part in (("taught", taught), ("others", others))
    }
    alone = {"customers": taught["customers"]}
    return {
        "nobody made": of(taught, nobody, others),
        "nobody taught": of(nobody, taught, others),
        "nobody held out": of(taught, taught, nobody),
        "nobody": of(nobody, nobody, nobody),
        "one person": of(one, one, others),
        "no rows": of(rowless, rowless, rowless),
        "no rows made": of(taught, rowless, others),
        "no values": of(gone, gone, gone),
        "no columns": of(bare, bare, bare),
        "odd numbers and a category each": of(odd, odd, together(others)),
        "one article": of(same, same, same),
        "odd names": of(names["taught"], names["others"], names["others"]),
        "no tables below": of(alone, alone, alone),
    }


@pytest.mark.parametrize("kind", _odd())
def test_odd_tables_give_findings_and_no_traceback(kind: str) -> None:
    given: Comparison = comparison(_odd()[kind])
    found = measure(given, {"tables": {}, "distributions": {}, "learning": {"models": []}})
    assert not [one for one in found if one.status == "error" and "failed" in one.note]
    assert {one.source for one in found} >= {"copies", "membership", "relations", "tables", "learning"}


def test_probes_of_rows_run_on_people_with_tables() -> None:
    tables = of(shop(400, 0), shop(400, 2), shop(400, 1))
    given = comparison(tables, target="loyal", groups=("school",))
    quick = {"models": [], "floor": False, "resamples": 100}
    asked = {name: {} for name in ("marginals", "correlations", "propensity", "distributions")}
    found = measure(
        given, {"learning": quick, **asked, "tables": {}, "tails": {}, "fairness": {"groups": ["school"]}}
    )
    assert not [(one.metric, one.note) for one in found if one.status == "error"]
    sources_of = {one.source for one in found if one.status == "measured"}
    assert sources_of >= {"copies", "relations", "learning", "tables", *asked}


def test_who_knows_a_column_knows_all_that_a_person_has_of_it() -> None:
    context = {"release": "partner", "attackers": [{"knows": ["purchases.spent"], "source": "a bank"}]}
    people = shop(40, 1)
    found = comparison(of(people, shop(40, 2), shop(40, 3)), context=context).context
    assert found is not None
    (attacker,) = found["attackers"]
    assert (found["release"], attacker["source"]) == ("partner", "a bank")
    wanted = [name for name, source in sources(people, "customers").items() if source == "purchases.spent"]
    assert attacker["knows"] == wanted
    assert len(wanted) == SHOWN + 1
