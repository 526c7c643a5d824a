"""The dossier of a model on images tells of its noise what the training says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent

from sfumato.demos.hospital_dossier import _private
from sfumato.dp.budget import Budget
from sfumato.dp.training.recipes import ImageClassifier
from sfumato.dp.training.scattering import Scattering
from sfumato.dp.training.trained import FAST_NOISE


@pytest.mark.parametrize(
    ("said", "secure"),
    [({}, True), ({"notices": (FAST_NOISE,)}, False), ({"private": False}, False)],
)
def test_noise_that_could_be_predicted_is_told(said: dict[str, Any], secure: bool) -> None:
    event = GaussianDpEvent(2.0)
    made: dict[str, Any] = {
        "scattering": Scattering.fitting(8),
        "levels": (0, 31),
        "centre": np.zeros(1, dtype=np.float32),
        "weights": np.zeros((2, 2), dtype=np.float32),
        "epsilon": 3.0,
        "delta": 1e-5,
        "replace_epsilon": 6.0,
        "unit": "subject",
        "event": event,
        "private": True,
        "notices": (),
    }
    statement = Budget(5.0, 1e-5, unit="subject").statement()
    plan = _private(ImageClassifier(**made | said), statement, {"classes": "0, 1"})
    assert plan.secure is secure
    (remark,) = (one for one in plan.review if one["question"] == "Can the noise be guessed?")
    assert (remark["level"] == "fine") is secure
