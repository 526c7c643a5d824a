"""A model released: the file, its card, the evidence, a signed manifest; custody beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding
from sfumato.demos import signed
from sfumato.demos.hospital_dossier import account_of
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.account import Account, DataFile
from sfumato.release.custody import commit
from sfumato.release.dossier import dossier_html
from sfumato.release.layout import (
    DATA,
    DOSSIER,
    DOSSIER_PDF,
    EVIDENCE,
    MANIFEST,
    SEALED_EVIDENCE,
    SEALED_PRIVATE,
)
from sfumato.release.pdf import dossier_pdf
from sfumato.release.verify import verify
from sfumato.release.writer import Outgoing

if TYPE_CHECKING:
    from sfumato.dp.statements import Statement
    from sfumato.dp.training.recipes import ImageClassifier

MODEL, CARD = "model.safetensors", "card.md"


@dataclass(frozen=True)
class ImageRelease:
    """Where a released model lies, and the digest of its signed manifest."""

    folder: Path
    custody: Path
    manifest_digest: str


def release_model(
    folder: Path,
    project: Project,
    model: ImageClassifier,
    *,
    classes: Sequence[str],
    beside: Mapping[str, bytes],
    findings: Sequence[Finding],
    decision: Decision,
    told: Mapping[str, str],
    private: Mapping[str, Any],
    dataset: str,
    statement: Statement,
) -> ImageRelease:
    """Write the release of a model, sign it, verify it, enter it in the ledger, and give it its name.

    Args:
        folder: gets ``release/`` (``data/model.safetensors`` if the gate passed, ``card.md``, the dossier,
            ``evidence.json``, ``manifest.json``) and ``custody/``.
        beside: other files that leave with the model, by name.
        findings: as they leave: each follows from the method, or was drawn with noise and charged.
        told: facts for the card, by name: images, unit, classes, guessing, promise, notices.
        statement: of the budget that the training was charged to.
        private: what stays, sealed; a salted commitment to each is in the manifest.

    Raises:
        InputError: ``output-exists``, ``output-failed``.
    """
    time = manifests.timestamp()
    salt = derive(project.secret, "commitments", dataset, time)
    with Outgoing(folder, project.fingerprint) as outgoing:
        if decision.passed:
            content = model.to_safetensors({"classes": "\n".join(classes), "epsilon": f"{model.epsilon:.6g}"})
            for name, written in {MODEL: content, **beside}.items():
                (outgoing.data_folder / name).write_bytes(written)
        else:
            outgoing.withhold_data()
        outgoing.write(EVIDENCE, signed.evidence(dataset, findings, decision))
        outgoing.write(CARD, card(model, told, findings, decision).encode())
        commitments = {name: commit(salt, name, private[name]) for name in sorted(private)}
        account = account_of(
            model,
            statement,
            dataset=dataset,
            told=told,
            findings=findings,
            decision=decision,
            data=[DataFile(name, {}) for name in (MODEL, *beside)] if decision.passed else [],
            project=project,
            commitments=commitments,
            time=time,
        )
        _write_dossier(outgoing, account)
        content = signed.manifest(outgoing.release_folder, project, dataset, time, decision, commitments)
        outgoing.write(MANIFEST, content)
        kept = {"findings": [finding.model_dump(mode="json") for finding in findings]}
        outgoing.keep(SEALED_EVIDENCE, project.seal(canonical_json(kept)))
        sealed = {"salt": salt.hex(), "private": dict(private), "commitments": commitments}
        outgoing.keep(SEALED_PRIVATE, project.seal(canonical_json(sealed)))
        digest = sha256(content)

        def last_check(staged: Path) -> None:
            checked = verify(staged, key_pem=project.public_key_pem())
            if not checked.intact:
                raise InputError("output-failed", f"the staged release does not verify: {checked.words}")
            project.record(
                dataset=dataset,
                time=time,
                policy_digest="",
                source_commitment=commitments.get("figures", ""),
                manifest_digest=digest,
                passed=decision.passed,
                answers=True,
            )

        release, custody = outgoing.commit(last_check)
    return ImageRelease(release, custody, digest)


def _write_dossier(outgoing: Outgoing, account: Account) -> None:
    """The page that a privacy officer reads, and the same as PDF."""
    page = dossier_html(account, signed.digests(outgoing.release_folder))
    outgoing.write(DOSSIER, page)
    outgoing.write(DOSSIER_PDF, dossier_pdf(page, account.time))


def card(
    model: ImageClassifier, told: Mapping[str, str], findings: Sequence[Finding], decision: Decision
) -> str:
    """The model's card, in plain words."""
    accuracy = next(finding for finding in findings if finding.metric == "learning.accuracy")
    one, side = told["unit"], model.scattering.side
    file = (
        f"`{DATA}/{MODEL}`:"
        if decision.passed
        else "The gate refused, and no model is here. It would have been"
    )
    parts = [
        "# Model card",
        f"{file} a linear classifier of square grey images ({side} pixels) into the classes"
        f" {told['classes']}. It reads scattering features, which were fitted to nobody; how to compute them"
        " stands in the file's metadata.",
        "## Trained on",
        f"{told['images']}. No image leaves with this model.",
        f"## What is promised about one {one}",
        f"Epsilon {model.epsilon:.3g}, delta {model.delta:.2g} (one {one} added or left out);"
        f" {model.replace_epsilon:.3g} if one is replaced by another. {told['promise']}",
        "This is a promise about the model alone. It says nothing of other things released about the same"
        " people, and does not keep anybody from being harmed by what is true of many.",
        f"To know: {told['notices']}.",
        "## How good it is",
        f"Accuracy {accuracy.value} (95 % interval {accuracy.low} to {accuracy.high}; guessing"
        f" {told['guessing']}), {accuracy.note}.",
        "## Not for",
        "Decisions about anybody's care. It was not tested on other devices, places or groups of people, and"
        " its probabilities were not corrected: correcting them would have had to be charged.",
    ]
    return "\n\n".join(textwrap.fill(part, 100) for part in parts) + "\n"
