"""The Gaussian copula: every column's own distribution, joined by one correlation for each pair.

Each code is an interval of a standard normal variable, as wide as its share (Nelsen 2006, 2.3; Song 2000).
Codes without an order are put in that of what they say of one field, the target. What two columns of
codes have in common is less than what the normal variables behind them have; the first term of the
tetrachoric series tells by how much (Olsson 1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.synth.coded import Coded, Field, Given, Private
from sfumato.synth.independent import allowed, counts_of, noisy_shares, refuse_empty

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: Shares of the cost: histograms, what codes say of the target, correlations.
_SHARES = (0.4, 0.2, 0.4)
#: Steps of the noise's grid in a score of 1.
_GRID = 2**12
_ROWS = 4096
_SWEEPS = 25
#: Of correlations with noise those below so many deviations are zero.
_SURE = 2.0


class Copula:
    """Columns with the right shares of values, joined by one correlation a pair."""

    summary: ClassVar[str] = "every column's own distribution, and one correlation for each pair of columns"
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True

    class Params(contracts.Params):
        """Nothing to set."""

    def __init__(self, params: Copula.Params) -> None:
        del params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """Three Gaussian mechanisms that are one of the noise multiplier together."""
        from dp_accounting import ComposedDpEvent, GaussianDpEvent

        del fields, size
        return ComposedDpEvent([GaussianDpEvent(noise / math.sqrt(share)) for share in _SHARES])

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> CopulaModel:
        """Count, order, correlate."""
        del key
        if private is None:
            refuse_empty(coded)
            shares, people = [each / each.sum() for each in counts_of(coded)], float(len(coded.codes))
        else:
            private.budget.spend(self.event(coded.fields, private.size, private.noise), place="copula")
            shares, people = noisy_shares(coded, private, private.noise / math.sqrt(_SHARES[0]))
        told = progress or _silent
        told("histograms", 1, 3)
        orders = _orders(coded, shares, private, people)
        told("order", 2, 3)
        margins = tuple(_Margin.of(each, order) for each, order in zip(shares, orders, strict=True))
        correlation = _correlation(coded, margins, private, people)
        told("correlations", 3, 3)
        return CopulaModel(coded.fields, margins, correlation)


@dataclass(frozen=True)
class _Margin:
    """The codes of a field in their ``order``, and the ends of their intervals, shape (size + 1,)."""

    order: NDArray[np.int64]
    ends: NDArray[np.float64]

    @classmethod
    def of(cls, shares: NDArray[np.float64], order: NDArray[np.int64]) -> _Margin:
        from scipy.special import ndtri

        total = np.append(0.0, np.cumsum(shares[order]))
        return cls(order, ndtri(np.clip(total / total[-1], 0.0, 1.0)))

    @property
    def places(self) -> NDArray[np.int64]:
        """Where each code stands in the order."""
        return np.argsort(self.order)

    def scores(self) -> NDArray[np.float64]:
        """The mean of the normal variable in each code's interval; 0 where it has no width."""
        from scipy.special import ndtr

        height = np.exp(-(self.ends**2) / 2) / math.sqrt(2 * math.pi)
        width = np.diff(ndtr(self.ends))
        mean = np.where(width > 1e-12, -np.diff(height) / np.maximum(width, 1e-12), 0.0)
        return mean[self.places]

    def spread(self) -> float:
        """The variance of the scores."""
        from scipy.special import ndtr

        return float((self.scores()[self.order] ** 2 * np.diff(ndtr(self.ends))).sum())

    def codes(self, normal: NDArray[np.float64]) -> NDArray[np.int32]:
        """The codes in whose intervals normal draws lie."""
        places = np.searchsorted(self.ends[1:-1], normal, side="right")
        return self.order[places].astype(np.int32)


@dataclass(frozen=True)
class CopulaModel:
    """Margins and the correlation matrix of the normal variables, shape (fields, fields)."""

    conditional: ClassVar[bool] = True

    fields: tuple[Field, ...]
    margins: tuple[_Margin, ...]
    correlation: NDArray[np.float64]

    @property
    def facts(self) -> Mapping[str, Any]:
        """How many histograms and correlations."""
        many = len(self.fields)
        return {"histograms": many, "correlations": many * (many - 1) // 2}

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields)."""
        normal = self._normal(rows, random, given)
        codes = np.empty((rows, len(self.fields)), dtype=np.int32, order="F")
        for place, margin in enumerate(self.margins):
            fixed = given.get(place)
            if fixed is not None and fixed.dtype != np.bool_:
                codes[:, place] = fixed
            else:
                codes[:, place] = margin.codes(normal[:, place])
            if fixed is not None and fixed.dtype == np.bool_ and not fixed[codes[:, place]].all():
                # A code without a share has no interval to lie in.
                codes[:, place] = random.choice(np.flatnonzero(fixed), rows).astype(np.int32)
        return codes

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Orders, ends and correlations."""
        orders = [margin.order for margin in self.margins]
        ends = [np.clip(margin.ends, -1e9, 1e9) for margin in self.margins]
        return {
            "orders": np.concatenate([*orders, np.zeros(0, dtype=np.int64)]).astype(np.int64),
            "ends": np.concatenate([*ends, np.zeros(0)]),
            "correlation": self.correlation,
        }, {}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> CopulaModel:
        """The model that :meth:`state` is of."""
        del document
        sizes = np.array([field.size for field in fields])
        orders = np.split(arrays["orders"], np.cumsum(sizes)[:-1])
        ends = [
            np.where(np.abs(each) >= 1e9, np.copysign(np.inf, each), each)
            for each in np.split(arrays["ends"], np.cumsum(sizes + 1)[:-1])
        ]
        margins = tuple(_Margin(order, each) for order, each in zip(orders, ends, strict=True))
        return cls(tuple(fields), margins, arrays["correlation"])

    def _normal(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.float64]:
        """Normal draws, those of given fields in the intervals that are allowed."""
        known = sorted(given)
        rest = [place for place in range(len(self.fields)) if place not in given]
        normal = np.zeros((rows, len(self.fields)))
        if known:
            normal[:, known] = self._given(rows, random, given, known)
        if not rest:
            return normal
        inner = self.correlation[np.ix_(rest, rest)]
        mean: Any = 0.0
        if known:
            weights = np.linalg.solve(
                self.correlation[np.ix_(known, known)], self.correlation[np.ix_(known, rest)]
            )
            mean = normal[:, known] @ weights
            inner = inner - self.correlation[np.ix_(rest, known)] @ weights
        root = np.linalg.cholesky(inner + 1e-9 * np.eye(len(rest)))
        normal[:, rest] = mean + random.standard_normal((rows, len(rest))) @ root.T
        return normal

    def _given(
        self, rows: int, random: np.random.Generator, given: Given, known: list[int]
    ) -> NDArray[np.float64]:
        """Draws of given fields, each from its intervals in turn, given the others (Gibbs)."""
        inner = self.correlation[np.ix_(known, known)]
        precision = np.linalg.inv(inner)
        weights = [self._weights(place, given[place], rows) for place in known]
        normal = np.zeros((rows, len(known)))
        for _ in range(_SWEEPS if len(known) > 1 else 1):
            for at, place in enumerate(known):
                deviation = 1 / math.sqrt(precision[at, at])
                others = normal @ precision[at] - normal[:, at] * precision[at, at]
                mean = -others * deviation**2
                normal[:, at] = _within(self.margins[place].ends, weights[at], mean, deviation, random)
        return normal

    def _weights(
        self, place: int, fixed: NDArray[np.int32] | NDArray[np.bool_], rows: int
    ) -> NDArray[np.bool_]:
        """Which intervals of a field are allowed, shape (1 or rows, size), in their order."""
        margin = self.margins[place]
        if fixed.dtype == np.bool_:
            allowed(np.zeros(len(fixed)), fixed.astype(np.bool_))
            return fixed[margin.order][None, :].astype(np.bool_)
        found = np.zeros((rows, len(margin.order)), dtype=np.bool_)
        found[np.arange(rows), margin.places[fixed]] = True
        return found


def _within(
    ends: NDArray[np.float64],
    open_: NDArray[np.bool_],
    mean: NDArray[np.float64],
    deviation: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Normal draws from the intervals that are open, shape (n,)."""
    from scipy.special import ndtr, ndtri

    at = ndtr((ends[None, :] - mean[:, None]) / deviation)
    mass = np.where(open_, np.maximum(np.diff(at, axis=1), 1e-300), 0.0)
    total = np.cumsum(mass, axis=1)
    chosen = (total <= (random.random(len(mean)) * total[:, -1])[:, None]).sum(axis=1)
    chosen = np.minimum(chosen, mass.shape[1] - 1)
    rows = np.arange(len(mean))
    low, high = at[rows, chosen], at[rows, chosen + 1]
    drawn = mean + deviation * ndtri(np.clip(low + random.random(len(mean)) * (high - low), 1e-15, 1 - 1e-15))
    # Rounding may carry a draw over an end.
    left, right = ends[chosen], ends[chosen + 1]
    inside = np.where(np.isfinite(right), np.nextafter(right, -np.inf), np.inf)
    clipped: NDArray[np.float64] = np.clip(drawn, left, np.maximum(inside, left))
    return clipped


def _orders(
    coded: Coded, shares: Sequence[NDArray[np.float64]], private: Private | None, people: float
) -> list[NDArray[np.int64]]:
    """The order of each field's codes: their own, or by the mean of the target's score."""
    orders = [np.arange(field.size) for field in coded.fields]
    told_by = _reference(coded)
    loose = [
        place
        for place, field in enumerate(coded.fields)
        if not field.ordered and field.size > 2 and place != told_by
    ]
    if not loose:
        return orders
    scores = np.rint(np.clip(_Margin.of(shares[told_by], orders[told_by]).scores(), -3, 3) * _GRID)
    values = scores[coded.codes[:, told_by]]
    sums = [
        np.bincount(coded.codes[:, place], values, minlength=coded.fields[place].size).astype(np.int64)
        for place in loose
    ]
    found = np.concatenate(sums)
    if private is not None:
        from sfumato.dp.mechanisms import gaussian, gaussian_sigma

        most = float(np.abs(scores).max()) * math.sqrt(len(loose))
        found = gaussian(found, gaussian_sigma(private.noise / math.sqrt(_SHARES[1]), max(most, 1.0)))
    parts = np.split(found, np.cumsum([len(each) for each in sums])[:-1])
    for place, part in zip(loose, parts, strict=True):
        # A code of few people goes to the middle.
        mean = part / _GRID / (shares[place] * people + 10.0)
        orders[place] = np.argsort(mean, kind="stable")
    return orders


def _reference(coded: Coded) -> int:
    """The field whose score orders the others: the target, else the first that has an order."""
    if coded.target is not None:
        return coded.target
    return next((place for place, field in enumerate(coded.fields) if field.ordered), 0)


def _correlation(
    coded: Coded, margins: Sequence[_Margin], private: Private | None, people: float
) -> NDArray[np.float64]:
    """The correlations of the normal variables, positive definite."""
    scores = [margin.scores() for margin in margins]
    spread = np.maximum([margin.spread() for margin in margins], 1e-9)
    total = float(spread.sum())
    bound = total + 2 * math.sqrt(2 * total) if private is not None else math.inf
    products: NDArray[Any] = np.zeros((len(margins),) * 2, dtype=np.int64)
    for begin in range(0, len(coded.codes), _ROWS):
        codes = coded.codes[begin : begin + _ROWS]
        rows = np.stack([each[codes[:, place]] for place, each in enumerate(scores)], axis=1)
        norm = (rows**2).sum(axis=1, keepdims=True)
        rows = np.rint(rows * np.sqrt(np.minimum(1.0, bound / np.maximum(norm, 1e-300))) * _GRID)
        products += np.rint(rows.T @ rows).astype(np.int64)
    if private is not None:
        products = _noised(products, bound, private)
    mean = products / (max(people, 1.0) * _GRID**2)
    return _definite(mean / np.outer(spread, spread))


def _noised(products: NDArray[np.int64], bound: float, private: Private) -> NDArray[np.float64]:
    """Sums of products of pairs, with noise that was charged; those that it drowns are zero."""
    from sfumato.dp.mechanisms import gaussian, gaussian_sigma

    many = len(products)
    above = np.triu_indices(many, 1)
    # Of a row of squared norm B the squares of all products above the diagonal sum to at most B² / 2.
    longest = (_GRID * math.sqrt(bound) + math.sqrt(many) / 2) ** 2 / math.sqrt(2)
    sigma = gaussian_sigma(private.noise / math.sqrt(_SHARES[2]), longest)
    drawn = gaussian(products[above], sigma).astype(np.float64)
    found = np.zeros((many, many))
    found[above] = np.where(np.abs(drawn) > _SURE * sigma, drawn, 0.0)
    return found + found.T


def _definite(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation matrix near a symmetric one: eigenvalues above zero, ones on the diagonal."""
    matrix = np.clip(found, -0.995, 0.995)
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    definite: NDArray[np.float64] = matrix / np.outer(scale, scale)
    return definite


def _silent(step: str, done: int, of: int) -> None:
    del step, done, of
