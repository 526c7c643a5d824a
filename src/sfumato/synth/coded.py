"""Rows as synthesizers see them: whole numbers, one a field, whatever the columns were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget


@dataclass(frozen=True)
class Field:
    """One coded field of a column.

    ``size`` is the number of codes, from 0; ``ordered`` says that codes go from low to high (numbers, dates),
    ``missing`` is the code that stands for no value, None if no value is missing. A column may be coded in
    several fields (a category of ten thousand values, say); ``name`` tells them apart, ``column`` is theirs.
    """

    name: str
    column: str
    size: int
    ordered: bool
    missing: int | None = None


@dataclass(frozen=True)
class Coded:
    """Coded rows: ``codes`` has shape (rows, fields), int32, column after column in memory.

    ``target`` is the place of the field that models are to foretell, None if there is none. ``labels`` are
    words for each field's codes, for synthesizers that read; ``texts`` are columns of free text, row by row.
    """

    fields: tuple[Field, ...]
    codes: NDArray[np.int32]
    target: int | None = None
    labels: tuple[tuple[str, ...] | None, ...] | None = None
    texts: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of codes of each field."""
        return tuple(one.size for one in self.fields)


#: What is fixed while rows are made, by the place of a field: a code for each row, shape (rows,), int32; or
#: which codes are allowed in all rows, shape (size,), bool.
Given = Mapping[int, "NDArray[np.int32] | NDArray[np.bool_]"]


@dataclass(frozen=True)
class Private:
    """The terms of a fit under differential privacy.

    Whatever a synthesizer learns of the codes is charged to ``budget``, which holds what was set aside for
    its :meth:`~sfumato.contracts.Synthesizer.event` and nothing else. ``noise`` is the multiplier that this
    event was made with; ``size`` about how many rows there are, as everybody may know it: the number of rows
    itself is private, and is not looked at.
    """

    budget: Budget
    noise: float
    delta: float
    size: int
    relation: Literal["add-remove", "replace-one"] = "add-remove"
    unit: Literal["row", "subject"] = "row"
