"""Privacy models held against people where a person may have several rows, for any search.

A search counts what it is given. What it is given here are units of which each class has some, told apart
by one more column of theirs, :data:`WHOSE`; a model looks up whose rows these are and counts people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.classes.contingency import Sensitive
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel

#: The column that tells units apart; no column of a source may have a name like it.
WHOSE = "__sfumato_whose__"


@dataclass(frozen=True)
class Owners:
    """Whose rows units are, and what is sensitive in them.

    Unit u has the rows ``rows[starts[u]:starts[u + 1]]`` of ``people``, shape (rows,), who have the values
    of the ``sensitive`` columns; people ascend with units.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    people: NDArray[np.int64]
    sensitive: Mapping[str, Sensitive]

    @classmethod
    def of_rows(cls, people: NDArray[np.int64], sensitive: Mapping[str, Sensitive]) -> Owners:
        """Each unit is one row, and people ascend."""
        one = np.arange(len(people) + 1)
        return cls(one, one[:-1], people, sensitive)

    @property
    def column(self) -> Sensitive:
        """What tells the units apart."""
        units = len(self.starts) - 1
        return Sensitive(np.arange(units), np.ones(units, dtype=np.int64))

    def table(self, units: ClassTable, on: str | None) -> ClassTable:
        """The people of classes of units, and their values of one column."""
        held = units.sensitive[WHOSE]
        classes = np.repeat(np.arange(len(units.sizes)), np.diff(held.starts))
        if on is None:
            whose = self.people[self.rows[self.starts[held.values]]]
            new = np.ones(len(whose), dtype=bool)
            new[1:] = (whose[1:] != whose[:-1]) | (classes[1:] != classes[:-1])
            return ClassTable(np.bincount(classes[new], minlength=len(units.sizes)).astype(np.int64))
        lengths = np.diff(self.starts)[held.values]
        before = np.cumsum(lengths) - lengths
        at = np.arange(int(lengths.sum())) + np.repeat(self.starts[held.values] - before, lengths)
        rows = self.rows[at]
        column = self.sensitive[on]
        chosen = Units(
            np.ones(len(rows), dtype=np.int64),
            {on: Sensitive(column.codes[rows], column.overall, column.tree)},
        )
        people = Subjects(self.people[rows], linked=False)
        return people.table(chosen, np.repeat(classes, lengths), len(units.sizes))


@dataclass(frozen=True)
class OfPeople:
    """A ``model`` of people, held against the ``owners`` of a class's units."""

    model: PrivacyModel
    owners: Owners
    #: Is a unit all that a person has? Then nobody is in two classes.
    whole_people: bool
    counts_population: ClassVar[bool] = False

    @property
    def on(self) -> str:
        """The column that it looks at."""
        return WHOSE if self.model.on is None else self.model.on

    @property
    def monotone(self) -> bool:
        """Two classes with a person in common are less together than the sum of both."""
        return self.model.monotone if self.whole_people else self.absorbing

    @property
    def absorbing(self) -> bool:
        """Whoever is added is one more person, or nobody new."""
        return self.model.absorbing and not self.model.whole

    @property
    def whole(self) -> bool:
        """As the model."""
        return self.model.whole

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes keep the model, counted in people."""
        return self.model.holds(self.owners.table(table, self.model.on))

    def explain(self) -> str:
        """The promise in one sentence."""
        return self.model.explain()


def of_people(
    models: Sequence[PrivacyModel], owners: Owners, least: int, *, whole_people: bool
) -> tuple[PrivacyModel, ...]:
    """Models of people for a search that counts units.

    Args:
        models: what people are promised.
        owners: whose rows the units are.
        least: the fewest people that the models take; so many units at least a class has then.
        whole_people: each unit is all that a person has.
    """
    fewest = (KAnonymity(KAnonymity.Params(k=least)),) if least > 1 else ()
    asked = (cast("PrivacyModel", OfPeople(model, owners, whole_people)) for model in models)
    return (*fewest, *asked)
