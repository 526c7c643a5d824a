"""Audits of private training: guesses from every noisy gradient, or from the final model alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.evidence.audits import canaries as made
from sfumato.evidence.audits.game import Claim, Curve, Game, Twin, judged
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.intervals import LEVEL
from sfumato.evidence.models.shadows import likelihood_ratio, teach, told

_TRIALS = 20
#: Points of the privacy curve that are tested together.
_CURVE = 20
STAYS = "the audit's models and figures rest on the rows and were not charged: they stay in the house"


def by_guessing(
    run: Callable[[NDArray[np.bool_], int], NDArray[np.float64]],
    canaries: int,
    *,
    epsilon: float,
    delta: float,
    curve: Curve = (),
    runs: int = 1,
    guesses: int | None = None,
    twin: Twin | None = None,
    trials: int = _TRIALS,
    what: str = "training",
    method: str = "guesses on canaries",
    relation: str = "add-remove",
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Audit anything that takes canaries: each is in by a fair coin, and a score says how much it looks so.

    Args:
        run: from coins, shape (canaries,), and the number of the run to scores of that shape.
        epsilon, delta, curve: what is claimed, of a canary that is there or not.
        runs: canaries of all of them are guessed together.
        guesses: how many at most over all runs, fixed here; by default :meth:`Game.planned`.
        twin: the scores of all runs with a share of the noise; without it nobody knows the audit's power.
        trials: audits of each twin, for the power.

    Raises:
        InputError: ``usage`` for a claim that is none, or figures that do not fit.
    """
    claim = Claim(epsilon, delta, curve)
    game = Game(canaries, runs, key_of(what, seed))
    count = game.planned(twin, delta) if guesses is None else guesses
    scores = np.stack([run(inside, number) for number, inside in enumerate(game.inside)])
    counted = game.guessed(scores, count)
    where = "one run" if runs == 1 else f"each of {runs:,} runs"
    return judged(
        counted,
        claim,
        kind="training",
        what=what,
        method=f"{count:,} {method}, {canaries:,} in {where}",
        relation=relation,
        level=level,
        powers=[*game.powers(twin, claim, count, trials, level)] if twin is not None else (),
        notes=(STAYS,),
    )


def training(
    train: Callable[..., Any],
    module: Any,
    data: tuple[Any, Any],
    *,
    loss: Any,
    canaries: int = 1000,
    guesses: int | None = None,
    runs: int = 1,
    trials: int = _TRIALS,
    what: str = "training",
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Audit ``sf.dp.train`` as you call it, by somebody who sees every noisy gradient (white-box).

    Dirac canaries are trained on beside your rows; the claim is the event that the training charged: its
    epsilon at its delta, and its whole privacy curve.

    Args:
        train: from module, data and ``trace=`` to what ``sf.dp.train`` gives; a budget of its own each time.
        module: a ``torch.nn.Module``.
        data: inputs and targets, n rows.
        loss: as for ``sf.dp.train``: a name, or a function to one loss a row.
        canaries: each in or out by a coin.
        guesses: see :func:`by_guessing`.
        runs: trainings; one is enough for a gross fault.

    Raises:
        InputError: ``usage``; and what ``train`` raises.
    """
    from sfumato.dp.training.losses import resolved

    game = Game(canaries, runs, key_of(what, seed))
    wide = made.with_axes(module, np.asarray(data[0]).shape[1:], canaries)
    sign = made.direction(wide, data, resolved(loss))
    seen, trained = [], None
    for inside in game.inside:
        axes: list[NDArray[np.float64]] = []
        rows = made.with_rows(data, inside)
        trained = train(wide, rows, trace=lambda step, axes=axes: axes.append(step.noisy[-canaries:]))
        seen.append(sign * np.stack(axes) / trained.clip)
    assert trained is not None
    rate, noise, steps = trained.rate, trained.noise_multiplier, trained.steps

    def twin(inside: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.float64]:
        return made.simulated(inside, rate, noise, steps, share, draw)

    return by_guessing(
        lambda _, number: made.scores(seen[number], rate, noise),
        canaries,
        **claimed(trained.event, trained.delta),
        runs=runs,
        guesses=guesses,
        twin=twin,
        trials=trials,
        what=what,
        method="guesses on orthogonal gradients of canaries",
        level=level,
        seed=seed,
    )


def estimator(
    fit: Callable[[Any, Any], Any],
    features: Any,
    labels: Any,
    *,
    event: Any,
    delta: float,
    canaries: int = 500,
    shadows: int = 0,
    guesses: int | None = None,
    runs: int = 1,
    quieter: Callable[[Any, Any, float], Any] | None = None,
    trials: int = 3,
    what: str = "training",
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Audit a classifier by what its final model says of canaries (black-box): rows with a wrong label.

    A score is what the model gives to the canary's own label, or with shadow models its likelihood ratio
    (LiRA, Carlini et al. 2022). What this proves is far below what who sees the gradients would.

    Args:
        fit: from features and labels to a fitted classifier with ``predict_proba`` and ``classes_``; with a
            budget of its own each time.
        features: of n people, an array.
        labels: shape (n,).
        event, delta: what a fit charges.
        canaries: rows that are taken out of the people and get another label.
        shadows: models to train on other halves of the canaries; 0 uses the plain score.
        quieter: ``fit`` with a share of the noise, for the power; each trial is another fit.

    Raises:
        InputError: ``usage``; and what ``fit`` raises.
    """
    key = key_of(what, seed)
    (rows, wrong), (people, truth) = made.mislabelled(
        (features, labels), canaries, generator(derive(key, "rows"))
    )
    taught = _shadows(fit, people, truth, rows, wrong, shadows, key) if shadows else None

    def scored(model: Any) -> NDArray[np.float64]:
        found = told(model, rows, wrong)
        return found.confidence if taught is None else likelihood_ratio(found, taught)

    def taught_with(inside: NDArray[np.bool_]) -> tuple[Any, Any]:
        return np.concatenate([people, rows[inside]]), np.concatenate([truth, wrong[inside]])

    def twin(inside: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.float64]:
        del draw
        assert quieter is not None
        parts = np.split(inside, runs)
        return np.concatenate([scored(quieter(*taught_with(part), share)) for part in parts])

    count = max(1, canaries * runs // 10) if guesses is None else guesses
    return by_guessing(
        lambda inside, _: scored(fit(*taught_with(inside))),
        canaries,
        **claimed(event, delta),
        runs=runs,
        guesses=count,
        twin=twin if quieter is not None else None,
        trials=trials,
        what=what,
        method=f"guesses from the final model{f' with {shadows} shadow models' if shadows else ''}",
        level=level,
        seed=seed,
    )


def _shadows(
    fit: Callable[[Any, Any], Any], people: Any, truth: Any, rows: Any, wrong: Any, models: int, key: bytes
) -> Any:
    def train(some: Any, labels: Any, _: int) -> Any:
        return fit(np.concatenate([people, some]), np.concatenate([truth, labels]))

    return teach(train, rows, wrong, len(rows) // 2, models, derive(key, "shadows"))


def claimed(event: Any, delta: float) -> dict[str, Any]:
    """The claim that an event makes of a canary that is there or not: a point, and its privacy curve.

    Raises:
        InputError: ``event-unsupported`` for an event without a cost.
    """
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.losses import LEAST_DELTA, curve

    epsilon = epsilon_of(event, delta, relation="add-remove").epsilon
    if not np.isfinite(epsilon):
        raise InputError("usage", "nothing is claimed: the event has no finite epsilon")
    losses = curve(event, "add-remove", epsilon)
    points = np.linspace(0, 1.5 * epsilon + 1, _CURVE).tolist() if losses is not None else []
    pairs = tuple((one, losses.delta(one) + LEAST_DELTA) for one in points if losses is not None)
    return {"epsilon": epsilon, "delta": delta, "curve": pairs}


def key_of(what: str, seed: int) -> bytes:
    """The key of an audit: another one for each subject and seed."""
    return derive(bytes(32), "audit", what, str(seed))
