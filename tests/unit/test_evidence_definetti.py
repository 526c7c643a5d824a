"""The deFinetti attack on tables whose answer is known, and against twins that are broken."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from evidence_support import by_cuts, compare, local, one, people, profile, starred, step
from sfumato.core.values import Role
from sfumato.evidence.attacks import assignments, definetti
from sfumato.evidence.attacks.assignments import Members, learn
from sfumato.evidence.attacks.definetti import Definetti

SECRET = {"s": profile("s", Role.INSENSITIVE, sensitive=True)}
STEPS = [step("s", Role.INSENSITIVE, sensitive=True)]
VALUES = ("cancer", "flu", "cold")
FIGURES = ("definetti.success", "definetti.gain", "definetti.excess")


def attack(original, describe=lambda frame: frame, **more):
    given = compare(original, describe, **{"profiles": SECRET, "steps": STEPS, **more})
    return Definetti().run(given, Definetti.Params())


def smokers(rows: int, seed: int = 0) -> pl.DataFrame:
    """Kifer's example: of two people in a class one smokes, or none; smokers alone have cancer, half of them.

    ``ward`` is the class of two that the release shows.
    """
    draw = np.random.default_rng(seed)
    smokes = np.stack([draw.random(rows // 2) < 0.6, np.zeros(rows // 2, dtype=bool)], axis=1)
    smokes = draw.permuted(smokes, axis=1).ravel()
    ill = np.where(smokes & (draw.random(rows) < 0.5), "cancer", draw.choice(["flu", "cold"], rows))
    return pl.DataFrame({"ward": np.arange(rows) // 2, "smokes": smokes, "s": ill})


def in_wards(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(smokes=pl.lit("*"))


def exactly(contents, likelihood) -> np.ndarray:
    """The members' probabilities over all ways to deal a class's values, each as likely as its product."""
    values = np.repeat(np.arange(len(contents)), contents)
    found = np.zeros(likelihood.shape)
    for dealt in set(itertools.permutations(values)):
        weight = np.prod(likelihood[np.arange(len(values)), list(dealt)])
        found[np.arange(len(values)), list(dealt)] += weight
    return found / found.sum(axis=1, keepdims=True)


def test_the_smokers_of_kifers_example_have_the_cancer() -> None:
    original, control = smokers(2000), smokers(1000, seed=1)
    found = attack(original, in_wards, control=control)
    ill = (original["s"] == "cancer").sum()
    # Three classes of ten have a cancer, of which the class alone says one half; of the others half agree.
    assert one(found, "definetti.success", "s").baseline == pytest.approx(0.3 * 0.5 + 0.7 * 0.75, abs=0.03)
    members = Members(
        np.repeat(np.arange(1000), 2),
        np.stack([(original["s"] == v).to_numpy().reshape(-1, 2).sum(axis=1) for v in VALUES], axis=1) * 1.0,
        [original["smokes"].cast(pl.Int64).to_numpy()],
        [2],
    )  # fmt: skip
    posterior = learn(members).posterior
    smoker = original["smokes"].to_numpy() & (members.contents[members.of][:, 0] == 1)
    assert smoker.sum() == ill
    assert (posterior[smoker, 0] > 0.95).all()
    gain = one(found, "definetti.gain", "s")
    assert gain.low > 0.1
    assert gain.value == pytest.approx(0.15, abs=0.04)


def test_the_classes_alone_say_nothing_of_who_is_ill() -> None:
    original = smokers(2000)
    members = Members(
        np.repeat(np.arange(1000), 2),
        np.ones((1000, 2)),
        [np.zeros(2000, dtype=np.int64)],
        [1],
    )
    assert learn(members).posterior == pytest.approx(np.full((2000, 2), 0.5))
    found = attack(in_wards(original))
    assert one(found, "definetti.gain", "s").value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_dealing_is_close_to_the_mean_over_all_deals(seed: int) -> None:
    draw = np.random.default_rng(seed)
    contents = np.array([2, 2, 1])
    likelihood = draw.random((5, 3)) + 0.1
    members = Members(np.zeros(5, dtype=np.int64), contents[None].astype(float), [np.arange(5)], [5])
    dealt = assignments._deal(members, likelihood)[1]
    assert dealt == pytest.approx(exactly(contents, likelihood), abs=0.03)
    assert dealt.sum(axis=0) == pytest.approx(contents, abs=0.02)


def test_dealing_to_two_is_exact() -> None:
    likelihood = np.array([[0.9, 0.2], [0.3, 0.7]])
    members = Members(np.zeros(2, dtype=np.int64), np.ones((1, 2)), [np.arange(2)], [2])
    dealt = assignments._deal(members, likelihood)[1]
    assert dealt == pytest.approx(exactly(np.array([1, 1]), likelihood), abs=5e-3)


def test_what_is_learned_of_strangers_is_no_excess() -> None:
    # Wards of a hundred, in which more or fewer smoke: what they show holds of the people outside as well.
    draw = np.random.default_rng(5)
    ward = np.arange(8000) % 40
    smokes = draw.random(8000) < ward / 40
    ill = np.where(smokes & (draw.random(8000) < 0.9), "cancer", "flu")
    frame = pl.DataFrame({"ward": ward, "smokes": smokes, "s": ill})
    found = attack(frame[:4000], in_wards, control=frame[4000:])
    success = one(found, "definetti.success", "s")
    assert success.value > success.baseline + 0.05
    assert abs(one(found, "definetti.excess", "s").value) < 0.05


def test_small_classes_of_the_same_people_give_more_away() -> None:
    draw = np.random.default_rng(3)
    frame = people(4000, 3, 8).with_columns(s=pl.Series(draw.integers(0, 6, 4000).astype(str)))
    original, control = frame[:2000], frame[2000:]
    values = {}
    for k in (2, 20):
        given = local(
            original, by_cuts(original.select("c0", "c1", "c2"), k), ["c0", "c1", "c2"],
            control=control, profiles=SECRET, steps=STEPS,
        )  # fmt: skip
        found = Definetti().run(given, Definetti.Params())
        values[k] = [one(found, metric, "s").value for metric in ("definetti.success", "definetti.excess")]
    assert values[2][0] > values[20][0] + 0.1
    assert values[2][1] > values[20][1] + 0.1
    assert values[20][1] < 0.3


def test_a_release_of_other_people_gives_chance() -> None:
    draw = np.random.default_rng(4)
    frame = people(3000, 2, 4).with_columns(s=pl.Series(draw.integers(0, 5, 3000).astype(str)))
    original, others, control = frame[:1000], frame[1000:2000], frame[2000:]
    found = attack(original, released=others, control=control)
    assert one(found, "definetti.success").value == pytest.approx(0.2, abs=0.06)
    assert one(found, "definetti.excess").low < 0.02


def test_a_twin_whose_people_are_mixed_up_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    original, control = smokers(2000), smokers(1000, seed=1)
    whole = one(attack(original, in_wards, control=control), "definetti.gain", "s").value
    plain = definetti.learn

    def mixed(members: Members):
        traits = [np.random.default_rng(0).permutation(codes) for codes in members.traits]
        return plain(Members(members.of, members.contents, traits, members.widths))

    monkeypatch.setattr(definetti, "learn", mixed)
    broken = one(attack(original, in_wards, control=control), "definetti.gain", "s").value
    assert broken < 0.02 < 0.1 < whole


def test_without_control_there_is_no_excess() -> None:
    found = attack(smokers(400), in_wards)
    assert one(found, "definetti.success").status == "measured"
    assert one(found, "definetti.excess").status == "not-measured"


def test_a_control_that_shares_people_is_refused() -> None:
    original = smokers(600)
    found = attack(original, in_wards, control=original[:300])
    assert one(found, "definetti.excess").status == "error"
    assert one(found, "definetti.success", "s").control is None


@pytest.mark.parametrize(
    ("frame", "more"),
    [
        (smokers(400), {"profiles": {}, "steps": []}),
        (smokers(400).with_columns(s=pl.lit("flu")), {}),
        (smokers(20), {}),
        (smokers(400).select("s"), {}),
        (smokers(400), {"describe": starred}),
    ],
    ids=["no secret", "one value", "few people", "nothing known", "nothing said"],
)
def test_what_cannot_be_attacked_is_not_measured(frame, more) -> None:
    found = attack(frame, **more)
    assert {one(found, metric).status for metric in FIGURES} <= {"not-measured", "no-power"}


def test_people_by_group_and_the_surest() -> None:
    original = smokers(4000)
    found = attack(original, in_wards, control=smokers(500, seed=1), groups=("smokes",))
    surest = one(found, "definetti.success", "surest 1 %")
    assert surest.value > 0.95
    # Of a couple with one cancer both are told, and nobody else's is.
    assert one(found, "definetti.disparity", "smokes").status == "measured"


def test_whole_classes_are_taken_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Definetti().run(
        compare(smokers(4000), in_wards, profiles=SECRET, steps=STEPS), Definetti.Params(people=500)
    )
    assert one(found, "definetti.success", "s").n == 500
