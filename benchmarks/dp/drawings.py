"""The settings of the recipe for small images, chosen on drawings that this module makes up.

Whoever picks settings by the images that are to be protected must be charged for it. So steps, clipping bound
and learning rate of ``sfumato.dp.training.recipes`` were picked on digits drawn with strokes by this program:
1,797 of 8 x 8 pixels, bent, turned, moved and blurred. Run it to see the grid; nobody's data are in it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import keep
from sfumato.dp.training.scattering import Scattering, unit

COUNT, SIDE, TEST, DELTA = 1797, 8, 360, 1e-4
EPSILONS = (8.0, 3.0, 1.0)
STEPS, CLIPS, RATES = (60, 200), (1.0, 0.3, 0.1, 0.03), (0.3, 1.0, 3.0)
RUNS = 3
#: Corners of the strokes in the unit square, across and down.
STROKES = {
    0: [(0.5, 0.08), (0.8, 0.3), (0.8, 0.7), (0.5, 0.92), (0.2, 0.7), (0.2, 0.3), (0.5, 0.08)],
    1: [(0.35, 0.25), (0.55, 0.08), (0.55, 0.92)],
    2: [(0.2, 0.28), (0.4, 0.08), (0.7, 0.12), (0.75, 0.38), (0.2, 0.92), (0.82, 0.92)],
    3: [(0.22, 0.1), (0.78, 0.1), (0.45, 0.45), (0.8, 0.65), (0.6, 0.9), (0.2, 0.85)],
    4: [(0.6, 0.92), (0.6, 0.08), (0.18, 0.62), (0.85, 0.62)],
    5: [(0.75, 0.08), (0.28, 0.08), (0.25, 0.45), (0.65, 0.42), (0.78, 0.68), (0.55, 0.92), (0.2, 0.85)],
    6: [(0.68, 0.08), (0.3, 0.45), (0.22, 0.75), (0.5, 0.92), (0.76, 0.72), (0.5, 0.52), (0.25, 0.68)],
    7: [(0.18, 0.1), (0.8, 0.1), (0.42, 0.92)],
    8: [(0.5, 0.48), (0.25, 0.28), (0.5, 0.08), (0.75, 0.28), (0.5, 0.48), (0.22, 0.72), (0.5, 0.92)],
    9: [(0.75, 0.3), (0.5, 0.48), (0.25, 0.3), (0.5, 0.08), (0.75, 0.3), (0.7, 0.6), (0.5, 0.92)],
}  # fmt: skip


def drawn(digit: int, draw: np.random.Generator) -> NDArray[np.float64]:
    """One digit, levels from 0 to 1."""
    corners = np.array(STROKES[digit]) - 0.5 + draw.normal(0, 0.06, (len(STROKES[digit]), 2))
    turn, slant = draw.normal(0, 0.2), draw.normal(0, 0.26)
    wide, high = 0.9 * np.exp(draw.normal(0, 0.16, 2))
    bend = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [
        [wide, slant],
        [0, high],
    ]
    corners = corners @ bend.T + 0.5 + draw.normal(0, 0.05, 2)
    along = np.linspace(0, 1, 12)[:, None]
    pairs = itertools.pairwise(corners)
    dots = np.concatenate([start * (1 - along) + end * along for start, end in pairs])
    middles = (np.arange(SIDE) + 0.5) / SIDE
    near = ((middles[None, :, None] - dots[:, 0]) ** 2 + (middles[:, None, None] - dots[:, 1]) ** 2).min(
        axis=-1
    )
    pen = draw.uniform(0.05, 0.09)
    shades = np.exp(-near / (2 * pen**2)) * draw.uniform(0.8, 1.1) + draw.normal(0, 0.065, near.shape)
    return np.asarray(np.clip(shades, 0, 1))


def drawings(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images (1797, 8, 8) and their digits."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, COUNT)
    return np.stack([drawn(int(label), draw) for label in labels]), labels


def deviation(epsilon: float) -> float:
    """The noise multiplier of one Gaussian release at that epsilon (Balle & Wang 2018)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def gap(noise: float) -> float:
        tail = norm.cdf(1 / (2 * noise) - epsilon * noise)
        return float(tail - math.exp(epsilon) * norm.cdf(-1 / (2 * noise) - epsilon * noise) - DELTA)

    return float(brentq(gap, 1e-2, 1e2))


def weights(
    rows: Any, labels: Any, noise: float, steps: int, clip: float, rate: float, draw: np.random.Generator
) -> Any:
    """The linear model by noisy full-batch steps with momentum .9 and averaged, as the recipe makes it."""
    found = average = speed = np.zeros((rows.shape[1], 10))
    for step in range(steps):
        scores = rows @ found
        errors = np.exp(scores - scores.max(axis=1, keepdims=True))
        errors /= errors.sum(axis=1, keepdims=True)
        errors[np.arange(len(rows)), labels] -= 1
        # The gradient of one example is an outer product: its norm is the product of the norms.
        lengths = np.linalg.norm(errors, axis=1) * np.linalg.norm(rows, axis=1)
        errors *= np.minimum(1, clip / np.maximum(lengths, 1e-12))[:, None]
        gradient = (rows.T @ errors + draw.normal(0, noise * clip, found.shape)) / len(rows)
        speed = 0.9 * speed + gradient
        found = found - rate / clip * speed
        average = average + (found - average) * 9 / (10 + step)
    return average


def accuracy(
    features: Any, labels: Any, epsilon: float, steps: int, clip: float, rate: float, seed: int
) -> float:
    """On the last 360 drawings of a shuffle, with 5 % of the cost for the mean."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(COUNT)
    train, test = order[TEST:], order[:TEST]
    once = deviation(epsilon)
    mean = features[train].mean(axis=0) + draw.normal(0, once / 0.05**0.5 / len(train), features.shape[1])
    rows = np.hstack([unit(features - mean), np.full((COUNT, 1), 0.5)]) / 1.25**0.5
    noise = once / 0.95**0.5 * steps**0.5
    found = weights(rows[train], labels[train], noise, steps, clip, rate, draw)
    return float(((rows[test] @ found).argmax(axis=1) == labels[test]).mean())


def main() -> int:
    """The grid."""
    images, labels = drawings(0)
    features = Scattering.fitting(SIDE).features(images).astype(np.float64)
    rows = []
    for steps, clip, rate in itertools.product(STEPS, CLIPS, RATES):
        row: dict[str, Any] = {"steps": steps, "clip": clip, "rate": rate}
        for epsilon in EPSILONS:
            runs = [accuracy(features, labels, epsilon, steps, clip, rate, seed) for seed in range(RUNS)]
            row[f"epsilon {epsilon:g}"] = float(np.mean(runs))
        rows.append(row)
    keep("dp_images_drawings", rows, f"accuracy on drawings, mean of {RUNS}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
