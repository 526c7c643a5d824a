"""Synthesizers under differential privacy, audited: their claims stand, those of broken twins do not.

A table and one with a person more; what an attacker looks at is how often made rows have values. All draws
but those of the noise are the same in every run, as an attacker would have them. Alpha 1e-6; the audit
chooses its score on half of the runs and tests it on the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import sfumato as sf
from sfumato.dp import mechanisms
from sfumato.dp.accounting import noise_for
from sfumato.dp.budget import Budget
from sfumato.dp.prepaid import reserve
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.coded import Coded, Field, Private

pytestmark = pytest.mark.statistical

ALPHA, RUNS, EPSILON, DELTA, SIZE = 1e-6, 400, 1.0, 1e-9, 120
FIELDS = (Field("a", "a", 3, False), Field("b", "b", 4, True), Field("c", "c", 2, False))
SETTINGS: dict[str, dict[str, Any]] = {
    "aim": {"components": 20, "steps": 10},
    "mst": {"fit": "mixture", "components": 20, "steps": 10},
}
MARGINALS = [name for name in SYNTHESIZERS if SYNTHESIZERS.resolve(name).sees == "marginals"]


def people(*, canary: bool) -> NDArray[np.int32]:
    draw = np.random.default_rng(2)
    codes = np.stack([draw.integers(0, size, SIZE) for size in (3, 4, 2)], axis=1)
    rows = np.vstack([codes, [[2, 3, 1]]]) if canary else codes
    return np.asfortranarray(rows, dtype=np.int32)


def audited(name: str, multiplier: float) -> Any:
    kind = SYNTHESIZERS.resolve(name)
    learner = kind(kind.Params(**SETTINGS.get(name, {})))
    event = learner.event(FIELDS, SIZE, multiplier)

    def run(codes: NDArray[np.int32]) -> NDArray[np.float64]:
        prepaid = reserve(Budget(100.0, 1e-3), [event], delta=DELTA, place="audit")
        private = Private(prepaid, multiplier, DELTA, SIZE)
        model = learner.fit(Coded(FIELDS, codes), bytes(32), private)
        made = model.sample(2000, np.random.default_rng(0), {})
        return np.array([np.mean(made[:, 0] == 2), np.mean(made[:, 1] == 3), np.mean(made[:, 2] == 1)])

    return sf.audit.mechanism(
        run,
        people(canary=True),
        people(canary=False),
        epsilon=EPSILON,
        delta=DELTA,
        runs=RUNS,
        trials=0,
        level=1 - ALPHA,
    )


@pytest.fixture(scope="module")
def multipliers() -> dict[str, float]:
    found = {}
    for name in MARGINALS:
        kind = SYNTHESIZERS.resolve(name)
        learner = kind(kind.Params(**SETTINGS.get(name, {})))
        found[name] = noise_for(lambda noise, of=learner: of.event(FIELDS, SIZE, noise), EPSILON, DELTA)
    return found


@pytest.mark.parametrize("name", MARGINALS)
def test_the_claim_is_not_refuted(name: str, multipliers: dict[str, float]) -> None:
    assert not audited(name, multipliers[name]).violated


@pytest.mark.parametrize("name", MARGINALS)
def test_a_synthesizer_without_its_noise_is_caught(
    name: str, multipliers: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanisms, "_noised", lambda values, *_: np.array(values, dtype=np.int64))
    assert audited(name, multipliers[name]).violated
