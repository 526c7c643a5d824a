"""From chosen examples to a sum of clipped gradients, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.training.clipping import Clipper
from sfumato.dp.training.examples import Chunk, Examples
from sfumato.dp.training.randomness import Keystream

#: From inputs (n, ...) and a torch.Generator to K augmented views of each, (n, K, ...).
Views = Callable[[Any, Any], Any]


class Feeder:
    """Brings rows to where the module is, in its type, and makes their views.

    Args:
        most: rows at a time, views counted.
    """

    def __init__(
        self, examples: Examples, module: Any, views: Views | None, most: int, *, ghost: bool
    ) -> None:
        import torch

        first = next(module.parameters())
        self._examples, self._views, self._ghost = examples, views, ghost
        self._device, self._type = first.device, first.dtype
        self._count = 1
        if views is not None:
            seen = self._viewed(examples.take(np.arange(1))[0], torch.Generator().manual_seed(0))
            self._count = seen.shape[1]
        self._most = max(1, most // self._count)

    def feed(self, clipper: Clipper, chosen: NDArray[np.int64], randomness: Keystream) -> None:
        """Add the clipped gradients of the chosen examples."""
        import torch

        generator = torch.Generator().manual_seed(int(randomness.words(1)[0] >> np.uint64(1)))
        pieces: list[Any] | None = None
        for chunk in self._examples.chunks(chosen, self._most):
            inputs, targets, places = self._rows(chunk, generator)
            if self._ghost:
                clipper.add_ghost(inputs, targets)
                continue
            gradients = clipper.gradients(inputs, targets, places, chunk.count, 1 / self._count)
            if pieces is not None:
                gradients = [one + more for one, more in zip(pieces, gradients, strict=True)]
            pieces = None if chunk.last else gradients
            if chunk.last:
                clipper.add(gradients)

    def _rows(self, chunk: Chunk, generator: Any) -> tuple[Any, Any, Any]:
        """Inputs, targets, and which example each row is of; None if each row is one."""
        import torch

        inputs, targets = self._examples.take(chunk.rows)
        places = torch.from_numpy(chunk.places)
        if self._views is not None:
            inputs = self._viewed(inputs, generator).flatten(0, 1)
            targets = targets.repeat_interleave(self._count, dim=0)
            places = places.repeat_interleave(self._count)
        alone = self._views is None and not self._examples.subjects
        return self._brought(inputs), self._brought(targets), None if alone else places.to(self._device)

    def _brought(self, rows: Any) -> Any:
        return rows.to(self._device, self._type if rows.dtype.is_floating_point else None)

    def _viewed(self, inputs: Any, generator: Any) -> Any:
        assert self._views is not None
        seen = self._views(inputs, generator)
        if seen.ndim != inputs.ndim + 1 or len(seen) != len(inputs) or seen.shape[1] < 1:
            raise InputError("usage", "views must give K views of each row, shape (n, K, ...)")
        return seen
