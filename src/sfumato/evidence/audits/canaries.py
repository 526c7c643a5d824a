"""Canaries for audits of private training: rows in or out by a coin, that show it as much as they may.

A Dirac canary has a gradient along an axis of its own, orthogonal to everything, as large as the bound: the
worst case of the proof (Nasr et al. 2023, arXiv 2302.07956; Steinke et al. 2023, sec. 6). The module is given
one more parameter a canary, whose value never reaches an output: all other parameters learn as without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError

#: How far above any sensible bound a canary's gradient is before clipping.
_STEEP = 1e4


def with_axes(module: Any, shape: tuple[int, ...], canaries: int) -> Any:
    """A module whose rows carry a last number: 0 for a person, i for canary i, -1 for a canary that is out.

    Args:
        module: a ``torch.nn.Module`` on inputs of ``shape``.

    Returns:
        A module on rows of ``prod(shape) + 1`` numbers. Its last parameter holds the canaries' axes.
    """
    import torch

    class Axes(torch.nn.Module):  # type: ignore[misc]  # the library is not followed
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.axes = torch.nn.Embedding(canaries + 1, 1)
            torch.nn.init.zeros_(self.axes.weight)

        def forward(self, rows: Any) -> Any:
            number = rows[:, -1].round().long().clamp(-1, canaries)
            found = self.inner(rows[:, :-1].reshape(len(rows), *shape))
            flat = found.reshape(len(rows), -1)
            person = (number == 0).to(flat.dtype)[:, None]
            axis = self.axes(number.clamp(min=0))
            # Nothing in value, all in gradient: the canary's loss never saturates.
            own = (axis - axis.detach()) * _STEEP * (number > 0).to(flat.dtype)[:, None]
            return (flat * person + own * torch.eye(1, flat.shape[1], dtype=flat.dtype)).reshape(found.shape)

    return Axes()


def with_rows(data: tuple[Any, Any], inside: NDArray[np.bool_]) -> tuple[Any, Any]:
    """The data for :func:`with_axes`: everybody, and a row for each canary.

    That of a canary that is out has no gradient, which is as if it were not there, except that the number of
    rows does not tell how many are in.

    Args:
        data: inputs and targets, arrays or tensors of n rows; a canary's target is that of the first row.
        inside: shape (m,).

    Returns:
        Inputs of shape (n + m, numbers of a row + 1) and their targets.
    """
    import torch

    inputs, targets = (torch.as_tensor(part) for part in data)
    flat = inputs.reshape(len(inputs), -1)
    flat = flat if flat.dtype.is_floating_point else flat.to(torch.get_default_dtype())
    numbers = torch.as_tensor(np.where(inside, np.arange(1, len(inside) + 1), -1), dtype=flat.dtype)
    zeros = torch.zeros((len(numbers), flat.shape[1]), dtype=flat.dtype)
    people = torch.cat([flat, torch.zeros((len(flat), 1), dtype=flat.dtype)], dim=1)
    canaries = torch.cat([zeros, numbers[:, None]], dim=1)
    own = targets[:1].expand(len(numbers), *targets.shape[1:])
    return torch.cat([people, canaries]), torch.cat([targets, own])


def direction(module: Any, data: tuple[Any, Any], loss: Any) -> float:
    """The sign of a canary's gradient along its axis.

    Raises:
        InputError: ``usage`` if the loss has no gradient at an output of zeros.
    """
    inputs, targets = with_rows((data[0][:1], data[1][:1]), np.array([True]))
    module.zero_grad()
    loss(module(inputs[1:]), targets[1:]).sum().backward()
    gradient = float(module.axes.weight.grad[1, 0])
    module.zero_grad()
    if abs(gradient) < _STEEP / 100:
        raise InputError("usage", "the loss of a canary has no gradient", remedy="audit with another loss")
    return float(np.sign(gradient))


def scores(seen: NDArray[np.float64], rate: float, noise_multiplier: float) -> NDArray[np.float64]:
    """What an attacker who sees every noisy gradient makes of it.

    Args:
        seen: the canaries' axes over the bound, shape (steps, m).
        rate, noise_multiplier: as claimed.
    """
    return np.asarray(evidence(seen, rate, noise_multiplier).sum(axis=0), dtype=np.float64)


def evidence(seen: NDArray[np.float64], rate: float, noise_multiplier: float) -> NDArray[np.float64]:
    """The log-likelihood ratio of a canary sampled at a rate against one that never is, for one step."""
    louder = (2 * seen - 1) / (2 * noise_multiplier**2)
    if rate >= 1:
        return np.asarray(louder, dtype=np.float64)
    return np.asarray(np.logaddexp(np.log1p(-rate), np.log(rate) + louder), dtype=np.float64)


def simulated(
    inside: NDArray[np.bool_],
    rate: float,
    noise_multiplier: float,
    steps: int,
    share: float,
    draw: np.random.Generator,
) -> NDArray[np.float64]:
    """The scores of Dirac canaries in a training with a share of the noise, by their law."""
    found = np.zeros(len(inside))
    for _ in range(steps):
        sampled = inside & (draw.random(len(inside)) < rate)
        seen = sampled + draw.normal(0, share * noise_multiplier, len(inside))
        found += evidence(seen, rate, noise_multiplier)
    return found


def mislabelled(
    data: tuple[Any, Any], canaries: int, draw: np.random.Generator
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Some rows with another label than theirs, and the data without them: black-box canaries.

    Raises:
        InputError: ``usage`` for fewer rows than canaries, or a target of one label.
    """
    inputs, targets = (np.asarray(part) for part in data)
    labels = np.unique(targets)
    if len(inputs) <= canaries or len(labels) < 2 or targets.ndim != 1:
        raise InputError("usage", "canaries with a wrong label need more rows than canaries, and two labels")
    chosen = np.zeros(len(inputs), dtype=bool)
    chosen[draw.permutation(len(inputs))[:canaries]] = True
    at = np.searchsorted(labels, targets[chosen])
    wrong = labels[(at + draw.integers(1, len(labels), canaries)) % len(labels)]
    return (inputs[chosen], wrong), (inputs[~chosen], targets[~chosen])
