"""Combinations of codes that cannot be: no row that is made has one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.coded import Field, Given

#: After so many draws a row is taken to have no way around the combinations.
_TRIES = 200


@dataclass(frozen=True)
class Zeros:
    """For each combination the codes of each of its fields, by place, as a mask of shape (size,)."""

    masks: tuple[Mapping[int, NDArray[np.bool_]], ...] = ()

    @classmethod
    def of(cls, fields: Sequence[Field], zeros: Sequence[Mapping[str, Sequence[int]]]) -> Zeros:
        """From the names of fields and their codes.

        Raises:
            InputError: ``usage``: there is no such field or code.
        """
        names = {field.name: place for place, field in enumerate(fields)}
        masks = []
        for zero in zeros:
            mask = {}
            for name, codes in zero.items():
                if name not in names or not all(0 <= code < fields[names[name]].size for code in codes):
                    raise InputError("usage", "an impossible combination names no field or code", where=name)
                mask[names[name]] = np.isin(np.arange(fields[names[name]].size), codes)
            masks.append(mask)
        return cls(tuple(masks))

    @classmethod
    def restored(cls, fields: Sequence[Field], document: Sequence[Mapping[str, Sequence[int]]]) -> Zeros:
        """From :meth:`document`."""
        places = [{int(place): codes for place, codes in zero.items()} for zero in document]
        return cls(
            tuple(
                {place: np.isin(np.arange(fields[place].size), codes) for place, codes in zero.items()}
                for zero in places
            )
        )

    def document(self) -> list[Mapping[str, list[int]]]:
        """As JSON."""
        return [
            {str(place): np.flatnonzero(mask).tolist() for place, mask in zero.items()} for zero in self.masks
        ]

    def broken(self, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which rows have a combination that cannot be, shape (rows,)."""
        out = np.zeros(len(codes), dtype=np.bool_)
        for zero in self.masks:
            hit = np.ones(len(codes), dtype=np.bool_)
            for place, mask in zero.items():
                hit &= mask[codes[:, place]]
            out |= hit
        return out


def without(
    zeros: Zeros, rows: int, given: Given, draw: Callable[[int, Given], NDArray[np.int32]]
) -> NDArray[np.int32]:
    """Rows drawn anew until none has an impossible combination: the model on what is possible.

    Raises:
        InputError: ``usage``: some rows find no way.
    """
    codes = draw(rows, given)
    for _ in range(_TRIES):
        again = np.flatnonzero(zeros.broken(codes))
        if not len(again):
            return codes
        some = {place: what if what.dtype == np.bool_ else what[again] for place, what in given.items()}
        codes[again] = draw(len(again), some)
    raise InputError(
        "usage",
        "rows as they are asked for have hardly any way around the combinations that cannot be",
        where="zeros",
        remedy="ask for other rows, or declare fewer combinations",
    )


def split(
    fields: Sequence[Field], given: Given
) -> tuple[dict[int, NDArray[np.int32]], dict[int, NDArray[np.bool_]]]:
    """What is given, as codes for each row and as codes that are allowed.

    Raises:
        InputError: ``usage``: nothing is allowed of a field.
    """
    fixed: dict[int, NDArray[Any]] = {}
    allowed: dict[int, NDArray[np.bool_]] = {}
    for place, what in given.items():
        if what.dtype != np.bool_:
            fixed[place] = what
        elif what.any():
            allowed[place] = what.astype(np.bool_)
        else:
            raise InputError("usage", "no value of the column is allowed", where=fields[place].column)
    return fixed, allowed
