"""A graphical model as it is sampled from: each field given a few of those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.coded import Field, Given
from sfumato.synth.marginals.grouping import Scale, drawn_codes, restored_scales, scale_arrays
from sfumato.synth.marginals.rounding import strata
from sfumato.synth.marginals.zeros import Zeros, without


@dataclass(frozen=True)
class Part:
    """The distribution of a field's groups given those of ``parents``, shape (combinations, groups)."""

    place: int
    parents: tuple[int, ...]
    given: NDArray[np.float32]


@dataclass(frozen=True)
class Graphical:
    """Fields one after another; parents come before their children."""

    conditional: ClassVar[bool] = False

    fields: tuple[Field, ...]
    scales: tuple[Scale, ...]
    parts: tuple[Part, ...]
    zeros: Zeros
    learned: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """How it was learned, and how large it is."""
        size = sum(part.given.size for part in self.parts)
        return {**self.learned, "fit": "graphical", "parameters": int(size)}

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """New rows; what is given is not looked at."""
        del given
        return without(self.zeros, rows, {}, lambda count, _: self._drawn(count, random))

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """A table for each field, and the groups; the rest as JSON."""
        arrays = {**scale_arrays(self.scales)}
        arrays.update({f"given{part.place}": part.given for part in self.parts})
        order = [[part.place, *part.parents] for part in self.parts]
        return arrays, {"learned": dict(self.learned), "zeros": self.zeros.document(), "order": order}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> Graphical:
        """The model again."""
        parts = tuple(
            Part(place, tuple(parents), arrays[f"given{place}"]) for place, *parents in document["order"]
        )
        zeros = Zeros.restored(fields, document["zeros"])
        scales = restored_scales([field.size for field in fields], arrays)
        return cls(tuple(fields), scales, parts, zeros, dict(document["learned"]))

    def _drawn(self, rows: int, random: np.random.Generator) -> NDArray[np.int32]:
        groups = np.empty((rows, len(self.fields)), dtype=np.int64, order="F")
        codes = np.empty((rows, len(self.fields)), dtype=np.int32, order="F")
        for part in self.parts:
            combination = np.zeros(rows, dtype=np.int64)
            for parent in part.parents:
                combination = combination * self.scales[parent].groups + groups[:, parent]
            order = np.argsort(combination, kind="stable")
            occurring, component = np.unique(combination[order], return_inverse=True)
            shares = part.given[occurring].astype(np.float64)
            groups[order, part.place] = strata(component, shares, random)
            codes[:, part.place] = drawn_codes(self.scales[part.place], groups[:, part.place], random)
        return codes
