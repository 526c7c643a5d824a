"""Small lattice problems, and the answer to them by trying every node with classes in dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sfumato.anonymity import MEASURES, MODELS
from sfumato.anonymity.lattice import Problem
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.hierarchies.intervals import IntervalHierarchy
from sfumato.hierarchies.ladder import Ladder
from sfumato.hierarchies.suppress import SuppressHierarchy

#: Widths of intervals by column; none is the value or nothing.
SHAPES: list[tuple[int, ...]] = [(2, 4), (), (3,)]


def model(name: str, **params: Any) -> Any:
    kind = MODELS.resolve(name)
    return kind(kind.Params(**params))


def ladder(column: str, values: Sequence[int], widths: tuple[int, ...]) -> Ladder:
    series = pl.Series(column, values)
    kind: Any = (
        IntervalHierarchy(IntervalHierarchy.Params.model_validate({"widths": widths}), None)
        if widths
        else SuppressHierarchy(SuppressHierarchy.Params(), None)
    )
    return Ladder.build(kind, series, pl.Series(range(len(values))))


def problem(
    rows: np.ndarray,
    counts: np.ndarray,
    limit: int,
    models: Sequence[Any],
    measure: str = "loss",
    shapes: Sequence[tuple[int, ...]] = SHAPES,
    **more: Any,
) -> Problem:
    """Columns of small integers with a ladder each; a last column beyond them is sensitive and the target."""
    ladders, positions = [], []
    for j, widths in enumerate(shapes):
        values, at = np.unique(rows[:, j], return_inverse=True)
        ladders.append(ladder(f"c{j}", values.tolist(), widths))
        positions.append(at)
    sensitive = {}
    if rows.shape[1] > len(shapes):
        codes = rows[:, -1].astype(np.int64)
        overall = np.bincount(codes, counts).astype(np.int64)
        sensitive = {"s": Sensitive(codes, overall)}
        more.setdefault("target", codes)
    units = Units(counts, sensitive)
    return Problem(ladders, np.stack(positions), units, models, limit, MEASURES.resolve(measure), **more)


def tables(columns: int = 3, most: int = 14) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Distinct tuples of numbers below 8, the last column below 3, with their rows."""

    def unique(drawn: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if columns > len(SHAPES):
            drawn[0][:, -1] %= 3
        rows, first = np.unique(drawn[0], axis=0, return_index=True)
        return rows, drawn[1][first]

    return st.integers(2, most).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.int64, (n, columns), elements=st.integers(0, 7)),
            hnp.arrays(np.int64, n, elements=st.integers(1, 4)),
        ).map(unique)
    )


class Reference:
    """Every figure of a node, from one row at a time."""

    def __init__(self, asked: Problem, node: tuple[int, ...], holds: Any) -> None:
        self.people = [
            [
                (int(at[i]), str(step.labels[level][int(at[i])]), float(step.shares[level][int(at[i])]))
                for step, level, at in zip(asked.ladders, node, asked.positions, strict=True)
            ]
            for i in range(len(asked.units.counts))
            for _ in range(int(asked.units.counts[i]))
        ]
        target = asked.target if asked.target is not None else np.zeros(len(asked.units.counts), int)
        self.targets = [int(t) for t, c in zip(target, asked.units.counts, strict=True) for _ in range(c)]
        self.asked, self.node = asked, node
        self.labels = [tuple(label for _, label, _ in person) for person in self.people]
        self.classes: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, label in enumerate(self.labels):
            self.classes[label].append(i)
        self.kept = {label: holds([self.targets[i] for i in who]) for label, who in self.classes.items()}
        self.gone = [i for i, label in enumerate(self.labels) if not self.kept[label]]

    def score(self, measure: str) -> float:
        found: float = getattr(self, measure.replace("-", "_"))()
        return found

    @property
    def _weights(self) -> list[float]:
        n = len(self.asked.ladders)
        given = self.asked.weights or {step.column: 1 for step in self.asked.ladders}
        return [given[step.column] / sum(given.values()) for step in self.asked.ladders][:n]

    def loss(self) -> float:
        found = 1.0
        for j, (step, weight) in enumerate(zip(self.asked.ladders, self._weights, strict=True)):
            if step.size == 1:
                continue
            mean = sum(
                1.0 if i in set(self.gone) else person[j][2] for i, person in enumerate(self.people)
            ) / len(self.people)
            found *= (1 + (mean - 1 / step.size) / (1 - 1 / step.size)) ** weight
        return found - 1

    def entropy(self) -> float:
        found = 0.0
        for j, weight in enumerate(self._weights):
            values = Counter(person[j][0] for person in self.people)
            labels = Counter(person[j][1] for person in self.people)
            lost = Counter(self.people[i][j][1] for i in self.gone)
            part = sum(-math.log2(values[p[j][0]] / labels[p[j][1]]) for p in self.people)
            part += sum(-math.log2(lost[self.people[i][j][1]] / len(self.gone)) for i in self.gone)
            found += weight * len(self._weights) * part
        return found

    def precision(self) -> float:
        stay = 1 - len(self.gone) / len(self.people)
        return sum(
            weight * ((level / max(1, step.height - 1)) * stay + 1 - stay)
            for step, level, weight in zip(self.asked.ladders, self.node, self._weights, strict=True)
        )

    def discernibility(self) -> float:
        staying = sum(len(who) ** 2 for label, who in self.classes.items() if self.kept[label])
        return staying + len(self.gone) * len(self.people)

    def average_class_size(self) -> float:
        return len(self.people) / (sum(self.kept.values()) + bool(self.gone))

    def ambiguity(self) -> float:
        sizes = [step.size for step in self.asked.ladders]
        whole = math.prod(sizes)
        covered = [
            whole
            if i in set(self.gone)
            else math.prod(share * size for (_, _, share), size in zip(person, sizes, strict=True))
            for i, person in enumerate(self.people)
        ]
        return sum(covered) / len(self.people)

    def kl_divergence(self) -> float:
        rows = len(self.people)
        tuples = Counter(tuple(value for value, _, _ in person) for person in self.people)
        sizes = [step.size for step in self.asked.ladders]
        found = 0.0
        for i, person in enumerate(self.people):
            if self.kept[self.labels[i]]:
                people = len(self.classes[self.labels[i]])
                volume = math.prod(share * size for (_, _, share), size in zip(person, sizes, strict=True))
            else:
                people, volume = len(self.gone), math.prod(sizes)
            true = tuples[tuple(value for value, _, _ in person)] / rows
            found += math.log2(true / (people / rows / volume)) / rows
        return found

    def classification(self) -> float:
        wrong = len(self.gone)
        for label, who in self.classes.items():
            if self.kept[label]:
                wrong += len(who) - max(Counter(self.targets[i] for i in who).values())
        return wrong / len(self.people)


def brute_force(asked: Problem, measure: str, holds: Any) -> tuple[float, int, tuple[int, ...]] | None:
    """The best of all nodes: its score to 9 digits, levels in all, node."""
    best = None
    for node in product(*(range(step.height) for step in asked.ladders)):
        found = Reference(asked, node, holds)
        if len(found.gone) > asked.limit:
            continue
        key = (float(f"{found.score(measure):.9g}"), sum(node), node)
        best = key if best is None or key < best else best
    return best
