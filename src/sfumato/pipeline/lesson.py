"""What a synthesizer is to learn, of whom, and at what price."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

from sfumato.core.disclosure import round_count
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import PrivatePlan, SynthesisPlan
from sfumato.pipeline import private
from sfumato.pipeline.asked import at_most
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.histories import TaughtHistories, history_of, people_in, teach_histories
from sfumato.pipeline.images import Seen, TaughtImages, images_of, teach_images
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.snapshot import UNIT, Snapshot
from sfumato.pipeline.subjects import one_row_each, several_rows
from sfumato.pipeline.tables import (
    TaughtTables,
    each_table,
    makes_tables,
    planned_tables,
    teach_tables,
)
from sfumato.policy.images import MOST_MADE
from sfumato.policy.synthetic import Synthesis
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.images import METHODS as METHODS_OF_IMAGES
from sfumato.synth.sequences import MODELS
from sfumato.transforms import TRANSFORMS

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.synth.synthetic import Synthetic

    Taught: TypeAlias = Synthetic | TaughtHistories | TaughtImages | TaughtTables


@dataclass(frozen=True)
class Lesson:
    """What a synthesizer is to learn: a fitted policy's columns of the people who are not held out."""

    fitted: Fitted
    asked: Synthesis

    @property
    def snapshot(self) -> Snapshot:
        """Whose policy it is."""
        return self.fitted.snapshot

    @property
    def people(self) -> pl.LazyFrame:
        """The raw rows that teach: one of each person, or all where histories or images are made."""
        return taught_by(self.fitted)

    def rows(self) -> pl.DataFrame:
        """The rows that teach, in the terms in which they are learned, and whose they are if it counts."""
        rows = self.fitted.rows(self.people).collect(engine="streaming")
        whose = (UNIT,) if self.asked.dp is not None and self.unit == "subject" else ()
        return rows.select(*self.fitted.released, *whose)

    def trial_budget(self) -> Budget | None:
        """A budget for this once, of which no ledger knows; None without differential privacy."""
        from sfumato.dp.budget import Budget

        terms = self.asked.dp
        if terms is None:
            return None
        return Budget(terms.epsilon, terms.delta, unit=self.unit, relation=terms.relation)

    @property
    def unit(self) -> Literal["row", "subject"]:
        """What differential privacy protects: rows, or people with all their rows."""
        return "row" if self.snapshot.policy.dataset.subject is None else "subject"

    @cached_property
    def taught(self) -> int | None:
        """How many people teach, or images; None where that is private."""
        if self.asked.dp is not None:
            return None
        if self.asked.history is not None:
            return people_in(self.fitted, self.asked.history, self.people)
        return self.fitted.plan.rows - self.fitted.plan.holdout_rows

    def plan(self, taught: Taught | None, budget: Budget | None) -> SynthesisPlan:
        """What is made, and what it costs; without ``taught``, before anything is learned."""
        asked, history = self.asked, self.asked.history
        many = self.taught if asked.dp is None else asked.dp.size
        most = many if asked.images is None else min(many or 0, MOST_MADE)
        several = history is not None or makes_tables(self.fitted)
        people = asked.rows if history is None else history.people
        return SynthesisPlan(
            method=asked.by,
            settings=asked.settings,
            rows=None if several else asked.rows or most or 0,
            # How many people there are is no more told by those made than by the dossier.
            people=people or (None if many is None else max(1, round_count(many))) if several else None,
            history={}
            if history is None
            else {
                "subject": self.snapshot.policy.dataset.subject,
                **history.model_dump(mode="json", include={"time", "items", "amounts", "statics", "window"}),
            },
            images=self._images,
            tables=planned_tables(self.fitted),
            taught=self.taught,
            columns=tuple(step.column for step in self.fitted.whole_plan.steps if step.action != "drop"),
            constraints=asked.constraints,
            balance=asked.balance,
            rare=asked.rare,
            sees=self._sees,
            coded=() if taught is None else tuple(taught.facts["domain"]["columns"]),
            facts={} if taught is None else dict(taught.facts["model"]),
            private=None if asked.dp is None else self._private(taught, budget),
            house=asked.dp is not None and asked.dp.evidence == "house",
        )

    @property
    def _sees(self) -> Literal["rows", "marginals"]:
        if self.asked.images is not None:
            METHODS_OF_IMAGES.resolve(self.asked.by)
            return "rows"
        kind = (SYNTHESIZERS if self.asked.history is None else MODELS).resolve(self.asked.by)
        sees: Literal["rows", "marginals"] = kind.sees
        return sees

    @cached_property
    def _images(self) -> dict[str, Any]:
        """What an image is, where images are made."""
        asked = self.asked.images
        if asked is None:
            return {}
        seen = Seen.of(self.fitted)
        return {
            "column": asked.column,
            "label": asked.label,
            "classes": list(seen.classes),
            "size": list(seen.scans.shape),
            "levels": list(asked.levels),
        }

    @property
    def _rows_of_a_person(self) -> int | None:
        """At most so many rows of a person teach under differential privacy; of images there is no bound."""
        if self.asked.images is not None:
            return None
        return 1 if self.asked.history is None else self.asked.history.longest

    def _private(self, taught: Taught | None, budget: Budget | None) -> PrivatePlan:
        from sfumato.dp.events import from_json

        terms, dataset = self.asked.dp, self.snapshot.policy.dataset
        assert terms is not None
        declared = terms.model_dump(mode="json", include={"size", "bounds", "categories"}, exclude_none=True)
        if self.asked.history is not None:
            declared |= self.asked.history.model_dump(mode="json", include={"window", "longest"})
        if makes_tables(self.fitted):
            tables = self.snapshot.policy.tables
            declared["most"] = {name: table.most for name, table in tables.items()}
        if self.asked.images is not None:
            declared |= self.asked.images.model_dump(mode="json", include={"levels"})
            # The number of images is a size already.
            declared["pixels"] = self._images["size"]
        told = {"query": self.asked.by, **self.asked.settings, **declared, "why": self.asked.why}
        priced = private.priced(
            kind="rows",
            asked=(told,),
            event=at_most(terms.epsilon, terms.delta, terms.relation)
            if taught is None or taught.event is None
            else from_json(taught.event),
            delta=terms.delta,
            unit=self.unit,
            relation=terms.relation,
            rows_per_subject=None if dataset.subject is None else self._rows_of_a_person,
            declared=terms.budget,
            budget=budget,
            people=terms.size,
        )
        return priced if self.asked.images is None else self._of_images(priced, taught)

    def _of_images(self, priced: PrivatePlan, taught: Taught | None) -> PrivatePlan:
        """A price in the terms of images, and with what the generator has to say of its noise."""
        from sfumato.dp.training.trained import FAST_NOISE

        notices = taught.notices if isinstance(taught, TaughtImages) else ()
        unit = "image" if self.unit == "row" else "subject"
        secure = FAST_NOISE not in notices
        return priced.model_copy(update={"unit": unit, "notices": notices, "secure": secure})


def rows_made(lesson: Lesson, taught: Taught, plan: SynthesisPlan) -> pl.DataFrame:
    """Rows that a taught synthesizer makes, with the shares that were asked for; or events, or images."""
    assert not isinstance(taught, TaughtTables), "several tables are made by tables_made"
    many = plan.people if plan.people is not None else plan.rows
    made: pl.DataFrame = taught.sample(
        many or (taught.charged.size if taught.charged is not None else 1),
        balance=lesson.asked.balance or None,
        key=derive(lesson.snapshot.release_key, "made rows"),
    )
    return made


def tables_made(lesson: Lesson, taught: TaughtTables, plan: SynthesisPlan) -> dict[str, pl.DataFrame]:
    """The rows of every table that a taught synthesizer makes."""
    many = plan.people or (taught.charged.size if taught.charged is not None else 1)
    return taught.sample(many, key=derive(lesson.snapshot.release_key, "made rows"))


def taught_by(fitted: Fitted) -> pl.LazyFrame:
    """The raw rows that teach: one of each person, or all where histories or images are made."""
    snapshot = fitted.snapshot
    part = snapshot.part(held_out=False)
    if snapshot.policy.dataset.subject is None or history_of(fitted) or images_of(fitted):
        return part
    return one_row_each(part, derive(snapshot.release_key, "one row each"))


def lesson_of(fitted: Fitted) -> Lesson:
    """What is to be learned; refused where a synthesizer of rows would learn from several rows of a person.

    Raises:
        InputError: ``subject-rows``, ``policy-mismatch``.
    """
    asked, snapshot = fitted.snapshot.policy.synthesis, fitted.snapshot
    assert asked is not None
    single = asked.dp is None and asked.history is None and asked.images is None
    if single and several_rows(snapshot, snapshot.part(held_out=False)):
        raise InputError(
            "subject-rows",
            "people have several rows, and a synthesizer of rows knows nothing of whose they are",
            where="synthesis",
            remedy="make histories instead (synthesis.history), or bring the source to one row a person",
        )
    if not fitted.released:
        raise InputError(
            "policy-mismatch",
            "every column is dropped, so there is nothing to learn",
            where="synthesis",
            remedy="keep the columns that the rows made shall have",
        )
    for each in each_table(fitted).values() if asked.dp is not None else ():
        _refuse_uncharged(each)
    return Lesson(fitted, asked)


def _refuse_uncharged(fitted: Fitted) -> None:
    """Refuse what would look at people's values before the synthesizer does: nobody charged it."""
    for step in fitted.plan.steps:
        if step.action in ("drop", "keep"):
            continue
        transform = TRANSFORMS.resolve(step.action)
        known = {name: value for name, value in step.params.items() if name in transform.Params.model_fields}
        extra = {"hierarchy": step.state.get("hierarchy"), "folder": str(fitted.snapshot.folder)}
        asked = transform.Params(**known, **(extra if step.action == "generalize" else {}))
        if transform.reads(asked) or step.params.get("each") == "row":
            raise InputError(
                "policy-mismatch",
                f"the action {step.action} learns from the column's values, which nobody charged",
                where=f"column {step.column}",
                remedy="declare bounds or categories under synthesis.dp, and let the column be kept",
            )


def learned(lesson: Lesson, budget: Budget | None, watch: Watch | None = None) -> Taught:
    """Teach the synthesizer.

    Raises:
        RefusedError: ``budget-spent``: the budget has no room; nothing was learned.
    """
    from sfumato.synth.fitting import fit

    asked, dataset, terms = lesson.asked, lesson.snapshot.policy.dataset, lesson.asked.dp
    target = dataset.target if dataset.target in lesson.fitted.released else None
    watch = watch or Watch()
    watch.stage("teaching the synthesizer")
    if asked.history is not None:
        return teach_histories(lesson.fitted, asked, lesson.people, budget, watch)
    if makes_tables(lesson.fitted):
        return teach_tables(lesson.fitted, asked, budget, watch)
    if asked.images is not None:
        return teach_images(lesson.fitted, asked, budget, watch)
    paid: dict[str, Any] = {}
    if terms is not None:
        paid = private.paid_by(dataset, asked, budget, "rows") | {
            "subject": UNIT if lesson.unit == "subject" else None,
            "bounds": terms.bounds,
            "categories": terms.categories,
        }
    return fit(
        lesson.rows(),
        asked.by,
        target=target,
        key=derive(lesson.snapshot.release_key, "synthesis"),
        rare=asked.rare,
        text=asked.text,
        constraints=asked.constraints,
        params=asked.settings,
        progress=watch.within,
        **paid,
    )
