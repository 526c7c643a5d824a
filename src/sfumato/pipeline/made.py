"""The way of made rows: taught by people, made anew, written, attacked, judged, released.

That no row is anybody's protects nobody by itself, so what is made goes the same way as people's own rows:
through the evidence and the gate. Under differential privacy the price is judged before anything is learned,
and what is measured on people stays in the house unless the policy publishes it, for nobody charged it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, SynthesisPlan
from sfumato.engines.local import LocalEngine
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.evidence.guarantee import guarantee
from sfumato.gate import decide
from sfumato.pipeline import both, private
from sfumato.pipeline.comparing import PeopleAtRisk, compare_made, evidence
from sfumato.pipeline.composing import People
from sfumato.pipeline.earlier import refuse_newer, taken_back
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.histories import history_of
from sfumato.pipeline.images import (
    Seen,
    images_of,
    judge,
    read_images,
    recheck_images,
    sheet_of,
    write_images,
)
from sfumato.pipeline.lesson import Lesson, learned, lesson_of, rows_made, tables_made
from sfumato.pipeline.meanings import meanings
from sfumato.pipeline.outcome import Outcome, Watch
from sfumato.pipeline.tables import compare_tables, each_table, makes_tables, types_of
from sfumato.pipeline.together import Before, keep, left_before, together
from sfumato.pipeline.written import data_file, parquet, read_back, recheck_columns
from sfumato.pipeline.written_tables import kept_rows, read_tables, write_tables
from sfumato.policy.load import LoadedPolicy
from sfumato.release.account import DataFile, Sheet
from sfumato.release.assemble import assemble
from sfumato.release.layout import IMAGES, SEALED_PEOPLE, SEALED_SYNTHESIZER
from sfumato.release.writer import Outgoing

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget


def plan_made(fitted: Fitted, watch: Watch) -> Outcome:
    """What would be learned and made; nothing is learned, drawn or charged."""
    lesson = lesson_of(fitted)
    watch.stage("pricing what is asked")
    plan = fitted.whole_plan.model_copy(update={"synthesis": lesson.plan(None, None)})
    return Outcome(fitted.snapshot.whole_inventory, plan)


def run_made(loaded: LoadedPolicy, fitted: Fitted, folder: Path, watch: Watch) -> Outcome:
    """Learn, make rows, write them aside, attack them, decide, release or refuse.

    Raises:
        RefusedError: ``budget-spent``: the budget of the dataset has no room; nothing was learned.
        InputError: from any step; what was charged stays charged.
    """
    snapshot, lesson = fitted.snapshot, lesson_of(fitted)
    with Outgoing(folder, snapshot.project.fingerprint) as outgoing:
        budget = _budget(lesson)
        found = _Found(lesson.plan(None, budget))
        if _affordable(loaded, found.plan):
            making = _made if images_of(fitted) is None else _made_images
            making = _made_tables if makes_tables(fitted) else making
            found = making(lesson, budget, outgoing.data_folder, watch)
        snapshot.refuse_changed()
        watch.stage("writing the release")
        plan = fitted.whole_plan.model_copy(update={"synthesis": found.plan})
        findings, kept = found.shown, found.kept
        before = found.before
        earlier = (0, 0) if before is None else (before.counted, len(before.own))
        decision = decide(loaded.policy, [*findings, *kept], *earlier)
        with snapshot.project.releasing():
            if before is not None:
                refuse_newer(fitted, before.releases)
                if decision.passed:
                    keep(
                        fitted, found.rows, None if found.everybody is None else found.everybody.to_parquet()
                    )
            release = assemble(
                outgoing,
                policy=loaded.policy,
                plan=plan,
                findings=findings,
                decision=decision,
                data=found.data,
                project=snapshot.project,
                # What an inventory finds in the rows was not charged.
                inventory=snapshot.whole_inventory if budget is None else None,
                private={
                    "source": snapshot.digest,
                    "inventory": snapshot.whole_inventory.digest,
                    "policy": loaded.policy.model_dump(mode="json"),
                    "folder": str(loaded.folder.resolve()),
                },
                salt=snapshot.salt,
                meanings=meanings(findings),
                tables=found.tables,
                kept=kept,
                withdrawn=() if before is None else taken_back(fitted),
                sheet=found.sheet,
            )
    if budget is None:
        private.enter_rows(snapshot.project, fitted.plan.dataset)
    types = types_of(fitted) if makes_tables(fitted) else fitted.types()
    return Outcome(snapshot.whole_inventory, plan, findings, decision, release, types, kept=kept)


@dataclass(frozen=True)
class _Found:
    """What was made and what was measured on it.

    ``before`` is what left before, ``rows`` all that was made, as written, ``everybody`` who taught and who
    did not; None and no rows where differential privacy bounds what they tell together, or nothing was made.
    ``sheet`` shows made images.
    """

    plan: SynthesisPlan
    data: tuple[Any, ...] = ()
    measured: tuple[Finding, ...] = ()
    tables: dict[str, bytes] | None = None
    before: Before | None = None
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    everybody: People | None = None
    sheet: Sheet | None = None

    @property
    def shown(self) -> tuple[Finding, ...]:
        """The findings that are published."""
        priced = () if self.plan.private is None else tuple(guarantee(self.plan.private))
        return priced if self.plan.house else (*priced, *self.measured)

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The findings that stay in the house."""
        return self.measured if self.plan.house else ()


def _made(lesson: Lesson, budget: Budget | None, folder: Path, watch: Watch) -> _Found:
    fitted, snapshot = lesson.fitted, lesson.snapshot
    taught = learned(lesson, budget, watch)
    plan = lesson.plan(taught, budget)
    watch.stage("making rows")
    made = rows_made(lesson, taught, plan)
    plan = plan.model_copy(update={"rows": made.height})
    written = _write(fitted, made, folder)
    watch.stage("checking the rows as written")
    data = [data_file(path, fitted.types()) for path in written]
    recheck_columns(fitted, data)
    watch.stage("comparing people with the rows made")
    people = PeopleAtRisk()
    planned = replace(fitted, plan=fitted.plan.model_copy(update={"synthesis": plan}))
    comparison = compare_made(planned, lesson.people, read_back(fitted, written), people)
    assert snapshot.policy.evidence is not None
    probes = snapshot.policy.evidence.probes()
    measured = evidence(
        snapshot, comparison, probes, lambda name: watch.stage(f"measuring {name}"), watch.within
    )
    tables = {SEALED_PEOPLE: parquet(people.table), SEALED_SYNTHESIZER: taught.content()}
    if budget is not None:
        return _Found(plan, tuple(data), tuple(measured), tables)
    watch.stage("joining earlier releases")
    rows, before = read_back(fitted, written).select(fitted.released).collect(), left_before(fitted)
    everybody = both.everybody(fitted, comparison)
    measured += together(planned, lesson.people, rows, before)
    measured += both.after_own(fitted, everybody, rows, before)
    return _Found(plan, tuple(data), tuple(measured), tables, before, rows, everybody)


def _made_images(lesson: Lesson, budget: Budget | None, folder: Path, watch: Watch) -> _Found:
    fitted, asked = lesson.fitted, images_of(lesson.fitted)
    assert asked is not None
    taught = learned(lesson, budget, watch)
    plan = lesson.plan(taught, budget)
    watch.stage("making images")
    made = rows_made(lesson, taught, plan)
    plan = plan.model_copy(update={"rows": made.height})
    written = _write(fitted, made, folder)
    write_images(made, asked, folder)
    watch.stage("checking the images as written")
    data = [data_file(path, fitted.types()) for path in written]
    recheck_columns(fitted, data)
    rows = read_back(fitted, written).sort(ROW).select(fitted.released).collect()
    recheck_images(rows, asked, folder)
    watch.stage("comparing people's images with those made")
    seen, contents = Seen.of(fitted), read_images(rows, asked, folder)
    measured = judge(seen, rows, contents)
    found = _Found(
        plan,
        (*data, DataFile(IMAGES, {}, made.height)),
        tuple(measured),
        {SEALED_SYNTHESIZER: taught.content()},
        sheet=sheet_of(seen, made),
    )
    if budget is not None:
        return found
    watch.stage("joining earlier releases")
    # What is kept of an image is what it shows, and not what its file was called.
    whole = rows.with_columns(pl.Series(asked.column, contents, dtype=pl.Binary))
    before = left_before(fitted)
    measured += together(fitted, lesson.people, whole, before)
    measured += both.after_own(fitted, None, whole, before)
    return replace(found, measured=tuple(measured), before=before, rows=whole)


def _made_tables(lesson: Lesson, budget: Budget | None, folder: Path, watch: Watch) -> _Found:
    fitted = lesson.fitted
    taught: Any = learned(lesson, budget, watch)
    plan = lesson.plan(taught, budget)
    watch.stage("making rows")
    made = tables_made(lesson, taught, plan)
    people = made[fitted.snapshot.policy.dataset.name].height
    plan = plan.model_copy(update={"people": people, "rows": sum(table.height for table in made.values())})
    written = write_tables(fitted, made, folder)
    watch.stage("checking the rows as written")
    data: list[DataFile] = []
    for name, one in each_table(fitted).items():
        files = [data_file(path, one.types()) for path in written[name]]
        recheck_columns(one, files)
        data += files
    rows = read_tables(fitted, written)
    watch.stage("comparing people with the rows made")
    risks = PeopleAtRisk()
    comparison = compare_tables(fitted, rows, plan, risks.record)
    assert lesson.snapshot.policy.evidence is not None
    probes = lesson.snapshot.policy.evidence.probes()
    measured = evidence(
        lesson.snapshot, comparison, probes, lambda name: watch.stage(f"measuring {name}"), watch.within
    )
    tables = {SEALED_PEOPLE: parquet(risks.table), SEALED_SYNTHESIZER: taught.content()}
    if budget is not None:
        return _Found(plan, tuple(data), tuple(measured), tables)
    watch.stage("joining earlier releases")
    kept, before = kept_rows(rows), left_before(fitted)
    measured += together(fitted, lesson.people, kept, before)
    measured += both.after_own(fitted, None, kept, before)
    return _Found(plan, tuple(data), tuple(measured), tables, before, kept)


def _budget(lesson: Lesson) -> Budget | None:
    """The dataset's budget, as the policy declares it; None without differential privacy."""
    terms = lesson.asked.dp
    if terms is None:
        return None
    return private.budget_of(lesson.snapshot, terms.budget, lesson.unit, terms.relation)


def _affordable(loaded: LoadedPolicy, plan: SynthesisPlan) -> bool:
    """Whether the gate would let a release at this price leave, if all else were well."""
    if plan.private is None:
        return True
    reasons = decide(loaded.policy, guarantee(plan.private)).reasons
    return all(reason.passed for reason in reasons if reason.metric in GUARANTEE.metrics)


def _write(fitted: Fitted, made: pl.DataFrame, folder: Path) -> Sequence[Path]:
    snapshot = fitted.snapshot
    frame = made.lazy().with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.UInt64))
    # Made people stand in a drawn order already, and each one's events in time; images are numbered as drawn.
    ordered = history_of(fitted) is not None or images_of(fitted) is not None
    order = None if ordered else derive(snapshot.release_key, "order")
    return LocalEngine().write(
        frame,
        fitted.released,
        folder,
        snapshot.policy.dataset.name,
        snapshot.policy.release.format,
        order,
    )
