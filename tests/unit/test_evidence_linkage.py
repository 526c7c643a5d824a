"""The linkage attack on releases whose answer is known, and against twins that are broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import KEY, as_is, compare, one, people, profile, starred, suppress_small
from sfumato.contracts import COUNT
from sfumato.core.values import Role
from sfumato.evidence.attacks import linkage
from sfumato.evidence.attacks.linkage import EXACT, FLAWED, NEAREST, Linkage
from sfumato.evidence.attacks.matching import TRUST, Classes, claim_best, claim_exact, own_weights
from sfumato.evidence.attacks.people import surest_share
from sfumato.evidence.attacks.registers import sample_rows, with_flaws

COLUMNS = [f"c{j}" for j in range(6)]


def attack(comparison, **params):
    return Linkage().run(comparison, Linkage.Params(**{"register": 5000, **params}))


def halves(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return frame[: frame.height // 2], frame[frame.height // 2 :]


def coarse(frame: pl.DataFrame) -> pl.DataFrame:
    """Two columns in wide bands, the others gone."""
    return frame.with_columns(
        (pl.col("c0") // 5).cast(pl.String),
        (pl.col("c1") // 5).cast(pl.String),
        *(pl.lit("*").alias(c) for c in COLUMNS[2:]),
    )


def test_an_exact_copy_of_distinct_people_is_found_whole() -> None:
    original, control = halves(people(4000, 6, 10).unique(maintain_order=True))
    found = attack(compare(original, control=control))
    success, excess = one(found, "linkage.success", EXACT), one(found, "linkage.excess", EXACT)
    assert success.value == 1.0
    assert success.before == 1.0
    assert success.control == 0.0
    assert excess.value == 1.0
    assert one(found, "linkage.precision", EXACT).value == 1.0
    assert one(found, "linkage.classes_over_rows").value == 1.0
    assert one(found, "linkage.success_all_columns").value == 1.0
    # Six columns with an error in twenty cells still find nearly everybody.
    assert one(found, "linkage.success", FLAWED).value > 0.9
    assert one(found, "linkage.excess", FLAWED).value > 0.7
    assert one(found, "linkage.excess").value == 1.0


def test_a_release_that_says_nothing_is_blind_guessing() -> None:
    original, control = halves(people(1000, 6, 10))
    found = attack(compare(original, starred, control=control))
    for target in (EXACT, FLAWED, NEAREST, "release"):
        success = one(found, "linkage.success", target)
        assert success.value == pytest.approx(1 / 500)
        assert success.baseline == pytest.approx(1 / 500)
        assert one(found, "linkage.excess", target).value == pytest.approx(0.0, abs=1e-12)
    assert one(found, "linkage.success", EXACT).before > 0.9


def test_exact_knowledge_of_everybody_finds_classes_over_rows() -> None:
    original, control = halves(people(3000, 6, 10))
    described = coarse(original)
    kept = suppress_small(described, COLUMNS, 400)
    assert 0 < kept.sum() < len(kept)
    found = attack(compare(original, coarse, kept=kept, control=control))
    classes = described.filter(pl.Series(kept)).n_unique(COLUMNS)
    assert one(found, "linkage.success", EXACT).value == pytest.approx(classes / kept.sum(), rel=1e-12)
    assert one(found, "linkage.classes_over_rows").value == pytest.approx(classes / kept.sum(), rel=1e-12)


def test_an_attacker_who_abstains_on_ties_would_look_harmless() -> None:
    original, control = halves(people(2000, 2, 4))
    comparison = compare(original, control=control)
    classes = Classes.of(comparison.count(["c0", "c1"]), ["c0", "c1"])
    claims = claim_exact(classes, original, insist=True)
    broken = float(np.where(claims.rows == 1, claims.full, 0.0).mean())
    success = one(attack(comparison), "linkage.success", EXACT).value
    assert broken == 0.0
    assert success == pytest.approx(16 / 1000)


def test_people_who_are_not_in_the_release_are_found_by_chance_only() -> None:
    original, others = halves(people(4000, 6, 10))
    # The broken twin of a release: other people's rows stand where these people's should.
    found = attack(compare(original, released=others, control=people(1500, 6, 10, seed=9)))
    for target in (EXACT, FLAWED, NEAREST):
        assert one(found, "linkage.success", target).value < 0.01
        assert abs(one(found, "linkage.excess", target).value) < 0.02


def test_a_half_copied_release_is_found_by_half() -> None:
    original, others = halves(people(4000, 6, 10).unique(maintain_order=True))
    half = original.height // 2
    released = pl.concat([original[:half], others[half : original.height]])
    control = people(1500, 6, 10, seed=9)
    found = attack(compare(original[: released.height], released=released, control=control))
    assert one(found, "linkage.success", EXACT).value == pytest.approx(0.5, abs=0.02)
    assert one(found, "linkage.excess", EXACT).value == pytest.approx(0.5, abs=0.02)
    assert 0.4 < one(found, "linkage.success", FLAWED).value < 0.52


def test_the_release_has_the_worst_of_all_attackers() -> None:
    original, control = halves(people(1000, 6, 10))
    found = attack(compare(original, control=control))
    for metric in ("linkage.success", "linkage.excess", "linkage.precision"):
        each = {target: one(found, metric, target) for target in (EXACT, FLAWED, NEAREST)}
        worst = max(each, key=lambda target: each[target].high)
        assert one(found, metric).high == each[worst].high
        assert one(found, metric).note.startswith(f"{worst}, the worst of 3; ")


def test_without_people_held_out_nothing_is_set_against_strangers() -> None:
    found = attack(compare(people(500, 3, 6)))
    for target in ("release", EXACT, FLAWED, NEAREST):
        for metric in ("linkage.excess", "linkage.precision"):
            assert one(found, metric, target).status == "not-measured"
        success = one(found, "linkage.success", target)
        assert success.status == "measured"
        assert success.control is None


def test_nobody_released_is_never_a_good_figure() -> None:
    original = people(50, 3, 6)
    found = attack(compare(original, kept=np.zeros(50, dtype=bool), control=original))
    assert {finding.status for finding in found} == {"not-measured"}


def test_an_attacker_who_knows_no_column_guesses() -> None:
    original, control = halves(people(200, 2, 5))
    plain = {name: profile(name, Role.INSENSITIVE) for name in original.columns}
    found = attack(compare(original, control=control, profiles=plain))
    assert one(found, "linkage.success").value == pytest.approx(1 / 100)
    assert one(found, "linkage.excess").value == pytest.approx(0.0, abs=1e-12)
    assert one(found, "linkage.success_all_columns").value > 0.1


def test_large_tables_are_attacked_with_a_smaller_register(monkeypatch: pytest.MonkeyPatch) -> None:
    original, control = halves(people(2000, 6, 10))
    whole = attack(compare(original, control=control))
    monkeypatch.setattr(linkage, "CELLS", 1000)
    monkeypatch.setattr(linkage, "MOST_CLASSES", 10)
    cut = attack(compare(original, control=control))
    assert one(whole, "linkage.success", FLAWED).n == 1000
    assert one(cut, "linkage.success", FLAWED).n == linkage.LEAST_REGISTER
    assert one(cut, "linkage.success", FLAWED).before is None
    assert one(cut, "linkage.success", EXACT) == one(whole, "linkage.success", EXACT)
    wide, narrow = one(cut, "linkage.success", FLAWED), one(whole, "linkage.success", FLAWED)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_the_surest_claims_share_ties_at_the_edge_whatever_the_order() -> None:
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    right = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    assert surest_share(confidence, right, 3) == pytest.approx((1 + 2 / 3) / 3)
    assert surest_share(confidence[::-1], right[::-1], 3) == pytest.approx((1 + 2 / 3) / 3)


def test_too_few_claims_have_no_precision() -> None:
    original, control = halves(people(24, 3, 6))
    assert (
        one(attack(compare(original, control=control[:4])), "linkage.precision", EXACT).status == "no-power"
    )


def test_same_key_same_findings_and_rows_in_any_order_of_the_count() -> None:
    original, control = halves(people(1000, 4, 8))
    comparison = compare(original, control=control)
    shuffled = replace(
        comparison, count=lambda columns: comparison.count(columns).sample(fraction=1.0, shuffle=True)
    )
    assert attack(comparison) == attack(comparison) == attack(shuffled)
    other = replace(comparison, key=bytes(32))
    assert one(attack(other), "linkage.success", FLAWED) != one(attack(comparison), "linkage.success", FLAWED)


def test_best_classes_are_those_of_brute_force() -> None:
    table = people(300, 4, 5).with_columns(c3=pl.when(pl.col("c3") == 0).then(None).otherwise("c3"))
    columns = table.columns
    classes = Classes.of(table.group_by(columns).len(COUNT), columns)
    asked = people(40, 4, 6, seed=3)
    gaps = np.random.default_rng(4).random((40, 4)) < 0.2
    codes = classes.encode(asked, gaps)
    claims = claim_best(classes, codes, 0.05)
    rows = table.rows()
    for i, person in enumerate(asked.rows()):
        scores = []
        for row in rows:
            weight = 0.0
            for j in range(4):
                if gaps[i, j]:
                    continue
                share = sum(other[j] == person[j] for other in rows) / len(rows)
                agrees = row[j] == person[j]
                weight += np.log(((0.95 + 0.05 * share) / share) if agrees else 0.05)
            scores.append(weight)
        scores = np.array(scores)
        assert claims.weight[i] == pytest.approx(scores.max())
        assert claims.rows[i] == (scores > scores.max() - 1e-9).sum()
        odds = np.exp(scores)
        assert claims.confidence[i] == pytest.approx(odds.max() / (odds.sum() + len(rows)), rel=1e-6)


def test_own_weights_are_those_of_the_best_where_people_are_themselves() -> None:
    table = people(200, 3, 8)
    classes = Classes.of(table.group_by(table.columns).len(COUNT), table.columns)
    codes = classes.encode(table)
    assert own_weights(classes, codes, codes, TRUST) == pytest.approx(
        claim_best(classes, codes, TRUST).weight
    )
    other = own_weights(classes, codes, classes.encode(people(200, 3, 8, seed=5)), TRUST)
    assert (other < claim_best(classes, codes, TRUST).weight - 1).mean() > 0.9


def test_a_register_of_text_meets_a_release_of_numbers() -> None:
    table = pl.DataFrame({"a": [1, 2, None], "b": [0.5, 1.0, 2.0]})
    classes = Classes.of(table.group_by("a", "b").len(COUNT), ["a", "b"])
    asked = pl.DataFrame({"a": ["1", "two", None], "b": ["0.5", "1.0", "2.0"]})
    assert (classes.locate(asked) >= 0).tolist() == [True, False, True]
    assert (classes.encode(asked) < 0).tolist() == [[False, False], [True, False], [False, False]]
    fractions = pl.DataFrame({"a": [1.0, 1.5, None], "b": [0.5, 0.5, 2.0]})
    assert (classes.locate(fractions) >= 0).tolist() == [True, False, True]


def test_no_claim_is_insisted_on_for_strangers() -> None:
    table = people(200, 3, 8)
    classes = Classes.of(table.group_by(table.columns).len(COUNT), table.columns)
    nobody = table.with_columns(c0=pl.lit(99))
    claims = claim_exact(classes, nobody, insist=False)
    assert not claims.full.any()
    assert (claims.confidence == 0).all()
    assert (claim_exact(classes, nobody, insist=True).rows > 0).all()


def test_missing_values_are_a_label_of_their_own() -> None:
    table = pl.DataFrame({"a": [None, None, "x"], "b": [1.5, 1.5, None]})
    classes = Classes.of(table.group_by("a", "b").len(COUNT), ["a", "b"])
    claims = claim_exact(classes, table, insist=True)
    assert claims.full.all()
    assert claims.rows.tolist() == [2, 2, 1]


def test_flaws_are_as_frequent_as_said_and_errors_look_real() -> None:
    frame = pl.DataFrame(
        {
            "age": np.random.default_rng(0).integers(0, 50, 4000) * 2,
            "city": np.random.default_rng(1).choice(["a", "b", "c", "d"], 4000),
            "empty": pl.Series([None] * 4000, dtype=pl.String),
        }
    )
    columns = frame.columns
    register = with_flaws(frame, columns, frame, errors=0.2, gaps=0.1, key=KEY)
    assert register.gaps.mean() == pytest.approx(0.1, abs=0.02)
    shift = (register.people["age"] - frame["age"]).to_numpy()
    assert set(np.unique(shift)) == {-2, 0, 2}
    assert (shift != 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (register.people["city"] != frame["city"]).mean() == pytest.approx(0.2 * 0.75, abs=0.03)
    assert set(register.people["city"]) == {"a", "b", "c", "d"}
    assert register.people["empty"].is_null().all()
    assert register.people["age"].is_between(0, 98).all()


def test_a_smaller_sample_begins_a_larger_one() -> None:
    rows = np.arange(100) * 3
    large, small = sample_rows(rows, 50, KEY), sample_rows(rows, 20, KEY)
    assert np.array_equal(large[:20], small)
    assert len(set(large)) == 50
    assert set(large) <= set(rows)


def test_generalized_release_shields_what_the_raw_one_shows() -> None:
    original, control = halves(people(3000, 6, 10))
    raw = one(attack(compare(original, as_is, control=control)), "linkage.precision")
    shielded = one(attack(compare(original, coarse, control=control)), "linkage.precision")
    assert raw.value > 0.9
    assert shielded.high < 0.05
    assert shielded.before == raw.value
