"""Made rows: what each probe says of a release whose rows are nobody's, on rows whose leak is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from evidence_support import KEY, compare, made, one, profile
from made_support import comparison, copier, copying, crowd, fresh, independent, trifling
from sfumato import evidence
from sfumato.contracts import COUNT, Comparison, Params
from sfumato.core.registry import Registry
from sfumato.core.values import Finding, Role
from sfumato.evidence import ATTACKS, FAIRNESS, TABLES, UTILITY, probe
from sfumato.evidence.attacks import density
from sfumato.evidence.attacks.copies import Copies
from sfumato.evidence.attacks.membership import Membership
from sfumato.evidence.attacks.outliers import Outliers
from sfumato.evidence.attacks.singling_out import SinglingOut
from sfumato.evidence.made import ROWWISE, laid_beside
from sfumato.evidence.run import measure

ROWS_ONLY = {
    *("uniqueness", "suda", "trajectory", "unicity", "linkage", "definetti", "downcoding", "minimality"),
}


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_TREES", 6)


def copies(given: Comparison) -> list[Finding]:
    return Copies().run(given, Copies.Params())


def test_made_rows_are_laid_beside_people_in_an_order_of_their_own() -> None:
    rows = pl.DataFrame({"a": range(100)})
    laid, kept = laid_beside(rows, 40, KEY)
    assert laid["a"].n_unique() == 40
    assert kept.all()
    assert laid["a"].to_list() != list(range(40))
    assert laid_beside(rows, 40, KEY)[0].equals(laid)
    assert not laid_beside(rows, 40, bytes(32))[0].equals(laid)
    few, there = laid_beside(rows[:3], 5, KEY)
    assert (few.height, few["a"].null_count(), there.tolist()) == (5, 2, [True] * 3 + [False] * 2)


def test_copies_are_measured_unasked_and_class_risks_are_not() -> None:
    found = measure(comparison(fresh, 200, 100, 0), {"uniqueness": {}})
    assert {finding.source for finding in found} == {"copies", "membership", "uniqueness"}
    risks = [finding for finding in found if finding.source == "uniqueness"]
    assert {finding.metric for finding in risks} == set(probe("uniqueness").metrics)
    assert all((finding.status, finding.note) == ("not-measured", ROWWISE) for finding in risks)


def test_every_probe_says_which_of_its_figures_are_about_people_s_own_rows() -> None:
    for table in TABLES:
        for name in table:
            kind = probe(name)
            assert ("rowwise" in vars(kind)) and (kind.rowwise == set(kind.metrics)) is (name in ROWS_ONLY)
    assert set(ATTACKS) >= ROWS_ONLY
    assert probe("distributions").rowwise == {"distributions.precision"}
    assert probe("fairness").rowwise == {"fairness.suppressed", "fairness.suppression_gap"}


class Unaware:
    summary = "a probe that never heard of made rows"
    metrics: ClassVar = {"unaware.risk": ("low", "its figure")}
    units: ClassVar = {"unaware.risk": "share"}

    class Params(Params):
        pass

    def run(self, comparison: Any, params: Any) -> list:
        raise AssertionError("it may not run on made rows")


def test_a_probe_that_does_not_speak_of_made_rows_has_no_figure_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = Registry("attack", {"unaware": f"{__name__}:Unaware"})
    monkeypatch.setattr(evidence, "TABLES", (table, *evidence.TABLES))
    found = one(measure(comparison(fresh, 100, 50, 0), {"unaware": {}}), "unaware.risk")
    assert (found.status, found.note) == ("not-measured", ROWWISE)


def test_who_is_held_out_stands_beside_the_figures_of_use() -> None:
    given = comparison(fresh, 1000, 1000, 0)
    names = [name for name in UTILITY if getattr(probe(name), "has_floor", False)]
    tables = ["distributions", "correlations", "marginals", "tails", "propensity", "regression"]
    assert names == [*tables, "histories", "tables"]
    quick = {name: {} for name in ("distributions", "correlations", "marginals")}
    found = measure(given, quick)
    for metric in ("distributions.tv", "distributions.ks", "marginals.two", "correlations.error"):
        finding = one(found, metric)
        assert finding.control is not None
        assert "about 1000 people held out, in the place of the made rows" in finding.note
        # Fresh people in the place of fresh people.
        assert finding.value == pytest.approx(finding.control, rel=0.4)
    # A resample of the original is nearer to it than others of its kind are.
    assert one(found, "marginals.two").control > one(found, "marginals.two").baseline
    broken = measure(comparison(independent, 1000, 1000, 0), quick)
    for metric in ("marginals.two", "correlations.error"):
        assert one(broken, metric).low > one(broken, metric).control
    alone = replace(given, control=given.control.clear())
    assert one(measure(alone, {"marginals": {}}), "marginals.two").control is None


def test_fairness_of_made_rows_is_measured_but_for_suppression() -> None:
    assert "fairness" in FAIRNESS
    found = measure(comparison(fresh, 600, 400, 0), {"fairness": {"groups": ("home",)}})
    assert one(found, "fairness.selection_gap", "home").status == "measured"
    assert one(found, "fairness.suppression_gap").note == ROWWISE


def test_a_copier_repeats_everybody_and_nobody_else() -> None:
    found = copies(comparison(copier, 2000, 1000, 1))
    for metric in ("copies.excess", "copies.close_excess", "copies.share", "copies.rows"):
        assert one(found, metric).value > 0.98
    assert one(found, "copies.excess").control < 0.01
    assert one(found, "copies.near_excess").low > 0.5
    assert one(found, "copies.extremes").low > 0.3


def test_part_copied_is_that_part_and_the_rest_is_fresh() -> None:
    found = copies(comparison(copying(0.05), 2000, 1000, 1))
    assert one(found, "copies.excess").value == pytest.approx(0.05, abs=0.004)
    assert one(found, "copies.excess").low > 0.03
    assert one(found, "copies.rows").value == pytest.approx(0.05, abs=0.004)
    assert one(found, "copies.rows").control < 0.01
    assert one(found, "copies.close_excess").value == pytest.approx(0.05, abs=0.02)


def test_a_trifle_hides_a_copy_from_the_exact_figure_alone() -> None:
    found = copies(comparison(trifling(0.05), 2000, 1000, 1))
    assert one(found, "copies.excess").high < 0.0075
    assert one(found, "copies.close_excess").low > 0.02


def test_fresh_people_repeat_nobody() -> None:
    found = copies(comparison(fresh, 2000, 1000, 1))
    for metric in ("copies.excess", "copies.few_excess", "copies.close_excess", "copies.near_excess"):
        finding = one(found, metric)
        assert finding.low <= 0 <= finding.high
    assert one(found, "copies.excess").high < 0.0075
    assert "no evidence that there is no risk" in one(found, "copies.excess").note


def test_what_many_people_share_is_no_copy_of_any_of_them() -> None:
    draw = np.random.default_rng(0)
    taught, control = (
        pl.DataFrame({"a": draw.integers(0, 3, rows), "b": draw.integers(0, 3, rows)}) for rows in (900, 900)
    )
    found = copies(made(taught, taught, control=control))
    for metric in ("copies.excess", "copies.few_excess"):
        finding = one(found, metric)
        assert (finding.value, finding.n) == (0.0, 900)
        assert finding.note.endswith("did not teach the generator")
        assert "0% of people are alone with their row" in finding.note
    # Pairs are no lone people, but few.
    pairs = pl.DataFrame({"a": np.arange(900) // 2, "b": 0})
    found = copies(made(pairs, pairs, control=pairs.with_columns(a=pl.col("a") + 10_000)))
    assert one(found, "copies.excess").value == 0.0
    assert one(found, "copies.few_excess").value == 1.0


def test_a_row_that_others_nearly_have_is_to_be_expected_and_a_number_of_one_s_own_is_not() -> None:
    draw = np.random.default_rng(0)

    def common(rows: int) -> pl.DataFrame:
        return pl.DataFrame({name: draw.choice(9, rows, p=np.arange(9, 0, -1) / 45) for name in "abcd"})

    taught, control, others = (common(rows) for rows in (4000, 2000, 4000))
    by_chance = copies(made(taught, others, control=control))
    # Many people are alone and repeated by chance, and nearly all of them have rows of common values.
    alone, surprising = (one(by_chance, f"copies.{kind}").control for kind in ("alone_excess", "excess"))
    assert alone > 0.05
    assert surprising < alone / 5
    # The same people with a number of their own, all of them copied.
    own = taught.with_columns(own=pl.int_range(4000))
    given = made(own, own, control=control.with_columns(own=pl.int_range(2000) + 9000))
    assert one(copies(given), "copies.excess").value == 1.0


def test_people_are_alone_among_everybody_who_taught_and_not_in_a_sample() -> None:
    everybody = pl.DataFrame({"a": np.arange(3000) % 1000, "b": 1})
    sample, control = everybody[:1000], pl.DataFrame({"a": np.arange(1000) + 5000, "b": 1})
    given = made(sample, everybody, control=control)
    assert one(copies(given), "copies.excess").value == 1.0
    known = replace(given, count_taught=lambda columns: everybody.group_by(columns).len(COUNT))
    assert one(copies(known), "copies.excess").value == 0.0
    assert one(copies(known), "copies.few_excess").value == 1.0


def test_what_an_attacker_knows_is_looked_at_alone_and_with_what_hardly_repeats() -> None:
    draw = np.random.default_rng(0)
    frame = crowd(1000, draw)
    profiles = {name: profile(name, Role.INSENSITIVE) for name in frame.columns}
    assert one(copies(made(frame, frame, control=crowd(500, draw), profiles=profiles)), "copies.known_excess")
    unknown = copies(made(frame, frame, control=crowd(500, draw), profiles=profiles))
    assert one(unknown, "copies.known_excess").status == "not-measured"
    profiles["pay"] = profile("pay", Role.INSENSITIVE, unique=0.6)
    near = one(copies(made(frame, frame, control=crowd(500, draw), profiles=profiles)), "copies.known_excess")
    assert "all of 1 columns" in near.assumes
    assert near.low > 0.1


def test_groups_that_are_repeated_more_often_are_told() -> None:
    draw = np.random.default_rng(0)
    taught = crowd(1000, draw)
    rows = taught.filter(pl.col("home") == "own")
    given = made(taught, rows, control=crowd(500, draw), groups=("home",))
    found = copies(given)
    assert one(found, "copies.share", "home=own").value > 0.98
    assert one(found, "copies.share", "home=rent").value < 0.02
    assert one(found, "copies.disparity", "home").low > 0.9


def test_extreme_values_that_are_somebody_s_alone_are_told_if_they_are_repeated() -> None:
    shuffled = comparison(independent, 3000, 3000, 2)
    found = copies(shuffled)
    # No row is anybody's, but the values are, and their ends are people's.
    assert one(found, "copies.excess").high < 0.0075
    assert one(found, "copies.extremes").low > 0.05
    assert one(copies(comparison(fresh, 3000, 3000, 2)), "copies.extremes").low <= 0


def test_without_people_held_out_and_with_the_wrong_ones_there_is_no_excess() -> None:
    given = comparison(copier, 300, 200, 0)
    for control, status in ((given.control.clear(), "not-measured"), (given.original[:200], "error")):
        found = copies(replace(given, control=control))
        for metric in ("copies.excess", "copies.near_excess", "copies.extremes", "copies.known_excess"):
            assert one(found, metric).status == status
    assert all(finding.status == "not-measured" for finding in copies(replace(given, made=False)))
    plain = compare(crowd(100, np.random.default_rng(0)))
    assert {finding.note for finding in copies(plain)} == {"the rows of the release are people's own"}


def test_everybody_who_taught_is_a_member_however_few_rows_are_made() -> None:
    given = comparison(copier, 1000, 1000, 3, rows=100)
    assert (given.kept.sum(), given.members.sum()) == (100, 1000)
    found = Membership().run(given, Membership.Params())
    assert one(found, "membership.tpr_at_1").n == 1000
    assert one(found, "membership.tpr_at_1").value == pytest.approx(0.11, abs=0.02)
    assert one(copies(given), "copies.excess").value == pytest.approx(0.1, abs=0.01)
    for name in ("singling-out", "linkability", "attribute-inference", "plausibility"):
        found = measure(given, {name: {}})
        assert not any(finding.status == "error" for finding in found)


def test_predicates_from_copies_single_people_out_and_those_from_fresh_rows_do_not() -> None:
    leaky, harmless = (
        SinglingOut().run(comparison(make, 600, 600, 4), SinglingOut.Params()) for make in (copier, fresh)
    )
    assert one(leaky, "singling_out.excess").low > 0.4
    assert one(harmless, "singling_out.excess").low <= 0


def odd(people: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """The same people, 3 % of whom are like nobody else."""
    strange = pl.Series(draw.random(people.height) < 0.03)
    far = pl.Series(draw.choice([f"x{i}" for i in range(50)], people.height))
    return people.with_columns(
        town=far.zip_with(strange, people["town"]),
        weight=(people["weight"] + pl.Series(draw.normal(0, 300, people.height))).zip_with(
            strange, people["weight"]
        ),
    )


def outlying(leaky: bool) -> Comparison:
    """Fresh rows; with ``leaky`` the people who are like nobody else are repeated among them."""
    draw = np.random.default_rng(0)
    taught, control, others = (odd(crowd(rows, draw), draw) for rows in (4000, 3000, 3000))
    strange = taught.filter(pl.col("town").str.starts_with("x"))
    return made(taught, pl.concat([others, strange]) if leaky else others, control=control)


def test_people_unlike_others_are_looked_for_by_themselves() -> None:
    found = Outliers().run(outlying(leaky=True), Outliers.Params())
    finding = one(found, "outliers.excess")
    assert finding.low > 0.1
    # The mean over everybody shows far less of it.
    everybody = Membership().run(outlying(leaky=True), Membership.Params())
    assert one(everybody, "membership.tpr_at_1").value < 0.1
    assert one(found, "outliers.near_excess").low > 0.1
    assert one(found, "outliers.auc").low > 0.5
    harmless = Outliers().run(outlying(leaky=False), Outliers.Params())
    for metric in ("outliers.excess", "outliers.near_excess"):
        assert one(harmless, metric).low <= 0 <= one(harmless, metric).high
    area = one(harmless, "outliers.auc")
    assert area.low < 0.5 < area.high
    assert one(harmless, "outliers.auc", "rarest 1 %").status == "no-power"


def test_too_few_people_unlike_others_have_no_figure() -> None:
    found = Outliers().run(comparison(copier, 300, 300, 0), Outliers.Params())
    assert {finding.status for finding in found} == {"no-power"}
    assert len(found) == 6
