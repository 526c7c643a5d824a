"""What users hold: a taught synthesizer, from which new rows are made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.engines.interchange import like
from sfumato.synth import SYNTHESIZERS, saved
from sfumato.synth.conditions import Balance, Where, cells, matching, wanted
from sfumato.synth.constraints import Rules
from sfumato.synth.encoding.encoder import Encoder

if TYPE_CHECKING:
    from sfumato.contracts import SynthesisModel

#: Rows are made in batches of so many, whatever is asked for.
BATCH = 100_000
#: Of draws that conditions refuse: in one go, and in all for each row that is asked for.
_MOST_AT_ONCE = 50_000
_MOST_DRAWN, _MOST_A_ROW = 500_000, 1_000


@dataclass(frozen=True)
class Charged:
    """What was charged for a fit: at most ``epsilon`` at ``delta`` under the budget's relation.

    ``replace_epsilon`` is the cost if a person's data are replaced; ``event`` is what was done, as JSON;
    ``size`` about how many rows there are, declared or counted with noise.
    """

    epsilon: float
    delta: float
    replace_epsilon: float
    event: Mapping[str, Any]
    size: int
    unit: Literal["row", "subject"]
    relation: Literal["add-remove", "replace-one"]


@dataclass(frozen=True)
class Synthetic:
    """A taught synthesizer. New rows have the columns and types of the table that it learned from.

    Making rows costs nothing of a privacy budget, however many they are. Made by
    :func:`~sfumato.synth.fitting.fit` or :func:`load`.
    """

    method: str
    encoder: Encoder
    model: SynthesisModel
    rules: Rules
    facts: Mapping[str, Any]
    charged: Charged | None = None
    kind: Any = None
    texts: tuple[str, ...] = ()

    @property
    def epsilon(self) -> float:
        """The most that the fit tells of a person, infinite without differential privacy."""
        return math.inf if self.charged is None else self.charged.epsilon

    @property
    def delta(self) -> float:
        """The delta of :attr:`epsilon`."""
        return 0.0 if self.charged is None else self.charged.delta

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What was charged, as JSON (:mod:`sfumato.dp.events`); None without differential privacy."""
        return None if self.charged is None else self.charged.event

    def sample(
        self,
        rows: int,
        *,
        where: Where | None = None,
        balance: Balance | None = None,
        seed: int = 0,
        key: bytes | None = None,
    ) -> Any:
        """New rows; the same seed or key gives the same.

        Args:
            where: what each row must be: ``{"sex": "F", "age": (30, 40), "education": ["Masters", None]}``.
            balance: the shares that groups must have: ``{"sex": "even"}`` or ``{"sex": {"F": .5, "M": .5}}``;
                rows with both where and balance keep both.
            key: 32 bytes; or ``seed``.

        Raises:
            InputError: ``unknown-name``: a column that is not there; ``usage``: what is asked cannot be, or
                is so rare that no such row was made.
        """
        parts = list(self._made(rows, BATCH, where, balance, seed, key))
        return self._out(pl.concat(parts) if parts else self._empty())

    def stream(
        self,
        rows: int,
        *,
        batch: int = BATCH,
        where: Where | None = None,
        balance: Balance | None = None,
        seed: int = 0,
        key: bytes | None = None,
    ) -> Iterator[Any]:
        """New rows in tables of ``batch`` rows, one after another: memory for one of them is enough.

        With the default batch they are the rows of :meth:`sample`.
        """
        for part in self._made(rows, batch, where, balance, seed, key):
            yield self._out(part)

    def content(self) -> bytes:
        """Everything that :func:`load` needs: numbers and JSON (safetensors), no code.

        What is in it was learned from people; it is as private as the rows that can be made from it.
        """
        arrays, document = self.model.state()
        whole = {
            "method": self.method,
            "model": {"class": saved.place_of(self.model), "document": dict(document)},
            "encoder": self.encoder.document(),
            "rules": self.rules.document(),
            "facts": dict(self.facts),
            "charged": None if self.charged is None else asdict(self.charged),
            "texts": list(self.texts),
        }
        return saved.content(arrays, whole)

    def save(self, path: str | Path) -> None:
        """Write :meth:`content` to a file."""
        saved.write(path, self.content())

    def _made(
        self,
        rows: int,
        batch: int,
        where: Where | None,
        balance: Balance | None,
        seed: int,
        key: bytes | None,
    ) -> Iterator[pl.DataFrame]:
        if rows < 0 or batch < 1:
            raise InputError("usage", "rows are counted from 0, batches from 1")
        # Refused here, before the first row is asked for.
        wanted(where, self.rules.schema)
        root = key if key is not None else derive(bytes(32), "rows", str(seed))
        for number, begin in enumerate(range(0, rows, batch)):
            random = generator(derive(root, "batch", str(number)))
            many = min(batch, rows - begin)
            part = (
                self._balanced(many, random, where, balance) if balance else self._some(many, random, where)
            )
            yield self.rules.numbered(part, begin + 1)

    def _balanced(
        self, rows: int, random: np.random.Generator, where: Where | None, balance: Balance
    ) -> pl.DataFrame:
        for name in balance:
            if name in (where or {}):
                raise InputError("usage", "a column is in where and in balance", where=name)
        parts = [
            self._some(many, random, {**(where or {}), **group})
            for group, many in cells(balance, rows, self.encoder)
        ]
        whole = pl.concat(parts) if parts else self._empty()
        return whole[random.permutation(whole.height)]

    def _some(self, rows: int, random: np.random.Generator, where: Where | None) -> pl.DataFrame:
        """Rows that meet conditions and keep constraints; drawn again where they do not."""
        conditions = wanted(where, self.rules.schema)
        encoder, masks = self.encoder.within(
            {name: each for name, each in conditions.items() if name not in self.rules.computes}
        )
        for place, mask in masks.items():
            if not mask.any():
                raise _nothing(encoder.fields[place].column)
        keep = matching(conditions) & self.rules.holds()
        given = masks if self.model.conditional else {}
        found: list[pl.DataFrame] = []
        have = drawn = 0
        while have < rows:
            share = max(have, 1) / drawn if drawn else 1.0
            ask = min(math.ceil((rows - have) / share * 1.05) if drawn else rows, _MOST_AT_ONCE)
            codes = self.model.sample(ask, random, given)
            drawn += ask
            for place, mask in masks.items():
                codes = codes[mask[codes[:, place]]]
            made = self.rules.restored(encoder.decode(codes, random))
            fits = made.with_row_index(ROW).filter(keep)[ROW].to_numpy()[: rows - have]
            made = self._with_texts(made[fits], codes[fits], random)
            found.append(made)
            have += made.height
            if have < rows and drawn >= max(_MOST_DRAWN, _MOST_A_ROW * have):
                raise _nothing(", ".join(conditions) or ", ".join(map(str, self.rules.looked)))
        return pl.concat(found) if found else self._empty()

    def _with_texts(
        self, made: pl.DataFrame, codes: NDArray[np.int32], random: np.random.Generator
    ) -> pl.DataFrame:
        """Free texts for rows that stay, from a model that writes them."""
        if not self.texts:
            return made
        found = self.model.texts(codes, random)  # type: ignore[attr-defined]
        return made.with_columns(pl.Series(name, found[name], dtype=pl.String) for name in self.texts)

    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema={**self.rules.schema, **dict.fromkeys(self.texts, pl.String)})

    def _out(self, frame: pl.DataFrame) -> Any:
        return frame if self.kind is None else like(frame, self.kind)


def load(path: str | Path) -> Synthetic:
    """The taught synthesizer that :meth:`Synthetic.save` wrote; its rows come as Polars tables.

    Raises:
        InputError: ``source-missing``, ``source-unreadable``.
    """
    arrays, document = saved.read(path)
    try:
        encoder = Encoder.restored(document["encoder"])
        kind = saved.class_at(document["model"]["class"], SYNTHESIZERS.resolve(document["method"]))
        model = kind.restored(encoder.fields, arrays, document["model"]["document"])
        rules = Rules.from_document(document["rules"])
        charged = None if document["charged"] is None else Charged(**document["charged"])
        texts = tuple(document["texts"])
        return Synthetic(document["method"], encoder, model, rules, document["facts"], charged, None, texts)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            "source-unreadable", "not a synthesizer that sfumato saved", where=str(path)
        ) from None


def _nothing(where: str) -> InputError:
    return InputError(
        "usage",
        "no row could be made as is asked for",
        where=where,
        remedy="ask for values that occur more often; what few people have was not learned",
    )
