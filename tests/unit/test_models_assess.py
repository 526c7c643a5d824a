"""Data as they are against every model at once."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_support import ON, class_table, few
from sfumato.anonymity import MODELS
from sfumato.anonymity.assess import Assessment, assess
from sfumato.classes.table import ClassTable
from sfumato.core.errors import InputError
from sfumato.hierarchies.file import FileHierarchy
from sfumato.hierarchies.suppress import SuppressHierarchy

PATIENTS = pl.DataFrame(
    {
        "zip": ["476"] * 3 + ["4790"] * 3 + ["476"] * 3,
        "age": [29, 22, 27, 43, 52, 47, 30, 36, 32],
        "salary": [3, 4, 5, 6, 11, 8, 7, 9, 10],
        "illness": ["ulcer", "gastritis", "cancer", "gastritis", "flu", "bronchitis", "flu", None, "flu"],
    }
)


def test_every_figure_of_a_small_table() -> None:
    found = assess(PATIENTS, ["zip"], ["illness"])
    assert (found.people, found.classes, found.k) == (9, 2, 3)
    assert found.average_risk == pytest.approx(2 / 9)
    assert found.highest_risk == pytest.approx(1 / 3)
    assert found.sample_unique == 0
    assert (found.k_map, found.population_unique) == (None, {})
    (only,) = found.exposures
    assert not only.others_known
    # 476: ulcer, gastritis, cancer, flu x 2, missing; 4790: gastritis, flu, bronchitis.
    assert only.distinct_l == 3
    assert only.alpha == pytest.approx(1 / 3)
    assert only.entropy_l == pytest.approx(3)
    assert only.recursive_c_2 == pytest.approx(0.5)
    assert only.recursive_c_l == pytest.approx(1)
    assert only.beta == pytest.approx(2)
    assert only.enhanced_beta == pytest.approx(2)
    assert only.delta == pytest.approx(math.log(3))
    assert only.delta_all is None
    assert only.t_equal == pytest.approx(1 / 3)


def test_the_others_unknown_and_known() -> None:
    unknown, known, *other = assess(PATIENTS, ["zip"], ["salary", "illness"]).exposures
    assert (unknown.on, unknown.others_known, unknown.distinct_l) == ("salary", False, 3)
    assert (known.on, known.others_known, known.distinct_l) == ("salary", True, 1)
    assert known.recursive_c_2 is None
    assert [(one.on, one.others_known) for one in other] == [("illness", False), ("illness", True)]


def test_no_quasi_identifiers_make_one_class() -> None:
    found = assess(PATIENTS, [], ["illness"], fraction=0.1)
    assert (found.classes, found.k) == (1, 9)
    assert found.exposures[0].t_equal == 0
    assert assess(PATIENTS, []).k == 9


def test_the_order_of_numbers_dates_and_missing_values() -> None:
    days = [dt.date(2020, 1, 1), dt.date(1999, 5, 1), None, dt.date(2010, 1, 1)]
    numbers = [30, 9, None, 12]
    frame = pl.DataFrame({"q": [1, 1, 2, 2], "day": days, "number": numbers, "text": ["d", "a", None, "b"]})
    distances = {
        one.on: one.t_ordered for one in assess(frame, ["q"], ["day", "number", "text"]).exposures[::2]
    }
    # In order: the second, the fourth, the first, the missing one; classes have places 0, 2 and 1, 3.
    assert distances == pytest.approx(dict.fromkeys(("day", "number", "text"), 1 / 6))


def test_a_hierarchy_of_a_sensitive_column() -> None:
    suppress = SuppressHierarchy(SuppressHierarchy.Params(), None)
    found = assess(PATIENTS, ["zip"], ["illness"], trees={"illness": suppress}).exposures[0]
    assert found.t_hierarchical == pytest.approx(found.t_equal)


def test_a_value_outside_its_hierarchy_is_named_by_its_row(tmp_path: Path) -> None:
    (tmp_path / "ill.csv").write_text("ulcer;stomach\ngastritis;stomach\ncancer;stomach\nflu;lung\n;none\n")
    kind = FileHierarchy(FileHierarchy.Params(path="ill.csv"), tmp_path)
    with pytest.raises(InputError, match="first: data row 6"):
        assess(PATIENTS, ["zip"], ["illness"], trees={"illness": kind})


def test_risks_in_the_population() -> None:
    frame = pl.DataFrame({"q": [*range(40), *(i for i in range(40, 70) for _ in range(3)), 99, 99, 98, 98]})
    found = assess(frame, ["q"], fraction=0.02)
    assert found.k_map == 1
    assert set(found.population_unique) == {"dankar", "pitman", "zayatz", "snb"}
    assert 0 < found.population_unique["zayatz"] < found.sample_unique
    larger = assess(frame.filter(pl.col("q") >= 40), ["q"], fraction=0.02)
    kind = MODELS.resolve("k-map")
    table = ClassTable(np.array([2]))
    for k, holds in ((larger.k_map, True), (larger.k_map + 1, False)):
        asked = kind(kind.Params(k=k, estimated={"fraction": 0.02}))
        assert asked.holds(table).all() == holds
    assert set(larger.population_unique.values()) == {0.0}


def test_rows_and_json() -> None:
    found = assess(PATIENTS, ["zip"], ["salary", "illness"], fraction=0.5)
    rows = found.rows()
    assert all(len(row) == 5 for row in rows)
    assert len({row[:3] + row[4:] for row in rows}) == len(rows)
    assert ("k-anonymity", "", None, 3, "people of the smallest class") in rows
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["k"] == 3
    assert told["exposures"][1]["recursive_c_2"] is None
    assert not any(row.model == "k-map" for row in assess(PATIENTS, ["zip"]).rows())


@pytest.mark.parametrize(
    ("quasi", "sensitive", "fraction", "code"),
    [
        (["zipp"], [], None, "usage"),
        (["zip"], ["zip"], None, "usage"),
        (["zip", "zip"], [], None, "usage"),
        (["zip"], [], 0.0, "usage"),
        (["zip"], [], 1.5, "usage"),
    ],
)
def test_what_cannot_be_meant(quasi, sensitive, fraction, code: str) -> None:
    with pytest.raises(InputError) as caught:
        assess(PATIENTS, quasi, sensitive, fraction=fraction)
    assert caught.value.code == code


def test_a_table_without_rows() -> None:
    with pytest.raises(InputError) as caught:
        assess(PATIENTS.clear(), ["zip"])
    assert caught.value.code == "source-empty"


def test_odd_columns() -> None:
    frame = pl.DataFrame(
        {
            "null": pl.Series([None] * 4, dtype=pl.Null),
            "missing": pl.Series([None] * 4, dtype=pl.Float64),
            "nan": [math.nan, math.nan, 1.0, None],
            "flag": [True, False, None, True],
            "category": pl.Series(["b", "a", None, "b"], dtype=pl.Categorical),
            "many": range(4),
        }
    )
    found = assess(frame, ["null", "missing"], ["nan", "flag", "category", "many"])
    assert (found.k, found.classes) == (4, 1)
    assert [one.distinct_l for one in found.exposures if not one.others_known] == [3, 3, 3, 4]
    assert assess(frame, list(frame.columns)).k == 1


@few
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["a", "b", None])),
        min_size=1,
        max_size=30,
    )
)
def test_each_model_holds_at_its_figure_and_not_short_of_it(rows: list[tuple]) -> None:
    frame = pl.DataFrame(rows, schema={"q": pl.Int64, "r": pl.Int64, "s": pl.String}, orient="row")
    found = assess(frame, ["q", "r"], ["s"])
    table = tables(frame)
    (one,) = found.exposures

    def all_hold(name: str, **params) -> bool:
        kind = MODELS.resolve(name)
        return bool(kind(kind.Params(**params)).holds(table).all())

    if found.k > 1:
        assert all_hold("k-anonymity", k=found.k)
    assert not all_hold("k-anonymity", k=found.k + 1)
    nudge = 1e-6
    if one.t_equal < 1 - nudge:
        assert all_hold("t-closeness", on="s", t=one.t_equal)
        assert one.t_equal < nudge or not all_hold("t-closeness", on="s", t=one.t_equal - nudge)
        assert all_hold("t-closeness", on="s", t=one.t_ordered, distance="ordered")
    assert all_hold("beta-likeness", on="s", beta=one.beta + nudge)
    assert one.beta < 2 * nudge or not all_hold("beta-likeness", on="s", beta=one.beta - nudge)
    assert all_hold("beta-likeness", on="s", beta=1e5, enhanced=True) == (one.enhanced_beta is not None)
    assert all_hold("delta-disclosure", on="s", delta=one.delta + nudge, absent="ignored")
    assert all_hold("delta-disclosure", on="s", delta=one.delta + nudge) == (one.delta_all is not None)
    if one.recursive_c_2 is None:
        assert not all_hold("l-diversity", on="s", l=2, kind="recursive", c=1e6)
    else:
        assert all_hold("l-diversity", on="s", l=2, kind="recursive", c=one.recursive_c_2 + nudge)
        assert not all_hold("l-diversity", on="s", l=2, kind="recursive", c=one.recursive_c_2)
    if one.entropy_l > 1 + nudge:
        assert all_hold("l-diversity", on="s", l=one.entropy_l, kind="entropy")
    assert not all_hold("l-diversity", on="s", l=one.entropy_l + nudge, kind="entropy")


def tables(frame: pl.DataFrame):
    """The classes by other means: text keys and dictionaries."""
    order = sorted(set(frame["s"]), key=lambda value: (value is None, value or ""))
    classes: dict[tuple, list[int]] = {}
    for *key, value in frame.iter_rows():
        classes.setdefault(tuple(key), [0] * len(order))[order.index(value)] += 1
    found = class_table(list(classes.values()))
    return type(found)(found.sizes, {"s": found.sensitive[ON]})


def test_the_figures_are_those_of_any_order_of_rows() -> None:
    one = assess(PATIENTS, ["zip"], ["illness", "salary"], fraction=0.3)
    other = assess(
        PATIENTS.sample(fraction=1, shuffle=True, seed=1), ["zip"], ["illness", "salary"], fraction=0.3
    )
    assert isinstance(one, Assessment)
    assert one == other
