"""Several sensitive columns at once: a model of one of them, kept also to those who know others.

Machanavajjhala et al. 2007, *l-Diversity*, section 4.4: each sensitive column is looked at with the others
counted among the quasi-identifiers. A class over the quasi-identifiers stays only if each of its parts, in
which the others are alike too, keeps the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.classes.grouping import combine
from sfumato.classes.table import ClassTable
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError

_JOINT = "__sfumato_joint__"

#: Combinations of values of the column with those of the others, at most.
_MOST = 20_000_000


@dataclass(frozen=True)
class OthersKnown:
    """A ``model`` of a sensitive column that holds with the columns ``others`` known as well.

    It looks at a column of its own, named by :attr:`on`, that :meth:`joined` makes: a value of it stands
    for a value of the model's column together with one of the others.
    """

    model: PrivacyModel
    others: tuple[str, ...]
    #: Anybody added may bring values of the others that nobody in the class had.
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    @property
    def on(self) -> str:
        """The name of the joint column; no column of a source may have one like it."""
        return "\x1f".join((_JOINT, *self.columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at, the model's own first."""
        return (str(self.model.on), *self.others)

    @property
    def monotone(self) -> bool:
        """As the model: parts of classes put together are parts of the classes put together."""
        return self.model.monotone

    def joined(self, sensitive: Mapping[str, Sensitive]) -> Sensitive:
        """The joint column of some tuples, from their values of each.

        Raises:
            InputError: ``anonymity-impossible`` for more combinations than can be counted.
        """
        own = sensitive[str(self.model.on)]
        keys = combine([sensitive[name].codes for name in self.others])
        known, codes = np.unique(keys, return_inverse=True)
        width = len(own.overall)
        if len(known) * width > _MOST:
            raise InputError(
                "anonymity-impossible",
                "the values of sensitive columns have too many combinations for others to be known",
                where="anonymity.others_known",
                remedy="name only columns of few values, or round them first",
            )
        joint = codes.astype(np.int64) * width + own.codes
        return Sensitive(joint, np.bincount(joint, minlength=len(known) * width))

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes keep the model in each of their parts."""
        joint, own = table.sensitive[self.on], table.sensitive[str(self.model.on)]
        classes = np.repeat(np.arange(len(table.sizes)), np.diff(joint.starts))
        known, values = np.divmod(joint.values, max(1, len(own.overall)))
        new = np.ones(len(values), dtype=bool)
        new[1:] = (classes[1:] != classes[:-1]) | (known[1:] != known[:-1])
        (starts,) = np.nonzero(new)
        if not len(starts):
            return np.ones(len(table.sizes), dtype=bool)
        parts = Contingency(
            np.append(starts, len(values)), values, joint.counts, own.overall, own.tree, own.nodes
        )
        people = np.add.reduceat(joint.counts, starts)
        verdict = self.model.holds(ClassTable(people, {str(self.model.on): parts}))
        broken = np.bincount(classes[starts], ~verdict, len(table.sizes))
        return np.asarray(broken == 0)

    def explain(self) -> str:
        """The promise in one sentence."""
        return f"{self.model.explain()}; also to somebody who knows {' and '.join(self.others)} of the person"


def with_others_known(models: Sequence[object]) -> list[OthersKnown]:
    """Those of some models that take other columns to be known."""
    return [model for model in models if isinstance(model, OthersKnown)]
