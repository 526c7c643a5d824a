"""A release that never left, taken back: said by a named person, signed, and from then on not counted.

No machine can know that nobody has a copy, so a withdrawal is the word of whoever signs for it, kept where
it can be held against them: an in-toto statement signed with the project's key, in the ledger and in the
folder of the release. It names every run of the release by its number in the ledger with the digest of its
manifest, so that a run made afterwards is counted again. The data are taken out of the folder first.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sfumato.core.errors import InputError
from sfumato.core.values import Value
from sfumato.project.keys import write_whole
from sfumato.project.ledger import Ledger, ReleaseRecord
from sfumato.release.layout import DATA, WITHDRAWAL
from sfumato.release.manifest import EnvelopeError, open_signed, sign, signer_entry, statement

WITHDRAWAL_TYPE = "urn:x-sfumato:withdrawal:v1"
_RUN = re.compile(r"release ([1-9][0-9]*)")
_MOST_BYTES = 2**20


class Withdrawal(Value):
    """Who said when and why that a release never left, and of which runs of it.

    ``runs`` maps the number of each in the ledger to the digest of its manifest; ``time`` is RFC 3339 in UTC.
    """

    dataset: str
    time: str
    by: str
    why: str
    runs: dict[int, str]


def signed(withdrawal: Withdrawal, signer: Ed25519PrivateKey) -> bytes:
    """The bytes of ``withdrawal.json``."""
    said = {name: getattr(withdrawal, name) for name in ("dataset", "time", "by", "why")}
    digests = {f"release {number}": digest for number, digest in withdrawal.runs.items()}
    predicate = said | {"signer": signer_entry(signer.public_key())}
    return sign(statement(digests, predicate, WITHDRAWAL_TYPE), signer)


def opened(content: bytes, signer: Ed25519PublicKey) -> Withdrawal:
    """What a signer said in ``withdrawal.json``.

    Raises:
        EnvelopeError: altered, of another kind, or signed by somebody else.
    """
    found = open_signed(content)
    if found.signer != signer:
        raise EnvelopeError("another key signed it")
    if found.statement.get("predicateType") != WITHDRAWAL_TYPE:
        raise EnvelopeError("it is a statement of another kind")
    try:
        said = {name: found.predicate[name] for name in ("dataset", "time", "by", "why")}
        runs = {int(_RUN.fullmatch(name)[1]): digest for name, digest in found.digests.items()}  # type: ignore[index]
        return Withdrawal.model_validate(said | {"runs": runs})
    except (ValueError, KeyError, TypeError):
        raise EnvelopeError("its fields are not those of a withdrawal") from None


def in_folder(folder: Path, manifest: str, signer: Ed25519PublicKey) -> Withdrawal:
    """The withdrawal that lies in a release with this digest of its manifest.

    Raises:
        EnvelopeError: it is not one by ``signer``, or of another release.
        OSError: it cannot be read.
    """
    with (folder / WITHDRAWAL).open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise EnvelopeError("it is too large")
    found = opened(content, signer)
    if manifest not in found.runs.values():
        raise EnvelopeError("it is about another release")
    return found


def withdrawals(ledger: Ledger, signer: Ed25519PublicKey) -> tuple[Withdrawal, ...]:
    """Every withdrawal of a project, oldest first.

    Raises:
        InputError: ``project-ledger``: one is not what the project signed, or not about its releases.
    """
    documents = ledger.withdrawals()
    if not documents:
        return ()
    known = {record.id: record.manifest_digest for record in ledger.passed()}
    found = []
    for number, document in documents:
        try:
            said = opened(document, signer)
        except EnvelopeError as error:
            raise _damaged(number, str(error)) from None
        if any(known.get(run) != digest for run, digest in said.runs.items()):
            raise _damaged(number, "the releases that it names are not those of the ledger")
        found.append(said)
    return tuple(found)


def _damaged(number: int, why: str) -> InputError:
    return InputError(
        "project-ledger",
        f"withdrawal {number} in the ledger is not what was signed: {why}",
        remedy="restore the ledger from a backup; somebody changed it",
    )


def uncounted(found: Collection[Withdrawal]) -> frozenset[int]:
    """The numbers in the ledger of the runs that were withdrawn."""
    return frozenset(run for each in found for run in each.runs)


def standing(ledger: Ledger, signer: Ed25519PublicKey) -> dict[str, Withdrawal]:
    """The withdrawal of each release by the digest of its manifest; none of one that was made again since.

    Raises:
        InputError: ``project-ledger``.
    """
    found = withdrawals(ledger, signer)
    if not found:
        return {}
    numbers = uncounted(found)
    again = {record.manifest_digest for record in ledger.passed() if record.id not in numbers}
    return {digest: each for each in found for digest in each.runs.values() if digest not in again}


def take_back(folder: Path, content: bytes) -> None:
    """Put a withdrawal into a release and destroy its data; done again after a crash, it goes on.

    Raises:
        InputError: ``output-failed``.
    """
    try:
        write_whole(folder / WITHDRAWAL, content, mode=0o644)
        if (folder / DATA).exists():
            shutil.rmtree(folder / DATA)
    except OSError as error:
        raise InputError(
            "output-failed",
            f"the data of the release could not be destroyed ({error.strerror}); it still counts",
            where=str(folder),
            remedy="see who may write there, and withdraw it again",
        ) from error


def covers(records: Collection[ReleaseRecord]) -> dict[int, str]:
    """The runs of a release, as a withdrawal names them."""
    return {record.id: record.manifest_digest for record in records if record.manifest_digest is not None}
