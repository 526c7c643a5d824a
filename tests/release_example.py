"""A made-up release for the tests of the room: small, complete, with strings that must never leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sfumato.core.values import AnonymityPlan, Decision, Finding, Inventory, Plan, Reason, Role, Step
from sfumato.policy.model import Policy
from sfumato.project import Project
from sfumato.release.account import (
    Account,
    DataFile,
    public_decision,
    public_detections,
    public_plan,
    public_policy,
    published,
)
from sfumato.release.assemble import Release, assemble
from sfumato.release.law import Law, read_laws
from sfumato.release.writer import Outgoing

SECRET_PATH = "/srv/zz-of-the-house-secret-cupboard/zz-of-the-house-people-raw.csv"
SECRET_STATE = "zz-of-the-house-fitted-tuple-state"
SECRET_DIGEST = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7"
SECRET_HIERARCHY = "zz-of-the-house-hierarchies/region.csv"
SECRETS = (
    SECRET_PATH,
    "zz-of-the-house-secret-cupboard",
    SECRET_STATE,
    SECRET_DIGEST,
    SECRET_HIERARCHY,
    "zz-of-the-house-",
)
COLUMNS = {"region": "text", "age": "text", "abuse": "integer", "hours": "number", "since": "date"}


def policy(**changes: Any) -> Policy:
    written: dict[str, Any] = {
        "sfumato": 1,
        "dataset": {
            "name": "example-survey",
            "source": {"path": SECRET_PATH},
            "target": "abuse",
            "purpose": "research on employment",
            "recipients": ["a partner university", "a statistical office"],
            "owner": "Institute of Examples",
            "licence": "https://spdx.org/licenses/CC-BY-4.0.html",
            "description": "A survey of people that was made up for this page.",
            "origin": "made by a test",
            "population": {"fraction": 0.0001, "source": "a guess"},
        },
        "columns": {
            "name": {"role": "direct-identifier", "why": "not needed to learn from"},
            "email": {
                "role": "direct-identifier",
                "action": {"do": "pseudonymize", "domain": "respondent"},
                "why": "lets the owner trace a reported error",
            },
            "region": {
                "role": "quasi-identifier",
                "hierarchy": {"kind": "file", "path": SECRET_HIERARCHY, "separator": ";"},
                "why": "on every register",
            },
            "age": {
                "role": "quasi-identifier",
                "hierarchy": {"kind": "intervals", "widths": [5, 10, 20], "from": 0, "to": 100},
                "why": "on every register of voters",
            },
            "abuse": {
                "role": "insensitive",
                "sensitive": True,
                "known_to": ["neighbour"],
                "why": "what the research is about",
            },
            "hours": {
                "role": "insensitive",
                "action": {"do": "round", "to": 5},
                "why": "exact hours stand out",
            },
            "since": {
                "role": "insensitive",
                "action": {"do": "truncate-date", "to": "year"},
                "why": "only years",
            },
        },
        "anonymity": {"method": "lattice", "models": [{"model": "k-anonymity", "k": 5}], "suppression": 0.05},
        "context": {
            "release": "partner",
            "attackers": [
                {"knows": ["age", "region"], "source": "register of voters", "motive": "curiosity"}
            ],
        },
        "evidence": {"holdout": {"share": 0.2}, "fairness": {"groups": ["white"]}},
        "gate": [
            {"metric": "linkage.excess", "at_most": 0.05},
            {"metric": "learning.skill_ratio", "at_least": 0.9},
        ],
        "approvals": [
            {
                "by": "Dr. Ada Example, data protection officer",
                "what": "column hours",
                "why": "rounded to five hours, which nobody outside knows",
            }
        ],
    }
    return Policy.model_validate(written | changes)


def plan(asked: Policy) -> Plan:
    steps = tuple(
        Step(
            column=name,
            role=column.role,
            sensitive=column.sensitive,
            action=column.done,
            params={} if column.action is None else dict(column.action.params),
            why=column.why,
            state={"fitted": SECRET_STATE, "counts": [1, 2, 3]},
        )
        for name, column in asked.columns.items()
    )
    anonymity = AnonymityPlan(
        method="lattice",
        models=({"model": "k-anonymity", "k": 5},),
        levels={"region": 1, "age": 2},
        heights={"region": 3, "age": 5},
        classes=397,
        smallest_class=5,
        rows=7857,
        suppressed_rows=113,
        suppressed_share=113 / 7857,
        score=0.241932,
        raw_loss=0.428591,
        granularity=0.698371,
        lattice=12960,
        checked=1217,
        optimal=True,
    )
    return Plan(
        dataset=asked.dataset.name,
        policy_digest="ab" * 32,
        inventory_digest="cd" * 32,
        rows=9822,
        holdout_rows=1965,
        steps=steps,
        anonymity=anonymity,
    )


def finding(metric: str, value: float | None, **more: Any) -> Finding:
    given: dict[str, Any] = {
        "metric": metric,
        "value": value,
        "low": value,
        "high": value,
        "unit": "probability",
        "goal": "low",
        "n": 7744,
        "source": metric.partition(".")[0],
    }
    return Finding(**given | more)


def findings() -> list[Finding]:
    knows = "an attacker who knows age and region of everybody"
    return [
        finding("risk.worst_class", 0.2, before=1.0, assumes=knows),
        finding("risk.marketer", 397 / 7744, before=0.61, assumes=knows),
        finding("risk.unique", 0.0, before=0.594, unit="share", assumes=knows),
        finding("risk.journalist", None, status="not-measured", note="the policy names no population"),
        finding(
            "linkage.excess",
            0.004,
            low=-0.003,
            high=0.011,
            before=0.55,
            baseline=0.0001,
            control=0.012,
            n=1965,
            unit="difference",
            assumes="a register with errors in one of ten cells",
        ),
        finding(
            "linkage.success",
            0.0131,
            low=0.009,
            high=0.019,
            before=0.561,
            baseline=0.0001,
            control=0.0118,
            n=1965,
            unit="share",
            assumes="a register with errors in one of ten cells",
            note="against people held out, who were neither fitted nor released",
        ),
        finding(
            "learning.auc",
            0.684,
            low=0.655,
            high=0.713,
            before=0.701,
            baseline=0.5,
            unit="auc",
            goal="high",
            n=1965,
        ),
        finding(
            "learning.skill_ratio",
            0.951,
            low=0.903,
            high=0.998,
            before=1.0,
            baseline=0.0,
            unit="ratio",
            goal="high",
            n=1965,
        ),
        finding("distributions.tv", 0.031, unit="distance", target="hours"),
        finding("distributions.tv", 0.187, unit="distance", target="age"),
        finding(
            "fairness.error_rate",
            0.112,
            low=0.09,
            high=0.136,
            before=0.104,
            unit="share",
            n=1700,
            target="white=1",
        ),
        finding(
            "fairness.error_rate",
            0.181,
            low=0.13,
            high=0.241,
            before=0.131,
            unit="share",
            n=260,
            target="white=0",
        ),
    ]


def decision(passed: bool = True) -> Decision:
    reasons = (
        Reason(
            metric="risk.worst_class",
            target="release",
            threshold="risk.worst_class at most 0.2",
            passed=True,
            words="0.2 exactly",
        ),
        Reason(
            metric="linkage.excess",
            target="release",
            threshold="linkage.excess at most 0.05",
            passed=True,
            words="0.0110 exactly",
        ),
        Reason(
            metric="learning.skill_ratio",
            target="release",
            threshold="learning.skill_ratio at least 0.9",
            passed=passed,
            words="0.9031 exactly",
        ),
    )
    return Decision(passed=passed, reasons=reasons)


def write_data(folder: Path) -> DataFile:
    """A small Parquet file, as the engine would leave it."""
    import datetime

    table = pa.table(
        {
            "region": ["north", "south"] * 10,
            "age": ["20-39"] * 20,
            "abuse": [0, 1] * 10,
            "hours": [35.0, None] * 10,
            "since": [datetime.date(1990, 1, 1)] * 20,
        }
    )
    pq.write_table(table, folder / "example-survey.parquet")
    return DataFile("example-survey.parquet", COLUMNS)


def account(
    found: list[Finding] | None = None,
    *,
    inventory: Inventory | None = None,
    planned: Plan | None = None,
    passed: bool = True,
    rows: int | None = 7745,
    laws: tuple[Law, ...] | None = None,
    **changes: Any,
) -> Account:
    """What the documents are written from, without writing a release."""
    asked = policy(**changes)
    exact = findings() if found is None else found
    planning = public_plan(plan(asked) if planned is None else planned)
    shown = published(exact, planning)
    return Account(
        policy=public_policy(asked),
        plan=planning,
        findings=shown,
        decision=public_decision(decision(passed), exact, shown, asked),
        rows=rows,
        data=(),
        time="2026-01-01T00:00:00Z",
        versions={"sfumato": "0"},
        fingerprint="f" * 32,
        commitments={},
        detected=public_detections(inventory),
        laws=read_laws() if laws is None else laws,
    )


def build(
    folder: Path, project: Project, *, passed: bool = True, asked: Policy | None = None, **changes: Any
) -> Release:
    asked = policy() if asked is None else asked
    given: dict[str, Any] = {
        "policy": asked,
        "plan": plan(asked),
        "findings": findings(),
        "decision": decision(passed),
        "private": {
            "source": SECRET_DIGEST,
            "source_path": SECRET_PATH,
            "inventory": "zz-of-the-house-inventory",
        },
    }
    with Outgoing(folder) as outgoing:
        data = [write_data(outgoing.data_folder)]
        return assemble(outgoing, data=data, project=project, **given | changes)


__all__ = [
    "SECRETS",
    "Role",
    "account",
    "build",
    "decision",
    "finding",
    "findings",
    "plan",
    "policy",
    "write_data",
]
