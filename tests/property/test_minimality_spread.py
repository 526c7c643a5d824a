"""The minimality attack on t-closeness and recursive diversity, against every way to deal the secrets."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evidence_support import compare, one, planned
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.classes.table import ClassTable
from sfumato.evidence.attacks import failing
from sfumato.evidence.attacks.minimality import Minimality
from sfumato.evidence.attacks.partings import Promise
from sfumato.evidence.attacks.spreads import Close, Scale, Tail

KEY = bytes(range(32))
#: Four values in two groups.
TREE = np.array([[0, 1, 2, 3, 4], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
WIDTH = 5


def model_of(promised: Close | Tail) -> TCloseness | LDiversity:
    """The privacy model itself, which knows nothing of the attack."""
    if isinstance(promised, Tail):
        params = LDiversity.Params(on="s", l=promised.rank, kind="recursive", c=promised.factor)
        return LDiversity(params)
    spec = {"kind": "file"} if promised.distance == "hierarchical" else None
    return TCloseness(TCloseness.Params(on="s", t=promised.t, distance=promised.distance, hierarchy=spec))


def broken(
    groups: np.ndarray, overall: np.ndarray, promised: Close | Tail, tree: np.ndarray = TREE
) -> np.ndarray:
    """Which groups of people, by their values, shape (groups, people), break a model."""
    many, people = groups.shape
    column = Sensitive(groups.ravel(), overall, tree)
    numbers, ones = np.repeat(np.arange(many), people), np.ones(groups.size, dtype=np.int64)
    table = ClassTable(np.full(many, people), {"s": Contingency.of(column, numbers, ones, many)})
    return ~model_of(promised).holds(table)


promises = st.one_of(
    st.builds(
        Close,
        t=st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7]),
        distance=st.sampled_from(["equal", "ordered", "hierarchical"]),
    ),
    st.builds(Tail, factor=st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.5]), rank=st.sampled_from([2, 3, 4])),
)
secrets = st.lists(st.integers(0, WIDTH - 1), min_size=4, max_size=8)


def as_promise(promised: Close | Tail) -> Promise:
    return Promise(tails=(promised,)) if isinstance(promised, Tail) else Promise(close=(promised,))


@settings(max_examples=150, deadline=None)
@given(
    held=secrets,
    promised=promises,
    more=st.lists(st.integers(0, 4), min_size=WIDTH, max_size=WIDTH),
    data=st.data(),
)
def test_a_part_fails_as_often_as_of_all_draws(held, promised, more, data) -> None:
    """The class need not be the whole table, whose other values may be anything."""
    drawn = data.draw(st.integers(1, len(held) - 1))
    overall = np.bincount(held, minlength=WIDTH) + np.array(more)
    ways = np.array(list(itertools.combinations(range(len(held)), drawn)))
    values, people = np.unique(held, return_counts=True)
    bad = broken(np.array(held)[ways], overall, promised)
    found = failing.failing(values, people, drawn, as_promise(promised), Scale(overall, TREE), KEY)
    assert found.exact
    assert found.chance[0] == pytest.approx(bad.mean())
    if bad.any():
        inside = np.array([(np.array(held)[ways[bad]] == value).sum(axis=1).mean() for value in values])
        assert found.inside[0] == pytest.approx(inside)


def attack(frame, models, limit, *, generalized="*"):
    def describe(people):
        return people.with_columns(q=pl.lit(generalized))

    given_to = compare(
        frame, describe, finer=lambda _, people: people, suppressible=limit,
        tree=lambda _, values: TREE[:, values.to_numpy()],
    )  # fmt: skip
    return Minimality().run(planned(given_to, models, levels={"q": 1}), Minimality.Params())


def asked(promised: Close | Tail) -> dict:
    if isinstance(promised, Tail):
        return {
            "model": "l-diversity",
            "on": "s",
            "kind": "recursive",
            "l": promised.rank,
            "c": promised.factor,
        }
    return {"model": "t-closeness", "on": "s", "t": promised.t, "distance": promised.distance}


@settings(max_examples=80, deadline=None)
@given(held=secrets, promised=promises, data=st.data())
def test_what_the_attacker_learns_is_what_all_assignments_say(held, promised, data) -> None:
    """One part of the class is too small and may be suppressed, the other must have failed."""
    small = data.draw(st.integers(1, (len(held) - 1) // 2))
    k = len(held) - small
    occurring, numbers, overall = np.unique(held, return_inverse=True, return_counts=True)
    tree = TREE[:, occurring]
    assume(not broken(numbers[None], overall, promised, tree)[0])
    assume(broken(numbers[None, small:], overall, promised, tree)[0])
    frame = pl.DataFrame({"q": ["small"] * small + ["large"] * k, "s": held})
    found = attack(frame, [asked(promised), {"model": "k-anonymity", "k": k}], small)
    ways = np.array(list(itertools.permutations(numbers)))
    bad = ways[broken(ways[:, small:], overall, promised, tree)]
    shares = [
        np.array([(bad[:, part] == value).mean() for value in range(len(overall))])
        for part in (slice(0, small), slice(small, None))
    ]
    alone = overall.max() / len(held)
    assert one(found, "minimality.posterior", "s").value == pytest.approx(
        max(alone, *(each.max() for each in shares))
    )
    gain = max(0.0, *(each.max() - alone for each in shares))
    assert one(found, "minimality.gain", "s").value == pytest.approx(gain, abs=1e-9)
    assert one(found, "minimality.posterior", "s").low == one(found, "minimality.posterior", "s").high
    # Everybody of a part over all ways is a group as their probabilities are.
    too_sure = [
        broken(bad[:, part].reshape(1, -1), overall, promised, tree)[0] * many
        for part, many in ((slice(0, small), small), (slice(small, None), k))
    ]
    assert one(found, "minimality.beyond", "s").value == pytest.approx(sum(too_sure) / len(held))
