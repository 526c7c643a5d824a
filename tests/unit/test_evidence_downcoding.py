"""Downcoding of releases whose values are known, and of twins whose labels are not what they seem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, local, one, people, planned
from sfumato.evidence.attacks.downcoding import Downcoding

K2 = {"model": "k-anonymity", "k": 2}


def attack(comparison, models=(K2,), method="partition", **more):
    return Downcoding().run(planned(comparison, models, method=method, **more), Downcoding.Params())


def in_classes(frame, k, control=None, **more):
    names = tuple(frame.columns)
    return local(frame, by_cuts(frame, k), **{"control": control, "tight": names, **more})


def test_of_two_people_everything_is_told() -> None:
    # Cohen's construction in small: values so many that no two agree, in classes of two.
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({f"c{j}": draw.permutation(400) for j in range(3)})
    control = pl.DataFrame({f"c{j}": draw.integers(0, 400, 400) for j in range(3)})
    classes = (np.arange(400) // 2).tolist()
    found = attack(local(frame, classes, control=control, tight=("c0", "c1", "c2")))
    assert one(found, "downcoding.proven").value == 1
    assert one(found, "downcoding.recovered").value == 1
    assert one(found, "downcoding.recovered").baseline < 0.1
    assert one(found, "downcoding.recovered").control < 0.1
    assert one(found, "downcoding.gain").low > 0.8
    assert one(found, "downcoding.gain").control < 0.1


def test_a_set_of_as_many_values_as_people_is_all_of_them() -> None:
    frame = pl.DataFrame({"town": ["a", "b", "c", "d", "e", "f"] * 10, "ward": np.arange(60) // 3})
    found = attack(local(frame, (np.arange(60) // 3).tolist(), tight=("town",)))
    assert one(found, "downcoding.proven", "town").value == 1
    assert one(found, "downcoding.recovered", "town").value == 1


def test_of_an_interval_two_are_certain() -> None:
    frame = pl.DataFrame({"age": [20, 21, 22, 29] * 10, "ward": np.arange(40) // 4})
    found = attack(local(frame, (np.arange(40) // 4).tolist(), tight=("age",)))
    assert one(found, "downcoding.proven", "age").value == 0.5


def test_small_classes_give_more_away() -> None:
    frame = people(2000, 3, 50)
    found = {k: attack(in_classes(frame[:1000], k, frame[1000:])) for k in (2, 20)}
    for metric in ("downcoding.proven", "downcoding.recovered", "downcoding.gain"):
        assert one(found[2], metric).value > one(found[20], metric).value + 0.1
    assert one(found[2], "downcoding.recovered").value > one(found[2], "downcoding.recovered").baseline + 0.1


def test_labels_that_are_not_tight_prove_nothing() -> None:
    frame = people(600, 2, 50)
    given = in_classes(frame[:300], 5, frame[300:])
    loose = attack(replace(given, tight=()))
    recovered = one(loose, "downcoding.recovered")
    assert one(loose, "downcoding.proven").status == "not-measured"
    assert recovered.value == recovered.baseline
    assert "no evidence" in recovered.note


def test_a_twin_with_the_labels_of_others_is_wrong_of_most() -> None:
    frame = people(600, 2, 200)
    original, others = frame[:300], frame[300:]
    given = in_classes(original, 2)
    mixed = replace(in_classes(others, 2), original=original, describe=lambda f: f)
    assert one(attack(given), "downcoding.proven").value > 0.8
    assert one(attack(mixed), "downcoding.proven").value < 0.1
    assert one(attack(mixed), "downcoding.recovered").value < 0.2


def test_strangers_under_the_same_labels_are_no_better_known_than_by_chance() -> None:
    frame = people(2000, 2, 30)
    found = attack(in_classes(frame[:1000], 5, frame[1000:]))
    recovered = one(found, "downcoding.recovered")
    assert recovered.control == pytest.approx(recovered.baseline, abs=0.08)


def tenths(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(age=(pl.col("age") // 10).cast(pl.String))


def by_level(frame, k, limit=0, **more):
    given = compare(frame, tenths, finer=lambda _, raw: raw, suppressible=limit, **more)
    return attack(given, method="lattice", levels={"age": 1}, models=[{"model": "k-anonymity", "k": k}])


def test_one_level_for_all_rows_tells_no_more_than_it_covers() -> None:
    draw = np.random.default_rng(1)
    ages = pl.DataFrame({"age": draw.integers(20, 80, 4000)})
    found = by_level(ages[:2000], 40, control=ages[2000:])
    assert one(found, "downcoding.proven").status == "not-measured"
    recovered = one(found, "downcoding.recovered")
    assert recovered.value == recovered.baseline
    assert one(found, "downcoding.gain").value == 0
    # No table of sixty ages would have 40 people of each.
    assert one(found, "downcoding.choice").value == 0


def test_a_level_that_is_a_surprise_tells_something() -> None:
    # Five ages as likely as each other: of 100 people three or more of each is nearly sure, and is not so.
    control = pl.DataFrame({"age": [20, 21, 22, 23, 24] * 200})
    original = pl.DataFrame({"age": [20] * 92 + [21, 22, 23, 24] * 2})
    choice = one(by_level(original, 3, control=control), "downcoding.choice")
    assert choice.value > 0.95


def test_a_finer_level_that_would_have_done_was_not_ruled_out() -> None:
    even = pl.DataFrame({"age": [20, 21, 22, 23, 24] * 20})
    found = by_level(even, 10)
    assert one(found, "downcoding.choice").status == "not-measured"


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
def test_other_methods_are_not_measured(method: str) -> None:
    found = attack(in_classes(people(60, 2, 5), 3), method=method)
    assert {finding.status for finding in found} == {"not-measured"}
    assert method in found[0].note


def test_no_plan_nobody_and_a_sample() -> None:
    given = in_classes(people(60, 2, 5), 3)
    assert {f.status for f in Downcoding().run(given, Downcoding.Params())} == {"not-measured"}
    assert {f.status for f in attack(replace(given, kept=np.zeros(60, dtype=bool)))} == {"not-measured"}
    some = np.arange(60) < 30
    assert {f.status for f in attack(replace(given, kept=some))} == {"not-measured"}


def test_a_control_that_shares_people_is_refused() -> None:
    frame = people(600, 3, 50)
    found = attack(in_classes(frame, 5, frame[:200]))
    assert one(found, "downcoding.gain").status == "error"
    assert one(found, "downcoding.recovered").control is None


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("c", [None] * 60, dtype=pl.Int64),
        pl.Series("c", [1.0, float("nan"), None] * 20),
        pl.Series("c", ["a", None, "ß"] * 20),
        pl.Series("c", [1] * 60),
    ],
    ids=["missing", "not numbers", "texts", "constant"],
)
def test_odd_values(column: pl.Series) -> None:
    frame = column.to_frame()
    found = attack(local(frame, (np.arange(60) // 4).tolist(), control=frame[:10], tight=("c",)))
    assert {finding.metric for finding in found} == set(Downcoding.metrics)
