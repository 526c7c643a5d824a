"""Which releases of the same people left before this one, and by which spaces of identities that is known."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Step
from sfumato.evidence.columns import PSEUDONYMIZE
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.snapshot import Snapshot
from sfumato.project.ledger import Made
from sfumato.release.custody import commit
from sfumato.release.withdrawal import Withdrawal, uncounted, withdrawals

#: The columns of identities in what is kept of a release; a pseudonym's has its column's name after it.
ROW_ID, UNIT_ID, PSEUDONYM_ID = "row", "unit", "pseudonym "


def spaces_of(snapshot: Snapshot, steps: Sequence[Step]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The spaces of identities of a release with their columns, and which are those of pseudonyms.

    Their names say nothing of source, column or domain to whoever has not the project's key.
    """

    def named(*what: str) -> str:
        return derive(snapshot.project.secret, "space", *what).hex()[:32]

    dataset = snapshot.policy.dataset
    found = {named("source", snapshot.digest): ROW_ID}
    unit = dataset.subject or dataset.key
    if unit is not None:
        found[named("unit", dataset.name, unit)] = UNIT_ID
    joinable = {
        named("pseudonym", str(step.params["domain"])): PSEUDONYM_ID + step.column
        for step in steps
        if step.action == PSEUDONYMIZE and step.params.get("join")
    }
    return found | joinable, tuple(joinable)


def made(snapshot: Snapshot) -> Made:
    """What makes this release one; another attempt under the same policy and source is the same."""
    return Made(
        dataset=snapshot.policy.dataset.name,
        policy_digest=snapshot.policy_digest,
        source_commitment=commit(snapshot.salt, "source", snapshot.digest),
    )


def earlier_releases(fitted: Fitted) -> tuple[Made, ...]:
    """The other releases of the project that left and may be about the same people, oldest first.

    Raises:
        InputError: ``project-ledger``: what it says of withdrawals is not as signed.
    """
    return _earlier(fitted, uncounted(_withdrawals(fitted)))


def taken_back(fitted: Fitted) -> tuple[Withdrawal, ...]:
    """The withdrawals but for which there would be more earlier releases of the same people."""
    found = _withdrawals(fitted)
    if not found:
        return ()
    numbers = uncounted(found)
    gone = set(_earlier(fitted, frozenset())) - set(_earlier(fitted, numbers))
    runs = {record.id for record in fitted.snapshot.project.ledger.passed() if record.made in gone}
    return tuple(said for said in found if runs & said.runs.keys())


def _earlier(fitted: Fitted, numbers: frozenset[int]) -> tuple[Made, ...]:
    snapshot = fitted.snapshot
    spaces, _ = spaces_of(snapshot, fitted.plan.steps)
    return snapshot.project.people.earlier(made(snapshot), spaces, numbers)


def _withdrawals(fitted: Fitted) -> tuple[Withdrawal, ...]:
    project = fitted.snapshot.project
    return withdrawals(project.ledger, project.signer.public_key())


def refuse_newer(fitted: Fitted, earlier: Sequence[Made]) -> None:
    """Refuse to release beside one that left while this one was measured.

    Raises:
        InputError: ``project-ledger``.
    """
    if earlier_releases(fitted) != tuple(earlier):
        raise InputError(
            "project-ledger",
            "another release of the same people left, or was withdrawn, while this one was being measured",
            remedy="run again: releases are then tested together as they stand",
        )
