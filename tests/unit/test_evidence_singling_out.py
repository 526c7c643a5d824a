"""Singling out on releases whose answer is known, and against twins that are broken."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, local, one, people, starred, suppress_small
from sfumato.evidence.attacks.controls import overlaps
from sfumato.evidence.attacks.predicates import isolated
from sfumato.evidence.attacks.singling_out import BROAD, FEW, UNIVARIATE, WHOLE, SinglingOut

KINDS = (UNIVARIATE, WHOLE, FEW, BROAD)


def attack(comparison, **params):
    return SinglingOut().run(comparison, SinglingOut.Params(**{"predicates": 500, **params}))


def parts(frame: pl.DataFrame, *sizes: int) -> list[pl.DataFrame]:
    ends = np.cumsum([0, *sizes])
    return [frame[start:stop] for start, stop in itertools.pairwise(ends)]


def test_data_attacked_with_themselves_are_singled_out_whole() -> None:
    original, control = parts(people(4000, 6, 10).unique(maintain_order=True), 1900, 1900)
    found = attack(compare(original, control=control))
    risk, excess = one(found, "singling_out.risk", WHOLE), one(found, "singling_out.excess", WHOLE)
    assert (risk.value, risk.before, risk.control) == (1.0, 1.0, 0.0)
    assert risk.baseline < 0.01
    assert excess.value == 1.0
    assert one(found, "singling_out.risk", FEW).value == 1.0
    assert one(found, "singling_out.risk").value == 1.0
    assert one(found, "singling_out.excess").value == 1.0


@pytest.mark.parametrize("size", [1500, 750])
def test_other_peoples_rows_give_chance_and_no_excess(size: int) -> None:
    # A control of half the size would make chance look like a risk if it were not held at equal size.
    original, others, control = parts(people(4000, 4, 7), 1500, 1500, size)
    found = attack(compare(original, released=others, control=control))
    for kind in (WHOLE, FEW, BROAD):
        excess = one(found, "singling_out.excess", kind)
        assert abs(excess.value) < 0.08
        assert excess.low < 0.02
    assert one(found, "singling_out.excess").value < 0.1
    assert one(found, "singling_out.risk").value < 0.45


def test_unequal_sizes_would_be_the_broken_twin() -> None:
    original, others, control = parts(people(4000, 4, 7), 1500, 1500, 300)
    found = attack(compare(original, released=others, control=control))
    risk, excess = one(found, "singling_out.risk", WHOLE), one(found, "singling_out.excess", WHOLE)
    assert risk.control is None
    assert abs(excess.value) < 0.08
    # What 1500 people set against 300 would make of chance.
    assert risk.value - excess.control > 0.1


def test_half_a_copy_lies_between_and_in_order() -> None:
    original, others, control = parts(people(4000, 6, 10).unique(maintain_order=True), 1000, 1000, 1000)
    risks = []
    for copied in (0, 250, 500, 1000):
        released = pl.concat([original[:copied], others[copied:]])
        found = attack(compare(original, released=released, control=control))
        risks.append(one(found, "singling_out.excess", WHOLE).value)
    assert risks == sorted(risks)
    assert risks[0] == pytest.approx(0.0, abs=0.02)
    assert risks[2] == pytest.approx(0.5, abs=0.07)
    assert risks[3] == 1.0


def test_small_classes_are_singled_out_more_than_large_ones() -> None:
    frame = people(4000, 3, 12)
    found = {}
    for k, width in ((2, 2), (20, 6)):

        def coarse(people: pl.DataFrame, width: int = width) -> pl.DataFrame:
            return people.with_columns((pl.col(c) // width).cast(pl.String) for c in people.columns)

        original, control = parts(frame, 2000, 2000)
        kept = suppress_small(coarse(original), original.columns, k)
        found[k] = attack(compare(original, coarse, kept=kept, control=control))
    for metric in ("singling_out.risk", "singling_out.excess"):
        assert one(found[2], metric, WHOLE).value > one(found[20], metric, WHOLE).value
    # A class of twenty or more leaves the chance of thinning it: (1 - 1 / k)^(k - 1) = .377.
    assert one(found[20], "singling_out.risk", WHOLE).value == pytest.approx(0.37, abs=0.02)
    assert one(found[20], "singling_out.excess", WHOLE).value < 0.05


def test_a_release_that_says_nothing_is_blind_guessing() -> None:
    original, control = parts(people(1000, 6, 10), 500, 500)
    found = attack(compare(original, starred, control=control))
    for kind in (WHOLE, FEW, BROAD):
        risk = one(found, "singling_out.risk", kind)
        assert risk.value == pytest.approx(np.exp(-1), abs=0.001)
        assert "no evidence" in risk.note
        assert one(found, "singling_out.excess", kind).value == pytest.approx(0, abs=1e-12)
    assert {finding.status for finding in found if finding.metric.endswith("risk")} <= {
        "measured",
        "no-power",
    }


def test_a_control_with_people_of_the_original_is_refused() -> None:
    original, control = parts(people(4000, 6, 10).unique(maintain_order=True), 1000, 1000)
    mixed = pl.concat([original[:300], control[:700]])
    assert overlaps(compare(original, control=mixed))
    assert not overlaps(compare(original, control=control))
    # Few columns: strangers are twins by chance.
    original, control = parts(people(4000, 2, 10), 1000, 1000)
    assert not overlaps(compare(original, control=control))
    found = attack(compare(people(500, 6, 10), control=people(500, 6, 10)))
    assert one(found, "singling_out.excess").status == "error"
    assert one(found, "singling_out.risk").control is None


def test_one_persons_rare_value_is_among_the_first_predicates() -> None:
    original, control = parts(people(2000, 3, 5), 1000, 1000)
    original = original.with_columns(c0=pl.when(pl.int_range(1000) == 7).then(999).otherwise("c0"))
    found = attack(compare(original, control=control))
    risk, excess = (one(found, f"singling_out.{name}", UNIVARIATE) for name in ("risk", "excess"))
    assert risk.value > one(attack(compare(control, control=original)), risk.metric, UNIVARIATE).value
    assert excess.value > 0


def test_labels_that_overlap_are_met_by_whom_they_cover() -> None:
    frame = people(1200, 3, 40)
    original, control = parts(frame, 600, 600)
    found = {k: attack(local(original, by_cuts(original, k), control=control)) for k in (2, 20)}
    for metric in ("singling_out.risk", "singling_out.excess"):
        assert one(found[2], metric, WHOLE).value > one(found[20], metric, WHOLE).value


def test_groups_and_without_control() -> None:
    frame = people(800, 5, 10).with_columns(group=pl.int_range(800) % 2)
    found = attack(compare(frame, groups=("group",)))
    assert one(found, "singling_out.risk", "group=1").value == pytest.approx(1.0, abs=0.01)
    assert one(found, "singling_out.disparity", "group").status == "measured"
    assert one(found, "singling_out.excess").status == "not-measured"


def test_thinning_many_is_never_better_than_chance() -> None:
    many = np.arange(1, 100)
    assert (isolated(many, many, many) >= np.exp(-1)).all()
    assert (np.diff(isolated(many, many, many)) < 0).all()
