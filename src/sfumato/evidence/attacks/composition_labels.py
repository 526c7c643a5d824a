"""Several releases to whoever knows people's values and not their classes, where labels overlap.

Local recoding may give a person a class that others would fit as well. Whoever knows only what the labels
say counts, in each release, everybody whose labels cover the person, and is left with those who are in all
of these counts: no fewer people than share the person's classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group

Codes = NDArray[np.int64]

#: Comparisons of a person's values with the labels of others that may be made.
MOST = 3_000_000_000


@dataclass(frozen=True)
class Shown:
    """One release as its labels show it, of the same people in the same order in all releases.

    ``plain`` is the class of each person by the columns whose labels do not overlap, -1 for who is not in
    the release; ``labels`` and ``values`` are the numbers of their label and of their own value in each of
    the others, shape (people, columns); ``covers`` says for each of these which labels cover which values.
    """

    plain: Codes
    labels: Codes
    values: Codes
    covers: tuple[NDArray[np.bool_], ...]

    @property
    def own(self) -> NDArray[np.bool_]:
        """Whom their own labels cover, which a mean or a most frequent value need not, shape (people,)."""
        found = np.ones(len(self.plain), dtype=bool)
        there = self.plain >= 0
        for column, covers in enumerate(self.covers):
            found[there] &= covers[self.labels[there, column], self.values[there, column]]
        return found

    def of(self, chosen: NDArray[np.bool_]) -> Shown:
        """The same of some of the people."""
        return Shown(self.plain[chosen], self.labels[chosen], self.values[chosen], self.covers)


def chances(releases: Sequence[Shown]) -> NDArray[np.float64] | None:
    """The chance to pick each person out of their candidates; None as for :func:`candidates`.

    It is 0 for whom some label of their own does not cover, for they are not among these.
    """
    found = candidates(releases)
    if found is None:
        return None
    own = np.all([release.own for release in releases], axis=0)
    return np.where(own, 1 / np.maximum(found, 1), 0.0)


def candidates(releases: Sequence[Shown]) -> Codes | None:
    """Everybody whom all releases allow for each person, shape (people,); None if that is too much to count.

    >>> two = np.array([[0], [1]])
    >>> both = np.array([[True, True], [False, True]])
    >>> candidates([Shown(np.array([0, 0]), two, two, (both,))]).tolist()
    [1, 2]
    """
    from sfumato.evidence.attacks.composition_kernels import covering

    # Who is absent where a person is, and alike in all that does not overlap, may be the person.
    alike, _ = _numbered([release.plain[:, None] for release in releases])
    own, own_at = _distinct([alike[:, None], *(release.values for release in releases)])
    others, others_at = _distinct([alike[:, None], *(release.labels for release in releases)])
    people = np.bincount(others_at, minlength=len(others)).astype(np.int64)
    # In the order of their first column, which both have.
    starts = np.searchsorted(others[:, 0], np.arange(int(alike.max(initial=-1)) + 2)).astype(np.int64)
    if int(np.diff(starts)[own[:, 0]].sum()) > MOST:
        return None
    matrices = [matrix for release in releases for matrix in release.covers]
    flat = np.concatenate([np.zeros(1, dtype=bool), *(matrix.ravel() for matrix in matrices)])
    bases = np.cumsum([1, *(matrix.size for matrix in matrices)])[:-1].astype(np.int64)
    widths = np.array([matrix.shape[1] for matrix in matrices], dtype=np.int64)
    found = covering(own, others, people, starts, flat, bases, widths)
    return np.asarray(found[own_at], dtype=np.int64)


def _numbered(parts: Sequence[Codes]) -> tuple[Codes, Codes]:
    """Equal rows by equal numbers from 0 in the order of their values, and how many have each."""
    columns = [column + 1 for part in parts for column in part.T]
    return group(combine(columns), np.ones(len(parts[0]), dtype=np.int64))


def _distinct(parts: Sequence[Codes]) -> tuple[Codes, Codes]:
    """The distinct rows in the order of their values, and the number of each person's."""
    rows = np.concatenate(parts, axis=1)
    found, at = np.unique(rows, axis=0, return_inverse=True)
    return np.ascontiguousarray(found), np.asarray(at, dtype=np.int64).reshape(-1)
