"""What training draws has the law that is charged: noise and Poisson samples. Alpha 1e-6 in each test."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from sfumato.dp.training.noise import GridNoise, Noise, TorchNoise
from sfumato.dp.training.randomness import Keystream, Randomness

pytestmark = pytest.mark.statistical

ALPHA = 1e-6
NUMBERS = 200_000
STD, CLIP = 3.7, 0.5
KEY = bytes(range(32))


def added(noise: Noise) -> np.ndarray:
    before = [torch.linspace(-2, 2, NUMBERS // 2), torch.ones((2, NUMBERS // 4), dtype=torch.float64)]
    after = noise.add(before, 0)
    return np.concatenate([(b - a.double()).numpy().ravel() for a, b in zip(before, after, strict=True)])


def is_normal(values: np.ndarray, std: float) -> bool:
    """By Kolmogorov and Smirnov, the variance and the correlation of neighbours, at alpha / 3 each."""
    shape = stats.kstest(values / std, "norm").pvalue
    spread = (values / std) ** 2
    low, high = stats.chi2.ppf([ALPHA / 6, 1 - ALPHA / 6], len(values))
    together = stats.pearsonr(values[:-1], values[1:]).pvalue
    return min(shape, together) > ALPHA / 3 and low < spread.sum() < high


@pytest.mark.parametrize("secure", [True, False])
def test_noise_has_the_deviation_that_is_charged(secure: bool) -> None:
    randomness = Randomness(KEY)
    noise = GridNoise(STD, CLIP, NUMBERS, randomness) if secure else TorchNoise(STD, CLIP, randomness)
    assert is_normal(added(noise), STD)


def test_a_broken_twin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = GridNoise(STD, CLIP, NUMBERS, Randomness(KEY))
    real = Keystream.normals
    for factor in (0.25, 0.98, 1.02):
        monkeypatch.setattr(Keystream, "normals", lambda self, count, f=factor: f * real(self, count))
        assert not is_normal(added(noise), STD)


def test_the_tails_are_there() -> None:
    # 2e6 draws beyond 4 standard deviations: 126.7 expected, Poisson.
    drawn = Keystream(KEY).normals(2_000_000)
    expected = 2 * stats.norm.sf(4) * len(drawn)
    low, high = stats.poisson.ppf([ALPHA / 2, 1 - ALPHA / 2], expected)
    assert low <= (np.abs(drawn) > 4).sum() <= high
    assert np.isfinite(drawn).all()


def test_noise_leaves_the_grid_whole_and_forgets_the_order() -> None:
    noise = GridNoise(STD, CLIP, 100, Randomness(KEY))
    after = noise.add([torch.full((100,), 1 / 3)], 0)[0].numpy()
    cells = after / noise.cell
    assert (cells == np.rint(cells)).all()
    assert noise.inner < CLIP < noise.inner * (1 + 1e-4)
    assert noise.cell * 10 < CLIP * 1e-5


def test_a_poisson_sample_takes_each_for_itself() -> None:
    people, rate, draws = 200, 0.137, 4000
    randomness = Randomness(KEY)
    chosen = np.zeros((draws, people), dtype=bool)
    for step in range(draws):
        chosen[step, randomness.stream("batch", step).chosen(people, rate)] = True
    sizes = chosen.sum(axis=1)
    # The law of sizes, in cells of at least 5 expected, and how often each person is taken.
    law = stats.binom(people, rate)
    edges = [*range(int(law.ppf(0.002)), int(law.ppf(0.998)) + 1)]
    counted = [int((sizes < edges[0]).sum())]
    counted += [int((sizes == one).sum()) for one in edges[:-1]] + [int((sizes >= edges[-1]).sum())]
    shares = [law.cdf(edges[0] - 1), *law.pmf(edges[:-1]), law.sf(edges[-1] - 1)]
    assert stats.chisquare(counted, np.array(shares) / sum(shares) * draws).pvalue > ALPHA / 3
    each = chosen.sum(axis=0)
    spread = ((each - draws * rate) ** 2 / (draws * rate * (1 - rate))).sum()
    assert stats.chi2.sf(spread, people) > ALPHA / 3
    pairs = sum(int((chosen[:, a] & chosen[:, b]).sum()) for a, b in itertools.pairwise(range(people)))
    low, high = stats.norm.ppf([ALPHA / 6, 1 - ALPHA / 6])
    # Neighbouring pairs share a person: their counts' variance is that of a chain.
    share = rate**2
    variance = draws * (people - 1) * (share - share**2) + 2 * draws * (people - 2) * (rate**3 - share**2)
    assert low < (pairs - draws * (people - 1) * share) / variance**0.5 < high


def test_a_shuffled_batch_is_no_poisson_sample() -> None:
    """Of one size always: the law of sizes would be found wrong by the test above."""
    sizes = np.full(4000, 27)
    law = stats.binom(200, 0.137)
    assert (
        stats.chisquare(
            [(sizes <= 27).sum(), (sizes > 27).sum()], 4000 * np.array([law.cdf(27), law.sf(27)])
        ).pvalue
        < ALPHA
    )


def test_steps_and_uses_have_streams_of_their_own() -> None:
    randomness = Randomness(KEY)
    seen = {
        tuple(randomness.stream(use, step).words(2))
        for use in ("batch", "noise", "views")
        for step in range(50)
    }
    assert len(seen) == 150
    assert Randomness.fresh().key != Randomness.fresh().key
    assert Randomness.fresh(3).key == Randomness.fresh(3).key
    assert "key" in repr(randomness)
    assert str(KEY) not in repr(randomness)
