"""Losses with one value for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from sfumato.core.errors import InputError, nearest
from sfumato.dp.training.clipping import Loss

Named = Literal["cross-entropy", "binary", "squared"]


def resolved(loss: Named | Loss) -> Loss:
    """The loss that a name stands for; a function as it is.

    Raises:
        InputError: ``usage``: an unknown name, or a PyTorch loss that reduces over the rows.
    """
    if isinstance(loss, str):
        if loss not in _LOSSES:
            raise InputError("usage", f"there is no loss {loss!r}", remedy=nearest(loss, get_args(Named)))
        return _LOSSES[loss]
    if getattr(loss, "reduction", "none") != "none":
        raise InputError(
            "usage",
            "this loss is reduced over the rows, and gradients of single rows are needed",
            remedy='make it with reduction="none"',
        )
    return loss


def _cross_entropy(outputs: Any, targets: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(outputs, targets.long(), reduction="none")


def _binary(outputs: Any, targets: Any) -> Any:
    import torch

    flat = outputs.reshape(len(outputs))
    return torch.nn.functional.binary_cross_entropy_with_logits(
        flat, targets.to(flat.dtype), reduction="none"
    )


def _squared(outputs: Any, targets: Any) -> Any:
    difference = outputs - targets.reshape(outputs.shape).to(outputs.dtype)
    return difference.square().reshape(len(outputs), -1).sum(dim=1) / 2


_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross-entropy": _cross_entropy,
    "binary": _binary,
    "squared": _squared,
}
