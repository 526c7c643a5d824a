"""Synthesis from marginals: what is drawn is what was paid for, and what is learned is what was counted."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from sfumato.core.errors import InputError
from sfumato.dp.accounting import noise_for
from sfumato.dp.budget import Budget
from sfumato.dp.prepaid import reserve
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.marginals import drawing
from sfumato.synth.marginals.aim import Aim
from sfumato.synth.marginals.choosing import UNIT, scored
from sfumato.synth.marginals.drawing import Draws
from sfumato.synth.marginals.grouping import merged, scale
from sfumato.synth.marginals.mixture import Mixture
from sfumato.synth.marginals.mst import Mst
from sfumato.synth.marginals.rounding import strata

KEY = bytes(32)
QUICK = {"components": 60, "steps": 150}


def coded(codes: Any, sizes: Any, *, target: int | None = None, ordered: bool = False) -> Coded:
    fields = tuple(Field(f"f{i}", f"f{i}", size, ordered) for i, size in enumerate(sizes))
    return Coded(fields, np.asfortranarray(codes, dtype=np.int32), target)


def chained(rows: int, seed: int = 0) -> Coded:
    """A depends on nothing, B on A, C on B; D on nothing; Y on A and C."""
    random = np.random.default_rng(seed)
    a = random.integers(0, 4, rows)
    b = np.where(random.random(rows) < 0.8, a, random.integers(0, 4, rows))
    c = np.where(random.random(rows) < 0.7, b % 3, random.integers(0, 3, rows))
    d = random.integers(0, 5, rows)
    y = (random.random(rows) < 0.1 + 0.3 * (a > 1) + 0.4 * (c == 2)).astype(int)
    return coded(np.stack([a, b, c, d, y], axis=1), (4, 4, 3, 5, 2), target=4)


def private(synthesizer: Any, data: Coded, epsilon: float, *, size: int = 1000, **kept: Any) -> Private:
    noise = noise_for(lambda each: synthesizer.event(data.fields, size, each), epsilon, 1e-6)
    event = synthesizer.event(data.fields, size, noise)
    budget = reserve(Budget(epsilon, 1e-6), [event], delta=1e-6, place="test")
    return Private(budget, noise, 1e-6, size, **kept)


def shares(codes: Any, sizes: Any, i: int, j: int) -> Any:
    cell = codes[:, i].astype(int) * sizes[j] + codes[:, j]
    return np.bincount(cell, minlength=sizes[i] * sizes[j]).reshape(sizes[i], sizes[j]) / len(codes)


def distance(one: Any, other: Any) -> float:
    return float(np.abs(one - other).sum() / 2)


@pytest.mark.parametrize("maker", [Aim, Mst])
def test_exact_marginals_come_back(maker: Any) -> None:
    data = chained(20_000)
    model = maker(maker.Params(fit="mixture", components=100, steps=600)).fit(data, KEY)
    made = model.sample(20_000, np.random.default_rng(1), {})
    for i in range(5):
        assert distance(shares(data.codes, data.sizes, i, i), shares(made, data.sizes, i, i)) < 0.01
    joined = [(0, 1), (1, 2)] if maker is Mst else list(itertools.combinations(range(5), 2))
    for i, j in joined:
        assert distance(shares(data.codes, data.sizes, i, j), shares(made, data.sizes, i, j)) < 0.03


@pytest.mark.parametrize("choice", ["sketch", "exponential"])
def test_little_noise_recovers_a_joint(choice: str) -> None:
    data = chained(20_000)
    aim = Aim(Aim.Params(choice=choice, components=100, steps=400))
    model = aim.fit(data, KEY, private(aim, data, 20.0, size=20_000))
    made = model.sample(20_000, np.random.default_rng(1), {})
    for i, j in [(0, 1), (1, 2), (0, 4), (2, 4), (0, 3)]:
        assert distance(shares(data.codes, data.sizes, i, j), shares(made, data.sizes, i, j)) < 0.03


@pytest.mark.parametrize("place", [0, 3])
def test_pairs_that_nobody_counted_are_the_models_own(place: int) -> None:
    # The tree joins A-B-C; whatever else the model says of A and C, and of D, rows must say too.
    data = chained(5000)
    model = Mst(Mst.Params(fit="mixture", **QUICK)).fit(data, KEY)
    assert isinstance(model, Mixture)
    made = model.sample(40_000, np.random.default_rng(2), {})
    for other in (2, 4):
        told = distance(model.marginal(place, other), shares(made, data.sizes, place, other))
        assert told < 0.012, other


def test_a_graphical_model_keeps_what_it_says() -> None:
    # Three fields alone: JAX compiles for each structure of cliques.
    whole = chained(5000)
    data = Coded(whole.fields[:1] + whole.fields[1:4:2], np.asfortranarray(whole.codes[:, [0, 1, 3]]))
    model = Mst(Mst.Params(steps=200)).fit(data, KEY)
    made = model.sample(40_000, np.random.default_rng(2), {})
    assert distance(shares(made, data.sizes, 0, 1), shares(data.codes, data.sizes, 0, 1)) < 0.02
    one, other = (np.bincount(made[:, place]) / len(made) for place in (0, 2))
    # D hangs on the tree by a thread without weight.
    assert distance(np.outer(one, other), shares(made, data.sizes, 0, 2)) < 0.03
    arrays, document = model.state()
    again = type(model).restored(data.fields, arrays, document)
    assert (
        again.sample(50, np.random.default_rng(3), {}) == model.sample(50, np.random.default_rng(3), {})
    ).all()


@pytest.mark.parametrize(
    ("maker", "params"),
    [
        (Aim, {}),
        (Aim, {"choice": "exponential", "pairs": 3}),
        (Aim, {"fit": "mixture", "pairs": 2}),
        (Mst, {"fit": "mixture"}),
    ],
)
@pytest.mark.parametrize("relation", ["add-remove", "replace-one"])
def test_what_is_drawn_costs_what_was_charged(
    maker: Any, params: Any, relation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sfumato.dp import mechanisms

    data, made = chained(600), maker(maker.Params(**QUICK, **params))
    terms = private(made, data, 1.0, relation=relation)
    spent = _spied(monkeypatch)
    made.fit(data, KEY, terms)
    assert not terms.budget.left  # type: ignore[attr-defined]
    event = made.event(data.fields, terms.size, terms.noise)
    gaussian, *choices = getattr(event, "events", [event])
    tables = math.fsum(1 / each**2 for each in spent["gaussian"])
    assert tables <= 1 / gaussian.noise_multiplier**2 * (1 + 1e-6)
    assert tables >= 0.99 / gaussian.noise_multiplier**2
    rho = math.fsum(epsilon**2 / 8 for epsilon in spent["choose"])
    assert rho <= sum(each.rho for each in choices) * (1 + 1e-6)
    assert bool(choices) == bool(spent["choose"])
    assert mechanisms.gaussian is not None


def test_half_the_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    data, aim = chained(600), Aim(Aim.Params(**QUICK))
    spent = _spied(monkeypatch)
    monkeypatch.setattr(Draws, "deviation", _halved(Draws.deviation))
    with pytest.raises(AssertionError, match="more noise was drawn than was paid for"):
        aim.fit(data, KEY, private(aim, data, 1.0))
    # A draw that hides from the meter is seen by the spy.
    monkeypatch.setattr(drawing, "_less", lambda left, _: left)
    terms = private(aim, data, 1.0)
    spent["gaussian"].clear()
    aim.fit(data, KEY, terms)
    assert math.fsum(1 / each**2 for each in spent["gaussian"]) > 3.9 / terms.noise**2


def _halved(of: Any) -> Any:
    return lambda self, share, tables: of(self, share, tables) / 2


def _spied(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """Every Gaussian's multiplier and every choice's epsilon, from what OpenDP is asked for."""
    from sfumato.dp import mechanisms

    spent: dict[str, list[float]] = {"gaussian": [], "choose": []}
    gaussian, choose, sigma_of = mechanisms.gaussian, mechanisms.choose, mechanisms.gaussian_sigma
    grids: list[float] = []

    def sigma(multiplier: float, sensitivity: float) -> float:
        grids.append(sensitivity)
        return sigma_of(multiplier, sensitivity)

    def draw(values: Any, law: float) -> Any:
        spent["gaussian"].append(mechanisms.gaussian_event(law, grids[-1]).noise_multiplier)
        # Whole rows alone are on the grid: one row more moves one number by one row.
        assert (np.asarray(values) % int(grids[-1]) == 0).all()
        return gaussian(values, law)

    def pick(scores: Any, law: float, **kept: Any) -> Any:
        spent["choose"].append(2 * UNIT / law)
        return choose(scores, law, **kept)

    monkeypatch.setattr(mechanisms, "gaussian", draw)
    monkeypatch.setattr(mechanisms, "gaussian_sigma", sigma)
    monkeypatch.setattr(mechanisms, "choose", pick)
    return spent


def test_a_row_moves_no_score_by_more_than_one_row() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        table = random.integers(0, 3, (2, 2, 3))
        guess = random.random((2, 2, 3)) * 3
        before = scored([table], [guess], 1.7)[0]
        moves = []
        for cell in np.ndindex(table.shape):
            more = table.copy()
            more[cell] += 1
            moves.append(abs(int(scored([more], [guess], 1.7)[0] - before)))
        assert max(moves) <= UNIT
    # It is reached: the bound is not loose.
    assert max(moves) == UNIT


def test_neighbours_differ_in_one_cell_of_a_table() -> None:
    data = chained(50)
    from sfumato.synth.marginals.tables import Tables

    groups = [merged(np.ones(size) / size, True, 3) for size in data.sizes]
    tables = Tables.empty(groups, (4, np.arange(2)))
    for pair in itertools.combinations(range(4), 2):
        whole = tables.count(data.codes, *pair)
        for row in range(5):
            fewer = tables.count(np.delete(data.codes, row, axis=0), *pair)
            assert np.abs(whole - fewer).sum() == 1


def test_the_choice_is_of_pairs_that_depend() -> None:
    data = chained(20_000)
    aim = Aim(Aim.Params(pairs=2, **QUICK))
    model = aim.fit(data, KEY, private(aim, data, 5.0, size=20_000))
    made = model.sample(20_000, np.random.default_rng(0), {})
    assert distance(shares(data.codes, data.sizes, 0, 1), shares(made, data.sizes, 0, 1)) < 0.05


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("maker", [Aim, Mst])
def test_hardly_any_row(maker: Any, rows: int) -> None:
    data = coded(np.zeros((rows, 3)), (3, 2, 1))
    made = maker(maker.Params(fit="mixture", **QUICK))
    codes = made.fit(data, KEY, private(made, data, 1.0)).sample(20, np.random.default_rng(0), {})
    assert codes.shape == (20, 3)
    assert (codes < data.sizes).all()
    if not rows:
        with pytest.raises(InputError, match="no row"):
            made.fit(data, KEY)
    else:
        assert (made.fit(data, KEY).sample(20, np.random.default_rng(0), {}) == 0).mean() > 0.95


@pytest.mark.parametrize("sizes", [(1,), (7,), (1, 1), (4, 2), (3000, 2, 3)])
@pytest.mark.parametrize("maker", [Aim, Mst])
def test_few_fields_and_many_codes(maker: Any, sizes: Any) -> None:
    random = np.random.default_rng(0)
    data = coded(np.stack([random.integers(0, size, 500) for size in sizes], axis=1), sizes, target=0)
    made = maker(maker.Params(fit="mixture", **QUICK))
    for terms in (None, private(made, data, 1.0)):
        codes = made.fit(data, KEY, terms).sample(100, random, {})
        assert codes.dtype == np.int32
        assert (codes >= 0).all()
        assert (codes < sizes).all()


def test_many_rare_values_share_what_is_theirs() -> None:
    counts = np.concatenate([[4000.0, 3000.0], np.full(5000, 0.6)])
    found = scale(counts + np.random.default_rng(0).normal(0, 40, 5002), 40.0, ordered=False)
    assert found.groups < 100
    assert (found.group[:2] != found.group[-1]).all()
    assert np.bincount(found.group, found.within) == pytest.approx(np.ones(found.groups))


def test_a_clear_value_is_not_spread_over_rare_neighbours() -> None:
    counts = np.array([3.0, 9000.0, 2.0, 4.0, 8000.0, 1.0])
    found = scale(counts, 30.0, ordered=True)
    assert found.within[[1, 4]].tolist() == [1.0, 1.0]
    assert found.group[2] == found.group[3]


def test_the_same_key_and_rows_make_the_same_rows() -> None:
    data = chained(400)
    one, other = (
        Aim(Aim.Params(**QUICK)).fit(data, KEY).sample(50, np.random.default_rng(0), {}) for _ in range(2)
    )
    assert (one == other).all()


def test_a_state_is_the_model() -> None:
    data = chained(400)
    model = Aim(Aim.Params(zeros=({"f0": (0,), "f1": (3,)},), **QUICK)).fit(data, KEY)
    arrays, document = model.state()
    assert all(array.dtype in (np.float32, np.float64, np.int64) for array in arrays.values())
    again = Mixture.restored(data.fields, arrays, document)
    assert again.facts == model.facts
    draws = [each.sample(50, np.random.default_rng(0), {}) for each in (model, again)]
    assert (draws[0] == draws[1]).all()


def test_conditions_are_kept_and_carry_over() -> None:
    data = chained(20_000)
    model = Aim(Aim.Params(components=100, steps=300)).fit(data, KEY)
    random = np.random.default_rng(0)
    wanted = random.integers(0, 4, 8000).astype(np.int32)
    made = model.sample(8000, random, {0: wanted})
    assert (made[:, 0] == wanted).all()
    real = [np.bincount(data.codes[data.codes[:, 0] == a, 1], minlength=4) for a in range(4)]
    for a in range(4):
        had = np.bincount(made[wanted == a, 1], minlength=4)
        assert distance(had / had.sum(), real[a] / real[a].sum()) < 0.06
    allowed = np.array([False, False, True, True])
    made = model.sample(4000, random, {0: allowed})
    assert allowed[made[:, 0]].all()
    assert (made[:, 4] == 1).mean() == pytest.approx(data.codes[data.codes[:, 0] > 1, 4].mean(), abs=0.03)
    with pytest.raises(InputError, match="no value"):
        model.sample(3, random, {0: np.zeros(4, dtype=np.bool_)})


def test_what_cannot_be_is_never_made() -> None:
    data = chained(2000)
    aim = Aim(Aim.Params(zeros=({"f0": (0, 1), "f3": (2,)},), **QUICK))
    model = aim.fit(data, KEY, private(aim, data, 1.0))
    made = model.sample(5000, np.random.default_rng(0), {})
    assert not ((made[:, 0] < 2) & (made[:, 3] == 2)).any()
    given = {0: np.zeros(20, dtype=np.int32), 3: np.full(20, 2, dtype=np.int32)}
    with pytest.raises(InputError, match="cannot be"):
        model.sample(20, np.random.default_rng(0), given)
    with pytest.raises(InputError, match="no field or code"):
        Aim(Aim.Params(zeros=({"f9": (0,)},))).fit(data, KEY)


def test_strata_are_even_and_fields_stay_independent() -> None:
    random = np.random.default_rng(0)
    component = np.repeat([0, 1], [5000, 5000])
    both = np.array([[0.3, 0.7], [0.6, 0.4]])
    one, other = strata(component, both, random), strata(component, both, random)
    assert abs(one[:5000].mean() - 0.7) < 0.001
    assert abs(np.corrcoef(one[:5000], other[:5000])[0, 1]) < 0.06
