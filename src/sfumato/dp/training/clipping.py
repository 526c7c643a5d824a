"""Gradients of single examples, each cut to a bound, and summed: by Opacus's gradients for each row.

An example is a row, a row in several views, or all rows of a subject. What one example adds to a sum has an
L2 norm of at most the bound, whatever its rows are: an example whose gradient is no number adds nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sfumato.core.errors import InputError

Loss = Callable[[Any, Any], Any]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PyTorch's warning that the inputs of the first layer need no gradient: that is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed")
        yield


def row_losses(loss: Loss, module: Any, inputs: Any, targets: Any) -> Any:
    """The loss of each row, shape (rows,).

    Raises:
        InputError: ``usage`` for a loss that does not fit. PyTorch's words are left out: they quote labels.
    """
    try:
        losses = loss(module(inputs), targets)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        raise InputError(
            "usage",
            f"module and loss cannot take these rows and targets ({type(error).__name__})",
            remedy="try them on rows that you made up: shapes, types, and classes from 0 on",
        ) from None
    if tuple(getattr(losses, "shape", ())) != (len(inputs),):
        raise InputError(
            "usage",
            "the loss must give one value for each row",
            remedy='use reduction="none", and reduce over everything but the rows',
        )
    return losses


class Clipper:
    """Sums of clipped gradients of one logical batch.

    Args:
        module: prepared, on its device; wrapped for as long as the object lives, see :meth:`close`.
        loss: from outputs and targets to one loss a row, shape (rows,).
        clip: the bound, L2, over all trained parameters together.
        ghost: clip without ever holding the gradients of single rows (Li et al. 2022, arXiv 2110.05679;
            Lee & Kifer 2021): less memory, two backward passes. Only where an example is one row.
    """

    def __init__(self, module: Any, loss: Loss, clip: float, *, ghost: bool) -> None:
        from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping

        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self._loss, self._clip, self._ghost = loss, clip, ghost
        try:
            self._wrapped: Any = (
                GradSampleModuleFastGradientClipping(module, loss_reduction="sum", max_grad_norm=clip)
                if ghost
                else GradSampleModule(module, loss_reduction="sum")
            )
        except NotImplementedError:
            raise InputError(
                "usage", "a trained layer keeps buffers, which Opacus cannot clip", remedy="leave it out"
            ) from None
        self.clear()

    def clear(self) -> None:
        """Begin a logical batch: no sums yet."""
        import torch

        self.sums = [torch.zeros(p.shape, dtype=torch.float64, device=p.device) for p in self.parameters]
        self.broken = self.seen = 0

    def gradients(
        self, inputs: Any, targets: Any, examples: Any, count: int, share: float = 1.0
    ) -> list[Any]:
        """The examples' gradients before clipping, one tensor (count, ...) a parameter.

        Args:
            inputs, targets: tensors of n rows.
            examples: shape (n,), which of the ``count`` examples each row is of; None if each row is one.
            share: what each row counts: one over the number of views.
        """
        with _quiet():
            self._wrapped.train()
            self._losses(inputs, targets).sum().backward()
        found = []
        for p in self.parameters:
            rows = p.grad_sample if p.grad_sample is not None else p.new_zeros((len(inputs), *p.shape))
            p.grad_sample, p.grad = None, None
            if examples is not None:
                rows = p.new_zeros((count, *p.shape)).index_add_(0, examples, rows * share)
            found.append(rows.detach())
        return found

    def add(self, gradients: list[Any]) -> None:
        """Clip the examples' gradients and add them."""
        import torch

        flat = [one.reshape(len(one), -1) for one in gradients]
        norms = torch.stack([one.norm(2, dim=1) for one in flat]).norm(2, dim=0)
        numbers = torch.isfinite(norms)
        self.seen += len(norms)
        self.broken += int((~numbers).sum())
        if not bool(numbers.all()):
            flat, norms = [one[numbers] for one in flat], norms[numbers]
        factors = (self._clip / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(max=1.0)
        for total, one in zip(self.sums, flat, strict=True):
            total += (factors @ one).reshape(total.shape)

    def add_ghost(self, inputs: Any, targets: Any) -> None:
        """Clip and add the gradients of rows, each an example, without holding them."""
        import torch

        with _quiet():
            self._wrapped.train()
            self._wrapped.enable_hooks()
            losses = self._losses(inputs, targets)
            losses.sum().backward(retain_graph=True)
            factors = self._factors()
            self._zero()
            numbers = torch.isfinite(factors) & torch.isfinite(losses.detach())
            if not bool(numbers.all()):
                self.seen += int((~numbers).sum())
                self.broken += int((~numbers).sum())
                if bool(numbers.any()):
                    self.add_ghost(inputs[numbers], targets[numbers])
                return
            self._wrapped.disable_hooks()
            (factors.detach() * losses).sum().backward()
            self._wrapped.enable_hooks()
        self.seen += len(losses)
        for total, p in zip(self.sums, self.parameters, strict=True):
            if p.grad is not None:
                total += p.grad.detach()
        self._zero()

    def _factors(self) -> Any:
        try:
            return self._wrapped.get_clipping_coef()
        except AttributeError:
            raise InputError(
                "usage",
                "ghost clipping needs every parameter in every step, and one was not used",
                remedy="leave ghost out, or freeze the parameter",
            ) from None

    def _zero(self) -> None:
        for p in self.parameters:
            p.grad = None

    def _losses(self, inputs: Any, targets: Any) -> Any:
        return row_losses(self._loss, self._wrapped, inputs, targets)

    def close(self) -> None:
        """Take Opacus's hooks off the module again."""
        self._wrapped.cleanup()
