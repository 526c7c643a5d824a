"""Linkability on releases whose answer is known, and against twins that are broken."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, local, one, people, starred, suppress_small
from sfumato.evidence.attacks import linkability
from sfumato.evidence.attacks.linkability import Linkability


def attack(comparison, **params):
    return Linkability().run(comparison, Linkability.Params(**params))


def split(frame: pl.DataFrame, *sizes: int) -> list[pl.DataFrame]:
    ends = np.cumsum([0, *sizes])
    return [frame[start:stop] for start, stop in itertools.pairwise(ends)]


def test_an_exact_copy_is_joined_nearly_whole() -> None:
    original, control = split(people(2000, 8, 12), 1000, 1000)
    found = attack(compare(original, control=control))
    risk, excess = one(found, "linkability.risk"), one(found, "linkability.excess")
    assert risk.value > 0.95
    assert risk.before == risk.value
    assert risk.control < 0.05
    assert risk.baseline == pytest.approx(1 / risk.n)
    assert excess.value > 0.93


def test_other_people_are_joined_by_chance() -> None:
    original, others, control = split(people(3000, 8, 12), 1000, 1000, 500)
    found = attack(compare(original, released=others, control=control))
    assert one(found, "linkability.risk").value < 0.03
    assert one(found, "linkability.excess").high < 0.04


def test_dependence_of_columns_joins_strangers_as_well_and_is_no_excess() -> None:
    draw = np.random.default_rng(3)
    first = draw.integers(0, 200, 3000)
    frame = pl.DataFrame({"a": first, "b": first * 3 + draw.integers(0, 2, 3000), "c": first % 7})
    original, others, control = split(frame, 1000, 1000, 1000)
    found = attack(compare(original, released=others, control=control))
    risk = one(found, "linkability.risk")
    assert risk.value > 0.3
    assert risk.control > 0.3
    assert abs(one(found, "linkability.excess").value) < 0.1


def test_half_a_copy_lies_between_and_in_order() -> None:
    original, others, control = split(people(3000, 8, 12), 1000, 1000, 1000)
    risks = []
    for copied in (0, 500, 1000):
        released = pl.concat([original[:copied], others[copied:]])
        risks.append(
            one(attack(compare(original, released=released, control=control)), "linkability.risk").value
        )
    assert risks == sorted(risks)
    assert risks[1] == pytest.approx(0.5, abs=0.12)


def test_small_classes_are_joined_more_than_large_ones() -> None:
    found = {}
    for k, width in ((2, 2), (20, 6)):

        def coarse(people: pl.DataFrame, width: int = width) -> pl.DataFrame:
            return people.with_columns((pl.col(c) // width).cast(pl.String) for c in people.columns)

        original, control = split(people(4000, 4, 12), 2000, 2000)
        kept = suppress_small(coarse(original), original.columns, k)
        found[k] = one(attack(compare(original, coarse, kept=kept, control=control)), "linkability.risk")
    assert found[2].value > 2 * found[20].value


def test_a_release_that_says_nothing_is_blind_guessing() -> None:
    original, control = split(people(1000, 6, 10), 500, 500)
    found = attack(compare(original, starred, control=control))
    risk = one(found, "linkability.risk")
    assert risk.value == pytest.approx(1 / risk.n)
    assert "no evidence" in risk.note
    assert one(found, "linkability.excess").value == pytest.approx(0.0, abs=1e-12)


def test_noise_hides_nobody_whose_values_stay_alike() -> None:
    draw = np.random.default_rng(5)
    frame = pl.DataFrame({f"x{j}": draw.normal(size=1200) for j in range(10)})
    original, control = split(frame, 600, 600)
    noisy = original.with_columns(
        (pl.col(column) + pl.Series(draw.normal(0, 0.02, 600))) for column in original.columns
    )
    found = one(attack(compare(original, released=noisy, control=control)), "linkability.excess")
    assert found.value > 0.8


def test_the_split_is_measured_on_people_who_did_not_choose_it() -> None:
    original, control = split(people(1000, 6, 10), 500, 500)
    comparison = compare(original, control=control)
    sides = linkability._Sides.of(comparison, 300, control=True)
    assert not set(sides.tried) & set(sides.members)
    assert not set(sides.tried_controls) & set(sides.controls)
    assert len(sides.members) == len(sides.controls)


def test_overlapping_control_one_column_and_labels_that_overlap() -> None:
    original, control = split(people(1200, 3, 30), 600, 600)
    refused = attack(compare(original, control=original))
    assert one(refused, "linkability.excess").status == "error"
    alone = attack(compare(original.select("c0"), control=control.select("c0")))
    assert {finding.status for finding in alone} == {"not-measured"}
    found = {
        k: one(attack(local(original, by_cuts(original, k), control=control)), "linkability.risk")
        for k in (2, 20)
    }
    assert found[2].value > found[20].value
