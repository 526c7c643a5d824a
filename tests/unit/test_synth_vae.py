"""The variational autoencoder: what it learns, keeps, and is charged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.accounting import noise_for
from sfumato.dp.budget import Budget
from sfumato.dp.prepaid import Prepaid, reserve
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.networks import vae_heads
from sfumato.synth.networks.vae_latents import FEWEST, Mixture
from sfumato.synth.vae import Vae, VaeModel, VaeParams

KEY = bytes(range(32))
SMALL = VaeParams(hidden=48, latent=4, components=8, epochs=12, batch=128)


def coded(codes: NDArray[np.int32], sizes: tuple[int, ...]) -> Coded:
    fields = tuple(Field(f"f{at}", f"f{at}", size, False) for at, size in enumerate(sizes))
    return Coded(fields, np.asfortranarray(codes, dtype=np.int32))


def related(rows: int = 1500, seed: int = 0) -> Coded:
    """Three fields: the second follows the first nine times in ten, the third is by itself."""
    random = np.random.default_rng(seed)
    first = random.integers(0, 4, rows)
    second = np.where(random.random(rows) < 0.9, first, random.integers(0, 4, rows))
    third = (random.random(rows) < 0.2).astype(int)
    return coded(np.column_stack([first, second, third]).astype(np.int32), (4, 4, 2))


def distance(one: NDArray[np.int32], other: NDArray[np.int32], places: tuple[int, int]) -> float:
    shares = [
        np.histogram2d(*(codes[:, at] for at in places), bins=4)[0] / len(codes) for codes in (one, other)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


@pytest.fixture(scope="module")
def model() -> VaeModel:
    return Vae(SMALL).fit(related(), KEY)


def made(model: VaeModel, rows: int = 4000, seed: int = 1) -> NDArray[np.int32]:
    return model.sample(rows, np.random.default_rng(seed), {})


def test_it_recovers_a_dependence_and_shares(model: VaeModel) -> None:
    real, rows = related().codes, made(model)
    assert distance(real, rows, (0, 1)) < 0.08
    shuffled = rows.copy()
    shuffled[:, 1] = np.random.default_rng(0).permutation(rows[:, 1])
    assert distance(real, shuffled, (0, 1)) > 0.4
    for at, size in enumerate((4, 4, 2)):
        shares = [np.bincount(codes[:, at], minlength=size) / len(codes) for codes in (real, rows)]
        assert np.abs(shares[0] - shares[1]).max() < 0.03


def test_the_same_key_gives_the_same_model_and_rows(model: VaeModel) -> None:
    quick = VaeParams(hidden=8, latent=2, epochs=2)
    one, again, other = (Vae(quick).fit(related(60), key) for key in (KEY, KEY, bytes(32)))
    assert np.array_equal(made(one), made(again))
    assert not np.array_equal(made(one), made(other))
    assert not np.array_equal(made(model), made(model, seed=2))


def test_the_state_is_arrays_and_json_and_gives_the_model_again(model: VaeModel) -> None:
    import json

    arrays, document = model.state()
    assert all(one.dtype in (np.float32, np.float64, np.int64) for one in arrays.values())
    again = VaeModel.restored(related().fields, arrays, json.loads(json.dumps(document)))
    assert np.array_equal(made(model), made(again))
    assert again.facts == model.facts


def test_no_single_persons_numbers_are_kept(model: VaeModel) -> None:
    arrays, _ = model.state()
    assert not any("encoder" in name for name in arrays)
    assert arrays["weights"].min() * len(related().codes) >= FEWEST - 1e-6
    numbers = np.random.default_rng(0).normal(size=(400, 3))
    numbers[0] = 40.0
    mixture = Mixture.fit(numbers, 50, np.random.default_rng(1))
    assert np.linalg.norm(mixture.means[:, None] - numbers, axis=2).min() > 1e-3
    assert np.linalg.norm(mixture.means - 40.0, axis=1).min() > 20


def test_a_few_people_are_made_from_the_prior() -> None:
    mixture = Mixture.fit(np.full((FEWEST - 1, 2), 7.0), 5, np.random.default_rng(0))
    assert np.array_equal(mixture.means, np.zeros((1, 2)))


def test_the_mixture_finds_its_parts() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[-4.0, 0.0], [4.0, 1.0], [0.0, 6.0]])
    numbers = centres[random.integers(0, 3, 3000)] + random.normal(size=(3000, 2)) * [1.0, 0.3]
    mixture = Mixture.fit(numbers, 3, random)
    assert np.abs(np.sort(mixture.means[:, 0]) - [-4, 0, 4]).max() < 0.2
    drawn = mixture.sample(20_000, random)
    assert np.abs(np.cov(drawn.T) - np.cov(numbers.T)).max() < 0.6


def test_what_is_given_is_there_and_the_rest_follows(model: VaeModel) -> None:
    first = np.repeat(np.arange(4, dtype=np.int32), 500)
    rows = model.sample(2000, np.random.default_rng(3), {0: first, 2: np.array([False, True])})
    assert np.array_equal(rows[:, 0], first)
    assert (rows[:, 2] == 1).all()
    assert (rows[:, 1] == first).mean() > 0.8


def test_a_field_without_an_allowed_value_is_refused(model: VaeModel) -> None:
    with pytest.raises(InputError, match="no value"):
        model.sample(3, np.random.default_rng(0), {2: np.array([False, False])})


@pytest.mark.parametrize(
    ("codes", "sizes"),
    [
        (np.zeros((1, 1)), (1,)),
        (np.zeros((1, 3)), (3, 1, 5)),
        (np.zeros((30, 2)), (1, 1)),
        (np.arange(50)[:, None] % 7, (400,)),
    ],
)
def test_odd_tables_are_learned(codes: NDArray[np.int32], sizes: tuple[int, ...]) -> None:
    quick = VaeParams(hidden=8, latent=2, epochs=2)
    table = coded(codes.astype(np.int32), sizes)
    rows = Vae(quick).fit(table, KEY).sample(20, np.random.default_rng(0), {})
    assert rows.dtype == np.int32
    assert rows.shape == (20, len(sizes))
    assert (rows >= 0).all()
    assert (rows < np.array(sizes)).all()


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        Vae(VaeParams()).fit(coded(np.zeros((0, 2), dtype=np.int32), (2, 2)), KEY)


PRIVATE = VaeParams(private_hidden=16, private_latent=2, private_batch=200, private_steps=25)


def paid(vae: Vae, table: Coded, epsilon: float, size: int, budget: Budget) -> tuple[Prepaid, float]:
    noise = noise_for(lambda one: vae.event(table.fields, size, one), epsilon, 1e-5)
    return reserve(budget, [vae.event(table.fields, size, noise)], delta=1e-5, place="synthesis"), noise


@pytest.mark.parametrize("unit", ["row", "subject"])
def test_under_differential_privacy_all_that_was_charged_is_drawn(unit: str) -> None:
    table, budget = related(400), Budget(1.0, 1e-5, unit=unit)
    vae = Vae(PRIVATE)
    prepaid, noise = paid(vae, table, 1.0, 500, budget)
    terms = Private(prepaid, noise, 1e-5, 500, unit=unit)
    model = vae.fit(table, KEY, terms)
    assert prepaid.left == ()
    assert len(budget.statement().entries) == 1
    assert made(model).shape == (4000, 3)
    assert set(model.facts) == {"weights", "components", "steps", "rate", "noise"}
    with pytest.raises(InputError, match="charged"):
        vae.fit(table, KEY, terms)


def test_noise_that_was_not_paid_for_is_refused() -> None:
    table, vae = related(400), Vae(PRIVATE)
    prepaid, noise = paid(vae, table, 1.0, 500, Budget(1.0, 1e-5))
    with pytest.raises(InputError, match="charged"):
        vae.fit(table, KEY, Private(prepaid, noise * 0.9, 1e-5, 500))


def test_less_noise_costs_more() -> None:
    from sfumato.dp.accounting import least_epsilon

    fields = related(10).fields
    events = [Vae(VaeParams()).event(fields, 10_000, noise) for noise in (0.6, 2.0, 8.0)]
    costs = [least_epsilon(event, 1e-5, "add-remove", rough=True)[0] for event in events]
    assert all(one > other for one, other in itertools.pairwise(costs))


def test_noisy_shares_have_the_noise_that_was_charged() -> None:
    table = related(4000)
    multiplier, sizes = 30.0, table.sizes
    draws = np.array([vae_heads.noisy_shares(table, multiplier) for _ in range(400)])
    exact = vae_heads.shares(table)
    # Within a field of equal shares the projection takes the mean of the noise away, and nothing else.
    sd = multiplier * np.sqrt(len(sizes)) / len(table.codes) * np.sqrt(1 - 1 / 4)
    assert abs((draws[:, :4] - exact[:4]).std() / sd - 1) < 0.15


def test_nothing_but_the_charged_draws_depends_on_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of no gradient and shares of no rows, two tables give one model."""
    from sfumato.dp.training import clipping, noise, run

    monkeypatch.setattr(vae_heads, "counts", lambda table: np.full(sum(table.sizes), 50, dtype=np.int64))
    monkeypatch.setattr(vae_heads, "gaussian", lambda values, _: values)
    monkeypatch.setattr(clipping.Clipper, "add_ghost", lambda *_: None)
    monkeypatch.setattr(noise.GridNoise, "add", lambda _, sums, __: [one.double() for one in sums])
    assert run.GridNoise is noise.GridNoise
    found = []
    for table in (related(400, seed=1), related(90, seed=2)):
        vae = Vae(PRIVATE)
        prepaid, multiplier = paid(vae, table, 1.0, 500, Budget(1.0, 1e-5))
        found.append(made(vae.fit(table, KEY, Private(prepaid, multiplier, 1e-5, 500))))
    assert np.array_equal(*found)


def test_codes_are_drawn_by_their_scores_whatever_their_size() -> None:
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    logs = np.log(shares).astype(np.float32)[:, None]
    random = np.random.default_rng(0)
    # Far from zero exponentials are none that 32 bits hold; the draw is the same.
    for offset in (0.0, 200.0, -200.0):
        codes = vae_heads.drawn(np.repeat(logs + np.float32(offset), 40_000, axis=1), random)
        assert np.abs(np.bincount(codes, minlength=4) / 40_000 - shares).max() < 0.02
    allowed = np.array([False, True, True, False])
    codes = vae_heads.drawn(np.repeat(logs, 20_000, axis=1), random, allowed)
    assert set(codes.tolist()) == {1, 2}
    assert np.mean(codes == 1) == pytest.approx(2 / 3, abs=0.02)
    # What is far below all others is drawn where nothing else is allowed.
    far = np.array([[90.0], [-90.0]], dtype=np.float32).repeat(50, axis=1)
    assert (vae_heads.drawn(far, random, np.array([False, True])) == 1).all()
