"""What a method of making images is, and on what terms it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.contracts import Params

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.budget import Budget

#: Is told what is done, how far it has come, and of how much.
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Seen:
    """Images to learn from.

    Attributes:
        pixels: shape (n, height, width), float32, 0 black to 1 white.
        labels: shape (n,), from 0 to below ``classes``.
        subject: for each image the number of its subject, shape (n,); None if each is for itself.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int
    subject: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]


@dataclass(frozen=True)
class Terms:
    """The terms of learning under differential privacy.

    ``budget`` holds what was set aside for the events of the method and nothing else; ``noise`` is the figure
    that these were made with, ``size`` about how many examples (images, or subjects) there are, as everybody
    may know it.
    """

    budget: Budget
    noise: float
    delta: float
    size: int


@dataclass(frozen=True)
class Learned:
    """A network, each class's share of the images, and facts for the dossier (JSON, of no person)."""

    module: Any
    shares: NDArray[np.float64]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


class Method(Protocol):
    """A way to learn images of classes, with and without differential privacy."""

    Params: ClassVar[type[Params]]
    summary: ClassVar[str]

    def __init__(self, params: Any) -> None: ...

    def events(self, noise: float, size: int) -> Sequence[DpEvent]:
        """Everything that a fit under differential privacy draws; it costs less the more noise there is."""

    def fit(self, seen: Seen, key: bytes, terms: Terms | None, progress: Watch | None) -> Learned:
        """Learn; without terms the same images and key give the same network."""

    def network(self, shape: tuple[int, int], classes: int, private: bool) -> Any:
        """The network before it learned, a ``torch.nn.Module``."""

    def draw(self, module: Any, labels: Any, generator: Any) -> Any:
        """New images of those labels, shape (n, height, width), 0 to 1; a tensor."""
