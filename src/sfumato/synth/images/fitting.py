"""The one way to learn images, whatever the method: what is checked, what is charged, what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.dp.training.modules import need_deep
from sfumato.synth.images import METHODS
from sfumato.synth.images.method import Learned, Method, Seen, Terms, Watch
from sfumato.synth.images.model import ImageModel, key_of

if TYPE_CHECKING:
    from sfumato.contracts import Params
    from sfumato.dp.budget import Budget

LEAST_SIDE, MOST_SIDE = 4, 128


def fit(
    images: NDArray[Any],
    labels: NDArray[Any] | None = None,
    *,
    method: str = "kernel",
    params: Mapping[str, Any] | Params | None = None,
    classes: int | None = None,
    levels: tuple[float, float] | None = None,
    budget: Budget | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    size: int | None = None,
    subject: Sequence[Any] | None = None,
    key: bytes | int | None = None,
    place: str = "synthetic images",
    by: str = "",
    why: str = "",
    progress: Watch | None = None,
) -> ImageModel:
    """Learn to make images of classes, with a budget under differential privacy, without one as they are.

    Under differential privacy everything that depends on the images is charged in one piece before the first
    draw. What is not charged is declared: number of classes, grey levels, shape, about how many there are.

    Args:
        images: shape (n, height, width), grey, sides from 4 to 128.
        labels: shape (n,), classes from 0 on; None for one class.
        method: a name in :data:`~sfumato.synth.images.METHODS`.
        params: of the method.
        classes: how many there are; must be said under differential privacy.
        levels: the grey levels of black and white, others are cut to them; 0 and 255 for whole numbers, else
            0 and 1.
        budget: charged; its unit and relation count.
        epsilon, delta: the noise is chosen so that all of it costs at most this.
        size: about how many examples (images, or subjects) there are, as everybody may know it.
        subject: for each image whose it is: all images of one are one example, for a budget of the unit
            "subject".
        key: 32 bytes or a number for all that is drawn but noise; the same key gives the same model without
            differential privacy. None for a fresh one.
        place, by, why: for the ledger.
        progress: told what is done, how far it has come, and of how much.

    Raises:
        InputError: ``usage``, before anything is charged; ``unknown-name`` for the method.
        RefusedError: ``budget-spent``; nothing was drawn.
    """
    need_deep()
    maker = METHODS.resolve(method)
    settings = _settings(maker.Params, params)
    chosen: Method = maker(settings)
    seen, levels, whole = _seen(images, labels, classes, levels, subject, private=budget is not None)
    own = derive(key_of(key), "fit", method)
    cost: dict[str, Any] = {}
    if budget is None:
        if epsilon is not None or delta is not None:
            raise InputError(
                "usage", "epsilon and delta need a budget", remedy="sf.dp.Budget(epsilon, delta)"
            )
        learned, event = chosen.fit(seen, own, None, progress), None
    else:
        if epsilon is None or delta is None:
            raise InputError("usage", "a budget needs epsilon and delta: how much of it is meant")
        if (budget.unit == "subject") != (subject is not None):
            raise InputError(
                "usage",
                f"the budget is about each {budget.unit}, and the images are "
                + ("not said to be anybody's" if subject is None else "grouped by subject"),
                remedy="pass subject= if and only if the budget's unit is the subject",
            )
        learned, cost, event = _privately(
            chosen, seen, own, budget, epsilon, delta, size, place, by, why, progress
        )
    facts = {
        "method": method,
        "classes": seen.classes,
        "parameters": sum(p.numel() for p in learned.module.parameters()),
        **learned.facts,
        **cost,
    }
    return ImageModel(
        method=method,
        params=settings.model_dump(mode="json"),
        shape=seen.shape,
        levels=levels,
        whole=whole,
        shares=learned.shares,
        facts=facts,
        module=learned.module.eval(),
        event=event,
    )


def _privately(
    chosen: Method,
    seen: Seen,
    key: bytes,
    budget: Budget,
    epsilon: float,
    delta: float,
    size: int | None,
    place: str,
    by: str,
    why: str,
    progress: Watch | None,
) -> tuple[Learned, dict[str, Any], Any]:
    """What was learned, what it cost, and the event that was charged."""
    from sfumato.dp.accounting import epsilon_of, noise_for
    from sfumato.dp.events import composed, words
    from sfumato.dp.prepaid import reserve
    from sfumato.dp.training.trained import ROWS_COUNTED

    known = size or (len(seen.labels) if seen.subject is None else int(seen.subject.max()) + 1)
    relation = budget.relation
    noise = noise_for(
        lambda one: composed(list(chosen.events(one, known))), epsilon, delta, relation=relation
    )
    events = list(chosen.events(noise, known))
    prepaid = reserve(budget, events, delta=delta, place=place, by=by, why=why)
    learned = chosen.fit(seen, key, Terms(prepaid, noise, delta, known), progress)
    if prepaid.left:
        raise AssertionError("something was charged and not drawn")
    budget.settle(prepaid.receipt, {"kind": "generator of images"})
    cost = epsilon_of(composed(events), delta, relation=relation)
    counted = (ROWS_COUNTED,) if size is None and relation == "add-remove" and len(events) > 1 else ()
    facts = {
        "epsilon": cost.epsilon,
        "delta": delta,
        "replace_epsilon": cost.replace_epsilon,
        "unit": budget.unit,
        "relation": relation,
        "event": words(composed(events)),
        "noise": noise,
        "notices": [*counted, *(notice for notice in learned.notices if notice != ROWS_COUNTED)],
    }
    return learned, facts, composed(events)


def _settings(kind: type[Params], given: Mapping[str, Any] | Params | None) -> Params:
    from pydantic import ValidationError

    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate(dict(given or {}))
    except (ValidationError, TypeError, ValueError) as error:
        wrong = (
            error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "not a mapping"}
        )
        where = ".".join(map(str, wrong["loc"]))
        raise InputError("usage", f"params: {wrong['msg']}", where=where) from None


def _seen(
    images: Any,
    labels: Any,
    classes: int | None,
    levels: tuple[float, float] | None,
    subject: Any,
    *,
    private: bool,
) -> tuple[Seen, tuple[float, float], bool]:
    pixels = np.asarray(images)
    if pixels.ndim != 3 or not len(pixels) or pixels.dtype.kind not in "uifb":
        raise InputError(
            "usage", "images must be numbers of shape (n, height, width), n at least one",
            remedy="make colour images grey, and cut or scale them by a rule that looks at one image alone",
        )  # fmt: skip
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in pixels.shape[1:]):
        raise InputError(
            "usage", f"the images are of {pixels.shape[1]} x {pixels.shape[2]} pixels",
            remedy=f"scale them to sides from {LEAST_SIDE} to {MOST_SIDE}",
        )  # fmt: skip
    whole = pixels.dtype.kind in "ui"
    low, high = levels or ((0.0, 255.0) if whole else (0.0, 1.0))
    if not low < high:
        raise InputError("usage", "the level of white must be above that of black")
    scaled = (np.nan_to_num(pixels.astype(np.float32), nan=low) - low) / (high - low)
    kinds, count = _classes(labels, len(pixels), classes, private)
    return (
        Seen(np.clip(scaled, 0.0, 1.0).astype(np.float32), kinds, count, _subjects(subject, len(pixels))),
        (float(low), float(high)),
        whole,
    )


def _classes(labels: Any, n: int, classes: int | None, private: bool) -> tuple[NDArray[np.int64], int]:
    if labels is None:
        return np.zeros(n, dtype=np.int64), classes or 1
    kinds = np.asarray(labels)
    if kinds.shape != (n,) or kinds.dtype.kind not in "uib":
        raise InputError("usage", "labels must be whole numbers, one for each image")
    if classes is None and private:
        raise InputError(
            "usage", "the number of classes must be said: finding it in the labels would have to be charged",
            remedy="classes=",
        )  # fmt: skip
    count = int(kinds.max()) + 1 if classes is None else classes
    if count < 1 or not bool(((kinds >= 0) & (kinds < count)).all()):
        raise InputError("usage", "the labels are not whole numbers from 0 to below the number of classes")
    return kinds.astype(np.int64), count


def _subjects(subject: Any, n: int) -> NDArray[np.int64] | None:
    if subject is None:
        return None
    given = np.asarray(subject)
    if given.shape != (n,) or (given.dtype == object and any(one is None or one != one for one in given)):
        raise InputError("usage", "subject must name one subject for each image")
    _, of = np.unique(given, return_inverse=True)
    return np.asarray(of, dtype=np.int64)
