"""Audits by looking: four faults that guessing hardly sees are found, and the right pipeline has none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from dp_accounting import (
    ComposedDpEvent,
    GaussianDpEvent,
    LaplaceDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)

from sfumato.core.errors import InputError
from sfumato.evidence.audits.looking import CLIPPING, FREE, LEDGER, NOISE, SAMPLING, instrument
from sfumato.evidence.audits.neighbours import neighbours_of, same
from sfumato.evidence.audits.record import Record, expanded

N, STEPS, RATE, SIGMA, CLIP = 300, 40, 0.1, 1.2, 1.0
DATA = (np.random.default_rng(0).normal(size=(N, 4)), np.arange(N) % 2)
EVENT = SelfComposedDpEvent(PoissonSampledDpEvent(RATE, GaussianDpEvent(SIGMA)), STEPS)


def pipeline(fault: str = ""):
    """A small DP-SGD, right or with one fault."""

    def run(data, record: Record) -> None:
        draw = np.random.default_rng(7)
        inputs, targets = data
        n = len(inputs)
        if fault == "scaler":
            record.let_pass("the scaler", {"mean": inputs.mean(axis=0), "width": inputs.std(axis=0)})
            inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
        else:
            record.let_pass("the scaler", {"mean": np.zeros(4), "width": np.ones(4)})
        record.charge(SelfComposedDpEvent(EVENT.event, STEPS // 2) if fault == "forgetful" else EVENT)
        weights, order, kept = np.zeros(4), np.empty(0, dtype=int), None
        for _ in range(STEPS):
            chosen = np.flatnonzero(draw.random(n) < RATE)
            if fault == "fixed size":
                chosen = draw.choice(n, round(RATE * n), replace=False)
            if fault == "shuffled":
                order = draw.permutation(n) if len(order) < round(RATE * n) else order
                chosen, order = np.split(order, [round(RATE * n)])
            if fault == "reused":
                kept = chosen if kept is None or draw.random() < 0.8 else kept
                chosen = kept
            residual = 1 / (1 + np.exp(-np.clip(inputs[chosen] @ weights, -30, 30))) - targets[chosen]
            gradients = inputs[chosen] * residual[:, None] * 3
            norms = np.linalg.norm(gradients, axis=1, keepdims=True)
            gradients *= 60 if fault == "unclipped" else 1 / np.maximum(1, norms / CLIP)
            summed = gradients.sum(axis=0)
            noisy = summed + draw.normal(0, SIGMA * CLIP / (4 if fault == "quiet" else 1), 4)
            record.step(chosen, summed, noisy, CLIP, n)
            weights -= 0.1 * noisy / (RATE * N)

    return run


def audited(fault: str = ""):
    return instrument(pipeline(fault), DATA, epsilon=3.0, delta=1e-5)


def test_the_right_pipeline_has_no_fault_and_every_check_was_made() -> None:
    found = audited()
    assert found.faults == ()
    assert set(found.checks) == {SAMPLING, LEDGER, FREE, NOISE, CLIPPING}
    assert not found.violated
    assert found.verdict.startswith("no violation of epsilon 3 at delta 1e-05 found by looking at")
    assert "a failed check of Poisson sampling" in found.verdict


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("fixed size", "the sizes of batches do not vary"),
        ("shuffled", "rows are in as many batches as no Poisson sample"),
        ("reused", "two batches share more rows"),
        ("scaler", "the scaler depends on the data and was not charged"),
        ("forgetful", "40 draws of Gaussian noise were made and 20 charged"),
        ("quiet", "the noise has 0.2"),
        ("unclipped", "sums are larger than clipped gradients can be"),
    ],
)
def test_each_broken_twin_is_caught_with_words_for_its_own_fault(fault: str, words: str) -> None:
    found = audited(fault)
    assert found.violated
    assert words in found.verdict


def test_a_count_of_rows_that_passes_is_data_under_add_remove_and_none_under_replace_one() -> None:
    def counts(data, record: Record) -> None:
        record.charge(LaplaceDpEvent(1.0))
        record.noise(LaplaceDpEvent(1.0))
        record.let_pass("rows", len(data))

    table = pl.DataFrame({"age": [30.5, 41.0, 29.0], "job": ["a", "b", "a"], "sons": [1, None, 2]})
    assert instrument(counts, table, epsilon=1.0, delta=0.0).violated
    assert not instrument(counts, table, epsilon=1.0, delta=0.0, relation="replace-one").violated


def test_a_charge_that_comes_late_or_is_too_small_is_a_fault() -> None:
    def late(data, record: Record) -> None:
        record.noise(LaplaceDpEvent(1.0))
        record.charge(LaplaceDpEvent(1.0))

    def cheap(data, record: Record) -> None:
        record.charge(ComposedDpEvent([LaplaceDpEvent(1.0), LaplaceDpEvent(4.0)]))
        record.noise(LaplaceDpEvent(2.0))
        record.noise(LaplaceDpEvent(2.0))

    def mixed(data, record: Record) -> None:
        record.charge(LaplaceDpEvent(1.0))
        record.noise(GaussianDpEvent(1.0))

    for run, words in ((late, "before it was charged"), (cheap, "less noise than"), (mixed, "0 charged")):
        assert words in instrument(run, np.ones((3, 1)), epsilon=1.0, delta=0.0).verdict


def test_what_cannot_be_compared_is_said_and_an_empty_record_refused() -> None:
    def restless(data, record: Record) -> None:
        record.charge(GaussianDpEvent(1.0))
        record.let_pass("weights", np.random.default_rng().random())

    found = instrument(restless, np.ones((3, 1)), epsilon=1.0, delta=1e-5)
    assert FREE not in found.checks
    assert found.notes
    with pytest.raises(InputError):
        instrument(lambda *_: None, np.ones((3, 1)), epsilon=1.0, delta=0.0)


def test_neighbours_differ_by_one_row_and_sameness_is_to_the_bit() -> None:
    table = pl.DataFrame({"age": [30.5, 41.0, 900.0], "job": ["a", "b", "a"], "none": [None, None, None]})
    by_name = dict(neighbours_of(table))
    assert by_name["without its most extreme row"]["age"].to_list() == [30.5, 41.0]
    assert by_name["with a far row"]["job"].to_list()[-1] == "a new kind"
    assert all(len(data) == 3 for _, data in neighbours_of(table, "replace-one"))
    assert same({"a": [np.array([1.0]), float("nan")]}, {"a": [np.array([1.0]), float("nan")]})
    assert not same(np.array([0.0]), np.array([-0.0]))
    assert not same(1, 1.0)
    assert same(np.array(["a", None], dtype=object), np.array(["a", None], dtype=object))
    for bad in (np.empty((0, 2)), [1, 2], (np.ones(2), np.ones(3))):
        with pytest.raises(InputError):
            neighbours_of(bad)


def test_the_noises_of_an_event_are_counted_through_compositions() -> None:
    event = ComposedDpEvent([EVENT, SelfComposedDpEvent(LaplaceDpEvent(0.5), 2)])
    found = expanded([event])
    assert found["pure"] == [2.0, 2.0]
    assert len(found["Gaussian"]) == STEPS
