"""Tables of classes for the tests of privacy models: drawn ones, and ones written down value by value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import ClassTable, Units

#: Without a deadline, for the first example compiles; of many cases a few examples each.
few = settings(deadline=None, max_examples=40)

#: The sensitive column of all of them.
ON = "illness"

#: Parameters of every model, each kind of it once; a new model needs a line here, or the suite fails.
EXAMPLES: dict[str, list[dict]] = {
    "k-anonymity": [{"k": 3}],
    "k-map": [{"k": 6}, {"k": 5, "estimated": {"fraction": 0.2}}],
    "l-diversity": [
        {"on": ON, "l": 2},
        {"on": ON, "l": 2, "kind": "entropy"},
        {"on": ON, "l": 2, "kind": "entropy-grassberger"},
        {"on": ON, "l": 2, "kind": "recursive", "c": 2},
    ],
    "t-closeness": [
        {"on": ON, "t": 0.3},
        {"on": ON, "t": 0.2, "distance": "ordered"},
        {"on": ON, "t": 0.2, "distance": "hierarchical", "hierarchy": {"kind": "file"}},
    ],
    "delta-disclosure": [{"on": ON, "delta": 0.8}, {"on": ON, "delta": 0.8, "absent": "ignored"}],
    "beta-likeness": [{"on": ON, "beta": 1}, {"on": ON, "beta": 2, "enhanced": True}],
    "delta-presence": [{"low": 0.2, "high": 0.6}],
    "alpha-k": [{"on": ON, "alpha": 0.6, "k": 3}],
    "p-sensitive": [{"on": ON, "p": 2, "k": 3}],
    "average-risk": [{"at_most": 0.3}],
    "highest-risk": [{"at_most": 0.25}],
    "sample-uniqueness": [{"at_most": 0.1}],
    "population-uniqueness": [
        {"at_most": 0.05, "fraction": 0.2, "estimator": name}
        for name in ("dankar", "pitman", "zayatz", "snb")
    ],
}

CASES = [(name, params) for name, sets in EXAMPLES.items() for params in sets]


def class_table(
    matrix: Sequence[Sequence[int]],
    *,
    outside: Sequence[int] | None = None,
    tree: Sequence[Sequence[int]] | None = None,
) -> ClassTable:
    """Classes from people by class and value; ``outside`` are those of each whom only the population has."""
    counts = np.array(matrix, dtype=np.int64)
    classes, values = counts.shape
    numbers, codes = (part.ravel() for part in np.indices(counts.shape))
    if tree is None:
        tree = [range(values), [value // 2 for value in range(values)], [0] * values]
    column = Sensitive(codes, counts.sum(axis=0), np.array(tree))
    beside = np.zeros(classes, dtype=np.int64) if outside is None else np.array(outside)
    population = counts.copy()
    population[:, 0] += beside
    return Units(counts.ravel(), {ON: column}, population.ravel()).classes(numbers, classes)


@st.composite
def matrices(draw: st.DrawFn, classes: int = 6, most: int = 6) -> list[list[int]]:
    """People by class and value; some classes may have nobody."""
    values = draw(st.integers(1, 5))
    row = st.lists(st.integers(0, most), min_size=values, max_size=values)
    return draw(st.lists(row, min_size=1, max_size=classes))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """The same with the people of each class whom only the population has."""
    matrix = draw(matrices())
    return matrix, draw(st.lists(st.integers(0, 9), min_size=len(matrix), max_size=len(matrix)))
