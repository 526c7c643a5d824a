"""The copula finds the correlation that codes were made with, keeps marginals, and conditions rightly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from sfumato.core.errors import InputError
from sfumato.dp import mechanisms
from sfumato.dp.budget import Budget
from sfumato.dp.prepaid import reserve
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.copula import Copula, CopulaModel
from sfumato.synth.independent import Independent, allowed

RHO = 0.6


def normals(rows: int, sizes: tuple[int, ...] = (8, 8, 2), seed: int = 0) -> Coded:
    """Codes of normal variables of equal correlation, cut at even shares."""
    draw = np.random.default_rng(seed)
    common, own = draw.normal(size=(rows, 1)), draw.normal(size=(rows, len(sizes)))
    u = norm.cdf(np.sqrt(RHO) * common + np.sqrt(1 - RHO) * own)
    codes = np.minimum(u * sizes, np.array(sizes) - 1).astype(np.int32)
    fields = tuple(Field(f"f{i}", f"f{i}", size, True) for i, size in enumerate(sizes))
    return Coded(fields, np.asfortranarray(codes), 0)


def taught(coded: Coded) -> CopulaModel:
    return Copula(Copula.Params()).fit(coded, bytes(32))


def drawn(model: CopulaModel, rows: int, given: object = None) -> NDArray[np.int32]:
    return model.sample(rows, np.random.default_rng(7), given or {})  # type: ignore[arg-type]


def test_it_finds_the_correlation_behind_codes() -> None:
    model = taught(normals(20_000))
    assert np.abs(model.correlation[~np.eye(3, dtype=bool)] - RHO).max() < 0.03


def test_marginals_and_pairs_are_kept() -> None:
    coded = normals(20_000)
    made = drawn(taught(coded), 20_000)
    for place, size in enumerate(coded.sizes):
        one, other = (np.bincount(c[:, place], minlength=size) / len(c) for c in (coded.codes, made))
        assert np.abs(one - other).sum() / 2 < 0.02
    pair = [np.bincount(c[:, 0] * 8 + c[:, 1], minlength=64) / len(c) for c in (coded.codes, made)]
    assert np.abs(pair[0] - pair[1]).sum() / 2 < 0.05
    alone = drawn(Independent(Independent.Params()).fit(coded, bytes(32)), 20_000)  # type: ignore[arg-type]
    broken = np.bincount(alone[:, 0] * 8 + alone[:, 1], minlength=64) / len(alone)
    assert np.abs(pair[0] - broken).sum() / 2 > 0.2


def test_codes_without_an_order_get_that_of_the_target() -> None:
    coded = normals(20_000)
    shuffle = np.random.default_rng(1).permutation(8).astype(np.int32)
    codes = coded.codes.copy()
    codes[:, 1] = shuffle[codes[:, 1]]
    fields = (coded.fields[0], Field("f1", "f1", 8, False), coded.fields[2])
    model = taught(Coded(fields, codes, 0))
    assert abs(abs(model.correlation[0, 1]) - RHO) < 0.03


def test_conditions_are_those_of_the_rows_that_meet_them() -> None:
    model = taught(normals(20_000))
    free = drawn(model, 200_000)
    mask = np.zeros(8, dtype=bool)
    mask[[0, 6]] = True
    met = free[mask[free[:, 0]] & (free[:, 2] == 1)]
    made = drawn(model, 20_000, {0: mask, 2: np.ones(20_000, dtype=np.int32)})
    assert mask[made[:, 0]].all()
    assert (made[:, 2] == 1).all()
    for place in (0, 1):
        one, other = (np.bincount(c[:, place], minlength=8) / len(c) for c in (met, made))
        assert np.abs(one - other).sum() / 2 < 0.02


def test_codes_that_nobody_has_can_be_asked_for() -> None:
    coded = normals(500)
    wider = Coded((Field("f0", "f0", 9, True), *coded.fields[1:]), coded.codes, 0)
    mask = np.arange(9) == 8
    for model in (taught(wider), Independent(Independent.Params()).fit(wider, bytes(32))):
        made = drawn(model, 50, {0: mask})  # type: ignore[arg-type]
        assert (made[:, 0] == 8).all()
    with pytest.raises(InputError):
        allowed(np.ones(3) / 3, np.zeros(3, dtype=bool))


def private(coded: Coded, noise: float, size: int) -> CopulaModel:
    synthesizer = Copula(Copula.Params())
    prepaid = reserve(
        Budget(1e6, 0.1), [synthesizer.event(coded.fields, size, noise)], delta=1e-5, place="test"
    )
    return synthesizer.fit(coded, bytes(32), Private(prepaid, noise, 1e-5, size))


def test_little_noise_changes_little() -> None:
    coded = normals(20_000)
    model = private(coded, 1.0, 20_000)
    assert np.abs(model.correlation - taught(coded).correlation).max() < 0.05
    flat = private(coded, 1e6, 20_000)
    assert np.linalg.eigvalsh(flat.correlation).min() > 0


@pytest.mark.parametrize("size", [5_000, 80_000])
def test_a_declared_number_of_rows_may_be_far_off(size: int) -> None:
    # Noise of a deviation of 2 to 3 on thousands of rows: what is off is what was declared.
    coded = normals(20_000)
    model = private(coded, 1.0, size)
    made = drawn(model, 20_000)
    for place, codes in enumerate(coded.sizes):
        one, other = (np.bincount(c[:, place], minlength=codes) / len(c) for c in (coded.codes, made))
        assert np.abs(one - other).sum() / 2 < 0.03
    assert np.abs(model.correlation - taught(coded).correlation).max() < 0.05


def test_noise_that_drowns_every_row_gives_codes_all_the_same() -> None:
    made = drawn(private(normals(50), 1e9, 50), 500)
    assert made.min() >= 0
    assert (made.max(axis=0) < np.array([8, 8, 2])).all()


def test_noise_is_as_large_as_one_row_may_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is handed to the mechanism with a row more differs by no more than the noise was scaled for.
    seen: list[tuple[NDArray[np.int64], float]] = []

    def note(values: NDArray[np.int64], sigma: float) -> NDArray[np.int64]:
        seen.append((np.asarray(values), sigma))
        return np.full(len(values), 2**28)

    monkeypatch.setattr(mechanisms, "gaussian", note)
    coded = normals(300, (8, 5, 2, 3))
    fields = (*coded.fields[:3], Field("f3", "f3", 3, False))
    noise = 4.0
    for row in range(40):
        seen.clear()
        private(Coded(fields, coded.codes, 0), noise, 300)
        private(Coded(fields, np.delete(coded.codes, row, axis=0), 0), noise, 300)
        half = len(seen) // 2
        for (one, sigma), (other, same), share in zip(seen[:half], seen[half:], (0.4, 0.2, 0.4), strict=True):
            assert sigma == same
            moved = float(np.linalg.norm((one - other).astype(float)))
            assert moved <= sigma / (noise / np.sqrt(share)) * (1 + 1e-9)
