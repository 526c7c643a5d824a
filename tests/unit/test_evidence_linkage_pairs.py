"""Linkage over all pairs, by distance and by learned weights: brute force, known errors, broken twins."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import KEY, by_cuts, compare, local, one, people, suppress_small
from sfumato.evidence.attacks import pairs as pairing
from sfumato.evidence.attacks.gower import claim_nearest
from sfumato.evidence.attacks.linkage import EXACT, FLAWED, NEAREST, NO_GROUPS, REPORT, Linkage
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.outcomes import hits
from sfumato.evidence.attacks.pairs import Pairs
from sfumato.evidence.attacks.people import SUREST
from sfumato.evidence.attacks.probabilistic import Levels, claim_probable, learn

ATTACKERS = (EXACT, FLAWED, NEAREST)


def attack(comparison, **params):
    return Linkage().run(comparison, Linkage.Params(**{"register": 5000, **params}))


def mixed(rows: int, seed: int = 0) -> pl.DataFrame:
    """A column of numbers, one of texts with missing values, and one of few values."""
    draw = np.random.default_rng(seed)
    town = pl.Series(draw.choice(["a", "b", "c", "d", "e"], rows, p=[0.5, 0.2, 0.15, 0.1, 0.05]))
    return pl.DataFrame({"age": draw.integers(20, 80, rows), "town": town, "sex": draw.integers(0, 2, rows)})


def beside(table: pl.DataFrame, register: pl.DataFrame, gaps=None) -> tuple[Pairs, np.ndarray]:
    """A register of the people of a table, row by row, beside its classes, and their own labels."""
    given = compare(table)
    classes = Classes.of(given.count(table.columns), table.columns)
    gaps = np.zeros(register.shape, dtype=bool) if gaps is None else gaps
    return Pairs.of(given, classes, register, gaps), classes.label_codes(table)


def test_the_nearest_rows_are_those_of_brute_force() -> None:
    table, asked = mixed(300), mixed(60, seed=1)
    table = table.with_columns(town=pl.when(pl.col("age") > 75).then(None).otherwise("town"))
    gaps = np.random.default_rng(2).random((60, 3)) < 0.2
    compared, own = beside(table, asked, gaps)
    claims, weights = claim_nearest(compared, own[:60])
    span = table["age"].max() - table["age"].min()
    for i, person in enumerate(asked.rows()):
        parts = [
            [min(1.0, abs(person[0] - row[0]) / span), person[1] != row[1], person[2] != row[2]]
            for row in table.rows()
        ]
        known = max(1, int((~gaps[i]).sum()))
        distances = (np.array(parts, dtype=float) * ~gaps[i]).sum(axis=1) / known
        assert claims.weight[i] == pytest.approx(-distances.min(), abs=1e-6)
        assert claims.rows[i] == (distances < distances.min() + 1e-6).sum()
        assert weights[i] == pytest.approx(-distances[i], abs=1e-6)


def test_weights_are_the_likelihood_of_nested_levels() -> None:
    table, asked = mixed(200), mixed(50, seed=1)
    compared, own = beside(table, asked)
    mixtures = [Levels.of(column).belief for column in compared.columns]
    claims, weights = claim_probable(compared, mixtures, own[:50])
    limits = Levels.of(compared.columns[0]).limits
    assert limits == pytest.approx([1, 2, 4, 8, 16])

    def ratio(j: int, value, label) -> float:
        levels = [lambda other: other == label]
        if j == 0:
            levels += [lambda other, limit=limit: abs(other - label) <= limit for limit in limits]
        levels.append(lambda _: True)
        column = table[table.columns[j]].to_list()
        return sum(
            a / np.mean([level(other) for other in column])
            for a, level in zip(mixtures[j], levels, strict=True)
            if level(value)
        )

    for i, person in enumerate(asked.rows()):
        scores = np.array(
            [sum(np.log(ratio(j, person[j], row[j])) for j in range(3)) for row in table.rows()]
        )
        assert claims.weight[i] == pytest.approx(scores.max(), abs=1e-4)
        assert claims.rows[i] == (scores > scores.max() - 1e-5).sum()
        assert weights[i] == pytest.approx(scores[i], abs=1e-4)
        odds = np.exp(scores)
        assert claims.confidence[i] == pytest.approx(odds.max() / (odds.sum() + len(scores)), rel=5e-3)


def test_how_often_a_register_errs_is_learned_without_the_truth() -> None:
    draw = np.random.default_rng(3)
    table = people(3000, 5, 15).with_columns(age=pl.Series(draw.integers(0, 60, 3000)))
    wrong = {"c0": 0.3, "c1": 0.1, "c2": 0.0, "c3": 0.0, "c4": 0.0}
    register = table.with_columns(age=pl.col("age") + pl.Series(draw.integers(-2, 3, 3000)))
    for column, share in wrong.items():
        other = pl.Series(draw.integers(0, 15, 3000))
        register = register.with_columns(
            other.zip_with(pl.Series(draw.random(3000) < share), register[column]).alias(column)
        )
    compared, own = beside(table, register)
    mixtures = learn(compared)
    # Numbers have near levels too, so an error anywhere in a column counts: 1 less what agrees.
    for j, share in enumerate(wrong.values()):
        assert 1 - mixtures[j][0] == pytest.approx(share, abs=0.08)
    assert mixtures[5][:3].sum() > 0.9
    learned, blind = (
        hits(*claim_probable(compared, given, own)).mean()
        for given in (mixtures, [Levels.of(column).belief for column in compared.columns])
    )
    assert learned >= blind
    assert learned > hits(*claim_nearest(compared, own)).mean()


def test_people_themselves_are_all_found_and_fresh_people_by_chance() -> None:
    everybody = people(3000, 6, 10).unique(maintain_order=True)
    table, fresh = everybody[:1200], everybody[1200:2400]
    for claim in (claim_nearest, lambda pairs, own: claim_probable(pairs, learn(pairs), own)):
        compared, own = beside(table, table)
        assert hits(*claim(compared, own)).mean() == 1.0
        compared, own = beside(table, fresh)
        assert hits(*claim(compared, own)).mean() < 0.005


def test_releases_are_ordered_as_they_are_copied() -> None:
    original, others = people(2000, 6, 10)[:1000], people(1000, 6, 10, seed=5)
    control = people(1000, 6, 10, seed=9)
    found: dict[str, list[float]] = {target: [] for target in ATTACKERS}
    for share in (0, 250, 500, 1000):
        released = pl.concat([original[:share], others[share:]])
        findings = attack(compare(original, released=released, control=control))
        for target in ATTACKERS:
            found[target].append(one(findings, "linkage.excess", target).value)
    for excesses in found.values():
        assert excesses == sorted(excesses)
        assert excesses[0] == pytest.approx(0.0, abs=0.03)
        assert 0.15 < excesses[1] < 0.35
        assert 0.35 < excesses[2] < 0.6
        assert excesses[3] > 0.7


def test_two_people_a_class_are_worse_than_twenty() -> None:
    frame = people(1600, 4, 20)
    found = {}
    for k in (2, 20):
        given = local(frame[:800], by_cuts(frame[:800], k), control=frame[800:])
        found[k] = attack(given)
    for target in ATTACKERS:
        for metric in ("linkage.success", "linkage.excess"):
            assert one(found[2], metric, target).value > one(found[20], metric, target).value


def test_ties_counted_whole_would_find_everybody_in_a_release_that_says_nothing() -> None:
    table = mixed(500).with_columns(age=pl.lit(1), town=pl.lit("a"), sex=pl.lit(0))
    compared, own = beside(table, mixed(500))
    claims, weights = claim_nearest(compared, own)
    assert (weights >= claims.weight).mean() == 1.0
    assert hits(claims, weights).mean() == pytest.approx(1 / 500)


def test_without_its_control_the_attack_would_blame_the_release_for_what_anybody_shows() -> None:
    # A release of everybody's classes: strangers are found in them as surely as members are.
    frame = people(4000, 2, 3)
    given = compare(frame[:2000], control=frame[2000:])
    for target in ATTACKERS:
        success = one(attack(given), "linkage.success", target)
        assert success.value > 5 * success.baseline
        assert one(attack(given), "linkage.excess", target).value == pytest.approx(0.0, abs=0.003)


def test_figures_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = mixed(400)
    compared, own = beside(table, mixed(400, seed=4))
    mixtures = learn(compared)
    whole = claim_probable(compared, mixtures, own), claim_nearest(compared, own)
    monkeypatch.setattr(pairing, "TABLE", 300)
    parts = claim_probable(compared, mixtures, own), claim_nearest(compared, own)
    for (first, mine), (second, yours) in zip(whole, parts, strict=True):
        assert np.array_equal(mine, yours)
        assert np.array_equal(first.weight, second.weight)
        assert np.array_equal(first.rows, second.rows)
        assert first.confidence == pytest.approx(second.confidence, rel=1e-12)


def test_nothing_known_of_anybody_and_nobody_at_all() -> None:
    table = mixed(50)
    compared, own = beside(table, table, np.ones(table.shape, dtype=bool))
    for claims, weights in (claim_nearest(compared, own), claim_probable(compared, learn(compared), own)):
        assert hits(claims, weights) == pytest.approx(np.full(50, 1 / 50))
    nobody, none = beside(table, table[:0])
    assert len(claim_probable(nobody, learn(nobody), none[:0])[0].rows) == 0


def test_numbers_without_order_and_endless_ones_are_no_distance() -> None:
    values = [np.nan, np.inf, -np.inf, 1.0, 2.0, 3.5, None, 1e308, -1e308]
    table = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64), "y": range(9)})
    compared, own = beside(table, table)
    for claims, weights in (claim_nearest(compared, own), claim_probable(compared, learn(compared), own)):
        assert np.isfinite(claims.weight).all()
        assert hits(claims, weights).mean() == 1.0


def test_groups_and_the_surest_are_told_apart_and_custody_hears_of_each_person() -> None:
    frame = people(6000, 4, 12).with_columns(group=pl.Series([0, 1] * 3000))
    # The second group is rare in its values, the first alike.
    frame = frame.with_columns(
        pl.when(pl.col("group") == 0).then(pl.col(c) // 6).otherwise(pl.col(c)).alias(c)
        for c in ("c0", "c1", "c2", "c3")
    )
    kept: list[tuple[str, np.ndarray, np.ndarray]] = []
    given = compare(
        frame[:3000], control=frame[3000:], groups=("group",), record=lambda *told: kept.append(told)
    )
    found = attack(given)
    alike, rare = (one(found, "linkage.success", f"group={group}") for group in (0, 1))
    assert rare.value > 5 * alike.value
    gap = one(found, "linkage.disparity", "group")
    assert gap.value == pytest.approx(rare.value - alike.value)
    assert one(found, "linkage.disparity").value == gap.value
    surest = one(found, "linkage.success", SUREST)
    assert surest.value > one(found, "linkage.success").value
    ((metric, rows, risks),) = kept
    assert metric == "linkage.success"
    assert len(rows) == len(risks) == 3000
    assert risks.mean() == pytest.approx(one(found, "linkage.success").value)


def test_without_groups_there_is_no_difference_between_them() -> None:
    found = one(attack(compare(people(200, 3, 6))), "linkage.disparity")
    assert (found.status, found.note) == ("not-measured", NO_GROUPS)


def test_generalized_numbers_are_compared_by_their_centers() -> None:
    frame = people(2000, 4, 40)

    def bands(given: pl.DataFrame) -> pl.DataFrame:
        return given.select(
            pl.format("{}-{}", pl.col(c) // 4 * 4, pl.col(c) // 4 * 4 + 3).alias(c) for c in given.columns
        )

    middles = {f"{low}-{low + 3}": low + 1.5 for low in range(0, 40, 4)}
    with_centers = compare(
        frame[:1000], bands, control=frame[1000:], centers=dict.fromkeys(frame.columns, middles)
    )
    without = compare(frame[:1000], bands, control=frame[1000:])
    # Errors move numbers to a neighbour, so knowing which bands are neighbours finds more.
    for target in (FLAWED, NEAREST):
        near, apart = (
            one(attack(given, errors=0.4), "linkage.success", target) for given in (with_centers, without)
        )
        assert near.value >= apart.value
    assert one(attack(with_centers), "linkage.success", NEAREST).value > 0.5


def test_every_metric_is_reported_once_for_any_release() -> None:
    frame = people(400, 3, 6)
    kept = suppress_small(frame[:200], frame.columns, 2)
    found = attack(compare(frame[:200], kept=kept, control=frame[200:], key=KEY))
    assert {finding.metric for finding in found} == set(REPORT.table)
