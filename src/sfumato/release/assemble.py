"""A release put together: documents, manifest, custody, and then everything its final name.

The order is what makes it trustworthy. The documents come from one public account; the manifest comes
after them and names every file; the staged release is verified like anybody's; the ledger has the
attempt before the release has its name. Where the gate said no, the data are taken out first of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.core.canonical import sha256
from sfumato.core.disclosure import publish_count
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding, Inventory, Plan
from sfumato.policy.model import Policy
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.account import (
    Account,
    DataFile,
    Sheet,
    public_decision,
    public_detections,
    public_plan,
    public_policy,
    published,
)
from sfumato.release.croissant import croissant_json
from sfumato.release.custody import commit, sealed
from sfumato.release.documents import evidence_json, plan_json, policy_yaml
from sfumato.release.dossier import dossier_html
from sfumato.release.law import read_laws
from sfumato.release.layout import (
    CROISSANT,
    DATA,
    DATASHEET,
    DOSSIER,
    DOSSIER_PDF,
    EVIDENCE,
    IMAGES,
    LAWS,
    MANIFEST,
    NOTICE,
    PLAN,
    POLICY,
    files_of,
)
from sfumato.release.papers import datasheet_md, notice_md
from sfumato.release.pdf import dossier_pdf
from sfumato.release.verify import verify
from sfumato.release.withdrawal import Withdrawal
from sfumato.release.writer import Outgoing


@dataclass(frozen=True)
class Release:
    """What a run made: where it lies, what the gate said, and the digest of the signed manifest."""

    folder: Path
    custody: Path
    decision: Decision
    manifest_digest: str

    @property
    def dossier(self) -> Path:
        """The page to read first."""
        return self.folder / DOSSIER

    @property
    def pdf(self) -> Path:
        """The same as PDF, to print and to file."""
        return self.folder / DOSSIER_PDF


def assemble(
    outgoing: Outgoing,
    *,
    policy: Policy,
    plan: Plan,
    findings: Sequence[Finding],
    decision: Decision,
    data: Sequence[DataFile],
    project: Project,
    private: Mapping[str, Any],
    salt: bytes | None = None,
    meanings: Mapping[str, str] | None = None,
    tables: Mapping[str, bytes] | None = None,
    inventory: Inventory | None = None,
    answers: Sequence[Mapping[str, Any]] = (),
    kept: Sequence[Finding] = (),
    withdrawn: Sequence[Withdrawal] = (),
    sheet: Sheet | None = None,
) -> Release:
    """Write every document beside the data already staged, sign, seal, verify, and give it its name.

    Args:
        outgoing: the open staging folder; the engine has written ``data`` into its data folder.
        policy: as loaded; its public part is published.
        plan: with its fitted state, which goes to custody.
        findings: exact; they pass the disclosure filter here.
        decision: the gate's, on the exact findings.
        data: the data files; they leave only if the decision passed.
        project: signs, seals and keeps the ledger.
        private: JSON-like private inputs by neutral names (``source``, ``source_path``, ``inventory``);
            the names are published with a commitment each, the values go to custody.
        salt: of the commitments, 32 bytes; by default the project's for this dataset and plan.
        meanings: one line for each metric, for the dossier.
        tables: Parquet files for custody, by their sealed names.
        inventory: says which kinds of identifiers the columns were found to hold; without it the dossier
            says that nobody looked.
        kept: findings that go to custody alone.
        answers: the figures of a release under differential privacy, as they are in its data.
        withdrawn: earlier releases of the same people that are not counted, with who answers for it.
        sheet: images of those in the data, for the dossier; shown only if the decision passed.

    Raises:
        InputError: ``law-invalid``: a file in the project's folder ``law/`` is not as it must be.
        InputError: ``output-failed``: the data folder does not hold just the files named, or the staged
            release did not verify; ``output-exists``: something else has appeared under the names.
    """
    _check_data(outgoing, data)
    if not decision.passed:
        outgoing.withhold_data()
    if salt is None:
        salt = derive(project.secret, "commitments", plan.dataset, plan.digest)
    account = Account(
        policy=public_policy(policy),
        plan=(planned := public_plan(plan)),
        findings=(shown := published(findings, planned)),
        decision=public_decision(decision, findings, shown, policy, kept),
        rows=_rows(plan),
        data=tuple(data) if decision.passed else (),
        time=manifests.timestamp(),
        versions=manifests.versions(),
        fingerprint=project.fingerprint,
        commitments={name: commit(salt, name, private[name]) for name in sorted(private)},
        meanings=meanings or {},
        detected=public_detections(inventory),
        laws=read_laws(project.folder / LAWS),
        answers=tuple(answers) if decision.passed else (),
        withdrawn=tuple(withdrawn),
        sheet=sheet if decision.passed else None,
    )
    _write_documents(outgoing, account)
    content = _manifest(outgoing, account, project)
    outgoing.write(MANIFEST, content)
    secrets = sealed(
        project,
        plan=plan,
        findings=(*findings, *kept),
        decision=decision,
        private=private,
        salt=salt,
        tables=tables,
    )
    for name, secret in secrets.items():
        outgoing.keep(name, secret)
    digest = sha256(content)

    def last_check(staged: Path) -> None:
        checked = verify(staged, key_pem=project.public_key_pem())
        if not checked.intact:
            raise InputError("output-failed", f"the staged release does not verify: {checked.words}")
        project.record(
            dataset=plan.dataset,
            time=account.time,
            policy_digest=plan.policy_digest,
            source_commitment=account.commitments.get("source", ""),
            manifest_digest=digest,
            passed=decision.passed,
            answers=plan.guarantee is not None,
        )

    folder, custody = outgoing.commit(last_check)
    return Release(folder, custody, account.decision, digest)


def _check_data(outgoing: Outgoing, data: Sequence[DataFile]) -> None:
    folder = outgoing.data_folder
    there = {path.name: len(list(path.iterdir())) if path.is_dir() else None for path in folder.iterdir()}
    if there != {file.name: file.files for file in data}:
        raise InputError("output-failed", "the data folder does not hold just the files that were announced")


def _rows(plan: Plan) -> int | None:
    """The rows that leave, as they may be published."""
    if plan.private is not None:
        return None
    if plan.synthesis is not None:
        return plan.synthesis.rows
    if plan.anonymity is None:
        return publish_count(plan.rows - plan.holdout_rows)
    return publish_count(plan.anonymity.rows - plan.anonymity.suppressed_rows)


def _write_documents(outgoing: Outgoing, account: Account) -> None:
    folder = outgoing.release_folder
    names = [name for name in files_of(folder).names if name.startswith(f"{DATA}/")]
    digests = {name: manifests.digest_of(folder / name) for name in names}
    sizes = {name: (folder / name).stat().st_size for name in names}
    documents = {
        EVIDENCE: evidence_json(account),
        PLAN: plan_json(account),
        POLICY: policy_yaml(account),
        CROISSANT: croissant_json(account, digests, sizes),
        DATASHEET: datasheet_md(account),
        NOTICE: notice_md(account),
    }
    for name, content in documents.items():
        outgoing.write(name, content)
    # Images are in the manifest, each by its digest: on a page they would hide the others.
    digests = {name: digest for name, digest in digests.items() if not name.startswith(f"{DATA}/{IMAGES}/")}
    digests |= {name: sha256(content) for name, content in documents.items()}
    page = dossier_html(account, digests)
    outgoing.write(DOSSIER, page)
    outgoing.write(DOSSIER_PDF, dossier_pdf(page, account.time))


def _manifest(outgoing: Outgoing, account: Account, project: Project) -> bytes:
    found = files_of(outgoing.release_folder)
    digests = {name: manifests.digest_of(outgoing.release_folder / name) for name in found.names}
    predicate = {
        "sfumato": account.versions["sfumato"],
        "dataset": account.dataset["name"],
        "time": account.time,
        "passed": account.decision.passed,
        "decision": account.decision.model_dump(mode="json"),
        "policy": {"sha256": digests[POLICY]},
        "plan": {"sha256": digests[PLAN]},
        "commitments": dict(account.commitments),
        "signer": manifests.signer_entry(project.signer.public_key()),
        "versions": dict(account.versions),
    }
    return manifests.sign(manifests.statement(digests, predicate), project.signer)
