"""Releases whose labels overlap: answers known by hand, labels that happen not to, and broken twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, covers, local, one, people, profile, step
from sfumato.contracts import COUNT
from sfumato.core.values import Role
from sfumato.evidence import learners, overlap, probe
from sfumato.evidence.attacks import covering
from sfumato.evidence.attacks.covering import CoveringClasses, classes_of
from sfumato.evidence.attacks.external import TARGET, link_register
from sfumato.evidence.attacks.linkage import EXACT, FLAWED, Linkage
from sfumato.evidence.attacks.matching import TRUST, claim_best, claim_exact
from sfumato.evidence.attacks.uniqueness import TOO_MANY, Uniqueness
from sfumato.evidence.learners import share_learners
from sfumato.evidence.run import measure
from sfumato.evidence.utility.correlations import Correlations
from sfumato.evidence.utility.distributions import Distributions
from sfumato.evidence.utility.learning import Learning

COLUMNS = ["c0", "c1", "c2"]


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "BAGS", 1)


def run(kind, comparison, **params):
    return kind().run(comparison, kind.Params(**params))


def bands(frame: pl.DataFrame) -> pl.DataFrame:
    """Labels that do not overlap: numbers in pairs, as ``local`` would write them, and others as text."""
    low = pl.col("c0") // 2 * 2
    return frame.with_columns(
        c0=pl.concat_str(low, pl.lit(".."), low + 1), c1=pl.col("c1").cast(pl.String), c2=pl.lit("*")
    )


def both_ways(rows: int = 600, **more):
    """The same release of labels that do not overlap, compared by equality and by what they cover."""
    frame = people(2 * rows, 3, 8)
    frame = frame.with_columns(c1=pl.when(pl.col("c1") == 0).then(None).otherwise("c1"))
    original, control = frame[:rows], frame[rows:]
    kept = np.arange(rows) % 7 != 0
    released = bands(original)
    equal = compare(original, bands, kept=kept, control=control, **more)
    other = compare(
        original,
        released=released,
        kept=kept,
        control=control,
        covers=covers,
        overlapping=tuple(COLUMNS),
        **more,
    )
    return equal, other


def same(first, second) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert (a.metric, a.target, a.status, a.n, a.note) == (b.metric, b.target, b.status, b.n, b.note)
        for part in ("value", "low", "high", "before", "baseline", "control"):
            old, new = getattr(a, part), getattr(b, part)
            assert new == (old if old is None else pytest.approx(old, rel=1e-9, abs=1e-12))


def test_the_narrowest_label_that_covers_is_claimed() -> None:
    # Two classes cover whoever is 30, and the narrower one is not theirs.
    frame = pl.DataFrame({"age": [20, 30, 40, 29, 31]})
    given = local(frame, [0, 0, 0, 1, 1])
    assert given.released["age"].to_list() == ["20..40"] * 3 + ["29..31"] * 2
    success = one(run(Linkage, given), "linkage.success", EXACT)
    assert success.value == pytest.approx((1 / 3 + 0 + 1 / 3 + 1 / 2 + 1 / 2) / 5)
    # As narrow as each other: both are drawn from.
    tied = local(pl.DataFrame({"age": [20, 27, 26, 35]}), [0, 0, 1, 1])
    assert one(run(Linkage, tied), "linkage.success", EXACT).value == pytest.approx((1 / 2 + 1 / 4) * 2 / 4)


def test_weights_are_those_of_the_share_covered() -> None:
    frame = pl.DataFrame({"age": [20, 30, 40, 29, 31], "sex": ["f", "m", None, "f", "f"]})
    given = local(frame, [0, 0, 0, 1, 1])
    classes = classes_of(given, given.count(["age", "sex"]), ["age", "sex"])
    claims = claim_best(classes, classes.encode(frame), 0.05)
    # "29..31" covers three people of five, "f" three; "20..40" and "*" everybody.
    narrow = 2 * np.log((0.95 + 0.05 * 0.6) / 0.6)
    assert claims.weight[3] == pytest.approx(narrow)
    assert claims.rows.tolist() == [3, 3, 3, 2, 2]
    assert claims.confidence[3] == pytest.approx(1 / (2 + (3 + 5) / np.exp(narrow)))
    assert claims.full.all()


def contradicting(first: int):
    """Two people with a row so narrow that likelihood alone prefers it even where c1 contradicts it."""
    frame = pl.DataFrame({"c0": [5000, 5000, *range(4000)], "c1": [first, 1, *[2] * 4000]})
    narrow = pl.DataFrame({"c0": ["5000"] * 2, "c1": ["1"] * 2})
    released = pl.concat([narrow, frame[2:].with_columns(c0=pl.lit("0..5000"), c1=pl.lit("1..2"))])
    return compare(frame, released=released, covers=covers, overlapping=("c0", "c1"))


def test_a_class_that_contradicts_an_exact_register_is_not_claimed() -> None:
    given = contradicting(1)
    classes = classes_of(given, given.count(["c0", "c1"]), ["c0", "c1"])
    asked = pl.DataFrame({"c0": [5000], "c1": [2]})
    assert claim_exact(classes, asked, insist=True).rows.tolist() == [4000]
    assert claim_best(classes, classes.encode(asked), TRUST).rows.tolist() == [4000]
    assert claim_best(classes, classes.encode(asked), 0.05).rows.tolist() == [2]
    # Nobody is covered: claimed only if insisted on.
    nobody = pl.DataFrame({"c0": [5000], "c1": [3]})
    assert not claim_exact(classes, nobody, insist=False).full.any()
    assert claim_exact(classes, nobody, insist=True).rows.tolist() == [2]


def test_an_own_row_that_contradicts_the_register_is_not_found_by_another() -> None:
    # The first of the two is not who the row says.
    success = one(run(Linkage, contradicting(2), register=5000), "linkage.success", EXACT)
    assert success.value == pytest.approx((0 + 1 / 2 + 4000 / 4000) / 4002)


def test_people_of_the_last_of_many_classes_are_found() -> None:
    frame = pl.DataFrame({"a": range(5000), "b": [1, 2] * 2500})

    def equal(column, labels, values):
        return labels.to_numpy()[:, None] == values.cast(pl.String).to_numpy()

    released = frame.with_columns(pl.all().cast(pl.String))
    given = compare(frame, released=released, covers=equal, overlapping=("a", "b"))
    classes = classes_of(given, given.count(["a", "b"]), ["a", "b"])
    claims = claim_best(classes, classes.encode(frame[::50]), 0.05)
    assert claims.full.all()
    assert claims.rows.tolist() == [1] * 100


def test_labels_that_do_not_overlap_give_the_figures_of_equality() -> None:
    equal, other = both_ways()
    assert isinstance(classes_of(other, other.count(COLUMNS), COLUMNS), CoveringClasses)
    for kind in (Linkage, Uniqueness):
        same(run(kind, equal), run(kind, other))
    details = [f for f in run(Distributions, equal) if f.metric == "distributions.precision"]
    same(details, [f for f in run(Distributions, other) if f.metric == "distributions.precision"])


def test_a_part_of_the_columns_may_overlap() -> None:
    equal, other = both_ways()
    mixed = replace(other, overlapping=("c0",), describe=lambda frame: bands(frame).with_columns(frame["c0"]))
    same(run(Linkage, equal), run(Linkage, mixed))


def test_an_external_register_is_compared_with_what_labels_cover() -> None:
    hidden = {"id": profile("id", Role.DIRECT_IDENTIFIER)}
    steps = [step("id", Role.DIRECT_IDENTIFIER, action="pseudonymize")]
    equal, other = both_ways()
    number = {"id": pl.int_range(600, eager=True)}
    outside = {"id": pl.int_range(600, 1200, eager=True)}
    with_ids = [
        compare(
            given.original.with_columns(**number),
            given.describe,
            released=given.released.with_columns(**number),
            kept=given.kept,
            control=given.control.with_columns(**outside),
            profiles=hidden,
            steps=steps,
            covers=given.covers,
            overlapping=given.overlapping,
        )
        for given in (equal, other)
    ]
    everybody = pl.concat([with_ids[0].original, with_ids[0].control])
    register = everybody.with_columns(
        c0=pl.when(pl.col("id") % 5 == 0).then(pl.lit("about 7")).otherwise(pl.col("c0").cast(pl.String))
    )
    same(*(link_register(given, register, "id") for given in with_ids))
    assert one(link_register(with_ids[1], register, "id"), "linkage.success", TARGET).value > 0


def test_what_covers_the_wrong_people_finds_nobody() -> None:
    frame = people(1000, 3, 40)
    given = local(frame[:500], by_cuts(frame[:500]), control=frame[500:])

    def shifted(column, labels, values):
        return covers(column, labels, (values + 7) % 40)

    sound, broken = (
        one(run(Linkage, c), "linkage.success", EXACT) for c in (given, replace(given, covers=shifted))
    )
    classes = given.released.n_unique()
    assert sound.value == pytest.approx(classes / 500, rel=0.1)
    assert broken.value < sound.value / 3


def test_equality_would_find_nobody_and_look_harmless() -> None:
    frame = people(1000, 3, 40)
    given = local(frame[:500], by_cuts(frame[:500]), control=frame[500:])
    blind = replace(given, overlapping=())
    seeing, unseeing = (one(run(Linkage, c), "linkage.success", EXACT).value for c in (given, blind))
    assert seeing > 0.1
    assert unseeing < seeing / 2


def test_figures_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people(300, 3, 12)
    given = local(frame[:200], by_cuts(frame[:200]), control=frame[200:], **population(frame))
    kinds = (Linkage, Uniqueness, Distributions, Correlations)
    whole = [run(kind, given) for kind in kinds]
    monkeypatch.setattr(covering, "BLOCK", 1)
    monkeypatch.setattr(covering, "PEOPLE", 7)
    monkeypatch.setattr(overlap, "CELLS", 50)
    for kind, expected in zip(kinds, whole, strict=True):
        same(expected, run(kind, given))


def test_large_tables_are_attacked_with_a_smaller_register(monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato.evidence.attacks import linkage

    frame = people(800, 3, 12)
    given = local(frame[:500], by_cuts(frame[:500]), control=frame[500:])
    monkeypatch.setattr(linkage, "CELLS", 1000)
    monkeypatch.setattr(covering, "SHARES", 100)
    found = run(Linkage, given)
    for target in (EXACT, FLAWED):
        assert one(found, "linkage.success", target).n == linkage.LEAST_REGISTER
    assert one(found, "linkage.success_all_columns").n == linkage.LEAST_REGISTER


def test_whoever_was_suppressed_tells_nothing() -> None:
    frame = people(400, 3, 12).with_columns(y=pl.col("c0") // 6)
    classes = [-1 if i % 5 == 0 else c for i, c in enumerate(by_cuts(frame[:300].select(COLUMNS)))]
    given = local(frame[:300], classes, COLUMNS, control=frame[300:], target="y")
    gone = pl.Series(given.kept)
    told = frame[:300].with_columns(pl.col(COLUMNS).cast(pl.String))
    replaced = [given.released[column].zip_with(gone, told[column]) for column in COLUMNS]
    other = replace(given, released=given.released.with_columns(replaced))
    probes = {"linkage": {}, "distributions": {}, "correlations": {}, "learning": {}}
    assert measure(given, probes) == measure(other, probes)


def test_shared_learners_know_what_labels_cover() -> None:
    given = local(people(20, 2, 4), [0, 1] * 10)
    shared = share_learners(given)
    assert (shared.covers, shared.overlapping) == (given.covers, given.overlapping)


def population(frame: pl.DataFrame) -> dict:
    def count(columns):
        return frame.group_by(columns).len(COUNT)

    return {"count_population": count, "count_population_original": count}


def test_a_population_is_counted_by_what_labels_cover() -> None:
    released = pl.DataFrame({"age": [20, 24, 30, 32], "sex": ["f", "m", "f", "f"]})
    everybody = pl.DataFrame({"age": [20, 24, 30, 32, 22, 22, 31, 31, 33], "sex": ["f", "m", *"ffffffm"]})
    given = local(released, [0, 0, 1, 1], **population(everybody))
    found = run(Uniqueness, given)
    # "20..24" with "{f|m}" covers four people of three kinds, "30..32" with "f" as many.
    assert one(found, "risk.journalist").value == pytest.approx(1 / 4)
    assert one(found, "risk.journalist").before == 1.0
    assert one(found, "risk.population_unique").value == 0.0
    few = local(released, [0, 0, 1, 1], **population(everybody[:2]))
    assert one(run(Uniqueness, few), "risk.journalist").value == pytest.approx(1 / 2)
    assert "50 %" in one(run(Uniqueness, few), "risk.journalist").note


def test_a_population_that_costs_too_much_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people(100, 2, 5)
    given = local(frame, by_cuts(frame), **population(frame))
    monkeypatch.setattr(covering, "MOST", 10)
    for metric in ("risk.journalist", "risk.population_unique"):
        finding = one(run(Uniqueness, given), metric)
        assert (finding.status, finding.value, finding.note) == ("not-measured", None, TOO_MANY)


def test_a_label_is_spread_equally_over_the_values_it_covers() -> None:
    frame = pl.DataFrame({"a": [1] * 30 + [2] * 10 + [3] * 20})
    # 1 and 2 have a label together that says nothing of which is more frequent.
    found = run(Distributions, local(frame, [0] * 40 + [1] * 20))
    assert one(found, "distributions.tv", "a").value == pytest.approx(10 / 60)
    exact = run(Distributions, local(frame, [0] * 30 + [1] * 10 + [2] * 20))
    assert one(exact, "distributions.tv", "a").value == 0.0
    suppressed = run(Distributions, local(frame, [-1] * 30 + [1] * 10 + [2] * 20))
    assert one(suppressed, "distributions.tv", "a").value == pytest.approx(0.5)


def test_what_a_transform_did_before_the_labels_is_seen() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, 4] * 10})
    given = local(frame.with_columns(pl.lit(4).alias("a")), [0] * 40)
    capped = replace(given, original=frame, describe=lambda f: f.with_columns(a=pl.lit(4)))
    assert one(run(Distributions, capped), "distributions.tv", "a").value == pytest.approx(0.75)


def test_what_covers_no_value_of_the_original_is_distortion() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, 4] * 10})
    given = local(frame, [0, 1, 2, 3] * 10)
    elsewhere = replace(given, released=pl.DataFrame({"a": ["77"] * 40}))
    assert one(run(Distributions, elsewhere), "distributions.tv", "a").value == pytest.approx(1.0)


def test_labels_tell_apart_only_if_they_share_no_value() -> None:
    frame = pl.DataFrame({"a": [1, 2, 2, 3, 4]})
    given = local(frame, [0, 0, 1, 1, 2])
    assert given.released["a"].to_list() == ["1..2", "1..2", "2..3", "2..3", "4"]
    # Of 20 ordered pairs 18 differ; only those with 4 are told apart.
    assert one(run(Distributions, given), "distributions.precision", "a").value == pytest.approx(8 / 18)


def test_people_who_were_alike_are_not_told_apart_by_wrong_labels() -> None:
    given = local(pl.DataFrame({"a": [1, 1, 2, 2]}), [0, 0, 1, 1])
    wrong = replace(given, released=pl.DataFrame({"a": ["1", "77", "2", "2"]}))
    assert one(run(Distributions, wrong), "distributions.precision", "a").value == 1.0


def survey(rows: int, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    age = draw.integers(20, 60, rows)
    town = draw.choice([f"t{i}" for i in range(12)], rows)
    logit = (age - 40) / 8 + np.where(np.isin(town, ["t0", "t1", "t2", "t3"]), 1.5, -1.0)
    works = (draw.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    return pl.DataFrame({"age": age, "town": town, "works": works})


def surveyed(k: int, **more):
    frame = survey(3000)
    classes = by_cuts(frame[:2000].select("town", "age"), k)
    return local(frame[:2000], classes, ["age", "town"], control=frame[2000:], target="works", **more)


def test_a_model_learns_from_labels_that_overlap() -> None:
    found = one(run(Learning, surveyed(5)), "learning.auc")
    assert found.value > found.before - 0.02
    coarse = one(run(Learning, surveyed(400)), "learning.auc")
    assert 0.6 < coarse.value < found.value


def test_without_what_labels_cover_a_model_learns_less() -> None:
    given = surveyed(300)
    sound = one(run(Learning, given), "learning.auc").value
    # Taken as categories of their own, most labels are of nobody who is tested.
    assert one(run(Learning, replace(given, overlapping=())), "learning.auc").value < sound - 0.02
    # The broken twin: towns get the shares of other towns.
    names = [f"t{i}" for i in range(12)]
    turned = dict(zip(names, names[4:] + names[:4], strict=True))

    def wrong(column, labels, values):
        return covers(column, labels, values.replace(turned) if column == "town" else values)

    assert one(run(Learning, replace(given, covers=wrong)), "learning.auc").value < sound - 0.05


def test_a_label_of_several_categories_has_the_mean_of_their_rates() -> None:
    frame = pl.DataFrame({"town": ["a"] * 40 + ["b"] * 40 + ["a", "b"] * 10})
    truth = np.array([1] * 40 + [0] * 40 + [1, 0] * 10)
    given = local(frame, [0] * 40 + [1] * 40 + [2] * 20)
    feature = learners._reader(given)(given.released["town"], truth)
    taught = feature.taught(given.released)
    a, b = feature.tested(pl.DataFrame({"town": ["a", "b"]}))
    assert feature.categorical == (True, False)
    assert taught[0].tolist() == a.tolist()
    assert taught[40].tolist() == b.tolist()
    assert a[0] != b[0]
    assert np.isnan(taught[80, 0])
    assert taught[80, 1] == pytest.approx((a[1] + b[1]) / 2)
    # 40 of "a" and half of 20 others of whom half are positive, and ten people like everybody.
    assert a[1] == pytest.approx((40 + 5 + 10 / 2) / (40 + 10 + 10))


def test_classes_do_not_make_associations_of_their_own() -> None:
    frame = people(3000, 2, 30)
    given = local(frame, by_cuts(frame, 5))
    error = one(run(Correlations, given), "correlations.error")
    assert error.value < 2 * error.baseline + 0.02
    # Labels as categories of their own, which the classes tie together.
    broken = replace(given, overlapping=(), centers={})
    assert one(run(Correlations, broken), "correlations.error").value > 0.2


def test_associations_of_labels_of_one_value_are_those_of_the_values() -> None:
    frame = survey(500)
    given = local(
        frame, frame.select(pl.struct("age", "town").rank("dense")).to_series().to_list(), ["age", "town"]
    )
    assert one(run(Correlations, given), "correlations.error").value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["uniqueness", "linkage", "distributions", "correlations", "learning"])
def test_a_release_in_which_everything_is_a_star(name: str) -> None:
    frame = survey(200)
    starred = frame.with_columns(age=pl.lit("*"), town=pl.lit("*"))
    given = compare(
        frame[:100], released=starred[:100], control=frame[100:], target="works", covers=covers,
        overlapping=("age", "town"), centers={"age": {}},
    )  # fmt: skip
    part = probe(name)
    found = part().run(given, part.Params())
    assert {finding.metric for finding in found} == set(part.metrics)
    if name == "linkage":
        exact = one(found, "linkage.success", EXACT)
        assert exact.value == pytest.approx(2 / 100)
        assert one(found, "linkage.excess", EXACT).value == pytest.approx(0.0, abs=0.01)
