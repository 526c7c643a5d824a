"""Custody: what stays in the house, sealed to the project's key.

The full plan with everything fitted, the exact findings, and the private inputs with the salt of their
commitments. A commitment names a private input in public without saying what it is; whoever holds
custody can later show input and salt, and anyone can check that they fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.core.canonical import canonical_json, commitment
from sfumato.core.errors import InputError
from sfumato.core.values import Decision, Finding, Plan
from sfumato.project import Project
from sfumato.release.layout import SEALED_EVIDENCE, SEALED_PLAN, SEALED_PRIVATE


def commit(salt: bytes, name: str, value: Any) -> str:
    """The commitment to one private input; its name is part of it, so that none can stand for another.

    >>> commit(bytes(32), "source", "a") == commit(bytes(32), "policy", "a")
    False
    """
    return commitment(salt, canonical_json([name, value]))


@dataclass(frozen=True)
class Custody:
    """Custody, opened."""

    plan: Plan
    findings: tuple[Finding, ...]
    decision: Decision
    private: Mapping[str, Any]
    commitments: Mapping[str, str]
    salt: bytes

    def confirms(self, name: str, value: Any) -> bool:
        """Whether a value is the private input that the release committed to under this name."""
        return self.commitments.get(name) == commit(self.salt, name, value)


def sealed(
    project: Project,
    *,
    plan: Plan,
    findings: Sequence[Finding],
    decision: Decision,
    private: Mapping[str, Any],
    salt: bytes,
    tables: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The files of custody, by name, encrypted; ``tables`` are Parquet files by their sealed names."""
    evidence = {
        "findings": [finding.model_dump(mode="json") for finding in findings],
        "decision": decision.model_dump(mode="json"),
    }
    commitments = {name: commit(salt, name, value) for name, value in private.items()}
    kept = {"salt": salt.hex(), "private": dict(private), "commitments": commitments}
    return {
        SEALED_PLAN: project.seal(plan.to_json()),
        SEALED_EVIDENCE: project.seal(canonical_json(evidence)),
        SEALED_PRIVATE: project.seal(canonical_json(kept)),
        **{name: project.seal(table) for name, table in (tables or {}).items()},
    }


def open_custody(folder: Path, project: Project) -> Custody:
    """The custody in a folder.

    Raises:
        InputError: ``custody-closed``: files are missing, altered, or sealed to another project.
    """
    contents = {
        name: _opened(folder / name, project) for name in (SEALED_PLAN, SEALED_EVIDENCE, SEALED_PRIVATE)
    }
    try:
        evidence, kept = json.loads(contents[SEALED_EVIDENCE]), json.loads(contents[SEALED_PRIVATE])
        return Custody(
            plan=Plan.from_json(contents[SEALED_PLAN]),
            findings=tuple(Finding.model_validate(finding) for finding in evidence["findings"]),
            decision=Decision.model_validate(evidence["decision"]),
            private=kept["private"],
            commitments=kept["commitments"],
            salt=bytes.fromhex(kept["salt"]),
        )
    except (ValueError, KeyError, TypeError):
        # The cause would quote what is sealed.
        raise InputError(
            "custody-closed",
            "its contents are not those of this version",
            where=str(folder),
            remedy="open it with the version of sfumato that made it",
        ) from None


def open_table(folder: Path, name: str, project: Project) -> bytes:
    """A table of custody by its sealed name: a Parquet file, for the house alone.

    Raises:
        InputError: ``custody-closed``: there is none, it is altered, or sealed to another project.
    """
    return _opened(folder / name, project)


def _opened(path: Path, project: Project) -> bytes:
    try:
        return project.unseal(path.read_bytes())
    except OSError as error:
        raise InputError(
            "custody-closed",
            f"it cannot be read ({error.strerror})",
            where=str(path),
            remedy="name its folder",
        ) from error
    except InputError as error:
        raise InputError(error.code, error.what, where=str(path), remedy=error.remedy) from None
