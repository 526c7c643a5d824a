"""Rows made field by field, each foretold from those before it: the default without differential privacy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limits

from sfumato.contracts import Params
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.dp.training.trained import sampled_gaussian
from sfumato.synth.coded import Coded, Field, Given, Private
from sfumato.synth.learning import Plan, arrays_of, learn, need_deep, seeded
from sfumato.synth.networks.draws import Drawer, softened
from sfumato.synth.networks.tables import HeadTables, PairTables

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: Rows that are looked at in all, about, where the number of epochs is not said.
_LOOKS = 390_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 100
#: Numbers in all hidden layers together, about, where their width is not said.
_HIDDEN = 960
#: Share of what a row says, and of hidden numbers, that is left out of a step.
_DROPOUT = 0.1
_DECAY = 0.01
#: Under differential privacy: numbers that a field's codes are described by at most, and how large.
_MOST_SHAPES = 16
_SCALE = 2.0


class AutoregressiveParams(Params):
    """How large, and how long."""

    epochs: int | None = Limits(None, ge=1, le=10_000)
    """Times that each row is seen at most, without differential privacy; fewer for more rows by itself."""
    batch: int | None = Limits(None, ge=1)
    """Rows in a step, without differential privacy."""
    hidden: int | None = Limits(None, ge=4, le=4096)
    """Width of each field's hidden layer, without differential privacy."""
    lr: float = Limits(2e-3, gt=0, le=1)
    """Learning rate, without differential privacy."""
    steps: int = Limits(200, ge=1, le=100_000)
    """Steps under differential privacy."""
    rate: float = Limits(0.1, gt=0, le=1)
    """Share of the rows that takes part in a step, under differential privacy."""
    private_lr: float = Limits(0.04, gt=0, le=10)
    """Learning rate under differential privacy."""
    clip: float = Limits(1.0, gt=0)
    """Bound of one row's gradient under differential privacy."""


@dataclass(frozen=True)
class AutoregressiveModel:
    """Heads for each field, and the order in which they draw."""

    drawer: Drawer
    told: Mapping[str, Any]

    conditional: ClassVar[bool] = True

    @property
    def facts(self) -> Mapping[str, Any]:
        """Parameters, epochs or steps, the order; without differential privacy the losses a row, in nats."""
        return self.told

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields).

        Without differential privacy fields with a code for each row come first, and the others are drawn
        given them, as they are given one choice of codes. With more choices, or under differential privacy,
        where the order is fixed, each row is chosen among 32 by how likely what is given is in it.
        """
        return self.drawer.rows(rows, random, given)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Weights, and the order."""
        network = self.drawer.network
        assert isinstance(network, HeadTables | PairTables)
        document = {"order": list(self.drawer.order), "any": self.drawer.any_order, "facts": dict(self.told)}
        return network.arrays, document

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> AutoregressiveModel:
        """The model again; PyTorch is not needed for it."""
        return _model(fields, arrays, document["order"], document["any"], document["facts"])


def _model(
    fields: Sequence[Field],
    arrays: Mapping[str, NDArray[Any]],
    order: Sequence[int],
    any_order: bool,
    told: Mapping[str, Any],
) -> AutoregressiveModel:
    sizes = tuple(field.size for field in fields)
    network: HeadTables | PairTables = (
        HeadTables(sizes, arrays) if any_order else PairTables(tuple(order), arrays)
    )
    return AutoregressiveModel(Drawer(network, tuple(fields), tuple(order), any_order), told)


class Autoregressive:
    """Draws each field given those before it, by networks; any fields may be given."""

    Params: ClassVar[type[Params]] = AutoregressiveParams
    summary: ClassVar[str] = (
        "each field foretold from those before it by a network; any fields may be given; with differential"
        " privacy by noise on gradients"
    )
    sees: ClassVar[Literal["rows", "marginals"]] = "rows"
    has_private: ClassVar[bool] = True

    def __init__(self, params: AutoregressiveParams) -> None:
        self.params = params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """Gaussian noise on the gradients of a Poisson sample, in each step."""
        del fields, size
        event: DpEvent = sampled_gaussian(self.params.rate, noise, self.params.steps)
        return event

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> AutoregressiveModel:
        """Learn from coded rows; see :class:`~sfumato.contracts.Synthesizer`.

        Args:
            checkpoint: a file to go on from if learning is cut off; see
                :func:`sfumato.synth.learning.learn`. Not under differential privacy.
        """
        need_deep()
        if not coded.fields or (private is None and not len(coded.codes)):
            raise InputError("usage", "there are no rows or no fields to learn from")
        if private is not None:
            return self._private(coded, private, progress)
        return self._plain(coded, key, progress, checkpoint)

    def _plain(
        self,
        coded: Coded,
        key: bytes,
        progress: Callable[[str, int, int], None] | None,
        checkpoint: Path | None,
    ) -> AutoregressiveModel:
        import torch

        from sfumato.synth.networks.heads import Heads, Orders

        rows, params = len(coded.codes), self.params
        hidden = params.hidden or min(96, max(16, _HIDDEN // len(coded.fields)))
        epochs = params.epochs or min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_LOOKS / rows)))
        batch = params.batch or min(512, max(16, rows // 50))
        order = _order(coded)
        with seeded(derive(key, "autoregressive")):
            heads = Heads(coded.fields, 16 if len(order) <= 50 else 8, hidden, _DROPOUT)
        heads.start(
            [softened(np.bincount(coded.codes[:, at], minlength=size)) for at, size in enumerate(coded.sizes)]
        )
        learned = learn(
            heads,
            [torch.from_numpy(coded.codes.astype(np.int64))],
            Orders(order).loss,
            Plan(epochs, batch, params.lr, decay=_DECAY),
            derive(key, "autoregressive"),
            progress=progress,
            checkpoint=checkpoint,
        )
        arrays = arrays_of(learned.module)
        told = {
            "parameters": sum(array.size for array in arrays.values()),
            "epochs": learned.epochs,
            "loss": round(learned.loss, 4),
            "validation_loss": None if learned.validation is None else round(learned.validation, 4),
            "gap": None if learned.gap is None else round(learned.gap, 4),
            "order": [coded.fields[place].name for place in order],
        }
        return _model(coded.fields, arrays, order, True, told)

    def _private(
        self, coded: Coded, private: Private, progress: Callable[[str, int, int], None] | None
    ) -> AutoregressiveModel:
        import torch

        from sfumato.dp.training.train import train
        from sfumato.synth.networks.pairs import Pairs

        params, order = self.params, _order(coded)
        pairs = Pairs(coded.fields, order, _MOST_SHAPES, _SCALE)
        codes = torch.from_numpy(coded.codes.astype(np.int64))
        trained = train(
            pairs,
            (codes, codes),
            loss=pairs.losses,
            budget=private.budget,
            delta=private.delta,
            noise_multiplier=private.noise,
            rate=params.rate,
            steps=params.steps,
            clip=params.clip,
            lr=params.private_lr,
            optimizer="adam",
            size=private.size,
            subject=range(len(codes)) if private.unit == "subject" else None,
            ghost=private.unit == "row",
            average=1.0,
            place="autoregressive",
            watch=None if progress is None else lambda step: progress("learning", step.step, step.steps),
        )
        arrays = trained.module.arrays()
        told = {
            "parameters": sum(p.numel() for p in trained.module.parameters() if p.requires_grad),
            "steps": params.steps,
            "rate": params.rate,
            "clip": params.clip,
            "noise": private.noise,
            "order": [coded.fields[place].name for place in order],
        }
        return _model(coded.fields, arrays, order, False, told)


def _order(coded: Coded) -> tuple[int, ...]:
    """The fields as they come, and the target, which all others are to foretell, last."""
    return tuple(sorted(range(len(coded.fields)), key=lambda place: place == coded.target))
