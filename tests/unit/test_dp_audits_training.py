"""Audits of private training: the right one is left alone, too little noise and no clipping are caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sfumato.core.errors import InputError
from sfumato.dp.budget import Budget
from sfumato.dp.training.train import train
from sfumato.dp.training.trained import sampled_gaussian
from sfumato.evidence.audits import canaries as made
from sfumato.evidence.audits.looking import instrument
from sfumato.evidence.audits.taught import estimator, training

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(100, 5)).astype("float32")
DATA = (ROWS, (ROWS[:, 0] > 0).astype("float32"))
SIGMA, STEPS, DELTA = 12.0, 8, 1e-5
with torch.random.fork_rng():
    torch.manual_seed(0)
    MODULE = torch.nn.Linear(5, 1)


def teach(module, data, trace=None, *, noise=SIGMA, clip=1.0, batch=10**6):
    """With a known seed: an audit of fresh noise errs as often as its level says."""
    return train(
        module, data, loss="binary", budget=Budget(1e7, 1e-2), delta=DELTA, noise_multiplier=noise, clip=clip,
        batch=batch, steps=STEPS, lr=0.1, trace=trace, seed=5,
    )  # fmt: skip


def claiming(trained):
    """What a broken training would say of itself."""
    return replace(trained, noise_multiplier=SIGMA, clip=1.0, event=sampled_gaussian(1.0, SIGMA, STEPS))


def quiet(module, data, trace=None):
    return claiming(teach(module, data, trace, noise=SIGMA / 4))


def unclipped(module, data, trace=None):
    """Noise for a bound of one, and gradients that are hardly cut."""
    return claiming(teach(module, data, trace, noise=SIGMA / 100, clip=100.0))


def audited(run, **more):
    return training(run, MODULE, DATA, loss="binary", canaries=1000, level=0.9999, trials=5, **more)


def test_the_training_of_the_house_is_left_alone_by_an_audit_with_power() -> None:
    found = audited(teach)
    assert not found.violated
    assert found.power >= 0.5
    assert found.claimed_epsilon == pytest.approx(0.84, abs=0.05)


@pytest.mark.parametrize("broken", [quiet, unclipped])
def test_a_quarter_of_the_noise_and_no_clipping_are_caught(broken) -> None:
    assert audited(broken).violated


def test_canaries_have_gradients_of_their_own_and_change_no_output() -> None:
    wide = made.with_axes(MODULE, (5,), 3)
    inputs, targets = made.with_rows(DATA, np.array([True, False, True]))
    assert len(inputs) == len(targets) == 103
    with torch.no_grad():
        outputs = wide(inputs)
        assert torch.allclose(outputs[:100], MODULE(torch.as_tensor(ROWS)))
        assert (outputs[100:] == 0).all()
    for place, axis in ((100, 1), (101, None), (102, 3)):
        wide.zero_grad()
        wide(inputs[place : place + 1]).sum().backward()
        assert (MODULE.weight.grad == 0).all()
        moved = wide.axes.weight.grad[:, 0].abs() > 0
        assert moved.nonzero().ravel().tolist() == ([] if axis is None else [axis])


def test_the_trace_of_a_training_passes_the_audit_by_looking_and_a_quiet_one_does_not() -> None:
    steps: list = []
    teach(MODULE, DATA, steps.append, batch=20)

    def pipeline(share: float):
        def watched(data, record) -> None:
            record.charge(sampled_gaussian(0.2, SIGMA, STEPS))
            for one in steps:
                noisy = one.summed + share * (one.noisy - one.summed)
                record.step(one.chosen, one.summed, noisy, 1.0, len(data[0]))

        return watched

    assert instrument(pipeline(1.0), DATA, epsilon=1.0, delta=DELTA).faults == ()
    assert "the noise has 0.2" in instrument(pipeline(0.25), DATA, epsilon=1.0, delta=DELTA).verdict


def test_a_model_that_remembers_is_caught_by_who_sees_it_alone_and_with_shadow_models() -> None:
    from dp_accounting import GaussianDpEvent
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(1).normal(size=(500, 4))
    labels = (rows[:, 0] > 0).astype(int)

    def fit(features, truth):
        return KNeighborsClassifier(1).fit(features, truth)

    for shadows in (0, 8):
        found = estimator(
            fit, rows, labels, event=GaussianDpEvent(4.0), delta=DELTA, canaries=200, shadows=shadows
        )
        assert found.violated
        assert found.power is None
    with pytest.raises(InputError):
        estimator(fit, rows[:100], labels[:100], event=GaussianDpEvent(4.0), delta=DELTA, canaries=200)
