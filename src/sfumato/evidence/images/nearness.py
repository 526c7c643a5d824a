"""Do made images lie nearer to those learned from than chance brings them? Held-out images tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sfumato.core.disclosure import round_count
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding, Status
from sfumato.evidence.images.pictures import SPACES, Pictures
from sfumato.evidence.intervals import (
    clopper_pearson,
    exact_difference,
    percentile,
    resample_counts,
    weighted_auc,
    wilson,
)
from sfumato.evidence.report import Report

#: A made image is a copy if it is so many times nearer to an image learned from than to any other (a third of
#: the distance: Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to memorize").
NEARER = 3.0
#: Fewer images than this tell nothing.
LEAST = 30
_RESAMPLES = 300
_BLOCK = 512
_ASSUMES = "has the made images, and somebody's image to compare them with"
_NO_HELD = f"fewer than {LEAST} images were held out, and none is a measure of chance"
_NO_MADE = f"fewer than {LEAST} images were made"


def nearness(
    report: Report, made: Pictures, learned: Pictures, held: Pictures, key: bytes
) -> Iterator[Finding]:
    """Copies, the share nearer to those learned from, and the attack by distance, in each space."""
    few = _NO_MADE if len(made) < LEAST else _NO_HELD if min(len(held), len(learned)) < LEAST else ""
    status: Status = "no-power" if len(held) else "not-measured"
    for space in SPACES:
        if few:
            for metric in ("images.copies", "images.copies_excess", "images.memorized", "images.members_auc"):
                yield report.silent(metric, status, few, target=space, n=len(made), assumes=_ASSUMES)
            continue
        own, theirs, others = made.space(space), learned.space(space), held.space(space)
        yield from _copies(report, space, own, theirs, others, held.of)
        yield _nearer(report, space, own, theirs, others, derive(key, "folds", space))
        yield _members(report, space, made, learned, held, derive(key, "members", space))


def _copies(
    report: Report,
    space: str,
    made: NDArray[np.float64],
    learned: NDArray[np.float64],
    held: NDArray[np.float64],
    of: NDArray[np.int64],
) -> Iterator[Finding]:
    """How many made images are copies; the control asks the same of real images held out."""
    found = nearest(made, learned) * NEARER < nearest(made, held)
    fresh = nearest(held, learned) * NEARER < nearest(held, held, apart=True)
    copied, control = int(found.sum()), float(fresh.mean())
    yield report.measured(
        "images.copies",
        clopper_pearson(copied, len(found)),
        len(found),
        target=space,
        control=control,
        baseline=0.0,
        assumes=_ASSUMES,
        note=f"at least {NEARER:g} times nearer to an image learned from than to any held out",
    )
    # People are the control's sample, each with the share of their images: fewer of them are less sure of it.
    people = np.bincount(of)
    by_chance = np.bincount(of, fresh)[people > 0] / people[people > 0]
    yield report.measured(
        "images.copies_excess",
        exact_difference(copied, len(found), int(by_chance.sum()), len(by_chance)),
        len(found),
        target=space,
        control=control,
        assumes=_ASSUMES,
        note=f"against about {round_count(len(held))} images held out, as near by chance alone",
    )


def _nearer(
    report: Report,
    space: str,
    made: NDArray[np.float64],
    learned: NDArray[np.float64],
    held: NDArray[np.float64],
    key: bytes,
) -> Finding:
    """The share of made images nearer to one learned from than to any held out, as many of each.

    Those learned from are cut into parts as large as those held out, so that each of them is looked at.
    """
    size = min(len(learned), len(held))
    order = generator(key).permutation(len(learned))
    to_held = nearest(made, held[:size])
    scores = []
    for part in range(-(-len(learned) // size)):
        # The last part is filled up from the first.
        to_learned = nearest(
            made, learned[np.take(order, range(part * size, (part + 1) * size), mode="wrap")]
        )
        scores.append((to_learned < to_held) + (to_learned == to_held) / 2)
    score = np.mean(scores, axis=0)
    return report.measured(
        "images.memorized",
        wilson(float(score.mean()), len(score)),
        len(score),
        target=space,
        baseline=0.5,
        assumes=_ASSUMES,
        note=f"against parts of {size} images learned from, and as many held out",
    )


def _members(
    report: Report, space: str, made: Pictures, learned: Pictures, held: Pictures, key: bytes
) -> Finding:
    """Who was learned from, by the distance of somebody's image to the nearest made one."""
    near = np.concatenate([nearest(some.space(space), made.space(space)) for some in (learned, held)])
    truth = np.arange(len(near)) < len(learned)
    # People are resampled, each with all images.
    of = np.concatenate([learned.of, held.of + learned.of.max() + 1])
    weights = resample_counts(int(of.max()) + 1, _RESAMPLES, key)
    resampled = np.concatenate([weighted_auc(truth, -near, counts[:, of]) for counts in weights])
    value = float(weighted_auc(truth, -near, np.ones((1, len(near))))[0])
    return report.measured(
        "images.members_auc",
        percentile(value, resampled),
        len(near),
        target=space,
        baseline=0.5,
        assumes=_ASSUMES,
        note="a weak attack: no evidence is not no risk",
    )


def nearest(
    points: NDArray[np.float64], others: NDArray[np.float64], *, apart: bool = False
) -> NDArray[np.float64]:
    """The distance of each point to the nearest other, L2, shape (points,).

    Args:
        apart: both are the same, and a point is not its own neighbour.

    >>> nearest(np.array([[0.0], [2.0]]), np.array([[0.5], [9.0]])).tolist()
    [0.5, 1.5]
    """
    return neighbours(points, others, apart=apart)[0]


def neighbours(
    points: NDArray[np.float64], others: NDArray[np.float64], *, apart: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """:func:`nearest`, and which other it is, by its place."""
    squares = (others**2).sum(axis=1)
    found, places = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
    for at in range(0, len(points), _BLOCK):
        some = points[at : at + _BLOCK]
        rough = squares - 2 * some @ others.T
        if apart:
            rough[np.arange(len(some)), np.arange(at, at + len(some))] = np.inf
        places[at : at + _BLOCK] = nearer = rough.argmin(axis=1)
        # Once more without cancellation: a copy is at a distance of exactly zero.
        found[at : at + _BLOCK] = np.linalg.norm(some - others[nearer], axis=1)
    return found, places
