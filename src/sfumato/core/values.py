"""The values that pass along the way: each can be saved, read, compared and hashed."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from sfumato.core.canonical import canonical_json, sha256


class Value(BaseModel):
    """A frozen value with canonical bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> bytes:
        """Canonical JSON (:func:`sfumato.core.canonical.canonical_json`)."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The value that :meth:`to_json` wrote."""
        return cls.model_validate_json(data)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes."""
        return sha256(self.to_json())


class Role(StrEnum):
    """How a column is treated. That it is sensitive is said beside it, for it can be both."""

    DIRECT_IDENTIFIER = "direct-identifier"
    QUASI_IDENTIFIER = "quasi-identifier"
    INSENSITIVE = "insensitive"


class Detection(Value):
    """A kind of identifier found in a column, with what speaks for it.

    ``share`` is the share of the distinct values examined that pass; ``evidence`` says so in words,
    without quoting a value.
    """

    kind: str
    evidence: str
    share: float


class ColumnProfile(Value):
    """What the inventory knows of one column.

    ``distinction`` is distinct values / rows, ``separation`` the share of pairs of rows that the
    column tells apart (Motwani & Xu 2007), ``unique`` the share of rows whose value nobody shares.
    ``target_information`` is the mutual information with the target as a share of the target's
    entropy, less what chance would give; None without a target. ``function_of`` names columns each
    of which alone gives this one away.
    """

    name: str
    dtype: Literal["integer", "number", "text", "boolean", "date", "datetime", "empty"]
    missing: int
    distinct: int
    role: Role
    sensitive: bool = False
    why: str
    detections: tuple[Detection, ...] = ()
    distinction: float
    separation: float
    unique: float
    target_information: float | None = None
    function_of: tuple[str, ...] = ()
    determines_target: bool = False
    hierarchy: dict[str, Any] | None = None


class QuasiSet(Value):
    """A set of columns and the share of rows that it singles out."""

    columns: tuple[str, ...]
    unique_share: float
    separation: float


class Inventory(Value):
    """What the data are: every column, and the sets of columns that single people out.

    ``rows`` is the number of rows of the source, ``examined`` how many were looked at for the
    figures (all of them unless the source is large).
    """

    rows: int
    examined: int
    target: str | None
    columns: tuple[ColumnProfile, ...]
    quasi_sets: tuple[QuasiSet, ...] = ()

    def column(self, name: str) -> ColumnProfile:
        """The profile of one column; KeyError if there is none."""
        for profile in self.columns:
            if profile.name == name:
                return profile
        raise KeyError(name)

    def named(self, role: Role) -> tuple[str, ...]:
        """The names of the columns of a role, in the source's order."""
        return tuple(profile.name for profile in self.columns if profile.role is role)


class Step(Value):
    """One column's part of a plan: what is done to it.

    ``known_to`` says who knows a sensitive column, ``approved`` that a named person answers for the
    policy's role where the inventory finds the column identifying. ``state`` is what was fitted; it
    stays in custody.
    """

    column: str
    role: Role
    sensitive: bool
    known_to: tuple[str, ...] = ()
    approved: bool = False
    action: str
    params: dict[str, Any]
    why: str
    state: dict[str, Any] = {}


class AnonymityPlan(Value):
    """What the table recoding does, in the figures of ARX (see ``docs/explanation/measures.md``).

    ``levels`` maps each quasi-identifier to its level of generalization, ``heights`` to its number of
    levels; both are empty where each class has labels of its own. ``classes`` and ``smallest_class`` do
    not count suppressed rows. ``score`` is what the method makes small: the policy's measure, or the
    certainty penalty of a partition. ``losses`` has for each quasi-identifier what its labels lost on
    average, from 0 (untouched) to 1 (nothing said), suppressed rows counted as 1. ``lattice`` and
    ``checked`` count nodes where there are any; no node scores less than ``bound``. ``why`` says of each
    column what a level more or less would change; it stays in custody, for what an algorithm did not
    choose tells of people. ``unit`` is what counts in a class: rows, people with a row in it, or people
    whose rows are all the same.
    """

    method: str
    unit: Literal["row", "person", "whole person"] = "row"
    models: tuple[dict[str, Any], ...]
    levels: dict[str, int]
    heights: dict[str, int]
    classes: int
    smallest_class: int
    rows: int
    suppressed_rows: int
    suppressed_share: float
    score: float
    raw_loss: float
    granularity: float
    losses: dict[str, float] = {}
    lattice: int | None = None
    checked: int | None = None
    optimal: bool
    bound: float | None = None
    why: tuple[dict[str, Any], ...] = ()


class PrivatePlan(Value):
    """What a release under differential privacy is asked, and what it costs; nothing in it is of the data.

    ``asked`` are the questions as the policy has them. ``epsilon`` and ``delta`` are the cost of this release
    by ``accounting`` (pld, rdp or basic) where people are added or removed, ``replace_epsilon`` the same
    where one is replaced by another. ``event`` is what was charged, in words. ``rows_per_subject`` is the
    bound on the rows of a person where people have several. ``secure`` says that the noise came from a
    cryptographic source. ``budget`` is the dataset's: declared, and spent with this release. ``unbounded``
    counts releases of the same people that left without differential privacy. ``review`` has questions on
    the parameters, each with what was found and its level (fine, note or warning).
    """

    kind: Literal["statistics", "model", "rows"]
    asked: tuple[dict[str, Any], ...]
    unit: Literal["row", "subject", "image", "patient"]
    relation: Literal["add-remove", "replace-one"]
    epsilon: float
    delta: float
    replace_epsilon: float
    accounting: str
    event: str
    rows_per_subject: int | None = None
    secure: bool
    budget: dict[str, float | str] = {}
    unbounded: int = 0
    review: tuple[dict[str, str], ...] = ()
    notices: tuple[str, ...] = ()


def column_of(table: str, column: str) -> str:
    """What a column is called where columns of several tables stand side by side.

    >>> column_of("purchases", "spent")
    'purchases.spent'
    """
    return f"{table}.{column}"


class SynthesisPlan(Value):
    """New rows in the place of the people's own: who makes them, and what it learned.

    ``method`` is the synthesizer with its ``settings``, ``rows`` how many rows are made (None of histories
    before they are), ``taught`` of how many people it learned (None where that is private). Where histories
    are made, ``people`` is of how many, and ``history`` what their events are; where images are, ``images``
    says what each is; where several tables are, ``tables`` says which columns name their rows and which hangs
    on which, and ``rows`` are those of all. ``constraints`` hold in every row, ``balance`` are shares that
    were asked for. ``coded`` tells of each column by how many codes it was learned, and of about how many
    people a rare value was merged. ``rare`` says whether such values are merged into others or kept. ``sees``
    says whether training saw rows, or marginals alone. ``facts`` are the synthesizer's own figures, of no
    person. ``private`` is what it costs under differential privacy, None without it, and ``house`` that what
    was measured on people stays in the house then.
    """

    method: str
    settings: dict[str, Any]
    rows: int | None
    people: int | None = None
    history: dict[str, Any] = {}
    images: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    taught: int | None
    columns: tuple[str, ...]
    constraints: tuple[str | dict[str, Any], ...] = ()
    balance: dict[str, Any] = {}
    coded: tuple[dict[str, Any], ...] = ()
    rare: Literal["merge", "keep"]
    sees: Literal["rows", "marginals"]
    facts: dict[str, Any] = {}
    private: PrivatePlan | None = None
    house: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of several tables that only name their rows, as the plan's steps call them."""
        return tuple(
            column_of(table, name) if "of" in said else name
            for table, said in self.tables.items()
            for name in said["names"]
        )

    def action(self, step: Step) -> str:
        """What is done to a column: its values are made anew, and so are the names of people and of files."""
        if step.column in (self.history.get("subject"), self.images.get("column"), *self.names):
            return "name"
        return "learn" if step.action == "keep" else step.action


class Plan(Value):
    """A policy fitted to a snapshot: what each column and the table will go through.

    ``rows`` is the number of rows of the source, ``holdout_rows`` how many of them are kept back.
    """

    dataset: str
    policy_digest: str
    inventory_digest: str
    rows: int
    holdout_rows: int
    steps: tuple[Step, ...]
    anonymity: AnonymityPlan | None = None
    private: PrivatePlan | None = None
    synthesis: SynthesisPlan | None = None

    @property
    def guarantee(self) -> PrivatePlan | None:
        """What differential privacy promises, whether answers leave or rows that are made."""
        return self.private if self.synthesis is None else self.synthesis.private

    def step(self, column: str) -> Step:
        """The step of one column; KeyError if there is none."""
        for step in self.steps:
            if step.column == column:
                return step
        raise KeyError(column)


Goal = Literal["low", "high"]
Unit = Literal[
    "share",
    "probability",
    "people",
    "rows",
    "classes",
    "auc",
    "ratio",
    "distance",
    "correlation",
    "difference",
    "epsilon",
    "delta",
    "number",
    "quantity",
]
Status = Literal["measured", "proven", "not-measured", "no-power", "error"]


class Finding(Value):
    """One measured figure, with everything needed to judge it.

    ``metric`` is its dotted name (``risk.worst_class``), ``target`` what it was measured on (a
    column, a group, ``release``). ``value`` has a two-sided 95 % interval ``low``..``high`` unless
    the figure is a complete count, where the three are equal. ``before`` is the same figure on the
    original rows, ``baseline`` what blind guessing gives, ``control`` what the same procedure gives
    on people who are not in the release. ``n`` is the number of people it rests on. ``assumes``
    says what the attacker or learner is taken to know, ``note`` what the reader must know, such as
    why there is no figure. A figure that follows from the method alone, such as an epsilon, is "proven" and
    rests on no people; another status than these two passes no threshold.
    """

    metric: str
    target: str = "release"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: Unit
    goal: Goal
    n: int
    before: float | None = None
    baseline: float | None = None
    control: float | None = None
    status: Status = "measured"
    source: str
    assumes: str = ""
    note: str = ""


class Reason(Value):
    """One threshold, the finding it met, and the outcome in words."""

    metric: str
    target: str
    threshold: str
    passed: bool
    words: str


class Decision(Value):
    """What the gate says: passed only if every reason passed."""

    passed: bool
    reasons: tuple[Reason, ...]
