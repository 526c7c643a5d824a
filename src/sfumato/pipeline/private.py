"""The way of answers under differential privacy: priced, judged, charged, drawn, released.

What the answers cost follows from the policy alone, so the gate judges it before anything is drawn: what it
refuses then costs nothing. What is drawn is charged, whatever the gate says of it afterwards. No row leaves,
and nothing that was not asked: not how many rows there are, nor what an inventory would find in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding, Plan, PrivatePlan
from sfumato.evidence.guarantee import guarantee
from sfumato.gate import decide
from sfumato.pipeline.asked import Asked, Drawn, asked_of
from sfumato.pipeline.meanings import meanings
from sfumato.pipeline.outcome import Outcome, Watch
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import LoadedPolicy
from sfumato.policy.model import Dataset
from sfumato.policy.private import DatasetBudget
from sfumato.policy.synthetic import Synthesis
from sfumato.project import Project
from sfumato.project.budgets import BUDGETS, Budgets
from sfumato.release.assemble import assemble
from sfumato.release.writer import Outgoing

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.budget import Budget
    from sfumato.dp.statements import Statement


@dataclass(frozen=True)
class Priced:
    """A release that has cost nothing yet: its plan, the findings on it, and what the gate says of them."""

    plan: Plan
    findings: tuple[Finding, ...]
    decision: Decision


def plan_answers(snapshot: Snapshot, watch: Watch) -> Outcome:
    """What the answers would cost; nothing is drawn, nothing is charged, and no budget is declared."""
    watch.stage("pricing what is asked")
    priced = _priced(snapshot, asked_of(snapshot), None, ())
    return Outcome(None, priced.plan, priced.findings)


def run_answers(loaded: LoadedPolicy, snapshot: Snapshot, folder: Path, watch: Watch) -> Outcome:
    """Price, judge, charge, draw and release.

    Raises:
        RefusedError: ``budget-spent``: the budget of the dataset has no room; nothing was drawn.
        InputError: from any step; what was charged stays charged.
    """
    with Outgoing(folder, snapshot.project.fingerprint) as outgoing:
        watch.stage("pricing what is asked")
        terms = snapshot.policy.dp
        assert terms is not None
        asked = asked_of(snapshot)
        budget = budget_of(snapshot, terms.budget, terms.unit, terms.relation)
        audits = _audited(snapshot, asked, watch)
        priced = _priced(snapshot, asked, budget, audits)
        drawn = Drawn()
        if priced.decision.passed:
            watch.stage(asked.stage)
            drawn = asked.draw(budget, outgoing.data_folder)
            snapshot.refuse_changed()
            priced = _priced(snapshot, asked, budget, audits)
        watch.stage("writing the release")
        with snapshot.project.releasing():
            release = assemble(
                outgoing,
                policy=loaded.policy,
                plan=priced.plan,
                findings=priced.findings,
                decision=priced.decision,
                data=drawn.data,
                project=snapshot.project,
                private={
                    "source": snapshot.digest,
                    "policy": loaded.policy.model_dump(mode="json"),
                    "folder": str(loaded.folder.resolve()),
                },
                salt=snapshot.salt,
                meanings=meanings(priced.findings),
                answers=drawn.figures,
                kept=drawn.findings,
            )
    return Outcome(
        None,
        priced.plan,
        priced.findings,
        priced.decision,
        release,
        kept=drawn.findings,
        answers=drawn.figures if priced.decision.passed else (),
    )


def enter_rows(project: Project, dataset: str, budget: Budget | None = None) -> None:
    """Enter the releases of rows of a dataset in its budget, if it has one: no epsilon bounds them."""
    from sfumato.dp.budget import Budget

    if budget is None:
        if Budgets(project.folder / BUDGETS).account(dataset) is None:
            return
        budget = Budget.open(dataset, project)
    entered = {entry.place for entry in budget.statement().unbounded}
    for record in project.releases(dataset):
        place = f"release {record.id} of rows, {record.time}"
        if record.passed and not record.answers and place not in entered:
            budget.unbounded(place=place)


def paid_by(dataset: Dataset, asked: Synthesis, budget: Budget | None, what: str) -> dict[str, Any]:
    """What a synthesizer under differential privacy may cost, and what the ledger says of it.

    Args:
        what: is made.
    """
    assert asked.dp is not None
    return {
        "budget": budget,
        "epsilon": asked.dp.epsilon,
        "delta": asked.dp.delta,
        "size": asked.dp.size,
        "place": f"{what} made by {asked.by}",
        "by": dataset.owner or "",
        "why": asked.why,
    }


def refuse_answers(plan: Plan, where: Path) -> None:
    """Refuse what only a release of rows has.

    Raises:
        InputError: ``usage``.
    """
    if plan.private is not None:
        raise InputError(
            "usage",
            "this release holds answers under differential privacy, and no rows to attack or learn from",
            where=str(where),
            remedy="audit the claim instead: sfumato audit",
        )


def budget_of(
    snapshot: Snapshot,
    declared: DatasetBudget,
    unit: Literal["row", "subject"],
    relation: Literal["add-remove", "replace-one"],
) -> Budget:
    """The dataset's budget, as the policy declares it; what left without differential privacy is entered."""
    from sfumato.dp.budget import Budget

    name = snapshot.policy.dataset.name
    store = Budgets(snapshot.project.folder / BUDGETS)
    fingerprint = derive(snapshot.project.secret, "budget of a source", snapshot.digest).hex()
    _refuse_second_name(name, store.charged_to(fingerprint))
    budget = Budget.open(
        name,
        snapshot.project,
        epsilon=declared.epsilon,
        delta=declared.delta,
        unit=unit,
        relation=relation,
        filter=declared.filter,
    )
    _refuse_second_name(name, store.charge_to(name, fingerprint))
    enter_rows(snapshot.project, name, budget)
    return budget


def _refuse_second_name(name: str, charged: str | None) -> None:
    """Refuse a source that is charged to the budget of another dataset: two budgets would bound nobody.

    Only the same bytes are seen to be the same people.
    """
    if charged not in (None, name):
        raise InputError(
            "budget-mismatch",
            f'this source is charged to the budget of the dataset "{charged}"',
            where=f"dataset.name {name}",
            remedy="use that name: a second budget for the same people would bound nothing",
        )


def _audited(snapshot: Snapshot, asked: Asked, watch: Watch) -> Sequence[Finding]:
    """The findings of an audit on made-up rows, if the policy wants one: nobody's data are looked at."""
    assert snapshot.policy.dp is not None
    if not snapshot.policy.dp.audit:
        return ()
    watch.stage("auditing the mechanism")
    return asked.audited()


def _priced(snapshot: Snapshot, asked: Asked, budget: Budget | None, audits: Sequence[Finding]) -> Priced:
    """What the release costs, by the policy alone; ``budget`` says what was spent already."""
    terms = snapshot.policy.dp
    assert terms is not None
    private = priced(
        kind=asked.kind,
        asked=asked.questions,
        event=asked.event,
        delta=terms.delta,
        unit=terms.unit,
        relation=terms.relation,
        rows_per_subject=terms.rows_per_subject,
        declared=terms.budget,
        budget=budget,
        # How many people there are is told only where the policy says that everybody may know it.
        people=None if terms.training is None else terms.training.size,
    )
    plan = Plan(
        dataset=snapshot.policy.dataset.name,
        policy_digest=snapshot.policy_digest,
        inventory_digest="",
        rows=0,
        holdout_rows=0,
        steps=(),
        private=private,
    )
    findings = (*guarantee(private), *audits)
    return Priced(plan, findings, decide(snapshot.policy, findings))


def priced(
    *,
    kind: Literal["statistics", "model", "rows"],
    asked: tuple[dict[str, Any], ...],
    event: DpEvent,
    delta: float,
    unit: Literal["row", "subject"],
    relation: Literal["add-remove", "replace-one"],
    rows_per_subject: int | None,
    declared: DatasetBudget,
    budget: Budget | None,
    people: int | None,
) -> PrivatePlan:
    """What an event costs, what was spent of the dataset's budget already, and what to ask of both."""
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.events import words

    cost = epsilon_of(event, delta, relation=relation)
    statement = None if budget is None else budget.statement()
    return PrivatePlan(
        kind=kind,
        asked=asked,
        unit=unit,
        relation=relation,
        epsilon=cost.epsilon,
        delta=delta,
        replace_epsilon=cost.replace_epsilon,
        accounting=cost.method,
        event=words(event),
        rows_per_subject=rows_per_subject,
        secure=True,
        budget={
            "epsilon": declared.epsilon,
            "delta": declared.delta,
            "filter": declared.filter,
            "spent": 0.0 if statement is None else min(1.0, statement.share),
        },
        unbounded=0 if statement is None else len(statement.unbounded),
        review=() if statement is None else _review(statement, people),
    )


def _review(statement: Statement, people: int | None) -> tuple[dict[str, str], ...]:
    """Domains are declared or paid for, noise is OpenDP's: what looked at the rows was charged."""
    from sfumato.dp.review import review

    remarks = review(statement, people=people, tuning="none", secure=True, charged_upstream=True)
    return tuple(asdict(remark) for remark in remarks)
