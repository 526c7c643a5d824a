"""The minimality attack on tables small enough to try every way to deal the secrets."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, planned
from sfumato.contracts import COUNT
from sfumato.evidence.attacks import finer
from sfumato.evidence.attacks.minimality import Minimality
from sfumato.evidence.attacks.partings import Promise, breaks, breaks_given

HALF = {"model": "alpha-k", "on": "s", "alpha": 0.5, "k": 2}


def attack(frame, models=(HALF,), limit=0, suppressed=0, kept=None, **more):
    """A table of q, generalized to nothing, which has ``t`` as it is; one level finer is the original's q."""

    def describe(people):
        return people.with_columns(q=pl.lit("*"))

    given = compare(frame, describe, kept=kept, finer=lambda _, people: people, suppressible=limit)
    levels = {"q": 1, "t": 0} if "t" in frame.columns else {"q": 1}
    given = planned(given, models, levels=levels, suppressed_rows=suppressed, **more)
    return Minimality().run(given, Minimality.Params())


#: The example of Wong et al.: two people of q1, five of q2, two of the seven with HIV; at most half.
WONG = pl.DataFrame({"q": ["q1"] * 2 + ["q2"] * 5, "s": ["HIV", "HIV", "a", "b", "c", "d", "e"]})


def test_the_example_of_wong_et_al() -> None:
    found = attack(WONG)
    # q2 cannot have failed: both of q1 must have it, of whom the class says two in seven.
    assert one(found, "minimality.posterior", "s").value == pytest.approx(1)
    assert one(found, "minimality.posterior", "s").baseline == pytest.approx(2 / 7)
    assert one(found, "minimality.gain", "s").value == pytest.approx(5 / 7)
    assert one(found, "minimality.beyond", "s").value == pytest.approx(2 / 7)
    assert one(found, "minimality.beyond").target == "release"


def entropy(values) -> float:
    shares = np.array(list(Counter(values).values())) / len(values)
    return float(-(shares * np.log(shares)).sum())


def dealt(frame: pl.DataFrame, promise: Promise, least: int, limit: int) -> dict[str, Counter]:
    """Of each part who has what, over all ways to deal a class's secrets that rule the finer table out."""
    parts, values = frame["q"].to_list(), frame["s"].to_list()
    found: dict[str, Counter] = {part: Counter() for part in parts}
    for way in itertools.permutations(values):
        failed = 0
        for part in set(parts):
            own = [value for value, q in zip(way, parts, strict=True) if q == part]
            most = max(Counter(own).values())
            uneven = entropy(own) < np.log(promise.even) - 1e-9
            if uneven or len(own) < least or len(set(own)) < promise.least or most > promise.cap(len(own)):
                failed += len(own)
        if failed > limit:
            for value, part in zip(way, parts, strict=True):
                found[part][value] += 1
    return found


@pytest.mark.parametrize(
    ("sizes", "secrets", "model", "promise"),
    [
        ((2, 5), "HHabcde", HALF, Promise(most=0.5)),
        ((3, 5), "HHabbcde", HALF, Promise(most=0.5)),
        ((2, 6), "HHaabbcc", {"model": "l-diversity", "on": "s", "l": 2}, Promise(least=2)),
        ((3, 5), "HHHabbcc", {"model": "l-diversity", "on": "s", "l": 3}, Promise(least=3)),
        ((3, 4), "HHHHabc", {"model": "p-sensitive", "on": "s", "p": 2, "k": 3}, Promise(least=2)),
        ((3, 5), "HHHabbcc", {"model": "l-diversity", "on": "s", "l": 2, "kind": "entropy"}, Promise(even=2)),
        (
            (4, 4),
            "HHHabcde",
            {"model": "l-diversity", "on": "s", "l": 2.5, "kind": "entropy"},
            Promise(even=2.5),
        ),
    ],
)
def test_every_way_to_deal_the_secrets(sizes, secrets, model, promise) -> None:
    parts = [f"q{i}" for i, size in enumerate(sizes) for _ in range(size)]
    values = list(secrets)
    # The first part fails: it has the most frequent secret as often as it goes.
    frame = pl.DataFrame({"q": parts, "s": values})
    found = attack(frame, [model])
    expected = dealt(frame, promise, 2, 0)
    most = max(max(counts.values()) / counts.total() for counts in expected.values())
    # Two parts of a class are taken as independent, one alone is exact.
    assert one(found, "minimality.posterior", "s").value == pytest.approx(most, abs=0.06)


@pytest.mark.parametrize("seed", range(16))
def test_the_chance_of_a_part_is_that_of_all_draws(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = sorted(draw.integers(0, 4, 8).tolist())
    contents, drawn = Counter(values), int(draw.integers(2, 7))
    even = float(draw.choice([1.0, 1.5, 2.0, 3.0]))
    promise = Promise(int(draw.integers(1, 4)), float(draw.choice([0.4, 0.5, 1.0])), even)
    ways = list(itertools.permutations(range(8), drawn))

    def broken(way) -> bool:
        own = Counter(values[i] for i in way)
        uneven = entropy([value for value, many in own.items() for _ in range(many)]) < np.log(even) - 1e-9
        return uneven or len(own) < promise.least or max(own.values()) > promise.cap(drawn)

    assert breaks(contents.values(), drawn, promise) == pytest.approx(np.mean([broken(w) for w in ways]))
    person = values[0]
    with_them = [broken(way) for way in ways if 0 in way]
    without = [broken(way) for way in ways if 0 not in way]
    for inside, expected in ((True, with_them), (False, without)):
        given = breaks_given(contents.values(), drawn, promise, contents[person], inside)
        assert given == pytest.approx(np.mean(expected))


def test_a_chance_too_small_to_subtract_from_one_is_right() -> None:
    assert breaks([30, *[1] * 300], 30, Promise(least=2)) == pytest.approx(2.86e-42, rel=0.2)


def test_classes_that_are_too_small_anyway_say_nothing_of_secrets() -> None:
    frame = pl.concat([WONG, pl.DataFrame({"q": ["q3"], "s": ["f"]})])
    found = attack(frame)
    assert one(found, "minimality.gain").value == 0
    assert one(found, "minimality.beyond").value == 0


def test_a_finer_table_that_would_have_done_says_nothing() -> None:
    fine = WONG.with_columns(s=pl.Series(["HIV", "a", "HIV", "b", "c", "d", "e"]))
    assert one(attack(fine), "minimality.gain").value == 0
    assert one(attack(WONG, limit=2), "minimality.gain").value == 0


def test_entropy_gives_the_pair_away_as_shares_do() -> None:
    """Two of q1 have an entropy of ln 2 unless both have HIV: the example of Wong et al. again."""
    asked = {"model": "l-diversity", "on": "s", "l": 2, "kind": "entropy"}
    frame = WONG.with_columns(s=pl.Series(["HIV", "HIV", "a", "b", "c", "d", "e"]))
    found = attack(frame, [asked, {"model": "k-anonymity", "k": 2}])
    assert one(found, "minimality.posterior", "s").value == pytest.approx(1)
    assert one(found, "minimality.beyond", "s").value == pytest.approx(2 / 7)
    assert one(found, "minimality.beyond", "s").before == pytest.approx(2 / 7)


def test_the_chance_of_an_uneven_part_of_many_people() -> None:
    """Against draws: a class of 400 in five values, 60 of them in the part."""
    contents, drawn, promise = [160, 90, 70, 50, 30], 60, Promise(even=4.2)
    draw = np.random.default_rng(3).multivariate_hypergeometric(contents, drawn, 200_000) / drawn
    shares = np.where(draw > 0, draw, 1.0)
    uneven = -(draw * np.log(shares)).sum(axis=1) < np.log(4.2)
    assert breaks(contents, drawn, promise) == pytest.approx(uneven.mean(), abs=0.006)


@pytest.mark.parametrize("values", range(2, 12))
@pytest.mark.parametrize("each", [1, 2, 3])
def test_an_entropy_that_is_just_enough_is_enough(values: int, each: int) -> None:
    contents, drawn = [each] * values, each * values
    assert breaks(contents, drawn, Promise(even=values)) == 0
    assert breaks_given(contents, drawn, Promise(even=values), each, inside=True) == 0
    assert breaks([*contents[1:], each + 1], drawn + 1, Promise(even=values)) == 1
    assert breaks(contents, drawn, Promise(even=values + 0.01)) == 1


def test_among_many_classes_any_may_have_failed() -> None:
    many = pl.concat([WONG.with_columns(t=pl.lit(i)) for i in range(400)])
    few = pl.concat([WONG.with_columns(t=pl.lit(i)) for i in range(5)])
    gains = [one(attack(frame), "minimality.gain").value for frame in (few, many)]
    assert gains[0] > 0.05
    assert gains[1] < 0.001


def test_a_limit_of_suppression_counts_the_rows_that_fail() -> None:
    frame = pl.concat([WONG.with_columns(t=pl.lit(i)) for i in range(3)])
    # With two rows to spare two of three pairs must have failed; without all may be one.
    strict, lax = (one(attack(frame, limit=limit), "minimality.gain").value for limit in (0, 5))
    assert 0 < strict < lax
    assert lax == pytest.approx(5 / 7)


def test_suppressed_classes_are_out_of_it() -> None:
    frame = pl.concat(
        [
            WONG.with_columns(t=pl.lit(0, pl.Int64)),
            pl.DataFrame({"q": ["q1"] * 2, "s": ["HIV"] * 2, "t": [1] * 2}),
        ]
    )
    kept = np.arange(9) < 7
    found = attack(frame, limit=2, suppressed=2, kept=kept)
    assert one(found, "minimality.posterior").value == pytest.approx(1)
    assert one(found, "minimality.posterior").n == 7
    assert one(attack(frame, limit=2, kept=kept), "minimality.posterior").status == "not-measured"


@pytest.mark.parametrize(
    ("models", "more"),
    [
        ([{"model": "k-anonymity", "k": 2}], {}),
        ([{"model": "beta-likeness", "on": "s", "beta": 2.0}], {}),
        ([{"model": "t-closeness", "on": "s", "t": 0.2, "distance": "hierarchical"}], {}),
        ([{"model": "l-diversity", "on": "s", "l": 2, "kind": "entropy-grassberger"}], {}),
        ([{**HALF, "others_known": ["x"]}], {}),
        ([HALF], {"method": "partition"}),
        ([HALF], {"unit": "person"}),
    ],
)
def test_what_is_not_worked_out_is_not_measured(models, more) -> None:
    found = attack(WONG, models, **more)
    assert {finding.status for finding in found} == {"not-measured"}


def test_no_plan_and_nobody() -> None:
    found = Minimality().run(compare(WONG), Minimality.Params())
    assert {finding.status for finding in found} == {"not-measured"}
    found = attack(WONG, kept=np.zeros(7, dtype=bool))
    assert {finding.status for finding in found} == {"not-measured"}


def test_a_twin_that_forgets_what_was_ruled_out_is_no_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        finer, "breaks_given", lambda contents, drawn, promise, *_: breaks(contents, drawn, promise)
    )
    assert one(attack(WONG), "minimality.gain").value == pytest.approx(0)


def test_missing_values_are_a_value() -> None:
    frame = WONG.with_columns(s=pl.Series([None, None, "a", "b", "c", "d", "e"]))
    assert one(attack(frame), "minimality.posterior").value == pytest.approx(1)
    assert COUNT not in frame.columns
