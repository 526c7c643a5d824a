"""A local recoding's state: every row gets labels that cover it, whatever the batches and the deal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, cover, granularity
from sfumato.anonymity.partition.recoding import LocalRecoding, deal, dealt
from sfumato.classes.table import FIRST, TupleTable, Units
from sfumato.contracts import COUNT
from sfumato.core.errors import InputError
from sfumato.evidence.features import numbers
from sfumato.hierarchies import HIERARCHIES
from sfumato.hierarchies.ladder import ANY, Ladder

ROW, DRAW = "row", "draw"
COLUMNS = ("age", "weight", "town", "job")


def table_of(rows: pl.DataFrame) -> TupleTable:
    tuples = (
        rows.group_by(*COLUMNS, "illness")
        .agg(pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST))
        .sort(FIRST)
    )
    return TupleTable(COLUMNS, tuples, ("illness",))


def axis(table: TupleTable, column: str, kind: str | None, **params: object) -> Axis:
    found = table.values(column)
    values = found["value"].alias(column)
    part = HIERARCHIES.resolve(kind or "suppress")
    ladder = Ladder.build(part(part.Params.model_validate(params), Path()), values, found["first"])
    return Axis(ladder, kind is None, numbers(values) if values.dtype.is_numeric() else None)


def problem_of(table: TupleTable) -> Problem:
    axes = (
        axis(table, "age", "intervals", widths=[5, 10]),
        axis(table, "weight", None),
        axis(table, "town", None),
        axis(table, "job", "suppress"),
    )
    positions = [
        [list(one.ladder.values).index(value) for value in table.tuples[column]]
        for one, column in zip(axes, COLUMNS, strict=True)
    ]
    return Problem(axes, np.array(positions), Units(table.counts), ())


rows = st.lists(
    st.tuples(
        st.integers(20, 34),
        st.one_of(st.none(), st.sampled_from([1.5, 2.0, 7.25])),
        st.one_of(st.none(), st.sampled_from("abc")),
        st.sampled_from(["x", "y"]),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(drawn=rows, data=st.data())
def test_every_row_has_labels_that_cover_it_and_classes_have_the_rows_dealt_to_them(drawn, data) -> None:
    frame = pl.DataFrame(
        drawn,
        schema={
            "age": pl.Int64,
            "weight": pl.Float64,
            "town": pl.String,
            "job": pl.String,
            "illness": pl.Int64,
        },
        orient="row",
    ).with_row_index(ROW)
    frame = frame.with_columns(pl.Series(DRAW, np.random.default_rng(1).permutation(frame.height)))
    table = table_of(frame)
    problem = problem_of(table)
    # Any partition will do: each row of each tuple goes to a class of three, or nowhere.
    chosen = [data.draw(st.integers(-1, 2)) for _ in range(frame.height)]
    units = np.repeat(np.arange(len(table.counts)), table.counts)
    pairs = sorted({(u, c) for u, c in zip(units, chosen, strict=True) if c >= 0})
    names = {c: i for i, c in enumerate(sorted({c for _, c in pairs}))}
    counts = [sum(1 for u, c in zip(units, chosen, strict=True) if (u, c) == pair) for pair in pairs]
    assignment = Assignment(
        np.array([u for u, _ in pairs], dtype=np.int64),
        np.array([names[c] for _, c in pairs], dtype=np.int64),
        np.array(counts, dtype=np.int64),
    )
    if not assignment.size:
        return
    turns = deal(frame, table, assignment, DRAW, ROW) if len(dealt(assignment, table.counts)) else None
    recoding = LocalRecoding.covering(table, problem, assignment, turns)
    labelled, kept = recoding.label(frame)
    assert int(kept.sum()) == sum(counts)
    for column in COLUMNS:
        for label, value, stays in zip(labelled[column], frame[column], kept, strict=True):
            if stays:
                named = pl.Series([label], dtype=labelled[column].dtype)
                assert recoding.covers(column, named, pl.Series([value], dtype=frame[column].dtype)).all()
    # The rows of each class are as many as were dealt to it, and batches change nothing.
    written = labelled.filter(kept).group_by(COLUMNS).len()
    assert written["len"].sum() == sum(counts)
    sizes = np.bincount(assignment.classes, assignment.counts)
    assert written["len"].min() >= sizes.min()
    halves = pl.concat([recoding.label(frame[i : i + 1])[0] for i in range(frame.height)])
    assert halves.equals(labelled)
    levels = cover(problem, assignment).levels
    assert levels.shape == (len(COLUMNS), assignment.size)


def whole() -> tuple[pl.DataFrame, LocalRecoding]:
    frame = pl.DataFrame(
        {
            "age": [21, 22, 29, 33],
            "weight": [1.5, 7.25, None, 2.0],
            "town": ["a", "b", None, "a"],
            "job": ["x", "x", "y", "x"],
            "illness": [0, 1, 0, 1],
        }
    ).with_row_index(ROW)
    table = table_of(frame)
    assignment = Assignment.whole(np.array([0, 0, 1, 1]), table.counts)
    return frame, LocalRecoding.covering(table, problem_of(table), assignment)


def test_labels_say_what_they_cover_and_no_more() -> None:
    frame, recoding = whole()
    labelled, kept = recoding.label(frame)
    assert kept.all()
    assert labelled["age"].to_list() == ["20-24", "20-24", ANY, ANY]
    assert labelled["weight"].to_list() == ["[1.5, 7.25]", "[1.5, 7.25]", ANY, ANY]
    assert labelled["town"].to_list() == ["{a, b}", "{a, b}", "{a, missing}", "{a, missing}"]
    assert labelled["job"].to_list() == ["x", "x", ANY, ANY]
    spans = recoding.covers("weight", pl.Series(["[1.5, 7.25]", ANY]), pl.Series([1.4, 1.5, 7.3, None]))
    assert spans.tolist() == [[False, True, False, False], [True, True, True, True]]
    towns = recoding.covers("town", pl.Series(["{a, missing}", "{a, b}"]), pl.Series(["a", "c", None]))
    assert towns.tolist() == [[True, False, True], [True, False, False]]
    ages = recoding.covers("age", pl.Series(["20-24", "25-29"]), pl.Series([20, 25, None]))
    assert ages.tolist() == [[True, False, False], [False, True, False]]
    assert recoding.centers("age")["20-24"] == pytest.approx(22.5)
    assert recoding.centers("weight") == {"[1.5, 7.25]": 4.375}


def test_a_row_that_the_snapshot_did_not_have_is_refused() -> None:
    frame, recoding = whole()
    other = frame.with_columns(illness=1 - pl.col("illness"))
    with pytest.raises(InputError, match="snapshot"):
        recoding.label(other)


def test_detail_that_was_never_there_is_not_lost() -> None:
    frame = pl.DataFrame(
        {"age": [30] * 3, "weight": [1.5] * 3, "town": ["a"] * 3, "job": ["x"] * 3, "illness": [0] * 3}
    ).with_row_index(ROW)
    table = table_of(frame)
    problem = problem_of(table)
    assert granularity(problem, Assignment.whole(np.array([0]), table.counts)) == 1.0
