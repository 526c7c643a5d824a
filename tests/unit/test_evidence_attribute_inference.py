"""Attribute inference on releases whose answer is known, and against twins that are broken."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, local, one, people, profile, starred, step, suppress_small
from sfumato.core.values import Role
from sfumato.evidence.attacks import attribute_inference
from sfumato.evidence.attacks.attribute_inference import AttributeInference
from sfumato.evidence.attacks.guessed import Guessed
from sfumato.evidence.attacks.guessing import Learner

SECRET = {"s": profile("s", Role.INSENSITIVE, sensitive=True)}
STEPS = [step("s", Role.INSENSITIVE, sensitive=True)]


def attack(original, describe=lambda frame: frame, **more):
    given = compare(original, describe, **{"profiles": SECRET, "steps": STEPS, **more})
    return AttributeInference().run(given, AttributeInference.Params())


def with_secret(rows: int, values: int = 5, columns: int = 4) -> pl.DataFrame:
    """A secret that nothing tells of."""
    draw = np.random.default_rng(11)
    return people(rows, columns, 12).with_columns(s=pl.Series(draw.integers(0, values, rows).astype(str)))


def split(frame: pl.DataFrame, *sizes: int) -> list[pl.DataFrame]:
    ends = np.cumsum([0, *sizes])
    return [frame[start:stop] for start, stop in itertools.pairwise(ends)]


def coarse(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    columns = [column for column in frame.columns if column != "s"]
    return frame.with_columns((pl.col(column) // width).cast(pl.String) for column in columns)


def test_an_exact_copy_gives_every_secret_away() -> None:
    original, control = split(with_secret(3000), 1500, 1500)
    found = attack(original, control=control)
    success = one(found, "attribute_inference.success", "s")
    assert success.value > 0.95
    assert success.before == pytest.approx(success.value, abs=0.03)
    assert success.control == pytest.approx(0.2, abs=0.06)
    assert success.baseline == pytest.approx(0.2, abs=0.08)
    assert one(found, "attribute_inference.excess").value > 0.7
    assert one(found, "attribute_inference.precision").value == 1.0
    assert one(found, "attribute_inference.recall").value > 0.9


def test_other_people_give_chance() -> None:
    original, others, control = split(with_secret(3000), 1000, 1000, 500)
    found = attack(original, released=others, control=control)
    assert one(found, "attribute_inference.success", "s").value < 0.3
    assert one(found, "attribute_inference.excess").low < 0.02


def test_what_anybody_could_infer_is_no_excess() -> None:
    draw = np.random.default_rng(2)
    frame = people(3000, 3, 4).with_columns(s=(pl.col("c0") >= 2) ^ pl.Series(draw.random(3000) < 0.05))
    original, others, control = split(frame, 1000, 1000, 1000)
    found = attack(original, released=others, control=control)
    success = one(found, "attribute_inference.success", "s")
    assert success.value > 0.9
    assert success.control > 0.9
    assert success.baseline > 0.9
    assert abs(one(found, "attribute_inference.excess", "s").value) < 0.06


def test_half_a_copy_lies_between_and_in_order() -> None:
    original, others, control = split(with_secret(3000), 1000, 1000, 1000)
    risks = []
    for copied in (0, 500, 1000):
        released = pl.concat([original[:copied], others[copied:]])
        found = attack(original, released=released, control=control)
        risks.append(one(found, "attribute_inference.excess", "s").value)
    assert risks == sorted(risks)
    assert 0.2 < risks[1] < 0.6


def test_small_classes_give_more_away_than_large_ones() -> None:
    original, control = split(with_secret(4000, columns=3), 2000, 2000)
    found = {}
    for k, width in ((2, 2), (20, 6)):
        kept = suppress_small(coarse(original, width), ["c0", "c1", "c2"], k)
        found[k] = attack(original, lambda f, w=width: coarse(f, w), kept=kept, control=control)
    for metric in ("attribute_inference.success", "attribute_inference.excess"):
        assert one(found[2], metric, "s").value > one(found[20], metric, "s").value + 0.05
    assert one(found[20], "attribute_inference.excess", "s").value < 0.12


def test_numbers_are_right_in_the_right_tenth() -> None:
    draw = np.random.default_rng(7)
    frame = people(2000, 4, 12).with_columns(s=pl.Series(draw.normal(size=2000)))
    original, control = split(frame, 1000, 1000)
    found = attack(original, control=control)
    assert one(found, "attribute_inference.success", "s").value > 0.95
    assert one(found, "attribute_inference.success", "s").control == pytest.approx(0.1, abs=0.06)


def test_labels_that_overlap() -> None:
    original, control = split(with_secret(1200, columns=3), 600, 600)
    columns = ["c0", "c1", "c2"]
    found = {
        k: AttributeInference().run(
            local(
                original, by_cuts(original.select(columns), k), columns,
                control=control, profiles=SECRET, steps=STEPS,
            ),
            AttributeInference.Params(),
        )
        for k in (2, 20)
    }  # fmt: skip
    values = {k: one(each, "attribute_inference.excess", "s").value for k, each in found.items()}
    assert values[2] > values[20]


def test_no_secret_one_value_and_an_overlapping_control() -> None:
    original, control = split(with_secret(600), 300, 300)
    none = AttributeInference().run(compare(original, control=control), AttributeInference.Params())
    assert {finding.status for finding in none} == {"not-measured"}
    stars = attack(original, starred, control=control)
    assert one(stars, "attribute_inference.success", "s").status == "no-power"
    assert one(stars, "attribute_inference.success").status == "no-power"
    refused = attack(original, control=original)
    assert one(refused, "attribute_inference.excess").status == "error"
    target = AttributeInference().run(
        compare(original, control=control, target="s"), AttributeInference.Params()
    )
    assert one(target, "attribute_inference.success", "s").status == "measured"


def test_more_secrets_than_are_attacked_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute_inference, "MOST_SECRETS", 1)
    original, control = split(with_secret(600), 300, 300)
    profiles = {**SECRET, "c0": profile("c0", sensitive=True)}
    found = attack(original, control=control, profiles=profiles)
    assert one(found, "attribute_inference.success", "s").status == "not-measured"
    assert one(found, "attribute_inference.success").status == "not-measured"


def test_recall_claims_those_of_the_same_confidence_together() -> None:
    right = np.r_[np.ones(50), np.zeros(50)]
    assert Guessed(right, right).figure("x.recall") == 0.5
    assert Guessed(right, np.ones(100)).figure("x.recall") == 0.0
    assert Guessed(right, 1 - right).figure("x.recall") == 0.0


def of_several_classes(seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    draw = np.random.default_rng(seed)
    known, town = draw.normal(size=10_000), draw.integers(0, 40, 10_000)
    secret = 1.5 * known + 0.4 * (town % 7) + draw.normal(0, 0.7, 10_000)
    frame = pl.DataFrame(
        {"known": known, "town": [f"t{i}" for i in town], "noise": draw.integers(0, 50, 10_000)}
    )
    return frame, np.searchsorted([-1.5, 0.5, 2.5, 3.7, 4.6], secret)


def test_a_learner_of_several_classes_is_right_where_it_is_sure() -> None:
    """Steps that are too long for the rare classes make it sure of what is wrong."""
    (taught, truth), (asked, theirs) = of_several_classes(2), of_several_classes(52)
    told = Learner.of({}, taught.columns, taught, truth, bytes([2]) * 32).tell(asked)
    right = told.guess == theirs
    assert right.mean() > 0.67
    assert right[np.argsort(-told.confidence)[:1000]].mean() > 0.83
