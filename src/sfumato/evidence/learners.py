"""Two learners, one taught by the release and one by the original, tested on the same held-out people.

Both are the same small gradient boosting with the same seeds, so that they differ by what they were
taught alone. The held-out people are original and were neither fitted nor released; for the learner
of the release they are put into its terms by the published method, as a recipient would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.values import Status
from sfumato.evidence.columns import direct_identifiers
from sfumato.evidence.estimators import Kind, Task, Taught, teach
from sfumato.evidence.features import labels, numbers
from sfumato.evidence.reading import Reader
from sfumato.evidence.reading import plain as _plain
from sfumato.evidence.reading import reader as _reader

#: Models with different seeds whose predictions are averaged: less noise from the teaching itself.
BAGS = 4
#: A target of numbers has no classes if it has more values than this.
MOST_CLASSES = 10
#: Of more classes the most frequent are told apart, and the rest are one.
MOST_FREQUENT = 30
LEAST_PER_CLASS = 10
#: Fewer people teach or test no model of a number.
LEAST_PEOPLE = 30
_LARGE = 1e12
#: The class of all others; no label of the data is this.
_REST = "\0rest"


@dataclass(frozen=True)
class Unlearned:
    """Why nothing could be learned."""

    status: Status
    note: str


class Part(NamedTuple):
    """Rows to learn from or to be tested on, and what is true of each: the number of a class, or a number."""

    frame: pl.DataFrame
    truth: NDArray[Any]


@dataclass(frozen=True)
class Lesson:
    """What both learners are taught and tested on.

    ``classes`` are the target's labels in order, empty for a target of numbers. ``tested`` are the
    held-out people, ``people`` their rows in ``comparison.control``.
    """

    comparison: Comparison
    classes: tuple[str, ...]
    original: Part
    released: Part
    tested: Part
    people: NDArray[np.int64]
    hidden: frozenset[str]

    @property
    def task(self) -> Task:
        return Task(len(self.classes))

    @cached_property
    def described(self) -> pl.DataFrame:
        """The held-out people in the release's terms."""
        return self.comparison.describe(self.tested.frame)

    def by_original(self, kind: Kind = "boosting", rows: NDArray[np.int64] | None = None) -> Taught:
        """A model taught by the original, or by some rows of it."""
        if rows is not None or not isinstance(self.comparison, _Sharing):
            return self._taught(kind, self.original, lambda raw, _: _plain(raw), rows)
        memory, lesson = self.comparison.memory, self._lesson_of_original(kind)
        if lesson not in memory:
            memory[lesson] = self._taught(kind, self.original, lambda raw, _: _plain(raw), None)
        return memory[lesson]

    def _lesson_of_original(self, kind: Kind) -> tuple[Any, ...]:
        """What a model of the original hangs on."""
        of, frame = self.comparison, self.original.frame
        names = tuple(name for name in frame.columns if name not in self.hidden)
        return kind, of.key, of.inventory.target, self.classes, names, frame.height, frame.hash_rows(0).sum()

    def by_release(self, kind: Kind = "boosting", rows: NDArray[np.int64] | None = None) -> Taught:
        """A model taught by the release, or by some rows of it."""
        return self._taught(kind, self.released, _reader(self.comparison), rows)

    def _taught(self, kind: Kind, part: Part, read: Reader, rows: NDArray[np.int64] | None) -> Taught:
        frame, truth = part if rows is None else (part.frame[rows], part.truth[rows])
        names = [column for column in frame.columns if column not in self.hidden]
        return teach(kind, frame, names, truth, self.task, read, self.comparison.key, BAGS)


@dataclass(frozen=True)
class Learned:
    """What both learners say of the held-out people.

    ``classes`` are the target's labels in order; ``truth`` has the number of each person's, shape
    (people,), and ``people`` their rows in ``comparison.control``. ``before`` (taught by the original)
    and ``after`` (taught by the release) are probabilities, shape (people, classes). ``rates`` are
    the shares of the classes in the original. For a target of numbers there are no classes and no rates;
    ``truth`` is the numbers, and ``before`` and ``after`` have one column.
    """

    classes: tuple[str, ...]
    truth: NDArray[Any]
    people: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    rates: NDArray[np.float64]
    lesson: Lesson
    by_original: Taught
    by_release: Taught


@dataclass(frozen=True)
class _Sharing(Comparison):
    """A comparison that teaches its learners once, when the first probe asks.

    ``memory`` has the models of the original by what they hang on.
    """

    memory: dict[tuple[Any, ...], Taught] = field(default_factory=dict, compare=False)

    @cached_property
    def learned(self) -> Learned | Unlearned:
        return _learn(self)


def share_learners(comparison: Comparison, memory: dict[tuple[Any, ...], Taught] | None = None) -> Comparison:
    """The same comparison, with learners that all probes share.

    Args:
        memory: models of the original, for comparisons of several releases with the same people and key.
    """
    if isinstance(comparison, _Sharing):
        return comparison
    given = {one.name: getattr(comparison, one.name) for one in fields(comparison)}
    return _Sharing(**given, memory={} if memory is None else memory)


def learned(comparison: Comparison) -> Learned | Unlearned:
    """What the learners of a comparison say, or why there are none."""
    return comparison.learned if isinstance(comparison, _Sharing) else _learn(comparison)


def _learn(comparison: Comparison) -> Learned | Unlearned:
    # Of histories it is learned who comes again.
    lesson = _lesson(comparison.foretelling or comparison)
    if isinstance(lesson, Unlearned):
        return lesson
    before, after = lesson.by_original(), lesson.by_release()
    rates = (
        np.bincount(lesson.original.truth, minlength=len(lesson.classes)) if lesson.classes else np.zeros(0)
    )
    return Learned(
        lesson.classes,
        lesson.tested.truth,
        lesson.people,
        before.predict(lesson.tested.frame),
        after.predict(lesson.described),
        rates / max(1, lesson.original.frame.height),
        lesson,
        before,
        after,
    )


def _lesson(comparison: Comparison) -> Lesson | Unlearned:
    target = comparison.inventory.target
    refusal = _refuse(comparison, target)
    if refusal is not None or target is None:
        return refusal or Unlearned("not-measured", "the dataset has no target")
    original = comparison.original.filter(pl.col(target).is_not_null())
    released = comparison.released.filter(
        pl.Series(comparison.kept) & comparison.released[target].is_not_null()
    )
    hidden = _hidden(comparison, target)
    if original[target].n_unique() > MOST_CLASSES and numbers(original[target]) is not None:
        return _of_numbers(comparison, original, released, target, hidden)
    return _of_classes(comparison, original, released, target, hidden)


def _of_classes(
    comparison: Comparison,
    original: pl.DataFrame,
    released: pl.DataFrame,
    target: str,
    hidden: frozenset[str],
) -> Lesson | Unlearned:
    classes, known = _classes(original[target]), set(labels(original[target]).unique())
    held_out = labels(comparison.control[target])
    people = held_out.is_in(list(known)).arg_true().to_numpy().astype(np.int64)
    tested = comparison.control[people]
    truth = _numbered(tested[target], classes)
    taught = _numbered(original[target], classes)
    few = _too_few(np.bincount(taught), np.bincount(truth))
    if few is not None:
        return few
    if not set(labels(released[target]).unique()) <= known:
        return Unlearned("not-measured", "the release has other classes of the target than the original")
    return Lesson(
        comparison,
        classes,
        Part(original, taught),
        Part(released, _numbered(released[target], classes)),
        Part(tested, truth),
        people,
        hidden,
    )


def _of_numbers(
    comparison: Comparison,
    original: pl.DataFrame,
    released: pl.DataFrame,
    target: str,
    hidden: frozenset[str],
) -> Lesson | Unlearned:
    parts: list[Part] = []
    people = np.zeros(0, dtype=np.int64)
    for frame, centers in (
        (original, None),
        (released, comparison.centers.get(target)),
        (comparison.control, None),
    ):
        values = numbers(frame[target], centers)
        if values is None:
            return Unlearned("not-measured", "the target is a number, and the release has none of it")
        people = np.flatnonzero(np.abs(values) < _LARGE)
        parts.append(Part(frame[people], values[people]))
    if min(part.frame.height for part in parts) < LEAST_PEOPLE:
        return Unlearned("no-power", f"fewer than {LEAST_PEOPLE} people to teach or to test with")
    taught, leaving, tested = parts
    return Lesson(comparison, (), taught, leaving, tested, people, hidden)


def _refuse(comparison: Comparison, target: str | None) -> Unlearned | None:
    if target is None:
        return Unlearned("not-measured", "the dataset has no target")
    if target not in comparison.released.columns:
        return Unlearned("not-measured", "the target does not leave")
    if not comparison.control.height:
        return Unlearned("not-measured", "nobody was held out to test on")
    if not comparison.kept.any():
        return Unlearned("not-measured", "the release has no rows")
    if comparison.original[target].drop_nulls().n_unique() < 2:
        return Unlearned("no-power", "the target has one class only")
    return None


def _too_few(taught: NDArray[np.int64], tested: NDArray[np.int64]) -> Unlearned | None:
    """At least two classes must have people enough to teach and to test."""
    width = max(len(taught), len(tested))
    enough = np.minimum(np.pad(taught, (0, width - len(taught))), np.pad(tested, (0, width - len(tested))))
    if (enough >= LEAST_PER_CLASS).sum() < 2:
        return Unlearned("no-power", f"fewer than {LEAST_PER_CLASS} people of a class of the target")
    return None


def _classes(series: pl.Series) -> tuple[str, ...]:
    """The labels in the order of their values; of too many the most frequent, and last the rest."""
    every = labels(series.unique().sort())
    if len(every) <= MOST_FREQUENT:
        return tuple(every)
    counts = labels(series).alias("label").to_frame().group_by("label").len()
    frequent = counts.sort(["len", "label"], descending=[True, False])["label"].head(MOST_FREQUENT)
    return (*every.filter(every.is_in(frequent.implode())), _REST)


def _numbered(series: pl.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    levels = pl.Series(classes, dtype=pl.String)
    return (
        labels(series)
        .replace_strict(
            levels, pl.Series(np.arange(len(classes))), default=len(classes) - 1, return_dtype=pl.Int64
        )
        .to_numpy()
        .copy()
    )


def _hidden(comparison: Comparison, target: str) -> frozenset[str]:
    """Columns that neither learner may use: identifiers, near-unique text, and what gives the target away."""
    given_away = {
        profile.name
        for profile in comparison.inventory.columns
        if profile.determines_target or (profile.dtype == "text" and profile.distinction > 0.5)
    }
    return direct_identifiers(comparison) | given_away | {target}
