"""Class risks beyond the smallest class: of how many people, of which groups, and in the population."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.classes.grouping import combine
from sfumato.classes.population import Estimator, smallest_sample, unique_share
from sfumato.classes.subjects import alike
from sfumato.contracts import COUNT, PERSON, Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.report import Figure, Report

#: The smallest and the largest size of the classes that are told together.
BANDS = ((1, 1), (2, 4), (5, 9), (10, 19), (20, 49), (50, None))
#: How sure it must be that the population has k people of a class.
SIGNIFICANCE = 0.05
#: The estimators of population uniqueness beside the release's own, which is Pitman's.
BESIDE: Mapping[str, Estimator] = {
    "Pitman": "pitman",
    "Zayatz": "zayatz",
    "SNB": "snb",
    "Dankar's rule": "dankar",
}

NO_GROUPS = "the policy names no groups"


def band_names() -> list[str]:
    """The targets of the distribution of class sizes.

    >>> band_names()[1], band_names()[-1]
    ('class of 2-4', 'class of 50+')
    """
    return [
        f"class of {low}" if low == high else f"class of {low}-{high}" if high else f"class of {low}+"
        for low, high in BANDS
    ]


def in_bands(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of people in classes of each band, shape (bands,).

    >>> in_bands(np.array([1, 4, 5])).tolist()
    [0.1, 0.4, 0.5, 0.0, 0.0, 0.0]
    """
    firsts = np.array([low for low, _ in BANDS])
    bands = np.searchsorted(firsts, sizes, side="right") - 1
    people = np.bincount(bands, sizes, minlength=len(BANDS))
    return np.asarray(people / max(1, sizes.sum()), dtype=np.float64)


def class_shares(
    report: Report, after: NDArray[np.int64], before: NDArray[np.int64], assumes: str
) -> list[Finding]:
    """How many people are in classes of which size, from the sizes of all classes."""
    return [
        report.measured(
            "risk.class_share",
            Figure.counted(float(share)),
            int(after.sum()),
            target=name,
            before=float(earlier),
            assumes=assumes,
        )
        for name, share, earlier in zip(band_names(), in_bands(after), in_bands(before), strict=True)
    ]


def k_map(size: int, fraction: float) -> int:
    """The k that the population can be taken to have of a class with ``size`` people in a sample.

    The largest k for which :func:`sfumato.classes.population.smallest_sample` asks no more of the sample
    (El Emam & Dankar 2008, estimator D4); at least ``size``.

    >>> k_map(2, 0.01), k_map(5, 1.0)
    (10, 5)
    """
    from scipy.special import gammainc

    def enough(k: int) -> bool:
        expected = fraction * k
        return bool(k <= size or gammainc(size, expected) / -math.expm1(-expected) <= SIGNIFICANCE)

    low, high = size, 2 * size
    while enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def estimated_k_map(sizes: NDArray[np.int64], fraction: float, below: int) -> tuple[float, float]:
    """1 / the k-map's k of the smallest class, and the share of people in classes below a size there."""
    least = smallest_sample(below, fraction, SIGNIFICANCE)
    return 1 / k_map(int(sizes.min()), fraction), float(sizes[sizes < least].sum() / sizes.sum())


def estimates(
    report: Report,
    after: tuple[NDArray[np.int64], float],
    before: tuple[NDArray[np.int64], float],
    assumes: str,
) -> list[Finding]:
    """The share of people unique in the population by each estimator, from sizes and sampling fraction."""
    findings = []
    for name, model in BESIDE.items():
        found, earlier = (unique_share(*given, model) for given in (after, before))
        n = int(after[0].sum())
        if found is None:
            note = f"{name}: the population model does not converge on these classes"
            finding = report.silent(
                "risk.population_unique", "no-power", note, target=name, n=n, before=earlier, assumes=assumes
            )
        else:
            finding = report.measured(
                "risk.population_unique",
                Figure.counted(found),
                n,
                target=name,
                before=earlier,
                assumes=assumes,
                note=f"an estimate by {name}, without its own uncertainty",
            )
        findings.append(finding)
    return findings


def by_people(
    report: Report, comparison: Comparison, columns: Sequence[str], below: int, assumes: str
) -> list[Finding]:
    """Mean risk and the share of people in small classes, by group and for the hundredth most at risk."""
    rows = np.flatnonzero(comparison.kept)
    sizes = _sizes(comparison, columns, rows)
    findings = []
    for metric, disparity, success in (
        ("risk.marketer", "risk.disparity", 1 / sizes),
        ("risk.at_risk", "risk.at_risk_disparity", (sizes < below).astype(np.float64)),
    ):
        findings += by_person(
            report, metric, comparison, rows, success, 1 / sizes, disparity=disparity, assumes=assumes
        )
        if not comparison.groups:
            findings.append(report.silent(disparity, "not-measured", NO_GROUPS, assumes=assumes))
    return findings


def _sizes(comparison: Comparison, columns: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The people in the class of each released person, shape of ``rows``."""
    if comparison.alike is not None and columns:
        assert comparison.histories is not None and comparison.people is not None
        return _whole_sizes(comparison.histories(columns), columns, comparison.people[rows])
    counted = comparison.count(columns or comparison.released.columns[:1])
    classes = Classes.of(counted, columns)
    found = classes.locate(comparison.released[rows])
    return np.where(found >= 0, classes.sizes[found], 1).astype(np.float64)


def _whole_sizes(
    rows: pl.DataFrame, columns: Sequence[str], people: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """For each of some people those who have the same tuples as often, themselves among them."""
    tuples = rows.group_by([PERSON, *columns]).len(COUNT)
    counts = tuples[COUNT].cast(pl.Int64).to_numpy()
    ids, whose = np.unique(tuples[PERSON].to_numpy(), return_inverse=True)
    codes = combine(list(Classes.of(tuples, columns).codes))
    classes = alike(codes, whose.astype(np.int64), counts)
    of_person = np.zeros(len(ids), dtype=np.int64)
    of_person[whose] = classes
    sizes = np.bincount(of_person)[of_person]
    return sizes[np.searchsorted(ids, people)].astype(np.float64)
