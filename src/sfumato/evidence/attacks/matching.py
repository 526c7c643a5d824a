"""Linking register people to classes of released rows by the likelihood of what agrees.

Fellegi & Sunter's theory of record linkage (1969, *JASA* 64:1183-1210) with weights by value (Winkler
1988): that two rare labels agree says more than that two common ones do. If a register cell is wrong
with probability e, and a wrong cell shows a label as often as the release has it (share p), then a
person of a class with the same label shows it with probability (1 - e) + e p, of any other class with
e p, and a stranger with p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT
from sfumato.evidence.features import UNKNOWN, as_type, encode_labels

#: The code of a cell that a register does not have.
GAP = -2

#: What an attacker who trusts the register still allows for: it ranks classes when none agrees fully.
TRUST = 1e-3


@dataclass(frozen=True)
class Claims:
    """What the attacker would say of each register person, shape (people,) each.

    ``weight`` is the log-likelihood ratio of the best classes against a stranger, ``rows`` the rows in
    the best classes, ``confidence`` the attacker's own probability that one drawn row is the person,
    ``full`` whether every known cell agrees.
    """

    weight: NDArray[np.float64]
    rows: NDArray[np.int64]
    confidence: NDArray[np.float64]
    full: NDArray[np.bool_]

    def __getitem__(self, part: NDArray[np.int64]) -> Claims:
        return Claims(self.weight[part], self.rows[part], self.confidence[part], self.full[part])


class Compared(NamedTuple):
    """People compared with every class, shape (people,) each.

    ``best`` is the best sum of gains, ``rows`` the rows that reach it, ``mass`` the likelihood of all rows
    as a multiple of the best one's, ``full`` whether every known cell of the best agrees.
    """

    best: NDArray[np.float64]
    rows: NDArray[np.int64]
    mass: NDArray[np.float64]
    full: NDArray[np.bool_]


class Table(Protocol):
    """Classes of rows that people are looked for in; what :meth:`encode` makes of people is its own."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each class, shape (classes,)."""

    @property
    def rows(self) -> int:
        """Rows in all classes."""

    @property
    def scanned(self) -> int:
        """The classes that a person is compared with even if the register is exact."""

    def encode(self, described: pl.DataFrame, gaps: NDArray[np.bool_] | None = None) -> Any:
        """People to compare; the cells of ``gaps``, shape (people, columns), say nothing."""

    def label_codes(self, released: pl.DataFrame) -> NDArray[np.int32]:
        """The label codes of released rows, shape (rows, columns)."""

    def locate(self, described: pl.DataFrame) -> NDArray[np.int64] | None:
        """The one class that agrees with each person, -1 if there is none; None if there may be several."""

    def claim_full(self, described: pl.DataFrame) -> Claims:
        """Claims on those who agree with a class in every column; on others none."""

    def compare(self, people: Any, error: float) -> Compared:
        """Each person with every class."""

    def own_gains(
        self, people: Any, own: NDArray[np.int32], error: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The gain of each cell that agrees with the own row (0 if not), shape (people, columns), and
        whether every known cell does, shape (people,)."""

    def floor(self, people: Any, error: float) -> NDArray[np.float64]:
        """The weight of a person of whom nothing agrees: log e for each cell that is not a gap."""


@dataclass(frozen=True)
class Classes:
    """The distinct tuples of a table with their rows; label codes are made when first needed.

    People are put into the tuples' types before they are compared, so that a register read as text
    meets a release of numbers.
    """

    columns: tuple[str, ...]
    tuples: pl.DataFrame
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, counted: pl.DataFrame, columns: Sequence[str]) -> Classes:
        """The classes of a count of tuples, which has a column :data:`COUNT`; no columns make one class."""
        sizes = counted[COUNT].cast(pl.Int64).to_numpy()
        tuples = counted.select(columns)
        return cls(tuple(columns), tuples, sizes if columns or not len(sizes) else sizes.sum(keepdims=True))

    @cached_property
    def levels(self) -> tuple[pl.DataFrame, ...]:
        """For each column its ``label``s with a ``code`` and the ``share`` of rows that have it."""
        found = []
        for column in self.columns:
            counted = pl.DataFrame([self.tuples[column].alias("label"), pl.Series(COUNT, self.sizes)])
            level = counted.group_by("label").agg(pl.col(COUNT).sum()).sort("label", nulls_last=True)
            share = (pl.col(COUNT) / max(1, self.rows)).alias("share")
            found.append(level.select("label", share).with_row_index("code"))
        return tuple(found)

    @cached_property
    def codes(self) -> NDArray[np.int32]:
        """The label codes of every class, shape (columns, classes)."""
        found = [
            encode_labels(self.tuples[column], level)
            for column, level in zip(self.columns, self.levels, strict=True)
        ]
        return np.stack(found) if found else np.empty((0, len(self.sizes)), dtype=np.int32)

    @cached_property
    def ordered(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Codes and sizes in the order of the codes, so that sums over classes are always the same."""
        if not self.columns:
            return self.codes, self.sizes
        frame = pl.DataFrame(dict(zip(self.columns, self.codes, strict=True)))
        order = frame.select(pl.arg_sort_by(self.columns)).to_series().to_numpy()
        return np.ascontiguousarray(self.codes[:, order]), self.sizes[order]

    @property
    def rows(self) -> int:
        """Rows in all classes."""
        return int(self.sizes.sum())

    @property
    def scanned(self) -> int:
        """None: people are looked up."""
        return 0

    def encode(self, described: pl.DataFrame, gaps: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
        """Label codes of people, shape (people, columns): unknown labels and gaps are negative."""
        found = [
            encode_labels(described[column], level)
            for column, level in zip(self.columns, self.levels, strict=True)
        ]
        codes = np.stack(found, axis=1) if found else np.empty((described.height, 0), dtype=np.int32)
        if gaps is not None:
            codes[gaps] = GAP
        return codes

    def label_codes(self, released: pl.DataFrame) -> NDArray[np.int32]:
        """As :meth:`encode`: people are put into labels before they are compared."""
        return self.encode(released)

    def locate(self, described: pl.DataFrame) -> NDArray[np.int64]:
        """The class with exactly the labels of each person, -1 if there is none."""
        if not self.columns:
            return np.zeros(described.height, dtype=np.int64)
        held, lost = zip(
            *(as_type(described[column], dtype) for column, dtype in self.tuples.schema.items()), strict=True
        )
        numbered = self.tuples.with_row_index("__sfumato_class__")
        found = pl.DataFrame(held).join(
            numbered, on=list(self.columns), how="left", nulls_equal=True, maintain_order="left"
        )["__sfumato_class__"]
        classes = found.cast(pl.Int64).fill_null(-1).to_numpy().copy()
        # What the column's type cannot hold is no missing value, and agrees with nothing.
        classes[np.any([part.to_numpy() for part in lost], axis=0)] = -1
        return classes

    def claim_full(self, described: pl.DataFrame) -> Claims:
        """Claims on those who agree with a class in every column; on others none."""
        codes, found = self.encode(described), self.locate(described)
        full = found >= 0
        weight = self.gains(codes, TRUST).sum(axis=1) + self.floor(codes, TRUST)
        rows = np.zeros(len(found), dtype=np.int64)
        rows[full] = self.sizes[found[full]]
        confidence = posterior(weight, rows.astype(np.float64), self.rows)
        weight[~full], confidence[~full] = -np.inf, 0.0
        return Claims(weight, rows, confidence, full)

    def compare(self, people: NDArray[np.int32], error: float) -> Compared:
        """Each person's codes with those of every class."""
        from sfumato.evidence.attacks.kernels import TIE, best_classes

        gains = self.gains(people, error)
        best, rows, mass = best_classes(np.ascontiguousarray(people), gains, *self.ordered)
        known = (people != UNKNOWN).all(axis=1)
        return Compared(best, rows, mass, known & (best >= gains.sum(axis=1) - TIE))

    def own_gains(
        self, people: NDArray[np.int32], own: NDArray[np.int32], error: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The gains of the codes that are those of the own row."""
        agree = (people == own) & (people >= 0)
        return self.gains(people, error) * agree, (agree | (people == GAP)).all(axis=1)

    def gains(self, codes: NDArray[np.int32], error: float) -> NDArray[np.float64]:
        """What agreeing adds over disagreeing, log((1 - e + e p) / (e p)), shape of ``codes``."""
        return np.where(codes >= 0, gain(self._shares_of(codes), error), 0.0)

    def floor(self, codes: NDArray[np.int32], error: float) -> NDArray[np.float64]:
        """The weight of a person of whom nothing agrees: log e for each cell that is not a gap."""
        cells = (codes != GAP).sum(axis=1).astype(np.float64)
        return np.asarray(cells * np.log(error), dtype=np.float64)

    def _shares_of(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        share = np.ones(codes.shape)
        for j, level in enumerate(self.levels):
            known = codes[:, j] >= 0
            share[known, j] = level["share"].to_numpy()[codes[known, j]]
        return share


def gain(share: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """What it adds that a cell agrees with which a share of people agree, log((1 - e + e p) / (e p))."""
    return np.asarray(np.log((1 - error + error * share) / (error * share)), dtype=np.float64)


def claim_exact(classes: Table, described: pl.DataFrame, *, insist: bool) -> Claims:
    """The claims of an attacker whose register is exact.

    Whoever agrees with a class in every column belongs to it. With ``insist`` the others (the release
    says something else of them) are linked to what agrees best; without, no claim is made on them.
    """
    claims = classes.claim_full(described)
    others = ~claims.full
    if insist and others.any():
        rest = claim_best(classes, classes.encode(described.filter(pl.Series(others))), TRUST)
        for all_of_them, theirs in (
            (claims.weight, rest.weight),
            (claims.rows, rest.rows),
            (claims.confidence, rest.confidence),
        ):
            all_of_them[others] = theirs
    return claims


def claim_best(classes: Table, people: Any, error: float) -> Claims:
    """The claims of an attacker who compares each person with every class."""
    if not len(people) or not len(classes.sizes):
        none = np.zeros(len(people))
        return Claims(none, none.astype(np.int64), none.copy(), none.astype(bool))
    found = classes.compare(people, error)
    weight = found.best + classes.floor(people, error)
    return Claims(weight, found.rows, posterior(weight, found.mass, classes.rows), found.full)


def own_weights(
    classes: Table,
    people: Any,
    own: NDArray[np.int32],
    error: float,
    full: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """The weight of each person with their own row, shape (people,).

    Args:
        own: the label codes of the own rows.
        full: on whom only a row that agrees in every known cell is claimed; another is none of theirs.
    """
    gains, complete = classes.own_gains(people, own, error)
    weight: NDArray[np.float64] = gains.sum(axis=1) + classes.floor(people, error)
    if full is not None:
        weight[full & ~complete] = -np.inf
    return weight


def posterior(weight: NDArray[np.float64], mass: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """The posterior probability of one of the best rows, a priori as likely in the release as not.

    ``mass`` is the likelihood of all rows as a multiple of the best one's; a stranger's is
    ``rows * exp(-weight)`` of it.
    """
    with np.errstate(over="ignore"):
        confidence: NDArray[np.float64] = 1 / (mass + rows * np.exp(-weight))
    return confidence
