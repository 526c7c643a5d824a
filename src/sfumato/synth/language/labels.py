"""Words for the codes of an encoded table, from what the codes decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from sfumato.synth.encoding.columns import Coding
    from sfumato.synth.encoding.encoder import Encoder

_DRAWS = 15


def labels(encoder: Encoder) -> tuple[tuple[str, ...], ...]:
    """For each field the text of each of its codes: the value; of a bin, a value in its middle.

    They tell no more of the rows than what the encoder decodes to, and cost nothing beyond it.

    >>> from sfumato.synth.encoding.encoder import Encoder
    >>> table = pl.DataFrame({"sex": ["f", "m", None] * 20, "age": list(range(60))})
    >>> sex, age = labels(Encoder.fit(table, bins=3, values=2))
    >>> sex, all(word.isdigit() for word in age)
    (('f', 'm', 'missing'), True)
    """
    return tuple(_words(column) for column in encoder.columns)


def _words(column: Coding) -> tuple[str, ...]:
    size = column.field.size
    values = column.decode(np.repeat(np.arange(size, dtype=np.int32), _DRAWS), np.random.default_rng(0))
    middle = [
        (values[code * _DRAWS : (code + 1) * _DRAWS].sort())[_DRAWS // 2 : _DRAWS // 2 + 1]
        for code in range(size)
    ]
    found = pl.concat(middle)
    if found.dtype.is_float():
        words = [None if value is None else f"{value:.4g}" for value in found.to_list()]
    else:
        words = found.cast(pl.String).to_list()
    said = ["missing" if word is None else word for word in words]
    if getattr(column, "rare", False):
        said[size - 1 - (column.field.missing is not None)] = "other"
    return tuple(said)
