"""A module as private training can use it: no layer may mix the rows of a batch."""

from __future__ import annotations

import copy
import math
from typing import Any

from sfumato.core.errors import InputError

_REMEDY = "use layers that treat each row for itself, such as GroupNorm or LayerNorm"


def need_deep() -> None:
    """Refuse, with the remedy, if PyTorch or Opacus is not installed."""
    try:
        import opacus  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        raise InputError(
            "usage",
            "training a module needs PyTorch and Opacus, which are not installed",
            remedy="pip install 'sfumato[deep]'",
        ) from None


def prepared(module: Any, rows: Any) -> tuple[Any, list[str]]:
    """A copy of a module, fit to be trained row by row, and what was changed in it.

    Args:
        module: a ``torch.nn.Module``; it stays as it is.
        rows: a batch of inputs of any length, for shape and type alone.

    Raises:
        InputError: ``usage`` for a module with nothing to train, that mixes rows, or whose layers hold what
            they saw.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError("usage", "what is to be trained is no torch.nn.Module")
    fit = copy.deepcopy(module)
    replaced = _without_batch_norm(fit)
    notices = []
    if replaced:
        places = ", ".join(place or "the module itself" for place, _ in replaced)
        notices.append(
            f"BatchNorm was replaced by GroupNorm ({places}): in it a row acts on all others of its batch"
        )
        if replaced[0][0] == "":
            fit = replaced[0][1]
    if not any(p.requires_grad for p in fit.parameters()):
        raise InputError("usage", "the module has no parameter to train")
    _refuse_memory(fit)
    _refuse_mixing(fit, rows)
    return fit, notices


def _without_batch_norm(module: Any) -> list[tuple[str, Any]]:
    """Replace every BatchNorm by a GroupNorm (Wu & He 2018, arXiv 1803.08494); the places and the new."""
    import torch

    found = []
    for place, layer in list(module.named_modules()):
        if not isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            continue
        if layer.num_features == 0:
            raise InputError(
                "usage", f"the layer {place!r} does not know its width yet", remedy="pass one batch first"
            )
        fresh = torch.nn.GroupNorm(_groups(layer), layer.num_features, affine=layer.affine)
        if layer.affine:
            fresh = fresh.to(layer.weight.device, layer.weight.dtype)
        if place:
            parent, _, name = place.rpartition(".")
            setattr(module.get_submodule(parent), name, fresh)
        found.append((place, fresh))
    return found


def _groups(layer: Any) -> int:
    """How many groups stand in for a BatchNorm: 32 at most; of at least 8 numbers where there are no places.

    Over a single number a group's mean is the number itself, and nothing would pass.
    """
    import torch

    groups = math.gcd(32, layer.num_features)
    if isinstance(layer, torch.nn.BatchNorm1d):
        while groups > 1 and layer.num_features // groups < 8:
            groups //= 2
    return groups


def _refuse_memory(module: Any) -> None:
    """Refuse layers that keep running figures of what passes through them: nobody adds noise to those."""
    import torch

    for place, layer in module.named_modules():
        if isinstance(layer, torch.nn.modules.instancenorm._InstanceNorm) and layer.track_running_stats:
            raise InputError(
                "usage", f"the layer {place!r} keeps running figures of the rows", remedy=_REMEDY
            )


def _refuse_mixing(module: Any, rows: Any) -> None:
    """Refuse a module in which a row's output depends on the row beside it. Tried on made-up rows."""
    import torch

    first = next(module.parameters())
    kind = first.dtype if rows.dtype.is_floating_point else rows.dtype
    alike = torch.zeros((2, *rows.shape[1:]), dtype=kind, device=first.device)
    other = alike.clone()
    other[1] = 1
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            one, changed = module(alike), module(other)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = tuple(rows.shape[1:])
        raise InputError(
            "usage",
            f"the module cannot take rows of shape {shape} and type {rows.dtype}: {type(error).__name__}",
            remedy="give data of the shape and type that the module's first layer takes",
        ) from None
    finally:
        module.train(training)
    if not isinstance(one, torch.Tensor) or len(one) != 2:
        raise InputError("usage", "the module must give one tensor with a row for each row it takes")
    if not torch.equal(torch.nan_to_num(one[0]), torch.nan_to_num(changed[0])):
        raise InputError("usage", "in this module a row acts on the output of others", remedy=_REMEDY)
