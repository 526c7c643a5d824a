"""The made log released: data, evidence, dossier, signed manifest; custody beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.disclosure import publish_all, publish_count, round_count
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding, SynthesisPlan
from sfumato.demos import shop_learning, shop_privacy, signed
from sfumato.demos.shop_log import CDS, CUSTOMER, DAY, HELD_OUT, ORIGIN, SPENT
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.account import Account, DataFile
from sfumato.release.custody import commit
from sfumato.release.dossier import dossier_html
from sfumato.release.law import read_laws
from sfumato.release.layout import (
    DOSSIER,
    DOSSIER_PDF,
    EVIDENCE,
    LAWS,
    MANIFEST,
    SEALED_EVIDENCE,
    SEALED_PRIVATE,
)
from sfumato.release.pdf import dossier_pdf
from sfumato.release.verify import verify
from sfumato.release.writer import Outgoing

FILE = "purchases.csv"
_WHY = {
    CUSTOMER: ("direct-identifier", "made customers have made names"),
    DAY: ("quasi-identifier", "when people buy is what the log is for"),
    CDS: ("quasi-identifier", "what is bought"),
    SPENT: ("quasi-identifier", "what is spent"),
}
_TYPES = {CUSTOMER: "text", DAY: "date", CDS: "integer", SPENT: "number"}


@dataclass(frozen=True)
class ShopRelease:
    """Where the release lies, and the digest of its signed manifest."""

    folder: Path
    custody: Path
    manifest_digest: str


def release_log(
    folder: Path,
    project: Project,
    made: pl.DataFrame,
    findings: Sequence[Finding],
    decision: Decision,
    *,
    dataset: str,
    counts: Mapping[str, int],
    facts: Mapping[str, Any],
) -> ShopRelease:
    """Write, sign, verify and enter the release of a made log; without data if the gate refused.

    Args:
        folder: gets ``release/`` and ``custody/``.
        findings: exact; what leaves has been through the disclosure filter.
        counts: exact, by name: customers taught, held_out and made; purchases, purchases_held_out and
            purchases_made.
        facts: of the model.

    Raises:
        InputError: ``output-exists``, ``output-failed``.
    """
    time = manifests.timestamp()
    salt = derive(project.secret, "commitments", dataset, time)
    private = {"counts": dict(counts), "facts": dict(facts)}
    commitments = {name: commit(salt, name, private[name]) for name in sorted(private)}
    public = publish_all(findings)
    told = _told(decision, public)
    with Outgoing(folder, project.fingerprint) as outgoing:
        if decision.passed:
            made.write_csv(outgoing.data_folder / FILE)
        else:
            outgoing.withhold_data()
        outgoing.write(EVIDENCE, signed.evidence(dataset, public, told))
        account = _account(project, public, told, dataset, counts, facts, commitments, time)
        page = dossier_html(account, signed.digests(outgoing.release_folder))
        outgoing.write(DOSSIER, page)
        outgoing.write(DOSSIER_PDF, dossier_pdf(page, time))
        content = signed.manifest(outgoing.release_folder, project, dataset, time, told, commitments)
        outgoing.write(MANIFEST, content)
        kept = {"findings": [finding.model_dump(mode="json") for finding in findings]}
        outgoing.keep(SEALED_EVIDENCE, project.seal(canonical_json(kept)))
        sealed = {"salt": salt.hex(), "private": private, "commitments": commitments}
        outgoing.keep(SEALED_PRIVATE, project.seal(canonical_json(sealed)))
        digest = sha256(content)

        def last_check(staged: Path) -> None:
            checked = verify(staged, key_pem=project.public_key_pem())
            if not checked.intact:
                raise InputError("output-failed", f"the staged release does not verify: {checked.words}")
            project.record(
                dataset=dataset, time=time, policy_digest="", source_commitment=commitments["counts"],
                manifest_digest=digest, passed=decision.passed,
            )  # fmt: skip

        release, custody = outgoing.commit(last_check)
    return ShopRelease(release, custody, digest)


def _told(decision: Decision, public: Sequence[Finding]) -> Decision:
    """The decision in the words of published figures: exact ones are for the house."""
    figures = {(one.metric, one.target): one for one in public}
    reasons = []
    for reason in decision.reasons:
        found = figures.get((reason.metric, reason.target))
        words = "not measured, or withheld"
        if found is not None and found.value is not None:
            words = (
                f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g}), rounded; judged by exact figures"
            )
        reasons.append(reason.model_copy(update={"words": words}))
    return Decision(passed=decision.passed, reasons=tuple(reasons))


def _account(
    project: Project,
    findings: Sequence[Finding],
    decision: Decision,
    dataset: str,
    counts: Mapping[str, int],
    facts: Mapping[str, Any],
    commitments: Mapping[str, str],
    time: str,
) -> Account:
    plan = SynthesisPlan(
        method="histories", settings={"model": facts["model"]}, rows=round_count(counts["purchases_made"]),
        taught=publish_count(counts["taught"]), columns=(CUSTOMER, DAY, CDS, SPENT), rare="merge",
        sees="rows", facts=_plain(facts),
    )  # fmt: skip
    columns = [
        {"column": name, "role": role, "sensitive": False, "action": "learn", "params": {}, "why": why}
        for name, (role, why) in _WHY.items()
    ]
    tables = {**shop_privacy.REPORT.metrics, **shop_learning.REPORT.metrics}
    return Account(
        policy=_policy(dataset),
        plan={
            "dataset": dataset, "rows": publish_count(counts["purchases"]),
            "holdout_rows": publish_count(counts["purchases_held_out"]), "columns": columns,
            "anonymity": None, "private": None, "synthesis": plan.model_dump(mode="json"),
        },
        findings=tuple(findings),
        decision=decision,
        rows=round_count(counts["purchases_made"]) if decision.passed else None,
        data=(DataFile(FILE, _TYPES),) if decision.passed else (),
        time=time,
        versions=manifests.versions(),
        fingerprint=project.fingerprint,
        commitments=commitments,
        meanings={metric: line for metric, (_, line) in tables.items()},
        laws=read_laws(project.folder / LAWS),
    )  # fmt: skip


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that tell of no person: losses on rows stay in the house, lengths are of ten people."""
    return {name: facts[name] for name in ("kind", "parameters", "longest", "epochs") if name in facts}


def _policy(dataset: str) -> dict[str, Any]:
    """What a policy would say, had there been one: the demo has no file of it."""
    columns = {
        name: {"role": role, "sensitive": False, "action": {"do": "keep"}, "why": why}
        for name, (role, why) in _WHY.items()
    }
    return {
        "sfumato": 1,
        "dataset": {
            "name": dataset,
            "subject": CUSTOMER,
            "description": f"Purchases of customers who never were, learned from {ORIGIN}.",
            "purpose": "to try models of who buys again on histories that can be given to others",
        },
        "columns": columns,
        "synthesis": {"method": "histories"},
        "evidence": {"holdout": {"share": HELD_OUT}},
        "context": {"release": "partner", "attackers": []},
        "gate": [],
        "approvals": [],
    }
