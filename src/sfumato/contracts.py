"""The protocols of the house on one page.

A new transform, privacy model, measure or probe implements one of these, and is one new file and one
line in its room's registry table. The conformance suites in ``tests/contract`` hold every registered
part to what is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from sfumato.core.values import Finding, Inventory, Plan

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from dp_accounting import DpEvent
    from numpy.typing import NDArray

    from sfumato.anonymity.measures.columns import Classes, Columns
    from sfumato.classes.table import ClassTable
    from sfumato.synth.coded import Coded, Field, Given, Private


class Params(BaseModel):
    """Parameters of a part, as a policy writes them; constraints on the fields make the messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


#: The engine's column of row numbers, and the number of rows in a table of distinct tuples; no source
#: may have a column of such a name.
ROW = "__sfumato_row__"
COUNT = "__sfumato_count__"
#: The number of the person whom a row belongs to, where people have several rows.
PERSON = "__sfumato_person__"


class Engine(Protocol):
    """Where tables live and are worked on. A frame is lazy; only tables of bounded size come back."""

    def scan(self, source: Any) -> Any:
        """A lazy frame over a source, with a column of row numbers named :data:`ROW`."""

    def schema(self, frame: Any) -> Mapping[str, Any]:
        """Column names and types, without reading rows."""

    def aggregate(self, frame: Any, keys: Sequence[str], measures: Sequence[Any]) -> pl.DataFrame:
        """One row for each distinct tuple of keys, with the measures."""

    def map(self, frame: Any, function: Callable[[pl.DataFrame], pl.DataFrame], schema: Any) -> Any:
        """The frame with a pure function applied to each batch, whatever the batches are."""

    def sample(self, frame: Any, key: bytes, rows: int, by: str = ROW) -> pl.DataFrame:
        """The rows with the smallest keyed draws of their identities in column ``by``, at most ``rows``."""

    def write(
        self,
        frame: Any,
        columns: Sequence[str],
        folder: Path,
        name: str,
        form: str,
        order: bytes | None,
        by: str = ROW,
    ) -> Sequence[Path]:
        """The named columns and no others as files, the rows in the order of keyed draws, or of ``by``."""


class Transform(Protocol):
    """What happens to one column: fitted once on aggregates, then a pure function of a batch."""

    Params: ClassVar[type[Params]]
    #: One line for the docs and ``check``, in the words of ISO/IEC 20889 where it has them.
    summary: ClassVar[str]

    @staticmethod
    def reads(params: Any) -> bool:
        """Does fitting look at the column's values? Without it ``fit`` gets a table of no rows."""

    def fit(self, values: pl.DataFrame, params: Any, key: bytes) -> dict[str, Any]:
        """The state, JSON only, from distinct ``value`` and ``count``; no reference to rows."""

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The batch transformed; missing stays missing unless the summary says otherwise."""


class Recoding(Protocol):
    """What happens to the table as a whole: fitted for one snapshot, and refusing any other."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it may change, in the table's order."""

    def label(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """A batch of transformed rows with their labels, and which of them stay.

        A row that does not stay has the labels it would have had, or missing ones where it has none.

        Raises:
            InputError: ``snapshot`` for rows that the snapshot did not have.
        """

    def mapping(self) -> pl.DataFrame:
        """Which value became which label, or which tuple which labels: for the house alone."""


class PrivacyModel(Protocol):
    """What every class of people must satisfy.

    A model of the ``whole`` table (an average risk, say) has a promise about all classes together; it
    says of the smallest classes that they do not hold until the others keep it.
    """

    Params: ClassVar[type[Params]]
    summary: ClassVar[str]
    #: Do classes that hold, put together, hold? Then every more general table without suppression does.
    monotone: ClassVar[bool]
    #: Does a class that holds still hold with anybody added? Then searches prune with suppression too.
    absorbing: ClassVar[bool]
    whole: ClassVar[bool]
    #: Does it count people in the table of the population?
    counts_population: bool
    #: The sensitive column that it looks at, None if it counts people only.
    on: str | None

    def __init__(self, params: Any) -> None: ...

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes satisfy the model, shape (classes,)."""

    def explain(self) -> str:
        """The promise in one sentence for the dossier."""


class HierarchyKind(Protocol):
    """How values of one column become coarser, level by level."""

    Params: ClassVar[type[Params]]
    summary: ClassVar[str]

    def __init__(self, params: Any, folder: Path) -> None: ...

    @property
    def height(self) -> int:
        """The number of levels; level 0 is the value itself."""

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """A text label for each value at a level >= 1, missing where it says nothing of the value."""

    def domain(self) -> pl.Series | None:
        """The values that count as leaves, or None if those of the data do."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """A number standing for each value's label, or None if the labels are not of numbers."""


class Measure(Protocol):
    """What generalization costs; the lattice search minimizes its score, which is never below 0.

    A measure bounds nodes from their levels alone, by a cost for each column that adds up: a node at
    least as coarse as a level in each column, and suppressing at least the rows that are ``gone`` and so
    many ``more``, scores no less than the total of each column's least cost among the levels it may have.

    Where classes tell more than columns, a measure is ``nested`` and has a floor as well.
    """

    summary: ClassVar[str]
    nested: ClassVar[bool]

    def __init__(self, columns: Columns) -> None: ...

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:
        """Each column's cost at each level, shape (levels of all columns,), from suppressed rows by value."""

    def total(self, cost: float, suppressed: int) -> float:
        """The bound from the sum of one cost a column; it never falls when either rises."""

    def score(self, classes: Classes) -> float:
        """The score of a node."""

    def floor(self, classes: Classes) -> float:
        """What any node scores at least that merges these classes and suppresses no fewer of their rows."""


class SynthesisModel(Protocol):
    """What a synthesizer learned; rows are made from it, and from a draw, alone."""

    #: Does :meth:`sample` honour what is given? Otherwise callers choose among rows made freely.
    conditional: ClassVar[bool]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was learned, for the dossier: counts of parameters, marginals, rounds; JSON, of no person."""

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields); the same draw gives the same rows."""

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Arrays and JSON that :meth:`restored` makes the model from again."""

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> SynthesisModel:
        """The model that :meth:`state` is of."""


class Synthesizer(Protocol):
    """Learns how the fields of coded rows go together.

    Where ``private`` is None it may look at the rows as it likes. Otherwise everything that it learns of them
    is charged to the budget in it; what it looks at beyond is public: fields, sizes, parameters.
    """

    Params: ClassVar[type[Params]]
    summary: ClassVar[str]
    #: Under differential privacy: does training see rows, or noisy marginals alone?
    sees: ClassVar[Literal["rows", "marginals"]]
    #: Can it be taught under differential privacy?
    has_private: ClassVar[bool]

    def __init__(self, params: Any) -> None: ...

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """What a fit under differential privacy is charged; it costs less the more noise there is.

        It follows from how many fields there are, and never from their sizes, which were perhaps learned.

        Args:
            size: about how many rows there are.
            noise: the noise multiplier, above 0.
        """

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> SynthesisModel:
        """Learn from coded rows.

        Args:
            key: 32 bytes for everything that is drawn but noise; the same key and rows give the same model
                where nothing is private.
            private: the terms of differential privacy; None without it.
            progress: is told what is done, how far it has come, and of how much.

        Raises:
            InputError: ``usage``: an extra is not installed, or the rows cannot be learned from.
        """


def nobody(metric: str, rows: NDArray[np.int64], risks: NDArray[np.float64]) -> None:
    """Keeps nothing of what single people risk."""


def unwatched(name: str, done: int, total: int) -> None:
    """Tells nobody how far a long work has come."""


@dataclass(frozen=True, eq=False)
class Logs:
    """The events behind a comparison of histories, a row each, in the terms in which they are released.

    Each table has the person's number (:data:`PERSON`) and the columns named here; ``items`` are texts,
    ``amounts`` numbers, ``statics`` say something of the person and not of the event. Rows of a person stand
    in the order in which they were, those of ``made`` as they were written. ``window`` is when observation
    opened and closed, as ticks of the time's type.
    """

    time: str
    items: tuple[str, ...]
    amounts: tuple[str, ...]
    statics: tuple[str, ...]
    window: tuple[float, float]
    taught: pl.DataFrame
    made: pl.DataFrame
    others: pl.DataFrame


@dataclass(frozen=True)
class Tables:
    """Several tables of the same people behind a comparison, in the terms in which they are released.

    ``taught``, ``made`` and ``others`` have the same tables by name, each with the person's number
    (:data:`PERSON`) in every row and the columns that leave, but no keys. That of ``people`` has one row of
    each person, and stands first; in the others somebody may have none, or many, whose order says nothing.
    """

    people: str
    taught: Mapping[str, pl.DataFrame]
    made: Mapping[str, pl.DataFrame]
    others: Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Comparison:
    """What a probe sees: people before and after, people who were left out, and what the method says.

    ``original`` and ``released`` are row by row the same people, a keyed sample of those offered
    to the release; ``kept`` says which of them left it (the others were suppressed, their row in
    ``released`` is what it would have been). ``control`` are people who were neither fitted nor
    released, raw; empty if there are none. All frames have the original's column names; ``released``
    has only the columns that leave.

    ``describe`` puts raw rows into the release's own terms by the published method. ``count`` gives
    the distinct tuples of released columns with their number of rows (column :data:`COUNT`), over the
    whole release as written; ``count_original`` the same of the raw rows it was made from.
    ``centers`` gives a number for each label of a generalized numeric column.
    ``covers`` is there for columns whose labels overlap, as local recoding makes them: of a column, some
    of its labels and some values as ``describe`` leaves them (no label can be computed for a person who
    is not in the release) it says which labels cover which values, shape (labels, values).
    ``overlapping`` names those columns.
    Where a person may have several rows, each has one here, drawn by key, and both counts are of people;
    ``alike`` and ``alike_original`` are there if the release links the rows of a person: of some columns
    they give the people who have the same tuples as often, shape (classes,).
    ``histories`` and ``histories_original`` give some columns of every row that leaves, and of every raw
    one, with its number (:data:`ROW`) and its person's (:data:`PERSON`), in the source's order; ``people``
    are the persons' numbers of the rows in ``original``. All are None where each person has one row.
    ``count_population`` counts a table of the population, where there is one: the tuples of columns in
    the release's own terms, and ``count_population_original`` raw. ``population`` is the sampling
    fraction where only that is known.
    Attackers who know the method get what is published of it: ``finer`` is ``describe`` with one column, that
    all rows have at a level above 0, a level less general; ``suppressible`` the most rows that the search
    might suppress; ``tight`` the columns in which a class's label names its least and greatest value, or
    every value in it, and no others; ``tree`` the labels of some values of a sensitive column at each level
    of the hierarchy that a model measures distances on, shape (levels, values), None for other columns.
    ``groups`` are the columns of the original by whose groups people are compared. ``record`` takes for
    custody alone what single people risk: a metric, positions in ``original`` and a risk for each.
    ``design`` is "holdout", or "twin" where every row is released and the probe runs on the same
    policy fitted to one half with the other half as control, or "none" where there is no control.

    With ``made`` the release is of rows that a generator made, and they are nobody's. ``original`` are then
    a keyed sample of the people who taught the generator, and ``control`` people who did not. ``released``
    is a keyed sample of the made rows in an order of its own, laid beside the people
    (:func:`sfumato.evidence.made.laid_beside`): a row has nothing to do with the person beside it, and
    figures that rest on pairs have the intervals of independent samples. ``kept`` says where there is a
    row, for there may be fewer rows than people; who is behind a release is ``members``. ``count`` gives all
    made rows as written, ``describe`` what raw rows are in the terms that the generator was taught in (the
    transforms of columns and nothing else), and ``count_taught`` everybody who taught it in these terms;
    without it they are those in ``original``. Labels never overlap.

    ``remake`` is for attackers who try the method themselves: of raw rows, each taken for another person's,
    and a key it gives the comparison of a shadow release, made by the same policy and, under differential
    privacy, at a budget of its own that no ledger knows. It is None where that is not done. ``watch`` is
    told how far a long work has come.

    Where histories are made, people with all their events are what rows are elsewhere: all frames have a row
    of each (:func:`sfumato.evidence.histories.persons`), ``logs`` has the events, and ``foretelling`` is the
    same people as they were two thirds through the window, with a target: whether they come again. So it is
    where several tables are made: all frames have a row of each person with what hangs on it
    (:func:`sfumato.evidence.tables.persons`), and ``tables`` has the rows.
    """

    inventory: Inventory
    plan: Plan
    original: pl.DataFrame
    released: pl.DataFrame
    kept: NDArray[np.bool_]
    control: pl.DataFrame
    describe: Callable[[pl.DataFrame], pl.DataFrame]
    count: Callable[[Sequence[str]], pl.DataFrame]
    count_original: Callable[[Sequence[str]], pl.DataFrame]
    centers: Mapping[str, Mapping[str, float]]
    key: bytes
    design: Literal["holdout", "twin", "none"]
    population: float | None = None
    covers: Callable[[str, pl.Series, pl.Series], NDArray[np.bool_]] | None = None
    overlapping: tuple[str, ...] = ()
    alike: Callable[[Sequence[str]], NDArray[np.int64]] | None = None
    alike_original: Callable[[Sequence[str]], NDArray[np.int64]] | None = None
    histories: Callable[[Sequence[str]], pl.DataFrame] | None = None
    histories_original: Callable[[Sequence[str]], pl.DataFrame] | None = None
    people: NDArray[np.uint64] | None = None
    count_population: Callable[[Sequence[str]], pl.DataFrame] | None = None
    count_population_original: Callable[[Sequence[str]], pl.DataFrame] | None = None
    context: Mapping[str, Any] | None = None
    finer: Callable[[str, pl.DataFrame], pl.DataFrame] | None = None
    suppressible: int | None = None
    tight: tuple[str, ...] = ()
    tree: Callable[[str, pl.Series], NDArray[np.int64] | None] | None = None
    groups: tuple[str, ...] = ()
    record: Callable[[str, NDArray[np.int64], NDArray[np.float64]], None] = nobody
    made: bool = False
    count_taught: Callable[[Sequence[str]], pl.DataFrame] | None = None
    logs: Logs | None = None
    tables: Tables | None = None
    foretelling: Comparison | None = None
    remake: Callable[[pl.DataFrame, bytes], Comparison] | None = None
    watch: Callable[[str, int, int], None] = unwatched

    @property
    def members(self) -> NDArray[np.bool_]:
        """Who of ``original`` the release is of: whoever left, and everybody where rows are made."""
        return self.kept | self.made


class Probe(Protocol):
    """Attacks, utility and fairness alike: a comparison in, findings out.

    A probe that cannot measure returns findings with another status and a note, and never a figure
    that looks like a good one.
    """

    Params: ClassVar[type[Params]]
    summary: ClassVar[str]
    #: Every metric it may report, with its goal and one line for the docs.
    metrics: ClassVar[Mapping[str, tuple[Literal["low", "high"], str]]]
    #: The metrics that are about a person's own row in the release, so that made rows have none; a probe
    #: that does not say it has none of its figures there.
    rowwise: ClassVar[frozenset[str]]

    def run(self, comparison: Comparison, params: Any) -> list[Finding]:
        """The findings, without a person's value in any of their texts."""
