"""Audits by looking: what a pipeline draws and lets pass on crafted neighbours, against what it charges.

Some faults hardly change what comes out, and no guessing finds them: batches that are no Poisson samples, one
used twice, a scale that was fitted to the data, a ledger that forgets. Here the pipeline says what it did, in
:class:`~sfumato.evidence.audits.record.Record`, and is run on data and on neighbours made for the purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.evidence.audits.neighbours import neighbours_of, same
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.audits.record import Record, expanded
from sfumato.evidence.audits.sampling import poisson_p_values

#: A chance below this, over all tests of one audit, is a fault.
ALPHA = 1e-3
#: How much dearer a draw may look than its charge: rounding of figures.
_ROUNDING = 1e-6

SAMPLING = "Poisson sampling"
LEDGER = "charges against draws"
FREE = "what passes without a charge"
NOISE = "the deviation of the noise"
CLIPPING = "the bound of a sum"

Pipeline = Callable[[Any, Record], Any]


def instrument(
    pipeline: Pipeline,
    data: Any,
    *,
    epsilon: float,
    delta: float,
    neighbours: Sequence[tuple[str, Any]] | None = None,
    relation: Literal["add-remove", "replace-one"] = "add-remove",
    what: str = "pipeline",
    seed: int = 0,
) -> Audit:
    """Run a pipeline on data and on neighbours and hold what it did against what it charged.

    Args:
        pipeline: from data and an empty :class:`Record` to anything. Its randomness must not depend on
            anything but a seed of its own, so that two runs on the same data let the same things pass.
        data: a Polars frame, an array, or a tuple of arrays with a row for each person.
        epsilon, delta: what is claimed of it.
        neighbours: names and data; by default :func:`~sfumato.evidence.audits.neighbours.neighbours_of`.

    Raises:
        InputError: ``usage`` if the pipeline wrote nothing down.
    """
    record = _watched(pipeline, data)
    if not (record.batches or record.draws or record.charges or record.free):
        raise InputError("usage", "the pipeline wrote nothing into its record")
    key = derive(bytes(32), "instrument", what, str(seed))
    found = [*_checks_of_one(record, key)]
    notes: tuple[str, ...] = ()
    if record.free and same(record.free, _watched(pipeline, data).free):
        others = neighbours if neighbours is not None else neighbours_of(data, relation)
        found.append((FREE, [*_passed(record, pipeline, others)]))
    elif record.free:
        notes = ("what passes without a charge differs between two runs on the same data: fix its seed",)
    return Audit(
        kind="instrumentation",
        what=what,
        method="looking at what was drawn and charged",
        claimed_epsilon=epsilon,
        claimed_delta=delta,
        relation=relation,
        tested=max(1, len(record.batches) + len(record.draws)),
        faults=tuple(fault for _, faults in found for fault in faults),
        checks=tuple(check for check, _ in found),
        notes=notes,
    )


def _watched(pipeline: Pipeline, data: Any) -> Record:
    record = Record()
    pipeline(data, record)
    return record


def _checks_of_one(record: Record, key: bytes) -> Iterator[tuple[str, list[str]]]:
    rates = _rates([charge.event for charge in record.charges])
    if record.batches and rates:
        yield SAMPLING, [*_sampled(record, rates, key)]
    if record.draws or record.charges:
        yield LEDGER, [*forgotten(record)]
    if record.sums:
        yield CLIPPING, [*_unclipped(record)]
    if record.added and record.charges:
        yield NOISE, [*_too_quiet(record)]


def _rates(events: Sequence[Any]) -> set[float]:
    """The rates of all Poisson samplings in events."""
    found: set[float] = set()
    for event in events:
        if type(event).__name__ == "PoissonSampledDpEvent":
            found.add(float(event.sampling_probability))
        found |= _rates([*getattr(event, "events", ()), *([event.event] if hasattr(event, "event") else [])])
    return found


def _sampled(record: Record, rates: set[float], key: bytes) -> Iterator[str]:
    if len(rates) > 1:
        yield "samples of several rates were charged and cannot be told apart"
        return
    (rate,) = rates
    tests = [*poisson_p_values(record.batches, record.population, rate, generator(derive(key, "sampling")))]
    yield from (fault for fault, chance in tests if chance <= ALPHA / len(tests))


def forgotten(record: Record) -> Iterator[str]:
    """Draws that no charge pays for: each needs one of its own, made before it and at least as dear."""
    charged = expanded([charge.event for charge in record.charges])
    drawn = expanded(record.draws)
    for family, costs in drawn.items():
        paid = charged.get(family, [])
        if len(costs) > len(paid):
            yield f"{len(costs)} draws of {family} noise were made and {len(paid)} charged"
        # Noise that was measured, not declared, has its own test.
        elif not record.added and any(
            cost > charge * (1 + _ROUNDING) for cost, charge in zip(costs, paid, strict=False)
        ):
            yield f"a draw of {family} noise has less noise than the charge for it"
    if not drawn and record.batches and charged:
        yield "noise was charged and none was drawn"
    if _late(record):
        yield "noise was drawn before it was charged"


def _late(record: Record) -> bool:
    paid = 0
    for charge in record.charges:
        if charge.after > paid:
            return True
        paid += sum(map(len, expanded([charge.event]).values()))
    return False


def _unclipped(record: Record) -> Iterator[str]:
    over = sum(norm > rows * (1 + _ROUNDING) for norm, rows in record.sums)
    if over:
        yield f"{over} of {len(record.sums)} sums are larger than clipped gradients can be"


def _too_quiet(record: Record) -> Iterator[str]:
    """The sum of squares of Gaussian noise, over its variance, follows a chi-square law."""
    from scipy.special import gammainc

    costs = expanded([charge.event for charge in record.charges]).get("Gaussian", [])
    if not costs:
        return
    noise = np.concatenate([step.ravel() for step in record.added])
    # The largest multiplier charged would be too strict for mixed charges: the smallest claims least.
    squares = float((noise**2).sum()) * max(costs) ** 2
    if float(gammainc(len(noise) / 2, squares / 2)) <= ALPHA:
        share = math.sqrt(squares / len(noise))
        yield f"the noise has {share:.2g} of the deviation that was charged"


def _passed(record: Record, pipeline: Pipeline, others: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """What differs on a neighbour though nothing was charged for it; names only, never values."""
    seen: dict[str, str] = {}
    for name, neighbour in others:
        found = _watched(pipeline, neighbour).free
        for thing in sorted({*record.free, *found}):
            if thing not in seen and not same(record.free.get(thing), found.get(thing)):
                seen[thing] = name
    for thing, name in seen.items():
        yield f"{thing} depends on the data and was not charged: it differs on the data {name}"
