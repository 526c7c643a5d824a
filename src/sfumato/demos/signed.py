"""What signs the releases of demos that walk their own way: evidence and manifest, as a table has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sfumato.core.canonical import canonical_json
from sfumato.core.values import Decision, Finding
from sfumato.project import Project
from sfumato.release import manifest as manifests
from sfumato.release.layout import files_of


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a staged release."""
    return {name: manifests.digest_of(folder / name) for name in files_of(folder).names}


def evidence(dataset: str, findings: Sequence[Finding], decision: Decision) -> bytes:
    """As ``evidence.json`` of a table: findings and decision."""
    return (
        canonical_json(
            {
                "sfumato": manifests.versions()["sfumato"],
                "dataset": dataset,
                "findings": [finding.model_dump(mode="json") for finding in findings],
                "decision": decision.model_dump(mode="json"),
            }
        )
        + b"\n"
    )


def manifest(
    folder: Path,
    project: Project,
    dataset: str,
    time: str,
    decision: Decision,
    commitments: Mapping[str, str],
) -> bytes:
    """The signed manifest of a staged release."""
    versions = manifests.versions()
    predicate = {
        "sfumato": versions["sfumato"],
        "dataset": dataset,
        "time": time,
        "passed": decision.passed,
        "decision": decision.model_dump(mode="json"),
        "commitments": dict(commitments),
        "signer": manifests.signer_entry(project.signer.public_key()),
        "versions": versions,
    }
    return manifests.sign(manifests.statement(digests(folder), predicate), project.signer)
