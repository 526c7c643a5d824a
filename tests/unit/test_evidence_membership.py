"""Membership inference on releases whose answer is known, and against twins that are broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import KEY, by_cuts, compare, local, one, people, profile, starred
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Finding, Role
from sfumato.evidence import UNGATED
from sfumato.evidence.attacks import density, membership
from sfumato.evidence.attacks.density import CLASSIFIER, DENSITY, EXACT, NEAREST, Held
from sfumato.evidence.attacks.membership import COVERING, Membership
from sfumato.evidence.attacks.people import SUREST
from sfumato.evidence.utility.plausibility import Plausibility

WAYS = (EXACT, NEAREST, DENSITY, CLASSIFIER)
AT_1 = "membership.tpr_at_1"


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_TREES", 6)


def crowd(rows: int, seed: int = 0) -> pl.DataFrame:
    """People of three numbers and three categories that hang together; hardly two are alike."""
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 4, rows)
    return pl.DataFrame(
        {
            "age": (kind * 12 + draw.integers(18, 50, rows)).astype(np.int64),
            "pay": np.round(np.exp(draw.normal(7 + kind / 3, 0.5, rows)), 0),
            "hours": draw.choice([20, 35, 40, 40, 40, 45], rows),
            "town": draw.choice([f"t{i}" for i in range(30)], rows, p=np.arange(30, 0, -1) / 465),
            "work": pl.Series(draw.integers(0, 3, rows) + kind).cast(pl.String),
            "home": draw.choice(["rent", "own"], rows),
        }
    )


def released_as(comparison: Comparison, release: pl.DataFrame) -> Comparison:
    return replace(comparison, count=lambda columns: release.group_by(columns).len(COUNT))


def attacked(release: pl.DataFrame, members: pl.DataFrame, **more) -> list[Finding]:
    given = released_as(compare(members, control=crowd(1400, 7), **more), release)
    return Membership().run(given, Membership.Params())


def test_a_copy_of_people_gives_all_of_them_away() -> None:
    members = crowd(1500)
    found = attacked(members, members)
    for target in ("release", EXACT, NEAREST):
        assert one(found, AT_1, target).value > 0.95
        assert one(found, "membership.auc", target).value > 0.99
        assert one(found, "membership.advantage", target).value > 0.95
    assert one(found, AT_1).before > 0.95
    assert one(found, AT_1).low > 0.9
    assert one(found, "membership.tpr_at_1_all_columns").value > 0.95
    assert one(found, "membership.precision", SUREST).status == "no-power"


def test_fresh_people_give_nobody_away() -> None:
    found = attacked(crowd(1500, 3), crowd(1500))
    for target in ("release", *WAYS):
        finding = one(found, AT_1, target)
        assert finding.baseline == finding.control == 0.01
        assert finding.low <= 0.01 <= finding.high
        assert finding.value < 0.03
        assert one(found, "membership.auc", target).value == pytest.approx(0.5, abs=0.04)
        assert one(found, "membership.advantage", target).low < 0
    assert one(found, AT_1).before > 0.95


@pytest.mark.parametrize(("copied", "around"), [(0.05, 0.0595), (0.5, 0.505)])
def test_copies_in_part_give_that_part_away(copied: float, around: float) -> None:
    members, size = crowd(2000), round(2000 * copied)
    found = attacked(pl.concat([members[:size], crowd(2000 - size, 3)]), members)
    finding = one(found, AT_1, EXACT)
    assert finding.value == pytest.approx(around, abs=0.012)
    assert finding.low > 0.01
    assert one(found, AT_1).high >= finding.high


def test_distance_to_the_closest_record_misses_the_copies_that_the_attack_finds() -> None:
    members = crowd(2000)
    release = pl.concat([members[:100], crowd(1900, 3)])
    given = released_as(compare(members, control=crowd(2000, 7)), release)
    (closer,) = Plausibility().run(given, Plausibility.Params())
    assert closer.value == pytest.approx(0.525, abs=0.02)
    assert closer.low < 0.52
    assert "no evidence of privacy" in closer.note
    assert closer.metric in UNGATED
    assert one(Membership().run(given, Membership.Params()), AT_1).low > 0.02


def test_closest_records_of_a_copy_and_of_fresh_rows() -> None:
    members, control = crowd(600), crowd(600, 7)
    for release, share in ((members, 1.0), (control, 0.0), (crowd(600, 3), 0.5)):
        given = released_as(compare(members, control=control), release)
        (closer,) = Plausibility().run(given, Plausibility.Params())
        assert closer.value == pytest.approx(share, abs=0.06)
    # Sides of different sizes: the larger would be nearer to anything if it were not cut.
    given = released_as(compare(crowd(3000), control=control), crowd(1000, 3))
    (closer,) = Plausibility().run(given, Plausibility.Params())
    assert closer.value == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (lambda: compare(crowd(100)), "not-measured"),
        (lambda: compare(crowd(100), control=crowd(10, 7)), "no-power"),
        (lambda: compare(crowd(100), kept=np.zeros(100, dtype=bool), control=crowd(100, 7)), "not-measured"),
        (lambda: local(people(100, 2, 5), [i // 10 for i in range(100)], control=people(50, 2, 5)),
         "not-measured"),
    ],
)  # fmt: skip
def test_closest_records_that_cannot_be_had_are_no_figure(given, status: str) -> None:
    (closer,) = Plausibility().run(given(), Plausibility.Params())
    assert closer.status == status


def test_rows_with_replaced_cells_are_found_by_their_density() -> None:
    members, draw = crowd(1500), np.random.default_rng(5)
    noisy = members.with_columns(
        pl.when(pl.Series(draw.random(1500) < 0.25)).then(column.sample(fraction=1, shuffle=True, seed=j))
        .otherwise(column).alias(column.name)
        for j, column in enumerate(members)
    )  # fmt: skip
    found = attacked(noisy, members)
    assert one(found, "membership.auc", DENSITY).value > one(found, "membership.auc", EXACT).value + 0.03
    assert one(found, AT_1, DENSITY).low > 0.02


def coarse(width: int):
    """Ages and pay in bands, towns in groups of so many, nothing else."""

    def describe(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(
            (pl.col("age") // width * width).cast(pl.String) + "+",
            (pl.col("pay").log() / np.log(1 + width / 20)).floor().cast(pl.String),
            pl.col("town").str.slice(1).cast(pl.Int64).floordiv(width).cast(pl.String),
        )

    return describe


def test_labels_are_compared_in_the_releases_own_terms_and_small_classes_give_more_away() -> None:
    members, control = crowd(1500), crowd(1400, 7)
    found = {}
    for k, width in ((2, 2), (20, 20)):
        described = coarse(width)(members)
        kept = described.select(pl.len().over(described.columns) >= k).to_series().to_numpy()
        given = compare(members, coarse(width), kept=kept, control=control)
        found[k] = one(Membership().run(given, Membership.Params()), "membership.auc")
    assert found[2].low > found[20].high
    assert found[20].value < 0.6


def test_overlapping_labels_are_scored_by_what_covers_a_person() -> None:
    frame = people(1200, 3, 60)
    found = {}
    for k in (2, 20):
        given = local(frame, by_cuts(frame, k), control=people(1000, 3, 60, seed=9))
        found[k] = Membership().run(given, Membership.Params())
        assert {finding.target for finding in found[k] if finding.metric == AT_1} == {"release", COVERING}
        assert "overlap" in one(found[k], AT_1).note
    assert one(found[2], "membership.auc").low > one(found[20], "membership.auc").high
    assert one(found[2], "membership.auc").value > 0.8


def test_many_overlapping_classes_are_compared_with_fewer_people(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people(600, 2, 60)
    given = local(frame, by_cuts(frame, 5), control=people(1000, 2, 60, seed=9))
    whole = one(Membership().run(given, Membership.Params()), "membership.auc")
    monkeypatch.setattr(membership, "CELLS", 10_000)
    cut = one(Membership().run(given, Membership.Params()), "membership.auc")
    assert cut.n < whole.n
    assert cut.high - cut.low > whole.high - whole.low


def test_a_release_that_says_nothing_is_blind_guessing() -> None:
    given = compare(crowd(1000), starred, control=crowd(1000, 7))
    found = Membership().run(given, Membership.Params())
    for target in ("release", *WAYS):
        assert one(found, AT_1, target).value == pytest.approx(0.01)
        assert one(found, "membership.auc", target).value == 0.5
        assert one(found, "membership.advantage", target).value == pytest.approx(0, abs=1e-9)


def test_an_attacker_who_knows_no_column_guesses_and_one_who_knows_all_does_not() -> None:
    members = crowd(1000)
    plain = {name: profile(name, Role.INSENSITIVE) for name in members.columns}
    found = Membership().run(compare(members, control=crowd(1000, 7), profiles=plain), Membership.Params())
    assert one(found, AT_1).value == pytest.approx(0.01)
    assert one(found, "membership.tpr_at_1_all_columns").value > 0.95


def test_a_reference_that_holds_members_is_refused_for_it_would_blind_the_attack() -> None:
    members = crowd(1500)
    broken = compare(members, control=pl.concat([members[:350], crowd(1050, 7)]))
    assert {finding.status for finding in Membership().run(broken, Membership.Params())} == {"not-measured"}
    # What it would have said: the copies in the reference hide the members' own.
    blind = held(members, pl.concat([members, crowd(100, 7)]), members)
    fair = held(members, crowd(1600, 7), members)
    assert density.exact_matches(blind).mean() < density.exact_matches(fair).mean() - 0.5


def held(release: pl.DataFrame, reference: pl.DataFrame, asked: pl.DataFrame) -> Held:
    counted = release.group_by(release.columns).len(COUNT)
    return Held(counted, reference, asked, tuple(release.columns), {}, KEY)


def test_the_worst_way_stands_for_the_release_with_an_interval_for_the_choice() -> None:
    members = crowd(1500)
    found = attacked(pl.concat([members[:150], crowd(1350, 3)]), members)
    for metric in (AT_1, "membership.auc", "membership.advantage"):
        each = {way: one(found, metric, way) for way in WAYS}
        release = one(found, metric)
        assert release.high >= max(finding.high for finding in each.values())
        assert release.note.split(",")[0] in WAYS
        worst = each[release.note.split(",")[0]]
        assert release.value == worst.value
        assert release.low <= worst.low


def test_too_few_outside_have_no_threshold() -> None:
    members = crowd(300)
    found = Membership().run(compare(members, control=crowd(400, 7)), Membership.Params())
    assert one(found, AT_1).status == "no-power"
    assert "437" in one(found, AT_1).note
    assert one(found, "membership.disparity").status == "no-power"
    assert one(found, "membership.auc").status == "measured"
    fewer = Membership().run(compare(members, control=crowd(30, 7)), Membership.Params())
    assert {finding.status for finding in fewer} == {"no-power"}
    alone = Membership().run(compare(members), Membership.Params())
    assert {finding.status for finding in alone} == {"not-measured"}


def test_one_in_a_thousand_needs_many_outside() -> None:
    members = people(400, 2, 1000)
    given = compare(members, control=people(9000, 2, 1000, seed=1))
    found = one(Membership().run(given, Membership.Params()), "membership.tpr_at_01")
    assert found.status == "measured"
    assert found.value > 0.9


def test_groups_are_told_apart_and_single_people_are_for_custody() -> None:
    members = crowd(1200).with_columns(group=pl.Series(np.arange(1200) % 2))
    release = pl.concat([members[::2], members[1::2].sample(600, with_replacement=True, seed=1)])
    release = release.with_columns(pl.when(pl.col("group") == 1).then(pl.col("pay") * 3).otherwise("pay"))
    recorded = []
    given = compare(
        members,
        control=crowd(1200, 7).with_columns(group=pl.Series(np.arange(1200) % 2)),
        groups=("group",),
        record=lambda *one: recorded.append(one),
    )
    found = Membership().run(released_as(given, release), Membership.Params())
    assert one(found, AT_1, "group=0").value > 0.9
    assert one(found, AT_1, "group=1").value < 0.5
    assert one(found, "membership.disparity", "group").low > 0.4
    ((metric, rows, risks),) = recorded
    assert metric == AT_1
    assert len(rows) == len(risks) == 1200
    assert risks[rows % 2 == 0].mean() > 0.9


def test_large_releases_are_compared_by_a_sample_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    members = crowd(1500)
    whole = held(members, crowd(500, 7), members[:50])
    assert whole.compared == 1500
    assert whole.points.sizes.sum() == 1500
    monkeypatch.setattr(density, "CELLS", 10)
    cut = held(members, crowd(500, 7), members[:50])
    assert cut.compared == density.LEAST_ROWS
    assert cut.points.sizes.sum() == density.LEAST_ROWS
    # Copies are looked up in the whole release all the same.
    assert one(attacked(members, members), AT_1, EXACT).value > 0.95
    assert "sample of" in one(attacked(members, members), AT_1).note


def test_same_key_same_findings_and_rows_in_any_order_of_the_count() -> None:
    members = crowd(600)
    given = compare(members, control=crowd(1000, 7))
    shuffled = replace(
        given, count=lambda columns: given.count(columns).sample(fraction=1.0, shuffle=True, seed=4)
    )
    first = Membership().run(given, Membership.Params())
    assert (
        first
        == Membership().run(given, Membership.Params())
        == Membership().run(shuffled, Membership.Params())
    )
    assert first != Membership().run(replace(given, key=bytes(32)), Membership.Params())


def test_distances_and_densities_are_those_of_brute_force() -> None:
    frame = crowd(60).with_columns(
        age=pl.when(pl.int_range(60) % 7 == 0).then(None).otherwise("age"),
        town=pl.when(pl.int_range(60) % 5 == 0).then(None).otherwise("town"),
    )
    release = pl.concat([frame[:30], frame[:5]])
    points = held(release, frame[20:45], frame[40:]).points
    assert points.numeric.tolist() == [True, True, True, False, False, False]
    assert points.sizes.sum() == 35
    assert (points.sizes > 1).sum() == 5
    narrow, wide = (density._gains(points, float(width)) for width in density._WIDTHS)
    nearest, dense = density.nearest_rows(points), density.density_of_rows(points)
    for i, person in enumerate(points.people):
        away, mass = [], []
        for rows, sizes in ((points.release, points.sizes), (points.reference, np.ones(25))):
            apart = np.abs(rows - person)
            away.append(np.where(points.numeric, np.minimum(1, apart), rows != person).sum(axis=1).min())
            gains = [
                np.where(points.numeric, np.maximum(0, 1 - apart / width), rows == person) * gain[i]
                for width, gain in zip(density._WIDTHS, (narrow, wide), strict=True)
            ]
            scores = np.where(points.numeric, np.maximum(*gains), gains[0]).sum(axis=1)
            mass.append((np.exp(scores) * sizes).sum() / sizes.sum())
        assert nearest[i] == pytest.approx(np.log((away[1] + 1e-3) / (away[0] + 1e-3)), rel=1e-3, abs=1e-4)
        assert dense[i] == pytest.approx(np.log(mass[0] / (mass[1] + 1)), rel=1e-3, abs=1e-3)


def test_numbers_are_ranks_and_missing_ones_are_far_from_all_but_each_other() -> None:
    release = pl.DataFrame({"x": [1.0, 2.0, 2.0, 4.0]})
    reference = pl.DataFrame({"x": [1.0, None]})
    points = held(release, reference, pl.DataFrame({"x": [0.0, 3.0, 9.0, None]})).points
    assert points.release[:, 0].tolist() == pytest.approx([0.25, 0.6667, 0.9167], abs=1e-3)
    assert points.people[:3, 0].tolist() == pytest.approx([0.25, 0.7917, 0.9167], abs=1e-3)
    assert points.people[3, 0] == points.reference[1, 0] == density._MISSING


def test_labels_with_centers_count_as_numbers() -> None:
    release = pl.DataFrame({"x": ["1-2", "3-4", "*"], COUNT: [1, 1, 1]})
    asked = pl.DataFrame({"x": ["3-4", "1-2"]})
    centers = {"x": {"1-2": 1.5, "3-4": 3.5}}
    points = Held(release, asked, asked, ("x",), centers, KEY).points
    assert points.numeric.tolist() == [True]
    assert points.people[0, 0] > points.people[1, 0]
