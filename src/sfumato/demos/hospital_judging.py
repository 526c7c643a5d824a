"""What the hospital's gate judges: the model's guarantee, and an accuracy that was drawn with noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.values import Decision, Finding, Reason, Unit
from sfumato.demos.hospital_images import Images
from sfumato.project import Project

if TYPE_CHECKING:
    from sfumato.dp.training.recipes import ImageClassifier

HELD_OUT = "hospital-images-held-out"
MOST_EPSILON = 3.0
_TEST_EPSILON = 1.0
#: A vote is cut into so many parts.
_GRID = 1000
BY = "sfumato demo hospital"


def published(
    found: Images, inside: NDArray[np.bool_], model: ImageClassifier, project: Project
) -> tuple[Finding, ...]:
    """What may be published: what follows from the method, and an accuracy drawn with noise."""
    proven: tuple[tuple[str, float, Unit], ...] = (
        ("epsilon", round(model.epsilon, 6), "epsilon"),
        ("replace_epsilon", round(model.replace_epsilon, 6), "epsilon"),
        ("delta", model.delta, "delta"),
    )
    known = [
        Finding(
            metric=f"dp.{name}",
            target="model",
            value=value,
            low=value,
            high=value,
            unit=unit,
            goal="low",
            n=0,
            status="proven",
            source="training",
            note=f"about each {found.unit}",
        )
        for name, value, unit in proven
    ]
    return (*known, _noisy_accuracy(found, ~inside, model, project))


def _noisy_accuracy(
    found: Images, part: NDArray[np.bool_], model: ImageClassifier, project: Project
) -> Finding:
    """The share of held-out images named rightly, each patient one vote, charged to their own budget."""
    from sfumato.dp.budget import Budget
    from sfumato.dp.mechanisms import Law, laplace, laplace_event

    hit = (model.predict(found.pixels[part]) == found.labels[part]).astype(np.float64)
    units = found.whose(part)
    _, of = np.unique(np.arange(len(hit)) if units is None else np.array(units), return_inverse=True)
    votes = np.trunc(np.bincount(of, hit) / np.bincount(of) * _GRID).astype(np.int64)
    # One person moves the votes by at most one, and the number of voters by one.
    sensitivity, scale = 2 * _GRID, 2 * _GRID / _TEST_EPSILON
    unit: Any = "row" if units is None else "subject"
    budget = Budget.open(HELD_OUT, project, epsilon=_TEST_EPSILON, delta=0.0, unit=unit, filter="basic")
    receipt = budget.spend(
        laplace_event(scale, sensitivity, coordinates=2),
        place="accuracy of the model",
        by=BY,
        why="the card",
    )
    right, voters = (
        float(one) / _GRID for one in laplace(np.array([votes.sum(), len(votes) * _GRID]), scale)
    )
    budget.settle(receipt, {"right": right, "voters": voters})
    size = max(1, round(voters))
    value = min(1.0, max(0.0, right / size))
    # The noise of both counts, and the sampling of the people; a share is never surer than one in so many.
    noise = 2 * Law("laplace", scale).width(0.975) / _GRID / size
    width = noise + 1.96 * float(np.sqrt(max(value * (1 - value), 1 / size) / size))
    return Finding(
        metric="learning.accuracy",
        target="model",
        value=round(value, 4),
        low=round(max(0.0, value - width), 4),
        high=round(min(1.0, value + width), 4),
        unit="share",
        goal="high",
        n=size,
        baseline=round(1 / len(found.classes), 4),
        source="training",
        note=(
            f"on {found.unit}s held out, about {size} of them; both counts were drawn with noise, at an"
            f" epsilon of {_TEST_EPSILON:g} about each of those {found.unit}s"
        ),
    )


def decide(found: Images, model: ImageClassifier, findings: tuple[Finding, ...]) -> Decision:
    """The gate of the demo: the guarantee holds, it is not weaker than asked, and the model is of use."""
    accuracy = findings[-1]
    chance = 1 / len(found.classes)
    reasons = (
        Reason(
            metric="dp.epsilon",
            target="model",
            threshold=f"at most {MOST_EPSILON:g}",
            passed=model.private and model.epsilon <= MOST_EPSILON,
            words=f"epsilon {model.epsilon:.3g} at delta {model.delta:.2g} about each {found.unit}",
        ),
        Reason(
            metric="learning.accuracy",
            target="model",
            threshold=f"above guessing ({chance:.3g})",
            passed=accuracy.low is not None and accuracy.low > chance,
            words=f"accuracy {accuracy.value} ({accuracy.low} to {accuracy.high}), drawn with noise",
        ),
    )
    return Decision(passed=all(reason.passed for reason in reasons), reasons=reasons)
