"""What must hold of the evidence for any table."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evidence_support import compare, covers_one, local, one
from sfumato.contracts import COUNT, Comparison
from sfumato.evidence.attacks.covering import classes_of
from sfumato.evidence.attacks.linkage import EXACT, Linkage
from sfumato.evidence.attacks.matching import TRUST, claim_best, own_weights
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
        # Where classes merge, there are more people in some band of sizes.
        if finding.status == "measured" and finding.metric != "risk.class_share":
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


LOCAL = st.lists(
    st.tuples(st.integers(-1, 3), CELL, CELL, st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=25
)
SOME = st.lists(st.tuples(CELL, CELL, st.sampled_from(["a", "b", "c", "d", None])), min_size=1, max_size=8)
TYPES = {"n": pl.Int64, "m": pl.Int64, "t": pl.String}


def local_of(rows: list[tuple]) -> Comparison:
    frame = pl.DataFrame([row[1:] for row in rows], schema=TYPES, orient="row")
    return local(frame, [row[0] for row in rows])


@QUICK
@given(LOCAL, SOME, st.data(), st.sampled_from([0.05, 0.2, TRUST]))
def test_covering_claims_are_those_of_brute_force(
    rows: list[tuple], asked: list[tuple], data: st.DataObject, error: float
) -> None:
    given_ = local_of(rows)
    left = [row for row, kept in zip(given_.released.rows(), given_.kept, strict=True) if kept]
    values = [row for row, kept in zip(given_.original.rows(), given_.kept, strict=True) if kept]
    hidden = st.lists(
        st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(asked), max_size=len(asked)
    )
    gaps = np.array(data.draw(hidden))
    if not left:
        return
    classes = classes_of(given_, given_.count(list(TYPES)), list(TYPES))
    people = classes.encode(pl.DataFrame(asked, schema=TYPES, orient="row"), gaps)
    claims = claim_best(classes, people, error)
    own = given_.released.filter(pl.Series(given_.kept))[[0] * len(asked)]
    weights = own_weights(classes, people, classes.label_codes(own), error)
    for i, person in enumerate(asked):
        known = [j for j in range(3) if not gaps[i, j]]

        def weight(row: tuple, known: list[int] = known, person: tuple = person) -> float:
            total = 0.0
            for j in known:
                share = sum(covers_one(row[j], other[j]) for other in values) / len(values)
                agree = covers_one(row[j], person[j])
                total += np.log((1 - error + error * share) / share if agree else error)
            return total

        scores = np.array([weight(row) for row in left])
        assert weights[i] == pytest.approx(scores[0])
        full = np.array([all(covers_one(row[j], person[j]) for j in known) for row in left])
        if error <= TRUST and full.any():
            scores = np.where(full, scores, -np.inf)
        top = scores.max()
        assert claims.weight[i] == pytest.approx(top)
        assert claims.rows[i] == (scores > top - 1e-9).sum()
        assert claims.full[i] == full[scores > top - 1e-9].any()
        odds = np.exp(scores)
        assert claims.confidence[i] == pytest.approx(odds.max() / (odds.sum() + len(left)), rel=1e-6)


@QUICK
@given(LOCAL, SOME)
def test_population_counts_are_those_of_brute_force(rows: list[tuple], everybody: list[tuple]) -> None:
    given_ = local_of(rows)
    if not given_.kept.any():
        return
    counted = given_.count(list(TYPES))
    population = pl.DataFrame(everybody, schema=TYPES, orient="row").group_by(list(TYPES)).len(COUNT)
    found = classes_of(given_, counted, list(TYPES)).count_people(population)
    for labels, people in zip(counted.select(list(TYPES)).rows(), found, strict=True):
        assert people == sum(all(map(covers_one, labels, person)) for person in everybody)


@QUICK
@given(LOCAL)
def test_pairs_told_apart_and_spreads_are_those_of_brute_force(rows: list[tuple]) -> None:
    given_ = local_of(rows)
    kept = np.flatnonzero(given_.kept)
    if not len(kept):
        return
    found = Distributions().run(given_, Distributions.Params())
    for column in TYPES:
        values = given_.original[column].to_list()
        labels = given_.released[column].to_list()
        distinct = list(dict.fromkeys(values))
        under = [frozenset(v for v in distinct if covers_one(label, v)) for label in labels]
        differ = sum(values[i] != values[k] for i in kept for k in kept)
        still = sum(not under[i] & under[k] for i in kept for k in kept)
        precision = one(found, "distributions.precision", column)
        assert (
            precision.status == "no-power" if not differ else precision.value == pytest.approx(still / differ)
        )
        told = {v: sum((v in under[i]) / len(under[i]) for i in kept) / len(kept) for v in distinct}
        distance = sum(abs(told[v] - values.count(v) / len(values)) for v in distinct) / 2
        assert one(found, "distributions.tv", column).value == pytest.approx(distance)


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
