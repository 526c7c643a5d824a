"""What every privacy model and every measure must do, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sfumato.anonymity import MEASURES, MODELS
from sfumato.classes.table import ClassTable

#: One set of parameters for each model; a new model needs a line here, or the suite fails.
EXAMPLES = {"k-anonymity": {"k": 3}}

sizes = hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(1, 50))


def model(name: str):
    kind = MODELS.resolve(name)
    return kind(kind.Params(**EXAMPLES[name]))


def test_every_model_has_an_example() -> None:
    assert set(EXAMPLES) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
@given(table=sizes)
def test_a_verdict_for_each_class(name: str, table: np.ndarray) -> None:
    verdict = model(name).holds(ClassTable(table))
    assert verdict.shape == table.shape
    assert verdict.dtype == bool


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS.resolve(name).monotone])
@given(table=sizes, data=st.data())
def test_merging_classes_that_hold_gives_one_that_holds(name: str, table: np.ndarray, data) -> None:
    asked = model(name)
    held = table[asked.holds(ClassTable(table))]
    chosen = data.draw(st.integers(0, len(held)))
    if chosen:
        merged = np.array([held[:chosen].sum()])
        assert asked.holds(ClassTable(merged)).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_explains_itself(name: str) -> None:
    kind = MODELS.resolve(name)
    assert kind.summary
    assert model(name).explain()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_refuses_unknown_parameters(name: str) -> None:
    with pytest.raises(ValueError, match="extra"):
        MODELS.resolve(name).Params(**EXAMPLES[name], nonsense=1)


shares = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.integers(1, 100)),
        hnp.arrays(np.float64, n, elements=st.floats(0, 1)),
        hnp.arrays(np.float64, n, elements=st.floats(0, 1)),
    )
)


@pytest.mark.parametrize("name", MEASURES)
@given(drawn=shares)
def test_a_measure_never_falls_when_a_share_rises(name: str, drawn) -> None:
    leaves, one, other = drawn
    measure = MEASURES.resolve(name)(leaves)
    low, high = np.minimum(one, other), np.maximum(one, other)
    low, high = np.maximum(low, 1 / leaves), np.maximum(high, 1 / leaves)
    assert measure.score(low) <= measure.score(high) + 1e-12


@pytest.mark.parametrize("name", MEASURES)
@given(drawn=shares)
def test_a_measure_scores_many_nodes_as_one_by_one(name: str, drawn) -> None:
    leaves, one, other = drawn
    measure = MEASURES.resolve(name)(leaves)
    both = measure.score(np.stack([one, other]))
    assert both.tolist() == pytest.approx([float(measure.score(one)), float(measure.score(other))])
