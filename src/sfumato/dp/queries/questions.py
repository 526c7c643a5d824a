"""Questions as a caller writes them: a function for each query, checked when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from sfumato.core.errors import InputError
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import QueryParams

Cells = Sequence[bool | int | float | str] | Mapping[str, Any]
Missing = Literal["drop"] | float


@dataclass(frozen=True)
class Question:
    """A query by its name in the registry, with its parameters."""

    query: str
    params: QueryParams

    @property
    def name(self) -> str:
        """What its answer is called: the given name, or the query and its columns."""
        if self.params.name is not None:
            return self.params.name
        reads = QUERIES.resolve(self.query).reads(self.params)
        return f"{self.query} of {', '.join(reads)}" if reads else self.query


def question(query: str, **params: Any) -> Question:
    """A question by the name of its query, as a policy writes it.

    Raises:
        InputError: ``unknown-name`` for the query; ``usage`` for its parameters, without their values.

    >>> question("mean", of="age", bounds=[0, 100]).name
    'mean of age'
    """
    kind = QUERIES.resolve(query)
    try:
        return Question(query, kind.Params.model_validate(params))
    except ValidationError as errors:
        # Pydantic's own text quotes the input.
        first = errors.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InputError(
            "usage",
            first["msg"].removeprefix("Value error, "),
            where=".".join([query, *(str(part) for part in first["loc"])]),
            remedy=f"see the parameters of the query {query}",
        ) from None


def answer_names(asked: Sequence[Question]) -> list[str]:
    """A name for each answer, told apart where two would be the same."""
    seen: Counter[str] = Counter()
    names = []
    for given in asked:
        seen[given.name] += 1
        names.append(given.name if seen[given.name] == 1 else f"{given.name} ({seen[given.name]})")
    return names


def count(of: str | None = None, **said: Any) -> Question:
    """The number of rows, or of those with a value in the column ``of``.

    ``said``, here as for every query: ``name`` of the answer, ``weight`` in the sharing of the batch (1 by
    default), ``why`` it is asked.

    >>> count().name, count("age", name="told their age").name
    ('count', 'told their age')
    """
    return question("count", of=of, **said)


def sum(of: str, bounds: tuple[float, float], *, missing: Missing = "drop", **said: Any) -> Question:
    """The sum of a column of numbers, each taken to the nearest of the declared bounds first.

    A ``missing`` value counts as a number, or its row is left out.
    """
    return question("sum", of=of, bounds=bounds, missing=missing, **said)


def mean(
    of: str,
    bounds: tuple[float, float],
    *,
    missing: Missing = "drop",
    rows: int | None = None,
    **said: Any,
) -> Question:
    """The mean of a column of numbers, each taken to the nearest of the declared bounds first.

    ``rows``: the number of rows with a value, if it is public; else it is drawn with noise too.

    >>> mean("income", bounds=(200_000, 0))
    Traceback (most recent call last):
    ...
    sfumato.core.errors.InputError: mean: the lower bound must be below the upper one [usage]
      to do: see the parameters of the query mean
    """
    return question("mean", of=of, bounds=bounds, missing=missing, rows=rows, **said)


def variance(of: str, bounds: tuple[float, float], *, missing: Missing = "drop", **said: Any) -> Question:
    """The variance (divided by n) of a column of numbers between declared bounds."""
    return question("variance", of=of, bounds=bounds, missing=missing, **said)


def quantiles(
    of: str,
    bounds: tuple[float, float],
    at: float | Sequence[float] = (0.25, 0.5, 0.75),
    *,
    steps: int = 1000,
    interval: bool = True,
    missing: Missing = "drop",
    **said: Any,
) -> Question:
    """The values below which the shares ``at`` of the rows lie, among ``steps`` + 1 candidates.

    Half of a quantile's share goes to its interval, unless ``interval`` is False.
    """
    return question(
        "quantiles", of=of, bounds=bounds, at=at, steps=steps, interval=interval, missing=missing, **said
    )


def quantile(of: str, bounds: tuple[float, float], at: float = 0.5, **said: Any) -> Question:
    """One quantile, by default the median; see :func:`quantiles`."""
    return quantiles(of, bounds, (at,), **said)


def histogram(
    of: str,
    *,
    categories: Sequence[bool | int | float | str] | None = None,
    edges: Sequence[float] | None = None,
    other: str | None = None,
    missing: str | None = None,
    nonnegative: bool = False,
    **said: Any,
) -> Question:
    """Counts of declared categories, or of the intervals between declared edges.

    ``other`` and ``missing`` name cells for values that were not declared and for none; without, such rows
    are left out.

    >>> histogram("sex", categories=["F", "M"], other="else").query
    'histogram'
    """
    return question(
        "histogram",
        of=of,
        categories=categories,
        edges=edges,
        other=other,
        missing=missing,
        nonnegative=nonnegative,
        **said,
    )


def contingency(
    columns: Mapping[str, Cells],
    *,
    margins: Sequence[Sequence[str]] | None = None,
    nonnegative: bool = False,
    **said: Any,
) -> Question:
    """A table of several columns; of its ``margins``, if such are named, which then agree.

    Args:
        columns: for each column its categories, or a mapping such as ``{"edges": [0, 18, 65, 120]}``.
    """
    return question("contingency", columns=columns, margins=margins, nonnegative=nonnegative, **said)


def covariance(columns: Mapping[str, tuple[float, float]], **said: Any) -> Question:
    """The covariance matrix of columns, each with its bounds."""
    return question("covariance", columns=columns, **said)


def correlation(columns: Mapping[str, tuple[float, float]], **said: Any) -> Question:
    """Pearson's correlations of columns, each with its bounds."""
    return question("correlation", columns=columns, **said)


def group_by(
    by: Mapping[str, Cells] | Sequence[str],
    statistic: Literal["count", "sum", "mean"] = "count",
    *,
    of: str | None = None,
    bounds: tuple[float, float] | None = None,
    delta: float | None = None,
    **said: Any,
) -> Question:
    """A count, sum or mean for each group: declared cells of columns, or groups found above a threshold.

    >>> group_by(["town"], delta=1e-7).name
    'group-by of town'
    """
    return question("group-by", by=by, statistic=statistic, of=of, bounds=bounds, delta=delta, **said)


def top_k(
    of: str,
    k: int,
    *,
    categories: Sequence[bool | int | float | str] | None = None,
    edges: Sequence[float] | None = None,
    **said: Any,
) -> Question:
    """The ``k`` most frequent of the declared categories or intervals, without their counts."""
    return question("top-k", of=of, k=k, categories=categories, edges=edges, **said)


def bounds(of: str, *, least: float = 1.0, most: float = 2.0**40, **said: Any) -> Question:
    """Powers of two between which a column lies, paid for: to declare bounds when nothing is known.

    ``least`` and ``most``: the smallest and largest size that is told apart.
    """
    return question("bounds", of=of, least=least, most=most, **said)
