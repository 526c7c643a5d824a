"""Linear and logistic models by least squares and Newton's method, and their jackknife in one step.

A slight ridge (a penalty of 1 on standardized coefficients) keeps columns that say the same, and groups that
one column tells apart, from having no solution; on both sides alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RIDGE = 1.0
STEPS = 30
#: Groups of people left out in turn; the t quantile has one degree of freedom less.
GROUPS = 20
T = 2.093024
_ENOUGH = 1e-8
#: Of the intercept, so that a target of one class has a solution.
_SLIGHT = 1e-6


@dataclass(frozen=True)
class Fit:
    """Coefficients and standard errors, of all people first and then without each group.

    Shapes (1 + :data:`GROUPS`, columns) each; the intercept is not among them.
    """

    coefficients: NDArray[np.float64]
    errors: NDArray[np.float64]


def fit(
    matrix: NDArray[np.float64], target: NDArray[np.float64], group: NDArray[np.int64], logistic: bool
) -> Fit:
    """A model of the target on standardized columns.

    The models without a group are one Newton step from the model of everybody (Pregibon 1981, *Annals of
    Statistics* 9:705-724); for a linear model that is exact.

    Args:
        matrix: shape (people, columns).
        target: numbers, or 0 and 1 for a logistic model, shape (people,).
        group: which of the groups each person is in, shape (people,).
    """
    rows = np.column_stack([np.ones(len(matrix)), matrix])
    penalty = np.diag([_SLIGHT, *[RIDGE] * matrix.shape[1]])
    beta = np.zeros(rows.shape[1])
    for _ in range(STEPS if logistic else 1):
        mean, weight = _mean(rows @ beta, logistic)
        step = np.linalg.solve(_hessian(rows, weight) + penalty, rows.T @ (target - mean) - penalty @ beta)
        beta = beta + step
        if np.abs(step).max() < _ENOUGH:
            break
    mean, weight = _mean(rows @ beta, logistic)
    return _jackknifed(rows, target - mean, weight, beta, penalty, group, logistic)


def _mean(linear: NDArray[np.float64], logistic: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the model expects of each person, and how much that moves with the linear part."""
    if not logistic:
        return linear, np.ones(len(linear))
    mean = 1 / (1 + np.exp(-np.clip(linear, -30, 30)))
    return mean, mean * (1 - mean)


def _hessian(rows: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = rows.T @ (rows * weight[:, None])
    return found


def _jackknifed(
    rows: NDArray[np.float64],
    residual: NDArray[np.float64],
    weight: NDArray[np.float64],
    beta: NDArray[np.float64],
    penalty: NDArray[np.float64],
    group: NDArray[np.int64],
    logistic: bool,
) -> Fit:
    parts = [group == g for g in range(GROUPS)]
    hessians = np.stack([_hessian(rows[part], weight[part]) for part in parts])
    gradients = np.stack([rows[part].T @ residual[part] for part in parts])
    squares = np.array([float(residual[part] @ residual[part]) for part in parts])
    people = np.array([int(part.sum()) for part in parts])
    total = hessians.sum(axis=0) + penalty
    inverses = np.linalg.inv(np.concatenate([total[None], total - hessians]))
    changes = np.einsum("gij,gj->gi", inverses[1:], gradients)
    left_people = np.array([people.sum(), *(people.sum() - people)])
    left_squares = np.array([squares.sum(), *(squares.sum() - squares)])
    scale = np.ones(1 + GROUPS) if logistic else left_squares / np.maximum(1, left_people - rows.shape[1])
    variances = np.einsum("gii->gi", inverses) * scale[:, None]
    coefficients = np.concatenate([beta[None], beta - changes])
    return Fit(coefficients[:, 1:], np.sqrt(np.maximum(0.0, variances[:, 1:])))


def overlaps(
    first: NDArray[np.float64],
    first_half: NDArray[np.float64],
    second: NDArray[np.float64],
    second_half: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far two intervals overlap: the mean of the common part's share of each.

    Karr, Kohnen, Oganian, Reiter & Sanil 2006 (*The American Statistician* 60:224-232); 0 where they have
    nothing in common, 1 for intervals of no width that are the same.

    Args:
        first, second: the middles of the intervals, any shape.
        first_half, second_half: half their widths.

    >>> overlaps(*(np.array([x]) for x in (0.0, 1.0, 1.0, 1.0)))
    array([0.5])
    """
    common = np.minimum(first + first_half, second + second_half) - np.maximum(
        first - first_half, second - second_half
    )
    shares = [
        np.divide(common, 2 * half, out=(first == second).astype(np.float64), where=half > 0)
        for half in (first_half, second_half)
    ]
    return np.asarray(np.clip((shares[0] + shares[1]) / 2, 0.0, 1.0), dtype=np.float64)
