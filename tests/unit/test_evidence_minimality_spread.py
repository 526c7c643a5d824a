"""The minimality attack on t-closeness and recursive (c, l)-diversity: known answers and sampled chances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, planned
from sfumato.evidence.attacks import failing, minimality
from sfumato.evidence.attacks.minimality import Minimality
from sfumato.evidence.attacks.odds import Odds
from sfumato.evidence.attacks.partings import Promise
from sfumato.evidence.attacks.spreads import Close, Scale, Tail

KEY = bytes(range(32))
TREE = np.array([[0, 1, 2, 3, 4], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
K = {"model": "k-anonymity", "k": 2}


def attack(frame: pl.DataFrame, *models: Mapping[str, Any], limit: int = 0, **more: Any) -> list:
    """A table of q, generalized to nothing, which has ``t`` as it is; one level finer is the original's q."""

    def describe(people: pl.DataFrame) -> pl.DataFrame:
        return people.with_columns(q=pl.lit("*"))

    given = compare(frame, describe, finer=lambda _, people: people, suppressible=limit, **more)
    levels = {"q": 1, "t": 0} if "t" in frame.columns else {"q": 1}
    kept = more.get("kept", np.ones(frame.height, dtype=bool))
    given = planned(given, models, levels=levels, suppressed_rows=int((~kept).sum()))
    return Minimality().run(given, Minimality.Params())


def close(t: float, distance: str = "equal") -> dict[str, Any]:
    return {"model": "t-closeness", "on": "s", "t": t, "distance": distance}


def recursive(c: float, rank: int) -> dict[str, Any]:
    return {"model": "l-diversity", "on": "s", "kind": "recursive", "c": c, "l": rank}


def table(small: str, large: str) -> pl.DataFrame:
    return pl.DataFrame({"q": ["q1"] * len(small) + ["q2"] * len(large), "s": [*small, *large]})


#: Of the pairs in a class of five A and two H only H and H is farther than .3 from it, and so is no five.
PAIR = table("HH", "AAAAA")
#: Ten with 9 or 10 H; with 8 and two others the rest of l = 3 is 1, and 8 < 8.5.
TEN = table("HHHHHHHHHH", "abcdefghijklmno")


def test_a_distance_that_only_one_pair_has_tells_what_both_have() -> None:
    found = attack(PAIR, close(0.3), K)
    assert one(found, "minimality.posterior", "s").value == pytest.approx(1)
    assert one(found, "minimality.posterior", "s").baseline == pytest.approx(5 / 7)
    assert one(found, "minimality.gain", "s").value == pytest.approx(2 / 7)
    # The five are as far as five A, which is near enough.
    assert one(found, "minimality.beyond", "s").value == pytest.approx(2 / 7)
    assert one(found, "minimality.beyond").target == "release"


def test_places_between_values_tell_what_the_pair_has() -> None:
    """Two of the highest of three levels are 5/8 away, a middle and a highest 3/8, of the class of eight."""
    frame = pl.DataFrame({"q": ["q1"] * 2 + ["q2"] * 6, "s": [2, 2, 0, 0, 0, 1, 1, 0]})
    found = attack(frame, close(0.5, "ordered"), K)
    assert one(found, "minimality.posterior", "s").value == pytest.approx(1)
    assert one(found, "minimality.gain", "s").value == pytest.approx(0.5)
    # Where any two values are as far they may be two of the middle as well, and the six have all the others.
    found = attack(frame, close(0.5, "equal"), K)
    assert one(found, "minimality.posterior", "s").value == pytest.approx(2 / 3)


def test_a_hierarchy_tells_the_branch() -> None:
    """Of two branches the lesser has two people: both of q1, if a pair is to be too far."""
    frame = pl.DataFrame({"q": ["q1"] * 2 + ["q2"] * 6, "s": [0, 1, 2, 2, 3, 3, 4, 4]})

    def tree(column: str, values: pl.Series) -> np.ndarray:
        assert column == "s"
        return TREE[:, values.to_numpy()]

    found = attack(frame, close(0.7, "hierarchical"), K, tree=tree)
    assert one(found, "minimality.posterior", "s").value == pytest.approx(0.5)
    assert one(found, "minimality.posterior", "s").baseline == pytest.approx(0.25)


def test_a_most_frequent_value_must_have_been_there() -> None:
    found = attack(TEN, recursive(8.5, 3), {"model": "k-anonymity", "k": 10})
    ways = {9: 10 * 15, 10: 1}
    expected = sum(many * each for many, each in ways.items()) / sum(ways.values()) / 10
    assert one(found, "minimality.posterior", "s").value == pytest.approx(expected)
    assert one(found, "minimality.posterior", "s").baseline == pytest.approx(0.4)
    assert one(found, "minimality.beyond", "s").value == pytest.approx(0.4)


def test_two_values_are_a_bound_on_the_most_frequent() -> None:
    """With l = 2 and c = 2 a pair has to have two values, and five no more than three of one."""
    frame = table("HH", "abcde")
    assert one(attack(frame, recursive(2.0, 2), K), "minimality.posterior", "s").value == pytest.approx(1)


def test_where_a_finer_table_would_have_done_nothing_is_told() -> None:
    rich = table("HHHHHHHHHa", "bcdefghijklmnoH")
    for frame, model in ((PAIR, close(0.75)), (rich, recursive(30.0, 2)), (table("AH", "AAAAH"), close(0.3))):
        found = attack(frame, model, K)
        assert one(found, "minimality.gain").value == 0
        assert one(found, "minimality.beyond").value == 0
        posterior = one(found, "minimality.posterior")
        assert posterior.value == posterior.baseline


def test_parts_that_fail_whatever_they_have_tell_nothing() -> None:
    """No two people are within .1 of a class of five values: that q1 failed was sure beforehand."""
    found = attack(table("ab", "abcdecde"), close(0.1), K)
    assert one(found, "minimality.gain").value == pytest.approx(0, abs=1e-9)


def test_an_attack_that_ignores_what_was_asked_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken twins: other parameters, the other distance, and the whole table forgotten."""
    true = [
        one(attack(PAIR, close(0.3), K), "minimality.posterior").value,
        one(attack(TEN, recursive(8.5, 3), {"model": "k-anonymity", "k": 10}), "minimality.posterior").value,
    ]
    real = failing.failing

    def ignoring(values, people, drawn, promise, scale, key):
        loose = Promise(
            tails=tuple(Tail(1.0, one.rank) for one in promise.tails),
            close=tuple(Close(0.05, one.distance) for one in promise.close),
        )
        return real(values, people, drawn, loose, scale, key)

    def forgetting(values, people, drawn, promise, scale, key):
        return real(values, people, drawn, promise, Scale(np.ones_like(scale.overall), scale.tree), key)

    monkeypatch.setattr("sfumato.evidence.attacks.finer.failing", ignoring)
    twins = [
        one(attack(PAIR, close(0.3), K), "minimality.posterior").value,
        one(attack(TEN, recursive(8.5, 3), {"model": "k-anonymity", "k": 10}), "minimality.posterior").value,
    ]
    assert all(twin < figure - 0.1 for twin, figure in zip(twins, true, strict=True))
    monkeypatch.setattr("sfumato.evidence.attacks.finer.failing", forgetting)
    assert one(attack(PAIR, close(0.3), K), "minimality.posterior").value < 0.9


SAMPLED = [
    ([20, 15, 10, 5, 4], 15, Close(0.2, "equal")),
    ([20, 15, 10, 5, 4], 15, Close(0.4, "equal")),
    ([40, 30, 20, 10, 8], 40, Close(0.3, "equal")),
    ([40, 30, 20, 10, 8], 40, Close(0.15, "ordered")),
    ([40, 30, 20, 10, 8], 40, Close(0.2, "hierarchical")),
    ([40, 30, 20, 10, 8], 30, Tail(9.0, 3)),
    ([40, 30, 30, 30, 30], 30, Tail(3.0, 4)),
]


@pytest.mark.parametrize(("people", "drawn", "promised"), SAMPLED)
def test_sampled_chances_are_those_of_all_draws(
    people: list[int], drawn: int, promised: Close | Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chances from .3 to 4e-6; splitting finds them a little too high, the same in all parts."""
    promise = Promise(tails=(promised,)) if isinstance(promised, Tail) else Promise(close=(promised,))
    given = np.arange(5), np.array(people), drawn, promise, Scale(np.array(people), TREE), KEY
    exact = failing.failing(*given)
    monkeypatch.setattr(failing, "FEW", 0)
    sampled = failing.failing(*given)
    assert exact.exact
    assert not sampled.exact
    assert sampled.chance[0] == pytest.approx(exact.chance[0], rel=0.4)
    assert sampled.inside[0] / drawn == pytest.approx(exact.inside[0] / drawn, abs=0.04)
    assert sampled.inside[1:].min() >= 0
    assert sampled.inside.sum(axis=1) == pytest.approx(drawn, rel=0.02)
    again = failing.failing(*given)
    assert (again.chance == sampled.chance).all()
    assert (again.inside == sampled.inside).all()


def test_a_twin_that_does_not_swap_anybody_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    people, drawn, promised = SAMPLED[2]
    given = np.arange(5), np.array(people), drawn, Promise(close=(promised,)), Scale(np.array(people)), KEY
    exact = failing.failing(*given)
    monkeypatch.setattr(failing, "FEW", 0)
    monkeypatch.setattr(failing, "_SWAPS", 0)
    assert not 0.6 < failing.failing(*given).chance[0] / exact.chance[0] < 1.4


def test_what_is_sampled_has_an_interval_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "FEW", 0)
    found = one(
        attack(TEN, recursive(8.5, 3), {"model": "k-anonymity", "k": 10}), "minimality.posterior", "s"
    )
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(0.901, abs=0.01)
    assert "sampled" in found.note


def test_a_chance_that_was_not_found_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finer table failed, and nothing that was tried explains it."""
    monkeypatch.setattr(failing, "FEW", 0)
    monkeypatch.setattr(failing, "_LEVELS", 2)
    found = attack(TEN, recursive(8.5, 3), {"model": "k-anonymity", "k": 10})
    assert {finding.status for finding in found} == {"no-power"}


def test_runs_that_found_nothing_leave_the_worst_open(monkeypatch: pytest.MonkeyPatch) -> None:
    real = failing.failing

    def lost(*given):
        found = real(*given)
        return failing.Failing(
            found.chance * np.arange(1 + failing.RUNS).clip(max=1)[::-1], found.inside, False, 0
        )

    monkeypatch.setattr("sfumato.evidence.attacks.finer.failing", lost)
    found = one(attack(PAIR, close(0.3), K), "minimality.posterior", "s")
    assert found.high == 1


def test_two_models_of_one_column_are_asked_together() -> None:
    frame = table("HH", "AAAAA")
    both = attack(frame, close(0.3), {"model": "l-diversity", "on": "s", "l": 2}, K)
    # Two A are too few values as well, and so are five.
    assert one(both, "minimality.posterior", "s").value < 1


def test_columns_with_models_of_both_sorts() -> None:
    frame = PAIR.with_columns(u=pl.Series(["x", "y", "x", "y", "x", "y", "x"]))
    both = attack(frame, close(0.3), {"model": "l-diversity", "on": "u", "l": 2}, K)
    assert 0.5 < one(both, "minimality.posterior", "s").value < 1
    assert one(both, "minimality.posterior", "u").status == "measured"


def test_suppressed_rows_are_not_in_the_table_that_the_attacker_knows() -> None:
    frame = pl.concat([PAIR.with_columns(t=pl.lit(0)), table("B", "").with_columns(t=pl.lit(1))])
    found = attack(frame, close(0.35), K, limit=1, kept=np.arange(8) < 7)
    posterior = one(found, "minimality.posterior", "s")
    assert posterior.status == "measured"
    assert "as the released rows are" in posterior.note


@pytest.mark.parametrize(
    "secrets", [["a"] * 7, [None] * 7, [None, None, 1, 2, 3, 4, 5], [1.5] * 3 + [None] * 4]
)
@pytest.mark.parametrize("model", [close(0.2), close(0.2, "ordered"), recursive(2.0, 3)])
def test_any_column(secrets: list, model: dict[str, Any]) -> None:
    frame = pl.DataFrame({"q": ["q1"] * 2 + ["q2"] * 5, "s": pl.Series(secrets, strict=False)})
    assert attack(frame, model, K)


def test_a_fair_share_of_many_values_takes_no_time() -> None:
    """A thousand values in a class, and more people in a part than draws could be tried of."""
    draw = np.random.default_rng(1)
    frame = pl.DataFrame({"q": draw.choice(["a", "b"], 4000), "s": draw.integers(0, 1000, 4000)})
    found = attack(frame, close(0.1, "ordered"), K)
    assert one(found, "minimality.gain").value == 0


def test_the_odds_without_each_group_are_those_of_the_others() -> None:
    draw = np.random.default_rng(2)
    groups = {name: [(int(draw.integers(1, 4)), draw.random(2))] for name in range(7)}
    for name, odds in Odds.none(5, 2).with_each(groups):
        others = Odds.none(5, 2).with_parts(
            [part for other in groups if other != name for part in groups[other]]
        )
        assert odds.few == pytest.approx(others.few)
        assert odds.many == pytest.approx(others.many)
        (size, chance) = groups[name][0]
        every = others.with_parts(groups[name])
        assert odds.passed([size], [chance[:, None]])[:, 0] == pytest.approx(every.many)
        assert every.few.sum(axis=1) + every.many == pytest.approx(1)


def test_what_models_promise_of_a_column() -> None:
    assert minimality._promise(close(0.3)) == Promise(close=(Close(0.3, "equal"),))
    assert minimality._promise({"model": "t-closeness", "on": "s", "t": 0.3}) == Promise(
        close=(Close(0.3, "equal"),)
    )
    assert minimality._promise(recursive(4.0, 3)) == Promise(tails=(Tail(4.0, 3),))
