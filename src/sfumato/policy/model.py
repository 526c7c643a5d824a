"""The policy as a value: what is to be done with a dataset, by whom, for whom and why.

Parts (actions, hierarchies, privacy models, probes) are held as a name with parameters; what the
parameters may be is the business of the part's registry, asked by :mod:`sfumato.policy.load`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sfumato.core.values import Role, column_of
from sfumato.policy.histories import History
from sfumato.policy.images import refuse_unfit
from sfumato.policy.measured import Evidence, Threshold
from sfumato.policy.parts import Name, Part, Section, Share, Text
from sfumato.policy.private import DifferentialPrivacy
from sfumato.policy.synthetic import Synthesis
from sfumato.policy.tables import Column, Source, Table, downwards, refuse_lost, tables_are_made
from sfumato.policy.unsaid import for_made_rows


class Population(Section):
    """The people that the rows were drawn from: which ``fraction`` of them, how many, or a table of them."""

    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of the population that is in the source."""
    size: Annotated[int, Field(gt=0)] | None = None
    """The number of people in the population."""
    table: Source | None = None
    """A table of everybody in the population, with the source's names and values for what outsiders know."""
    count: Text | None = None
    """The table's column with the number of people that a row stands for; without it each row is a person."""
    source: Text | None = None
    """Where that is known from."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(given is not None for given in (self.fraction, self.size, self.table)) != 1:
            raise ValueError("say one of fraction, size and table")
        if self.count is not None and self.table is None:
            raise ValueError("count is a column of the population's table: name the table too")
        return self

    def fraction_of(self, rows: int) -> float | None:
        """The sampling fraction, at most 1; a table says more than that and has none."""
        if self.size is not None:
            return min(1.0, rows / self.size)
        return self.fraction


class Dataset(Section):
    """What the data are, and for whom and why they are prepared."""

    name: Name
    """A short name; the data file and the ledger carry it."""
    source: Source
    """Where the rows are."""
    key: Text | None = None
    """The column that identifies a row; draws are then made of it, and not of the row's place."""
    subject: Text | None = None
    """The column that says which rows are one person's; without it each row is a person."""
    target: Text | None = None
    """The column that a model is to predict."""
    population: Population | None = None
    """The population of the source; without it population risks are not estimable."""
    purpose: Text | None = None
    """What the recipients need the data for."""
    recipients: tuple[Text, ...] = ()
    """Who gets the release."""
    owner: Text | None = None
    """Who answers for the data."""
    description: Text | None = None
    """What the data are, in a few sentences."""
    origin: Text | None = None
    """Where the data come from, and how they were collected."""
    licence: Text | None = None
    """The licence under which the release goes out."""


class SuppressionGap(Section):
    """How unevenly suppression may fall: rare groups lose more rows if nobody looks."""

    groups: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The columns whose groups of people are compared; they must leave."""
    at_most: Share
    """The largest difference between two groups in the share of rows suppressed."""


class Sampling(Section):
    """A random sample of the people is released (ISO/IEC 20889, 2018): a ``share``, or so many ``people``.

    Who is in it is drawn by key. The others are not released at all; they serve the evidence as holdout.
    """

    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of all people that is released; fewer if the holdout leaves fewer."""
    people: Annotated[int, Field(ge=1)] | None = None
    """The number of people released; fewer if there are fewer who are not held out."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.share is None) == (self.people is None):
            raise ValueError("say either share or people")
        return self


class Anonymity(Section):
    """The table recoding: method, the privacy models that must hold, and what may be given up."""

    method: Literal["lattice", "partition", "microaggregation", "cells"] = "lattice"
    """How the table is recoded: one level a column for all rows (lattice); labels of its own for each class
    of people (partition), which keeps far more detail and is harder to read; one value for each class in
    every column (microaggregation); or single cells blanked (cells)."""
    models: Annotated[tuple[Part, ...], Field(min_length=1)]
    """The privacy models that every class in the release must satisfy."""
    suppression: Share = 0.0
    """The share of rows that may be left out to keep more detail in the others."""
    labels: Literal["hierarchy", "free"] | None = None
    """For a partition: labels of the hierarchies only, or free intervals and sets; by default a column with
    a hierarchy keeps to it and one without is free."""
    measure: str = "loss"
    """What the search of a lattice makes as small as it can."""
    weights: dict[Text, Annotated[float, Field(gt=0)]] | Literal["target"] | None = None
    """How much each column's detail counts in a lattice, by name (1 if it is not named); or "target", by what
    each one says about the target, so that generalization falls where a model does not look."""
    suppression_gap: SuppressionGap | None = None
    """A bound on how unevenly suppression may fall on groups of people."""
    others_known: bool | tuple[Text, ...] = False
    """The sensitive columns that somebody may know of a person while another is to stay unknown: each model
    of a sensitive column holds then, too, among people who are alike in the others. By name, or true for
    all that a model looks at; without it each is protected from those who know none of the others."""

    def known_beside(self, on: str) -> tuple[str, ...]:
        """The sensitive columns that are taken to be known when ``on`` is to stay unknown."""
        if self.others_known is True:
            looked_at = (str(model.params["on"]) for model in self.models if "on" in model.params)
            return tuple(name for name in dict.fromkeys(looked_at) if name != on)
        return tuple(name for name in dict.fromkeys(self.others_known or ()) if name != on)

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any) -> Any:
        return [Part.written(item, "model") for item in value] if isinstance(value, list | tuple) else value


class Attacker(Section):
    """Somebody who might look for a person in the release, and what they know."""

    knows: tuple[Text, ...]
    """The columns that this attacker knows of a person."""
    source: Text | None = None
    """Where the knowledge comes from."""
    motive: Text | None = None
    """Why somebody would try."""


class Context(Section):
    """To whom the release goes, and who might attack it."""

    release: Literal["internal", "partner", "public"] = "partner"
    """How far the release goes."""
    attackers: tuple[Attacker, ...] = ()
    """Who might look for people in it; what they know is protected and attacked."""


class Approval(Section):
    """A named person answers for something that the house would refuse.

    ``what`` is "column NAME" (its role, against the inventory) or "gate METRIC" (a looser floor).
    """

    by: Text
    """The person's name."""
    what: Annotated[str, Field(pattern=r"^(column|gate) \S.*$")]
    """What is approved: "column NAME" or "gate METRIC"."""
    why: Text
    """The reason."""


class ReleaseForm(Section):
    """The form in which data leave."""

    format: Literal["parquet", "csv"] = "parquet"
    """The format of the data files."""


class Policy(Section):
    """A whole policy."""

    sfumato: Literal[1]
    """The version of this format."""
    dataset: Dataset
    """What the data are, and for whom and why they are prepared."""
    columns: Annotated[dict[str, Column], Field(default_factory=dict)]
    """What is done to each column, by its name; a column that is not here is dropped."""
    tables: Annotated[dict[Name, Table], Field(default_factory=dict)]
    """Further tables of the same people, whose rows hang on those of the dataset's source; by their names.
    Such tables are made anew together."""
    dp: DifferentialPrivacy | None = None
    """What is asked of the rows under differential privacy; the answers leave then, and no rows."""
    anonymity: Anonymity | None = None
    """What is done to the table; without it no class of people is promised."""
    synthesis: Synthesis | None = None
    """New rows in the place of the people's own, made by a synthesizer that learned from them."""
    sampling: Sampling | None = None
    """The random sample of the people that is released; without it everybody is who is not held out."""
    context: Context = Context()
    """To whom the release goes, and who might attack it."""
    evidence: Evidence | None = None
    """What is measured; without it only class risks are, and every row goes."""
    gate: tuple[Threshold, ...] = ()
    """The thresholds, besides the built-in floor."""
    approvals: tuple[Approval, ...] = ()
    """Who answers for a looser floor, or for a role laxer than the inventory's."""
    release: ReleaseForm = ReleaseForm()
    """The form in which data leave."""

    @model_validator(mode="before")
    @classmethod
    def _for_made_rows(cls, value: Any) -> Any:
        return for_made_rows(value)

    @field_validator("tables")
    @classmethod
    def _downwards(cls, value: dict[str, Table]) -> dict[str, Table]:
        return downwards(value)

    @model_validator(mode="after")
    def _made_rows_are_measured(self) -> Self:
        if self.synthesis is None:
            return self
        for name in ("dp", "anonymity", "sampling"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is for the people's own rows: with synthesis rows are made anew")
        if self.evidence is None or not self.evidence.holdout.share:
            raise ValueError(
                "synthesis needs evidence with a holdout: made rows can repeat people, and only people who "
                "taught nothing show by how much"
            )
        if self.synthesis.history is not None:
            self._histories_have_people(self.synthesis.history)
        if self.tables:
            tables_are_made(self.synthesis)
        if self.synthesis.images is not None:
            refuse_unfit(
                self.synthesis.images,
                {name: column.done for name, column in self.columns.items()},
                subject=self.dataset.subject,
                target=self.dataset.target,
                probes=[part.name for part in self.evidence.probes()],
            )
        return self

    def _histories_have_people(self, history: History) -> None:
        """Refuse histories of nobody, and columns that have no place in an event."""
        subject = self.dataset.subject
        if subject is None:
            raise ValueError("a history is a person's: name under dataset.subject whose each event is")
        if subject in history.columns:
            raise ValueError(
                f'"{subject}" says whose an event is, and is no part of it: leave it out of history'
            )
        if self.columns[subject].done != "keep":
            raise ValueError(
                f'"{subject}" says whose a made event is: leave its action out, for its names are made anew'
            )
        if self.dataset.target is not None:
            raise ValueError("dataset.target is of rows; of histories it is foretold who comes again")
        for name in history.columns:
            if name not in self.columns or self.columns[name].done == "drop":
                raise ValueError(f'"{name}" is part of the history and does not leave: keep it under columns')
        for name, column in self.columns.items():
            if column.done != "drop" and name not in (subject, *history.columns):
                raise ValueError(f'"{name}" leaves and is no part of the history: name it there, or drop it')

    @model_validator(mode="after")
    def _tables_hang_together(self) -> Self:
        if not self.tables:
            return self
        if self.synthesis is None:
            raise ValueError(
                "tables: several tables of the same people leave only if they are made anew: add synthesis, "
                "or prepare each by a policy of its own"
            )
        subject = self.dataset.subject
        if subject is None:
            raise ValueError(
                "rows of tables are of people: name under dataset.subject the column of their keys"
            )
        if self.columns[subject].done != "keep":
            raise ValueError(
                f'"{subject}" names people for the tables: leave its action out, for its names are made anew'
            )
        refuse_lost(self.dataset.name, self.columns, self.tables, private=self.synthesis.dp is not None)
        return self

    @model_validator(mode="after")
    def _rows_or_answers(self) -> Self:
        if self.dp is None:
            if not self.columns:
                raise ValueError("columns: decide about at least one column, or nothing leaves")
            return self
        for name in ("anonymity", "sampling", "evidence"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is for releases of rows; with dp answers leave: use two policies")
        if any(column.done != "drop" for column in self.columns.values()):
            raise ValueError("with dp answers leave, and no rows: drop every column, or name none")
        if self.dp.rows_per_subject is not None and self.dataset.subject is None:
            raise ValueError("dp.rows_per_subject bounds the rows of a person: name dataset.subject")
        if self.dp.rows_per_subject is None and self.dataset.subject is not None:
            raise ValueError("with dataset.subject, dp.rows_per_subject must bound the rows of a person")
        return self

    @property
    def decided(self) -> dict[str, Column]:
        """What is done to each column of every table; below the people's by their names with the table's."""
        below = {
            column_of(table, name): column
            for table, one in self.tables.items()
            for name, column in one.columns.items()
        }
        return {**self.columns, **below}

    def place_of(self, column: str) -> tuple[str, ...]:
        """Where the policy decides about a column, by its name in :attr:`decided`."""
        for table, one in self.tables.items():
            for name in one.columns:
                if column_of(table, name) == column:
                    return ("tables", table, "columns", name)
        return ("columns", column)

    @property
    def made_names(self) -> str | None:
        """The column whose names are made, where histories are, or images."""
        if self.synthesis is None:
            return None
        if self.synthesis.images is not None:
            return self.synthesis.images.column
        return self.dataset.subject if self.synthesis.history is not None or self.tables else None

    def approved(self, what: str) -> bool:
        """Whether somebody answers for ``what`` ("column age", "gate risk.worst_class").

        Blanks within a name count, for another column may differ in nothing else.
        """
        return any(what in (approval.what, approval.what.rstrip()) for approval in self.approvals)

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns whose groups of people are compared, as the fairness measure names them."""
        fairness = self.evidence.fairness if self.evidence is not None else None
        return () if fairness is None else tuple(fairness.params.get("groups", ()))

    def named(self, role: Role) -> tuple[str, ...]:
        """The columns of a role, in the policy's order."""
        return tuple(name for name, column in self.columns.items() if column.role is role)
