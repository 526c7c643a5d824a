"""The dossier of a model trained on images: the same page as of any release under differential privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sfumato.core.values import Decision, Finding, PrivatePlan
from sfumato.evidence.guarantee import REPORT
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.account import Account, DataFile
from sfumato.release.law import read_laws
from sfumato.release.layout import LAWS

if TYPE_CHECKING:
    from sfumato.dp.statements import Statement
    from sfumato.dp.training.recipes import ImageClassifier

_RECIPE = "linear classifier of images, on scattering features that were fitted to nobody"


def account_of(
    model: ImageClassifier,
    statement: Statement,
    *,
    dataset: str,
    told: Mapping[str, str],
    findings: Sequence[Finding],
    decision: Decision,
    data: Sequence[DataFile],
    project: Project,
    commitments: Mapping[str, str],
    time: str,
) -> Account:
    """Everything that is said in public of a model trained on images; nothing in it is of single images.

    Args:
        statement: of the budget that the training was charged to.
        told: facts in words, by name: images, unit, classes.
        findings: each follows from the method, or was drawn with noise and charged.
    """
    private = _private(model, statement, told).model_dump(mode="json")
    return Account(
        policy=_policy(dataset, told),
        plan={
            "dataset": dataset,
            "rows": None,
            "holdout_rows": None,
            "columns": [],
            "anonymity": None,
            "private": private,
            "synthesis": None,
        },
        findings=tuple(findings),
        decision=decision,
        rows=None,
        data=tuple(data),
        time=time,
        versions=manifests.versions(),
        fingerprint=project.fingerprint,
        commitments=commitments,
        meanings={metric: line for metric, (_, line) in REPORT.metrics.items()},
        laws=read_laws(project.folder / LAWS),
    )


def _policy(dataset: str, told: Mapping[str, str]) -> dict[str, Any]:
    """What a policy would say, had there been one: the demo has no file of it."""
    return {
        "sfumato": 1,
        "dataset": {
            "name": dataset,
            "description": f"A classifier trained on images: {told['images']}.",
            "purpose": "a model to be given to others",
        },
        "columns": {},
        "context": {"release": "partner", "attackers": []},
        "gate": [],
        "approvals": [],
    }


def _private(model: ImageClassifier, statement: Statement, told: Mapping[str, str]) -> PrivatePlan:
    from dataclasses import asdict

    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.events import words
    from sfumato.dp.review import review
    from sfumato.dp.training.trained import FAST_NOISE

    asked = {
        "query": _RECIPE,
        "classes": told["classes"],
        "grey levels": list(model.levels),
        "why": "a model can be given to others, and images cannot: pixels are people",
    }
    secure = model.private and FAST_NOISE not in model.notices
    remarks = review(statement, tuning="none", secure=secure, charged_upstream=True)
    return PrivatePlan(
        kind="model",
        asked=(asked,),
        unit="patient" if model.unit == "subject" else "image",
        relation=statement.relation,
        epsilon=model.epsilon,
        delta=model.delta,
        replace_epsilon=model.replace_epsilon,
        accounting=epsilon_of(model.event, model.delta, relation=statement.relation).method,
        event=words(model.event),
        secure=secure,
        budget={
            "epsilon": statement.epsilon,
            "delta": statement.delta,
            "filter": statement.filter,
            "spent": min(1.0, statement.share),
        },
        unbounded=len(statement.unbounded),
        review=tuple(asdict(remark) for remark in remarks),
        notices=model.notices,
    )
