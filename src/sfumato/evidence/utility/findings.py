"""Do the findings that a user names survive? A share, a mean, a coefficient: before, after, and how alike.

The policy names what the data will be used for, and each figure is worked out on the original and on the
release, with how far the intervals overlap (Karr et al. 2006), by how many standard errors it moved, and
whether it still has the same sign.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator, model_validator

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.glm import T, overlaps
from sfumato.evidence.utility.queries import Answer, Unanswered, answers

REPORT = Report(
    "findings",
    {
        "findings.value": Metric(
            "high", "quantity", "a figure that the policy names, worked out on the release"
        ),
        "findings.overlap": Metric("high", "ratio", "overlap of its intervals before and after"),
        "findings.change": Metric("low", "ratio", "its change in standard errors of the original"),
        "findings.same_sign": Metric("high", "ratio", "1 if it has the same sign as before, 0 if not"),
    },
)

KINDS = ("share", "mean", "median", "correlation", "coefficient")
NO_SIGN = "no figure that the policy names has a sign"


class Query(contracts.Params):
    """One figure: exactly one of share, mean, median, correlation and coefficient.

    ``share`` is of the people whose column has the ``value``; ``by`` asks for every group of a column, and
    ``between`` two of its values for the difference instead. A ``coefficient`` is that of a column of
    numbers in a model ``of`` another (logistic if that has two values) ``on`` more.
    """

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^=\n]+$")]
    share: str | None = None
    value: str | None = None
    mean: str | None = None
    median: str | None = None
    correlation: tuple[str, str] | None = None
    coefficient: str | None = None
    of: str | None = None
    on: tuple[str, ...] = ()
    by: str | None = None
    between: tuple[str, str] | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return _as_label(value)

    @field_validator("between", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return [_as_label(part) for part in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _one_kind(self) -> Query:
        asked = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(asked) != 1:
            raise ValueError(f"name exactly one of {', '.join(KINDS)}")
        wrong = {
            "value goes with share, and share needs it": (self.value is None) is (self.share is not None),
            "of goes with coefficient, and coefficient needs it": (self.of is None)
            is (self.coefficient is not None),
            "on goes with coefficient": bool(self.on) and self.coefficient is None,
            "between needs by": self.between is not None and self.by is None,
            "by goes with share, mean and median": self.by is not None and asked[0] not in KINDS[:3],
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(what)
        return self

    @property
    def kind(self) -> str:
        """Which of :data:`KINDS` it asks for."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def signed(self) -> bool:
        """Whether the sign of the figure says something."""
        return self.between is not None or self.correlation is not None or self.coefficient is not None


def _as_label(value: Any) -> Any:
    """A value as the column's text has it, for YAML reads 1 as a number and yes as a word."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


class Findings:
    """The figures that a policy names, before and after.

    The target of a finding is the query's name, and its group if it asks for groups. ``baseline`` is
    what a resample of the original would give for overlap and change. Both sides of a figure are
    rounded to half a standard error of the original, below which one person's value cannot be seen: a
    mean with and a mean without somebody who was suppressed would give them away.
    """

    summary: ClassVar[str] = "figures that the policy names, before and after"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``queries``: the figures, each with a name."""

        queries: Annotated[tuple[Query, ...], Field(min_length=1, max_length=200)]

        @model_validator(mode="after")
        def _once_each(self) -> Findings.Params:
            names = [query.name for query in self.queries]
            if len(set(names)) < len(names):
                raise ValueError("two queries have the same name")
            return self

    def run(self, comparison: Comparison, params: Findings.Params) -> list[Finding]:
        """The findings of each query.

        Raises:
            InputError: ``policy-mismatch`` for a column or value that the data lack, or a mean of texts.
        """
        findings = [
            finding
            for query in params.queries
            for answer in answers(comparison, query)
            for finding in _findings(answer, query.signed)
        ]
        if not any(query.signed for query in params.queries):
            findings.append(REPORT.silent("findings.same_sign", "not-measured", NO_SIGN))
        return findings


def _findings(answer: Answer | Unanswered, signed: bool) -> list[Finding]:
    metrics = [metric for metric in REPORT.table if signed or metric != "findings.same_sign"]
    if isinstance(answer, Unanswered):
        return [
            REPORT.silent(metric, answer.status, answer.note, target=answer.target, n=answer.n)
            for metric in metrics
        ]
    seen = _Seen(answer)
    drawn = _Seen(answer._replace(after=answer.drawn))
    figures = {
        "findings.value": (Figure(*seen.after), None, seen.before),
        "findings.overlap": (Figure.counted(seen.overlap), drawn.overlap, 1.0),
        "findings.change": (Figure(*seen.change), drawn.change[0], 0.0),
        "findings.same_sign": (Figure.counted(float(seen.same_sign)), None, 1.0),
    }
    return [
        REPORT.measured(
            metric,
            figures[metric][0],
            answer.n,
            target=answer.target,
            before=figures[metric][2],
            baseline=figures[metric][1],
            note=answer.note,
        )
        for metric in metrics
    ]


class _Seen:
    """An answer as it may be seen: both sides on one grid of about half a standard error."""

    def __init__(self, answer: Answer) -> None:
        error, other = answer.before.error(), answer.after.error()
        self._step = _step(max(error, other) / 2)
        self.before = self._on_grid(answer.before.value)
        value = self._on_grid(answer.after.value)
        half, other_half = (
            self._step * math.ceil(T * se / self._step) if self._step else 0.0 for se in (error, other)
        )
        self.after = (value, value - other_half, value + other_half)
        self.overlap = float(overlaps(*(np.array([x]) for x in (self.before, half, value, other_half)))[0])
        # In standard errors of the original; where it has none, only no change at all is known.
        moved = T * abs(value - self.before) / half if half else (0.0 if value == self.before else math.nan)
        spread = T * other_half / half if half else 0.0
        self.change = (moved, max(0.0, moved - spread), moved + spread)
        self.same_sign = np.sign(self.before) == np.sign(value)

    def _on_grid(self, value: float) -> float:
        return float(f"{round(value / self._step) * self._step:.12g}") if self._step else value


def _step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below.

    >>> [_step(x) for x in (0.011, 3.0, 60.0)]
    [0.02, 5.0, 100.0]
    """
    if not least > 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(
        float(f"{part * power:.12g}") for part in (1, 2, 5, 10) if part * power >= least * (1 - 1e-12)
    )
