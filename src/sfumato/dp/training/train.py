"""Train any PyTorch module under differential privacy (DP-SGD: Abadi et al. 2016, arXiv 1607.00133)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.core.errors import InputError
from sfumato.dp.accounting import epsilon_of, noise_for
from sfumato.dp.training import checkpoints, trained
from sfumato.dp.training.clipping import row_losses
from sfumato.dp.training.examples import Examples
from sfumato.dp.training.feeding import Views
from sfumato.dp.training.losses import Named, resolved
from sfumato.dp.training.modules import need_deep, prepared
from sfumato.dp.training.run import Run
from sfumato.dp.training.trained import Progress, Settings, Step, Trained, sampled_gaussian

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.dp.training.clipping import Loss


def train(
    module: Any,
    data: Any,
    *,
    loss: Named | Loss,
    budget: Budget,
    delta: float,
    epsilon: float | None = None,
    noise_multiplier: float | None = None,
    batch: float | None = None,
    rate: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    clip: float = 1.0,
    lr: float = 0.5,
    optimizer: str | Callable[[list[Any]], Any] = "sgd",
    schedule: Callable[[float], float] | None = None,
    size: int | None = None,
    subject: Sequence[Any] | None = None,
    views: Views | None = None,
    average: float | None = None,
    ghost: bool | None = None,
    physical_batch: int | None = None,
    checkpoint: str | Path | None = None,
    every: int | None = None,
    resume: bool = False,
    secure: bool = True,
    seed: int | None = None,
    device: str | None = None,
    place: str = "training",
    by: str = "",
    why: str = "",
    watch: Callable[[Progress], None] | None = None,
    trace: Callable[[Step], None] | None = None,
) -> Trained:
    """Train a module so that no single row (or subject) can have changed it much.

    In each step every example is drawn for itself with the same probability (Poisson sampling), its gradient
    is cut to an L2 norm of at most ``clip``, the gradients are summed, and Gaussian noise of standard
    deviation ``noise_multiplier * clip`` is added to the sum. The whole training is charged to ``budget``
    before the first step. Loss and accuracy on the rows are never shown: they were not charged.

    Sums are made in the module's precision. With 32 bits and thousands of rows they are off by some 1e-6 of
    the bound, which no accountant counts; a module of 64 bits (``module.double()``) leaves nothing to count.

    Args:
        module: a ``torch.nn.Module`` that maps (n, ...) to n rows; it is copied. BatchNorm becomes GroupNorm.
            Its weights must not come from the same people without being charged.
        data: ``(inputs, targets)``, arrays or tensors, or a map-style ``Dataset``. No DataLoader.
        loss: "cross-entropy" (logits, classes), "binary" (one logit, 0 or 1), "squared", or a function from
            outputs and targets to one loss a row, shape (n,).
        budget: charged; its unit and its neighbouring relation count.
        delta: the delta of the epsilons.
        epsilon: the noise is chosen so that the training costs at most this, under the budget's relation.
        noise_multiplier: instead of ``epsilon``: standard deviation over ``clip``.
        batch: the expected number of examples in a step; the sampling rate is batch / size.
        rate: instead of ``batch``: how likely each example is in a step.
        steps: how many; or ``epochs``, which are size / batch steps each.
        clip: bound of one example's gradient, L2.
        lr: learning rate; of "sgd" with momentum .9 or "adam".
        optimizer: "sgd", "adam", or a function from the parameters to a ``torch.optim.Optimizer``.
        schedule: from the share of steps done, 0 to below 1, to a factor of the learning rate.
        size: about how many examples there are, as everybody may know it. Without it their number is used,
            and under "add-remove" a notice says so, for there it is private.
        subject: for each row whose it is: all rows of a subject are one example, for a budget of the unit
            "subject".
        views: from (inputs, generator) to K augmented views of each, shape (n, K, ...); an example's gradient
            is the mean over them (De et al. 2022, arXiv 2204.13650, augmentation multiplicity).
        average: decay of an exponential average of the weights, at most (1 + t) / (10 + t) in step t (De et
            al. 2022); 1 is an average that grows with the steps. It costs nothing.
        ghost: clip without the gradients of single rows; by itself from a million parameters on.
        physical_batch: at most so many rows at a time in memory; chosen by itself. The result is the same.
        checkpoint: a file; written every ``every`` steps (a twentieth of all). It holds no randomness.
        resume: go on from ``checkpoint``, charged already. What a killed process may have done counts as
            done.
        secure: noise from AES in counter mode, added in integers (:mod:`sfumato.dp.training.noise`); else
            from PyTorch's generator, which is faster on large modules and not cryptographic.
        seed: for tests: the same batches and noise again, and nothing is private.
        device: "cpu", "cuda"; the GPU if there is one.
        place, by, why: for the ledger.
        watch: called after each step with a :class:`~sfumato.dp.training.trained.Progress`.
        trace: for audits: called after each step with a :class:`~sfumato.dp.training.trained.Step`, which is
            secret; nothing is private then.

    Raises:
        InputError: ``usage`` for what cannot be meant, before anything is charged; or for weights that are no
            numbers any more, after.
        RefusedError: the budget does not allow it; nothing was drawn.
    """
    need_deep()
    examples = Examples(data, subject)
    _check_unit(budget, subject)
    fit, notices = prepared(module, examples.inputs)
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise InputError("usage", "resume needs the checkpoint to go on from")
    known = examples.count if size is None else size
    settings = _settings(
        budget, known, delta, epsilon, noise_multiplier, batch, rate, steps, epochs, clip, lr, optimizer,
        average, secure, seed,
    )  # fmt: skip
    if size is None and budget.relation == "add-remove":
        notices.append(trained.ROWS_COUNTED)
    per_row = resolved(loss)
    _try(fit, per_row, examples)
    run = Run(
        settings, fit, per_row, examples, optimizer=optimizer, schedule=schedule, views=views,
        ghost=ghost, physical_batch=physical_batch, seed=seed, device=device, batch=settings.rate * known,
    )  # fmt: skip
    private = seed is None and trace is None
    with checkpoints.locked(path):
        saved = checkpoints.read(path) if resume and path is not None else None
        if saved is None:
            receipt = budget.spend(settings.event, place=place, by=by, why=why, delta=delta)
            run.begin(path, every, receipt)
        else:
            run.resume(path, every, saved, budget)
        if not private:
            budget.unbounded(place=place, by=by, why=why or "trained with noise that somebody knows")
        run.go(watch, trace)
        if run.receipt is not None:
            budget.settle(run.receipt, {"steps": run.record.steps, "lost": run.record.lost})
    if not secure:
        notices.append(trained.FAST_NOISE)
    if seed is not None:
        notices.append(trained.KNOWN_SEED)
    if trace is not None:
        notices.append(trained.TRACED)
    cost = epsilon_of(settings.event, delta, relation=settings.relation)
    return Trained(
        module=run.finished(),
        event=settings.event,
        epsilon=cost.epsilon,
        delta=delta,
        replace_epsilon=cost.replace_epsilon,
        noise_multiplier=settings.noise_multiplier,
        rate=settings.rate,
        clip=clip,
        steps=settings.steps,
        unit=settings.unit,
        private=private,
        notices=tuple(notices),
        record=run.record,
        history=tuple(run.history),
    )


def _try(module: Any, loss: Loss, examples: Examples) -> None:
    """Refuse, before the charge, a loss that does not fit: tried on one row of zeros."""
    import torch

    first = next(module.parameters())
    kind = first.dtype if examples.inputs.dtype.is_floating_point else examples.inputs.dtype
    row = torch.zeros((1, *examples.inputs.shape[1:]), dtype=kind, device=first.device)
    targets = examples.targets[:1]
    module.eval()
    with torch.no_grad():
        row_losses(
            loss, module, row, targets.to(first.device, kind if targets.dtype.is_floating_point else None)
        )


def _check_unit(budget: Any, subject: Sequence[Any] | None) -> None:
    if not hasattr(budget, "spend"):
        raise InputError("usage", "training needs a budget to charge", remedy="sf.dp.Budget(epsilon, delta)")
    if (budget.unit == "subject") != (subject is not None):
        raise InputError(
            "usage",
            f"the budget is about each {budget.unit}, and the rows are "
            + ("not said to be anybody's" if subject is None else "grouped by subject"),
            remedy="pass subject= if and only if the budget's unit is the subject",
        )


def _settings(
    budget: Budget,
    size: int,
    delta: float,
    epsilon: float | None,
    noise_multiplier: float | None,
    batch: float | None,
    rate: float | None,
    steps: int | None,
    epochs: float | None,
    clip: float,
    lr: float,
    optimizer: str | Callable[[list[Any]], Any],
    average: float | None,
    secure: bool,
    seed: int | None,
) -> Settings:
    """The settings, complete and possible; the noise follows from epsilon."""
    if (epsilon is None) == (noise_multiplier is None):
        raise InputError("usage", "give either epsilon or noise_multiplier")
    if (steps is None) == (epochs is None):
        raise InputError("usage", "give either steps or epochs")
    if (batch is None) == (rate is None):
        raise InputError("usage", "give either batch or rate")
    wanted = {"batch": batch, "rate": rate, "size": size, "clip": clip, "lr": lr, "delta": delta}
    for name, value in wanted.items():
        if value is not None and not 0 < value < math.inf:
            raise InputError("usage", f"{name} must be above zero, and is {value}")
    if delta >= 1:
        raise InputError("usage", f"delta is a probability that must be tiny, and is {delta}")
    if average is not None and not 0 <= average <= 1:
        raise InputError("usage", f"average is a decay between 0 and 1, and is {average}")
    if batch is not None:
        rate, needed = batch / size, (epochs or 0) * size / batch
    else:
        assert rate is not None
        needed = (epochs or 0) / rate
    rate = min(1.0, rate)
    count = steps if steps is not None else math.ceil(needed)
    if count < 1 or count != int(count):
        raise InputError("usage", f"there must be at least one step, and there are {count}")
    if noise_multiplier is None:
        assert epsilon is not None
        noise_multiplier = noise_for(
            lambda noise: sampled_gaussian(rate, noise, int(count)), epsilon, delta, relation=budget.relation
        )
    if not 0 < noise_multiplier < math.inf:
        raise InputError("usage", f"noise_multiplier must be above zero, and is {noise_multiplier}")
    return Settings(
        rate=rate,
        noise_multiplier=noise_multiplier,
        clip=clip,
        steps=int(count),
        delta=delta,
        relation=budget.relation,
        unit=budget.unit,
        lr=lr,
        optimizer=optimizer if isinstance(optimizer, str) else getattr(optimizer, "__qualname__", "function"),
        average=average,
        secure=secure,
        seeded=seed is not None,
    )
