"""Rows left as they were: found by attackers who try raw terms as well; where there are none nobody tries."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import as_is, compare, local, one, profile
from sfumato.contracts import Comparison
from sfumato.core.values import Role
from sfumato.evidence.attacks import attribute_inference
from sfumato.evidence.attacks.attribute_inference import AttributeInference
from sfumato.evidence.attacks.external import TARGET, link_register
from sfumato.evidence.attacks.linkage import EXACT, RAW, Linkage
from sfumato.evidence.attacks.raw_terms import in_raw_terms

ROWS = 2000


def crowd(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age": draw.integers(18, 80, rows),
            "pay": draw.integers(0, 5000, rows),
            "town": draw.choice([f"town {i}" for i in range(40)], rows),
            "ill": draw.choice(["no", "flu", "asthma", "gout"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        }
    )


def coarse(frame: pl.DataFrame) -> pl.DataFrame:
    """Numbers as texts of intervals, and towns as one of four."""
    age, pay = (pl.col("age") // 20 * 20).cast(pl.String), (pl.col("pay") // 2500).cast(pl.String)
    return frame.with_columns(age=age + "-", pay="part " + pay, town=pl.col("town").str.slice(0, 6))


def left(share: float, original: pl.DataFrame, from_: pl.DataFrame | None = None) -> pl.DataFrame:
    """The coarse table in which a share of rows is raw, those of ``from_`` if they are not their own."""
    raw = (original if from_ is None else from_).cast({"age": pl.String, "pay": pl.String})
    chosen = pl.Series(np.arange(original.height) < share * original.height)
    described = coarse(original)
    return pl.DataFrame([raw[name].zip_with(chosen, described[name]) for name in original.columns])


def comparison(released: pl.DataFrame, original: pl.DataFrame | None = None, **more) -> Comparison:
    people = crowd() if original is None else original
    profiles = {"ill": profile("ill", Role.INSENSITIVE, sensitive=True, dtype="text")}
    given = {"control": crowd(ROWS, 7), "profiles": profiles, **more}
    return compare(people, coarse, released=released, **given)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_rows_left_raw_are_linked(share: float) -> None:
    found = Linkage().run(comparison(left(share, crowd())), Linkage.Params(register=ROWS))
    worst = one(found, "linkage.success")
    assert share - 0.01 < worst.value < share + 0.05
    assert worst.note.startswith(RAW)
    assert one(found, "linkage.excess").value > 0.7 * share
    assert one(found, "linkage.excess").low > 0
    assert one(found, "linkage.success_all_columns").value > 0.9 * share
    assert one(found, "linkage.success", EXACT).value < 0.05 + 0.01 * share
    assert one(found, "linkage.precision", RAW).value > 1.5 * one(found, "linkage.precision", EXACT).value


def test_secrets_of_rows_left_raw_are_told() -> None:
    asked = comparison(left(0.5, crowd()))
    found = AttributeInference().run(asked, AttributeInference.Params(people=1000))
    excess = one(found, "attribute_inference.excess")
    assert excess.low > 0.15
    assert attribute_inference.RAW in excess.note
    assert "knows age, pay, town" in excess.assumes
    honest = AttributeInference().run(comparison(coarse(crowd())), AttributeInference.Params(people=1000))
    assert one(honest, "attribute_inference.excess").value < 0.05


def test_a_register_from_outside_is_tried_in_raw_terms() -> None:
    original = crowd().with_columns(id=pl.int_range(ROWS))
    released = left(0.3, original.drop("id")).with_columns(original["id"])
    asked = comparison(released, original, control=crowd(ROWS, 7).with_columns(id=pl.int_range(ROWS) + ROWS))
    register = pl.concat([asked.original, asked.control]).select("age", "pay", "town", "id")
    found = link_register(asked, register, "id")
    assert 0.1 < one(found, "linkage.unique_matches", TARGET).value < 0.2
    assert one(found, "linkage.excess", TARGET).low > 0.2


def test_raw_rows_of_others_find_nobody_of_ours() -> None:
    asked = comparison(left(0.5, crowd(), from_=crowd(ROWS, 3)))
    found = Linkage().run(asked, Linkage.Params(register=ROWS))
    assert one(found, "linkage.excess", RAW).value < 0.02
    assert one(found, "linkage.excess").value < 0.02


def test_one_value_left_raw_is_enough_to_look() -> None:
    released = coarse(crowd())
    pay = released["pay"].to_list()
    pay[5] = str(crowd()["pay"][5])
    asked = comparison(released.with_columns(pay=pl.Series(pay)))
    mixed = in_raw_terms(asked, asked.released)
    assert mixed is not None
    assert mixed.overlapping == ("pay",)


@pytest.mark.parametrize(
    "honest",
    [
        compare(crowd(), as_is, control=crowd(500, 7)),
        comparison(coarse(crowd())),
        comparison(coarse(crowd()), control=crowd().clear()),
        compare(
            crowd(), lambda frame: frame.with_columns(pay=pl.col("pay") // 10 * 10), control=crowd(500, 7)
        ),
        compare(crowd(), lambda frame: frame.with_columns(pay=pl.lit(None, pl.Int64)), control=crowd(500, 7)),
        compare(crowd(), lambda frame: frame.with_columns(pl.lit("*").alias("town")), control=crowd(500, 7)),
        comparison(coarse(crowd(0)), crowd(0)),
        local(
            crowd(200).select("age", "ill"),
            [row // 10 for row in range(200)],
            control=crowd(100, 7).select("age", "ill"),
        ),
    ],
)
def test_where_nothing_is_raw_nothing_is_tried(honest: Comparison) -> None:
    assert in_raw_terms(honest, honest.released) is None
    if honest.original.height:
        found = Linkage().run(honest, Linkage.Params())
        assert RAW not in {finding.target for finding in found}


def test_a_label_agrees_with_whom_the_method_gives_it_and_with_the_value_that_it_is() -> None:
    original, centers = crowd(300), {"age": {f"{low}-": low + 10.0 for low in (0, 20, 40, 60)}}
    asked = comparison(left(0.3, original), original, centers=centers)
    mixed = in_raw_terms(asked, asked.released)
    assert mixed is not None
    assert mixed.covers is not None
    assert set(mixed.overlapping) == {"age", "pay", "town"}
    for name in ("age", "town"):
        labels, values = asked.released[name].unique(), original[name].unique()
        lent = original[:1].drop(name).join(values.to_frame(), how="cross").select(original.columns)
        meant = coarse(lent)[name].to_list()
        expected = [
            [
                label == described or label == str(value)
                for value, described in zip(values, meant, strict=True)
            ]
            for label in labels
        ]
        assert (mixed.covers(name, labels, values) == np.array(expected)).all()
    assert mixed.centers["age"]["20-"] == 30.0
    assert mixed.centers["age"][str(original["age"][0])] == original["age"][0]
    assert mixed.describe(original).equals(coarse(original).with_columns(original.drop("ill")))
