"""Findings made in one way: a probe declares its metrics once, and every figure carries what judges it.

A figure that does not exist (a share of nobody, a ratio to nothing) becomes a finding with another
status; none of these functions can make a measured finding out of NaN or infinity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from sfumato.contracts import Comparison
from sfumato.core.values import Finding, Goal, Status, Unit

UNDEFINED = "the figure is not defined on these data"


class Metric(NamedTuple):
    """What a probe says of one of its figures: which way is good, its unit, one line for the docs."""

    goal: Goal
    unit: Unit
    line: str


class Figure(NamedTuple):
    """A value with its two-sided 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def counted(cls, value: float) -> Figure:
        """A complete count: nothing was sampled, so the interval is the value."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Report:
    """The findings of one probe.

    Args:
        source: the probe's name, which every finding carries.
        table: every metric the probe may report.
    """

    source: str
    table: Mapping[str, Metric]

    @property
    def metrics(self) -> Mapping[str, tuple[Goal, str]]:
        """The table as :class:`sfumato.contracts.Probe` wants it."""
        return MappingProxyType({name: (metric.goal, metric.line) for name, metric in self.table.items()})

    @property
    def units(self) -> Mapping[str, Unit]:
        """The unit of each metric."""
        return MappingProxyType({name: metric.unit for name, metric in self.table.items()})

    def measured(
        self,
        metric: str,
        figure: Figure,
        n: int,
        *,
        target: str = "release",
        before: float | None = None,
        baseline: float | None = None,
        control: float | None = None,
        assumes: str = "",
        note: str = "",
    ) -> Finding:
        """A measured finding, or one without power if the figure is not a number."""
        if not all(math.isfinite(part) for part in figure):
            return self.silent(metric, "no-power", note or UNDEFINED, target=target, n=n, assumes=assumes)
        return Finding(
            metric=metric,
            target=target,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            unit=self.table[metric].unit,
            goal=self.table[metric].goal,
            n=n,
            before=_finite(before),
            baseline=_finite(baseline),
            control=_finite(control),
            source=self.source,
            assumes=assumes,
            note=note,
        )

    def proven(self, metric: str, figure: float, *, note: str = "") -> Finding:
        """A figure that follows from the method, and rests on no people."""
        return Finding(
            metric=metric,
            value=figure,
            low=figure,
            high=figure,
            unit=self.table[metric].unit,
            goal=self.table[metric].goal,
            n=0,
            status="proven",
            source=self.source,
            note=note,
        )

    def silent(
        self,
        metric: str,
        status: Status,
        note: str,
        *,
        target: str = "release",
        n: int = 0,
        before: float | None = None,
        assumes: str = "",
    ) -> Finding:
        """A finding without a figure, which passes no threshold and says why."""
        return Finding(
            metric=metric,
            target=target,
            unit=self.table[metric].unit,
            goal=self.table[metric].goal,
            n=n,
            before=_finite(before),
            status=status,
            source=self.source,
            assumes=assumes,
            note=note,
        )


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def design_note(comparison: Comparison) -> str:
    """On whom a probe ran, for its note."""
    if comparison.made:
        return {
            "holdout": "against people held out, who did not teach the generator",
            "twin": "on rows made by a twin taught by one half of the people, with the other half held out",
            "none": "everybody taught the generator and nobody was held out",
        }[comparison.design]
    return {
        "holdout": "against people held out, who were neither fitted nor released",
        "twin": "on a twin release: the same policy fitted to one half, with the other half held out",
        "none": "every row is released and nobody was held out",
    }[comparison.design]
