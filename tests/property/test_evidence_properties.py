"""What must hold of the evidence for any table."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evidence_support import compare, one
from sfumato.evidence.attacks.linkage import EXACT, Linkage
from sfumato.evidence.attacks.uniqueness import Uniqueness
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.utility.correlations import cramers_v
from sfumato.evidence.utility.distributions import Distributions

CELL = st.one_of(st.none(), st.integers(0, 3))
TABLE = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=40)
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def frame_of(rows: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys("abc", pl.Int64), orient="row")


def coarse(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("a") // 2).cast(pl.String), b=pl.lit("*"))


@QUICK
@given(TABLE)
def test_class_risks_are_those_of_a_plain_count(rows: list[tuple]) -> None:
    found = Uniqueness().run(compare(frame_of(rows)), Uniqueness.Params())
    counts = Counter(rows)
    assert one(found, "risk.worst_class").value == 1 / min(counts.values())
    assert one(found, "risk.marketer").value == pytest.approx(len(counts) / len(rows))
    assert one(found, "risk.unique").value == pytest.approx(sum(c == 1 for c in counts.values()) / len(rows))
    assert one(found, "risk.at_risk").value == pytest.approx(
        sum(c for c in counts.values() if c < 5) / len(rows)
    )


@QUICK
@given(TABLE)
def test_coarser_is_never_riskier(rows: list[tuple]) -> None:
    found = Uniqueness().run(compare(frame_of(rows), coarse), Uniqueness.Params())
    for finding in found:
        if finding.status == "measured":
            assert finding.value <= finding.before


@QUICK
@given(TABLE, st.booleans())
def test_an_exact_register_of_everybody_finds_classes_over_rows(rows: list[tuple], coarsened: bool) -> None:
    frame = frame_of(rows)
    described = coarse(frame) if coarsened else frame
    found = Linkage().run(compare(frame, coarse if coarsened else lambda f: f), Linkage.Params())
    assert one(found, "linkage.success", EXACT).value == pytest.approx(described.n_unique() / len(rows))
    assert one(found, "linkage.success", EXACT).before == pytest.approx(frame.n_unique() / len(rows))


@QUICK
@given(TABLE, st.data())
def test_distances_and_detail_stay_in_their_range(rows: list[tuple], data: st.DataObject) -> None:
    frame = frame_of(rows)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    for finding in Distributions().run(compare(frame, coarse, kept=kept), Distributions.Params()):
        if finding.status == "measured":
            assert -1e-12 <= finding.low <= finding.value <= finding.high <= 1 + 1e-12


@QUICK
@given(arrays(np.int64, (3, 4), elements=st.integers(0, 30)), st.permutations(range(4)))
def test_the_association_is_symmetric_and_knows_no_order(table: np.ndarray, order: list[int]) -> None:
    counts = table.astype(float)[None]
    value = cramers_v(counts)[0]
    assert 0 <= value <= 1
    assert cramers_v(counts.transpose(0, 2, 1))[0] == pytest.approx(value)
    assert cramers_v(counts[:, :, order])[0] == pytest.approx(value)


@QUICK
@given(st.floats(0, 1), st.integers(1, 10_000), st.floats(0, 1), st.integers(1, 10_000))
def test_intervals_hold_their_value(p: float, m: int, q: float, n: int) -> None:
    first, second = wilson(p, m), wilson(q, n)
    assert 0 <= first.low <= first.value <= first.high <= 1
    difference = newcombe(first, second)
    assert -1 <= difference.low <= difference.value <= difference.high <= 1
    assert newcombe(second, first).low == pytest.approx(-difference.high)
