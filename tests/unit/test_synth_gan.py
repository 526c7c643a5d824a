"""The adversarial synthesizer: what it learns, keeps, and is charged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.accounting import noise_for
from sfumato.dp.budget import Budget
from sfumato.dp.prepaid import Prepaid, reserve
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.gan import Gan, GanModel, GanParams
from sfumato.synth.networks import vae_heads
from sfumato.synth.networks.gan import Critic, Judge, penalty
from sfumato.synth.networks.gan_conditions import Conditions, Meeting

KEY = bytes(range(32))
SMALL = GanParams(hidden=32, noise=8, steps=250, batch=128, lr=2e-3)
QUICK = GanParams(hidden=8, noise=2, steps=2, batch=8)
PRIVATE = GanParams(hidden=16, noise=4, batch=32, private_hidden=8, private_batch=100, private_steps=12)


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


@pytest.fixture(scope="module")
def model() -> GanModel:
    return Gan(SMALL).fit(related(), KEY)


def made(model: GanModel, rows: int = 4000, seed: int = 1) -> NDArray[np.int32]:
    return model.sample(rows, np.random.default_rng(seed), {})


def test_it_recovers_a_dependence_and_shares(model: GanModel) -> None:
    real, rows = related().codes, made(model)
    assert 0.75 < (rows[:, 0] == rows[:, 1]).mean() <= 1.0
    for at, size in enumerate((4, 4, 2)):
        shares = [np.bincount(codes[:, at], minlength=size) / len(codes) for codes in (real, rows)]
        assert np.abs(shares[0] - shares[1]).max() < 0.03


def test_untaught_it_does_not() -> None:
    rows = made(Gan(SMALL.model_copy(update={"steps": 1})).fit(related(), KEY))
    assert (rows[:, 0] == rows[:, 1]).mean() < 0.5


def test_the_same_key_gives_the_same_model_and_rows() -> None:
    one, again, other = (Gan(QUICK).fit(related(60), key) for key in (KEY, KEY, bytes(32)))
    assert np.array_equal(made(one), made(again))
    assert not np.array_equal(made(one), made(one, seed=2))
    assert not np.array_equal(made(one), made(other))


def test_the_state_is_arrays_and_json_and_gives_the_model_again(model: GanModel) -> None:
    arrays, document = model.state()
    assert all(one.dtype in (np.float32, np.float64, np.int64) for one in arrays.values())
    assert (
        sum(one.size for one in arrays.values()) < 6000
    )  # The generator; no critic, and none of 1,500 rows.
    again = GanModel.restored(related().fields, arrays, json.loads(json.dumps(document)))
    assert np.array_equal(made(model), made(again))
    assert again.facts == model.facts


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
    rows = Gan(QUICK).fit(coded(codes.astype(np.int32), sizes), KEY).sample(20, np.random.default_rng(0), {})
    assert rows.dtype == np.int32
    assert rows.shape == (20, len(sizes))
    assert (rows >= 0).all()
    assert (rows < np.array(sizes)).all()


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        Gan(GanParams()).fit(coded(np.zeros((0, 2), dtype=np.int32), (2, 2)), KEY)


def test_conditions_are_drawn_by_weight_and_met_by_rows_that_have_them() -> None:
    table, random = related(300), np.random.default_rng(0)
    counts = vae_heads.counts(table)
    conditions = Conditions(table.sizes, counts)
    places = conditions.drawn(30_000, random)
    expected = counts / (3 * 300)
    assert np.abs(np.bincount(places, minlength=10) / 30_000 - expected).max() < 0.01
    found = Meeting(table.codes, counts).rows(places, random)
    field = np.array([0] * 4 + [1] * 4 + [2] * 2)[places]
    assert np.array_equal(table.codes[found, field], places - np.array([0, 4, 8])[field])
    assert len(np.unique(found)) == 300
    forbidden = conditions.forbidden(np.array([1, 9]))
    assert forbidden[0].tolist() == [True, False, True, True] + [False] * 6
    assert forbidden[1].tolist() == [False] * 8 + [True, False]


def test_a_code_that_nobody_has_is_no_condition() -> None:
    conditions = Conditions((3, 1, 2), np.array([0.0, 4.0, 0.0, 9.0, 1.0, 0.0]))
    assert set(conditions.drawn(2000, np.random.default_rng(0)).tolist()) == {1, 4}


def test_the_penalty_is_none_where_the_slope_is_one() -> None:
    real, fake = torch.randn(8, 5), torch.randn(8, 5)
    assert float(penalty(lambda rows: rows[:, 0], real, fake)) == pytest.approx(0.0, abs=1e-10)
    assert float(penalty(lambda rows: 3 * rows[:, 0], real, fake)) == pytest.approx(4.0, rel=1e-5)


def test_the_critic_is_told_of_each_row_one_code_of_its_own() -> None:
    judge = Judge((4, 4, 2), 8)
    seen = []
    judge.critic.forward = lambda rows: seen.append(rows) or rows[:, 0]  # type: ignore[method-assign, func-returns-value]
    codes = torch.from_numpy(related(200).codes.astype(np.float32))
    judge.train()(codes)
    rows, asked = seen[0].split(10, dim=1)
    assert torch.equal(asked.sum(1), torch.ones(200))
    assert torch.equal((rows * asked).sum(1), torch.ones(200))
    assert isinstance(judge.critic, Critic)


def paid(gan: Gan, table: Coded, size: int, budget: Budget) -> tuple[Prepaid, float]:
    noise = noise_for(lambda one: gan.event(table.fields, size, one), 1.0, 1e-5)
    return reserve(budget, [gan.event(table.fields, size, noise)], delta=1e-5, place="synthesis"), noise


@pytest.mark.parametrize("unit", ["row", "subject"])
def test_under_differential_privacy_all_that_was_charged_is_drawn(unit: str) -> None:
    table, budget = related(300), Budget(1.0, 1e-5, unit=unit)
    gan = Gan(PRIVATE)
    prepaid, noise = paid(gan, table, 400, budget)
    terms = Private(prepaid, noise, 1e-5, 400, unit=unit)
    model = gan.fit(table, KEY, terms)
    assert prepaid.left == ()
    assert len(budget.statement().entries) == 1
    assert made(model).shape == (4000, 3)
    assert set(model.facts) == {"weights", "steps", "rate", "noise"}
    with pytest.raises(InputError, match="charged"):
        gan.fit(table, KEY, terms)


def test_noise_that_was_not_paid_for_is_refused() -> None:
    table, gan = related(300), Gan(PRIVATE)
    prepaid, noise = paid(gan, table, 400, Budget(1.0, 1e-5))
    with pytest.raises(InputError, match="charged"):
        gan.fit(table, KEY, Private(prepaid, noise * 0.9, 1e-5, 400))


def _private_rows(table: Coded) -> NDArray[np.int32]:
    gan = Gan(PRIVATE)
    prepaid, noise = paid(gan, table, 400, Budget(1.0, 1e-5))
    return made(gan.fit(table, KEY, Private(prepaid, noise, 1e-5, 400)))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """All noise taken away, what is drawn for rows fixed, and shares that are of no rows."""
    from sfumato.dp.training import noise
    from sfumato.dp.training.run import Run
    from sfumato.synth.networks import gan

    monkeypatch.setattr(vae_heads, "counts", lambda table: np.full(sum(table.sizes), 50, dtype=np.int64))
    monkeypatch.setattr(vae_heads, "gaussian", lambda values, _: values)
    monkeypatch.setattr(noise.GridNoise, "add", lambda _, sums, __: [one.double() for one in sums])
    monkeypatch.setattr(Run, "_draw", _all_of_them)
    monkeypatch.setattr(gan.Judge, "forward", _by_its_first_field)
    return monkeypatch


def _all_of_them(run: object, step: int) -> NDArray[np.int64]:
    del step
    run.record.sampled(run.settings.rate)  # type: ignore[attr-defined]
    return np.arange(run.examples.count)  # type: ignore[attr-defined]


def _by_its_first_field(judge: Judge, codes: torch.Tensor) -> torch.Tensor:
    rows = judge.one_hot(codes)
    asked = torch.zeros_like(rows)
    asked[:, :4] = rows[:, :4]
    return judge.critic(torch.cat([rows, asked], dim=1))


def test_nothing_but_the_noisy_sums_depends_on_the_rows(known: pytest.MonkeyPatch) -> None:
    """With sums of nothing, two tables give one model; with the real sums they do not."""
    from sfumato.dp.training.run import Run

    tables = related(300, seed=1), related(90, seed=2)
    assert not np.array_equal(*(_private_rows(table) for table in tables))
    step = Run._noised

    def nothing(run: Run, sums: list[torch.Tensor], at: int) -> list[torch.Tensor]:
        return [0 * one for one in step(run, sums, at)]

    known.setattr(Run, "_noised", nothing)
    assert np.array_equal(*(_private_rows(table) for table in tables))


def test_a_row_moves_the_sum_by_the_bound_at_most(known: pytest.MonkeyPatch) -> None:
    from sfumato.dp.training.run import Run

    sums: list[list[torch.Tensor]] = []
    step = Run._noised

    def kept(run: Run, found: list[torch.Tensor], at: int) -> list[torch.Tensor]:
        if at == 0:
            sums.append([one.clone() for one in found])
        return step(run, found, at)

    known.setattr(Run, "_noised", kept)
    table = related(80)
    fewer = coded(table.codes[1:], table.sizes)
    for one in (table, fewer):
        _private_rows(one)
    moved = torch.cat([(a - b).ravel() for a, b in zip(*sums, strict=True)]).norm()
    assert 0 < float(moved) <= PRIVATE.clip
