"""Membership by shadow releases, of methods whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, local, made, one
from sfumato.contracts import Comparison
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.membership import Membership
from sfumato.evidence.attacks.shadow_features import Questions
from sfumato.evidence.attacks.shadow_membership import FAILED, NO_METHOD, ShadowMembership

AT_1 = "shadow_membership.tpr_at_1"
Method = Callable[[pl.DataFrame, bytes], pl.DataFrame]


def crowd(rows: int, seed: int = 0) -> pl.DataFrame:
    """People of numbers and categories; hardly two are alike."""
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 4, rows)
    return pl.DataFrame(
        {
            "age": (kind * 12 + draw.integers(18, 50, rows)).astype(np.int64),
            "pay": np.round(np.exp(draw.normal(7 + kind / 3, 0.5, rows)), 0),
            "town": draw.choice([f"t{i}" for i in range(30)], rows, p=np.arange(30, 0, -1) / 465),
            "work": pl.Series(draw.integers(0, 3, rows) + kind).cast(pl.String),
            "home": draw.choice(["rent", "own"], rows),
        }
    )


def copying(share: float) -> Method:
    """A generator that repeats a share of those who taught it and makes the others up."""

    def make(taught: pl.DataFrame, key: bytes) -> pl.DataFrame:
        draw = generator(key)
        copied = taught[draw.permutation(taught.height)[: round(share * taught.height)]]
        return pl.concat([copied, crowd(taught.height - copied.height, int(draw.integers(0, 2**31)))])

    return make


def scrambling(taught: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """A generator whose rows are people's with two of their columns, others for each, those of anybody."""
    draw = generator(key)
    swapped = draw.random((taught.height, taught.width)).argsort(axis=1) < 2
    return pl.DataFrame(
        [
            taught[name].zip_with(pl.Series(~swapped[:, j]), taught[name][draw.permutation(taught.height)])
            for j, name in enumerate(taught.columns)
        ]
    )


def remaking(method: Method) -> Callable[[pl.DataFrame, bytes], Comparison]:
    return lambda rows, key: made(rows, method(rows, key), control=rows.clear(), key=key)


def game(method: Method, people: int = 1500, **more) -> Comparison:
    members = crowd(people)
    release = method(members, derive(bytes(32), "real"))
    given = made(members, release, control=crowd(1400, 7))
    return replace(given, **{"remake": remaking(method), **more})


def attacked(method: Method, shadows: int = 8, **more) -> list[Finding]:
    return ShadowMembership().run(game(method, **more), ShadowMembership.Params(shadows=shadows))


@pytest.mark.parametrize(("copied", "around"), [(1.0, 1.0), (0.5, 0.505), (0.05, 0.0595)])
def test_who_is_copied_is_found(copied: float, around: float) -> None:
    found = attacked(copying(copied))
    assert one(found, AT_1).value == pytest.approx(around, abs=0.012)
    assert one(found, AT_1).low > 0.01
    assert one(found, AT_1).baseline == one(found, AT_1).control == 0.01
    assert one(found, "shadow_membership.tpr_at_1_all_columns").value == one(found, AT_1).value
    assert one(found, "shadow_membership.tpr_at_01").status == "no-power"


def test_fresh_rows_give_nobody_away() -> None:
    found = attacked(copying(0.0))
    assert one(found, AT_1).low <= 0.01 <= one(found, AT_1).high
    assert one(found, AT_1).value < 0.03
    assert one(found, "shadow_membership.auc").value == pytest.approx(0.5, abs=0.04)
    assert one(found, "shadow_membership.advantage").value < 0.06


def test_shadows_find_more_than_a_density_where_rows_are_scrambled() -> None:
    comparison = game(scrambling)
    found = ShadowMembership().run(comparison, ShadowMembership.Params(shadows=8))
    plain = Membership().run(comparison, Membership.Params())
    exact = one(plain, "membership.tpr_at_1", "exact matches")
    assert one(found, AT_1).value > 0.3
    assert one(found, AT_1).low > exact.high


def test_groups_and_single_people_are_told_and_progress_is() -> None:
    kept: list[tuple[str, int]] = []
    seen: list[tuple[int, int]] = []
    found = attacked(
        copying(0.5),
        groups=("home",),
        record=lambda metric, rows, _: kept.append((metric, len(rows))),
        watch=lambda _, done, total: seen.append((done, total)),
    )
    assert {finding.target for finding in found if finding.metric == AT_1} == {
        "release",
        "home=own",
        "home=rent",
    }
    assert one(found, "shadow_membership.disparity", "home").status == "measured"
    assert kept == [(AT_1, 1500)]
    assert seen == [(number, 8) for number in range(8)]


def test_the_same_key_finds_the_same() -> None:
    assert attacked(copying(0.5), shadows=4) == attacked(copying(0.5), shadows=4)


def test_without_a_method_or_people_nothing_is_measured() -> None:
    for given, status, note in (
        (game(copying(1.0), remake=None), "not-measured", NO_METHOD),
        (
            made(crowd(500), crowd(500, 1), remake=remaking(copying(1.0))),
            "not-measured",
            "nobody was held out",
        ),
        (
            made(crowd(500), crowd(500, 1), control=crowd(10, 7), remake=remaking(copying(1.0))),
            "no-power",
            "fewer than 40",
        ),
    ):
        found = ShadowMembership().run(given, ShadowMembership.Params(shadows=4))
        assert {finding.status for finding in found} == {status}
        assert all(finding.note.startswith(note) for finding in found)


def test_a_method_that_refuses_leaves_no_figure_and_no_words_of_its_own() -> None:
    def refusing(rows: pl.DataFrame, key: bytes) -> Comparison:
        raise InputError("anonymity-impossible", "somebody of 104 years")

    found = ShadowMembership().run(game(copying(1.0), remake=refusing), ShadowMembership.Params(shadows=4))
    assert {finding.status for finding in found} == {"not-measured"}
    assert {finding.note for finding in found} == {FAILED.format("anonymity-impossible")}


def test_answers_are_those_of_counting() -> None:
    rows = crowd(300)
    people = pl.concat([crowd(40, 1), rows[:40]])
    questions = Questions.of(rows.columns, crowd(200, 2), 30, bytes(32))
    counts, near = questions.answered(compare(rows), people, rows.height)
    width = len(rows.columns)
    for number, query in enumerate(questions.asked):
        for person in range(people.height):
            agree = np.ones(rows.height, dtype=bool)
            for place in query:
                name, bins = rows.columns[place % width], questions.bins[place % width]
                own, every = people[name][person], rows[name]
                if place < width or bins is None:
                    agree &= (every == own).to_numpy()
                else:
                    agree &= bins.codes(every.cast(float).to_numpy()) == bins.codes(np.array([float(own)]))[0]
            assert counts[person, number] == agree.sum()
    assert (counts[40:, 0] >= 1).all()
    assert near.shape == (80, 2)
    assert (near[40:, 0] < near[:40, 0].max()).all()


def test_where_labels_overlap_rows_count_that_cover_the_person() -> None:
    rows = crowd(200).select("age", "home")
    release = local(rows.sort("age"), [place // 10 for place in range(200)])
    questions = Questions.of(["age", "home"], crowd(100, 2).select("age", "home"), 5, bytes(32))
    counts, others = questions.answered(release, rows[:50], 200)
    assert others.shape == (50, 0)
    labels = release.released
    for person in range(50):
        agree = np.ones(200, dtype=bool)
        for name in ("age", "home"):
            assert release.covers is not None
            covers = release.covers(name, labels[name].unique(), rows[name][person : person + 1])[:, 0]
            known = dict(zip(labels[name].unique().to_list(), covers, strict=True))
            agree &= np.array([known[label] for label in labels[name]])
        assert counts[person, 0] == agree.sum()


ODD = {
    "constant": pl.lit(1),
    "missing": pl.lit(None, dtype=pl.Float64),
    "no type": pl.lit(None),
    "no number": pl.Series("odd", [float("nan"), float("inf"), -float("inf"), 1e308] * 300),
    "dates": pl.date(2020, 1, 1) + pl.duration(days=pl.int_range(1200) % 400),
    "truth": pl.int_range(1200) % 3 == 0,
    "all different": pl.int_range(1200).cast(pl.String),
}


@pytest.mark.parametrize("kind", sorted(ODD))
def test_odd_columns_break_nothing(kind: str) -> None:
    everybody = crowd(1200).select("town", "home").with_columns(odd=ODD[kind])
    given = made(everybody[:700], everybody[:700], control=everybody[700:])
    given = replace(given, remake=remaking(lambda rows, _: rows))
    found = ShadowMembership().run(given, ShadowMembership.Params(shadows=4))
    assert {finding.status for finding in found} <= {"measured", "no-power", "not-measured"}
    assert one(found, "shadow_membership.auc").status == "measured"


def test_who_knows_no_column_finds_nothing() -> None:
    given = game(copying(1.0))
    hidden = given.inventory.model_copy(update={"columns": ()})
    found = ShadowMembership().run(replace(given, inventory=hidden), ShadowMembership.Params(shadows=4))
    assert all(finding.status in ("measured", "not-measured", "no-power") for finding in found)
