"""A register from outside: what its holder can claim, and how often they are right."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, people, profile, starred, step
from sfumato.core.errors import InputError
from sfumato.core.values import Role
from sfumato.evidence.attacks.external import TARGET, link_register


def numbered(frame: pl.DataFrame, start: int = 0) -> pl.DataFrame:
    return frame.with_columns(id=pl.int_range(start, start + frame.height))


EVERYBODY = numbered(people(1000, 5, 12).unique(maintain_order=True))
ORIGINAL, CONTROL = EVERYBODY[:500], EVERYBODY[500:]
HIDDEN = {"id": profile("id", Role.DIRECT_IDENTIFIER)}
STEPS = [step("id", Role.DIRECT_IDENTIFIER, action="pseudonymize")]


def comparison(describe=lambda frame: frame, **more):
    return compare(ORIGINAL, describe, control=CONTROL, profiles=HIDDEN, steps=STEPS, **more)


def test_a_raw_release_is_found_by_its_people_and_not_by_others() -> None:
    register = EVERYBODY.sample(fraction=1.0, shuffle=True, seed=1)
    found = link_register(comparison(), register, "id")
    assert one(found, "linkage.success", TARGET).value == 1.0
    assert one(found, "linkage.excess", TARGET).value == 1.0
    assert one(found, "linkage.unique_matches", TARGET).value == pytest.approx(0.5, abs=0.01)


def test_a_release_that_says_nothing_gives_no_match() -> None:
    found = link_register(comparison(lambda f: starred(f.drop("id")).with_columns(f["id"])), EVERYBODY, "id")
    assert one(found, "linkage.unique_matches", TARGET).value == 0.0
    assert one(found, "linkage.expected_claims", TARGET).value == pytest.approx(1 / 500)
    assert one(found, "linkage.success", TARGET).value == pytest.approx(1 / 500)
    assert one(found, "linkage.excess", TARGET).value == pytest.approx(0.0, abs=1e-12)


def test_without_the_truth_only_claims_are_counted() -> None:
    found = link_register(comparison(), EVERYBODY.select("c0", "c1", "c2", "c3", "c4"))
    assert {finding.metric for finding in found} == {"linkage.unique_matches", "linkage.expected_claims"}


def test_a_register_read_as_text_with_blanks_and_typing_errors_still_serves() -> None:
    register = EVERYBODY.select(
        pl.col("c0", "c1", "c2", "c3").cast(pl.String), "id", note=pl.lit("x")
    ).with_columns(
        c0=pl.when(pl.col("id") % 5 == 0).then(pl.lit("about 7")).otherwise("c0"),
        c1=pl.when(pl.col("id") % 7 == 0).then(None).otherwise("c1"),
    )
    found = link_register(comparison(), register, "id")
    assert one(found, "linkage.success", TARGET).value > 0.8


def test_a_suppressed_person_is_not_found() -> None:
    kept = np.arange(500) >= 400
    found = link_register(comparison(kept=kept), ORIGINAL, "id")
    assert one(found, "linkage.success", TARGET).n == 100
    nobody = link_register(comparison(kept=kept), ORIGINAL[:100], "id")
    assert one(nobody, "linkage.success", TARGET).status == "not-measured"


def test_without_people_held_out_there_is_no_excess() -> None:
    found = link_register(comparison(), ORIGINAL, "id")
    assert one(found, "linkage.success", TARGET).status == "measured"
    assert one(found, "linkage.excess", TARGET).status == "not-measured"


@pytest.mark.parametrize(
    ("register", "truth"),
    [
        (EVERYBODY.select(other="c0"), None),
        (EVERYBODY.select("id"), None),
        (EVERYBODY.clear(), None),
        (EVERYBODY.drop("id"), "id"),
        (EVERYBODY, "c0"),
        (EVERYBODY, "nowhere"),
    ],
)
def test_a_register_that_does_not_fit_is_one_clear_error(register: pl.DataFrame, truth: str | None) -> None:
    with pytest.raises(InputError) as wrong:
        link_register(comparison(), register, truth)
    assert wrong.value.code == "register-mismatch"
