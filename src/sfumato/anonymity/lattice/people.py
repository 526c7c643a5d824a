"""The lattice where a person may have several rows: what counts in a class are people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice.grid import Checked, Grid, Node
from sfumato.anonymity.lattice.problem import Problem
from sfumato.anonymity.measures.columns import Classes
from sfumato.classes.grouping import combine, group
from sfumato.classes.subjects import Subjects


class PeopleGrid(Grid):
    """Nodes checked on people.

    Tuples are never merged beforehand, for their people do not add up. Of the models only those prune
    that a class keeps with anybody added: two classes with a person in common are less together than
    the sum of both.
    """

    def __init__(self, problem: Problem, subjects: Subjects) -> None:
        super().__init__(problem)
        self._subjects = subjects
        self._strict = [model for model in problem.models if model.absorbing and not model.whole]

    def check(self, node: Node) -> Checked:
        """Make a node's classes and hold the models against their people."""
        models, counts = self.problem.models, self.problem.units.counts
        tuples, _ = self._merging.group(node, self._merging.all)
        numbers, sizes = group(self._subjects.classes(tuples, counts), counts)
        table = self._subjects.table(self.problem.units, numbers, len(sizes))
        open_ = holding(self._strict, table)
        holds = open_ if len(self._strict) == len(models) else holding(models, table)
        least = int(sizes[~open_].sum())
        hopeless = least > self.problem.limit
        return Checked(self._merging.all, numbers, sizes, holds, open_, least, hopeless)

    def classes(self, node: Node, checked: Checked) -> Classes:
        """A checked node as measures see it: rows that look the same and stay or go together."""
        tuples, _ = self._merging.group(node, self._merging.all)
        stays = checked.stays[checked.numbers]
        numbers, sizes = group(combine([tuples, stays]), self.problem.units.counts)
        together = np.zeros(len(sizes), dtype=bool)
        together[numbers] = stays
        return Classes(self.named(node), numbers, sizes, together, self.gone(checked, checked.stays))

    def people(self, checked: Checked) -> NDArray[np.int64]:
        """The people of each class."""
        return self._subjects.table(self.problem.units, checked.numbers, len(checked.sizes)).sizes


def grid_of(problem: Problem) -> Grid:
    """The grid of a problem."""
    return Grid(problem) if problem.subjects is None else PeopleGrid(problem, problem.subjects)
