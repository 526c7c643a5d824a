"""The manifest: what a release consists of and what was decided, signed.

An in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) whose
subjects are all other files of the release, in a DSSE v1 envelope
(https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) with one Ed25519 signature
(RFC 8032). Statement and envelope are canonical JSON, and :func:`open_envelope` accepts no other
encoding of the same content: there is exactly one valid ``manifest.json`` for a statement and a key.

The signer's public key is in the statement, so that anyone can see that a release is whole; *who* signed
it is known only by comparing the key with one that came another way.
"""

from __future__ import annotations

import base64
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import sfumato
from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.errors import InputError
from sfumato.project.keys import fingerprint
from sfumato.release.layout import MANIFEST, WITHDRAWAL

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:x-sfumato:release:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"

_LIBRARIES = (
    "polars",
    "pyarrow",
    "numpy",
    "numba",
    "scikit-learn",
    "fairlearn",
    "opendp",
    "dp-accounting",
    "altair",
    "typst",
    "cryptography",
)
#: Far beyond any manifest of ours; what is larger is not read.
_MOST_BYTES = 16 * 2**20


class EnvelopeError(ValueError):
    """A manifest that is not a canonical envelope of ours with a valid signature; says what is wrong."""


@dataclass(frozen=True)
class Opened:
    """A statement whose signature is valid, and the key that made it."""

    statement: Mapping[str, Any]
    signer: Ed25519PublicKey

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What was decided about the release."""
        predicate: Mapping[str, Any] = self.statement["predicate"]
        return predicate

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 digest of each file, by its name in the release."""
        return {subject["name"]: subject["digest"]["sha256"] for subject in self.statement["subject"]}


def timestamp() -> str:
    """The time of a release: ``SOURCE_DATE_EPOCH`` if set, else now; RFC 3339, UTC, whole seconds.

    Raises:
        InputError: ``usage``: the variable is not a number of seconds.
    """
    given = os.environ.get(EPOCH_VARIABLE)
    if given is None:
        return _rfc3339(datetime.now(UTC))
    try:
        return _rfc3339(datetime.fromtimestamp(int(given), UTC))
    except (ValueError, OverflowError, OSError):
        raise InputError(
            "usage",
            "not a number of seconds since 1970",
            where=EPOCH_VARIABLE,
            remedy="set it to a whole number, or unset it",
        ) from None


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """The versions of what a release was made with."""
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    return {"sfumato": sfumato.__version__, "python": platform.python_version(), **libraries}


def statement(
    digests: Mapping[str, str], predicate: Mapping[str, Any], kind: str = PREDICATE_TYPE
) -> dict[str, Any]:
    """The in-toto statement about files with these SHA-256 digests, in the order of their names."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": kind,
        "predicate": dict(predicate),
    }


def signer_entry(public: Ed25519PublicKey) -> dict[str, str]:
    """How the statement names its signer: the key's fingerprint and its 32 bytes in base64."""
    raw = base64.b64encode(public.public_bytes_raw()).decode()
    return {"fingerprint": fingerprint(public), "algorithm": "Ed25519", "public_key": raw}


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, which is what gets signed.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(content: Mapping[str, Any], signer: Ed25519PrivateKey) -> bytes:
    """The bytes of ``manifest.json``: the statement in its signed envelope."""
    payload = canonical_json(content)
    return _envelope(payload, signer.sign(pae(PAYLOAD_TYPE, payload)), fingerprint(signer.public_key()))


def _envelope(payload: bytes, signature: bytes, keyid: str) -> bytes:
    return canonical_json(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def open_envelope(content: bytes) -> Opened:
    """The statement on a release in an envelope, its signature checked with the key it names.

    Raises:
        EnvelopeError: anything but the one canonical encoding of a statement of ours, validly signed.
    """
    opened = open_signed(content)
    _well_formed(opened.statement)
    return opened


def open_signed(content: bytes) -> Opened:
    """A statement of any kind; of its fields only the signer's key is known to be there.

    Raises:
        EnvelopeError: as :func:`open_envelope`.
    """
    try:
        envelope = json.loads(content)
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = (base64.b64decode(entry["sig"], validate=True) for entry in envelope["signatures"])
        found = json.loads(payload)
        public = Ed25519PublicKey.from_public_bytes(
            base64.b64decode(found["predicate"]["signer"]["public_key"], validate=True)
        )
        canonical = _envelope(canonical_json(found), signature, fingerprint(public))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EnvelopeError("it cannot be read as a signed statement") from None
    if canonical != content:
        raise EnvelopeError("it is not in canonical form")
    try:
        public.verify(signature, pae(PAYLOAD_TYPE, payload))
    except InvalidSignature:
        raise EnvelopeError("its signature is not valid") from None
    return Opened(found, public)


def _well_formed(found: Mapping[str, Any]) -> None:
    """Signed content is still a stranger's: every field that is read later must be what it should be."""
    if found.get("_type") != STATEMENT_TYPE or found.get("predicateType") != PREDICATE_TYPE:
        raise EnvelopeError("it is a statement of another kind")
    predicate, subjects = found["predicate"], found.get("subject")
    texts = all(isinstance(predicate.get(name), str) for name in ("dataset", "time", "sfumato"))
    if not texts or not isinstance(predicate.get("passed"), bool) or not isinstance(subjects, list):
        raise EnvelopeError("its fields are not those of a release")
    names = [subject.get("name") for subject in subjects if isinstance(subject, dict)]
    digests = [subject.get("digest") for subject in subjects if isinstance(subject, dict)]
    sound = all(isinstance(name, str) for name in names) and all(
        isinstance(digest, dict) and isinstance(digest.get("sha256"), str) for digest in digests
    )
    if not sound or len(names) != len(subjects) or len(set(names)) != len(names):
        raise EnvelopeError("its list of files is not well formed")


def read(folder: Path) -> bytes:
    """The bytes of a folder's manifest.

    Raises:
        EnvelopeError: too large for a manifest.
        OSError: missing or unreadable.
    """
    with (folder / MANIFEST).open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise EnvelopeError("it is too large")
    return content


def claimed_files(folder: Path) -> set[str] | None:
    """The files that a release of ours has or may have, its manifest among them; None if it is not one."""
    if folder.is_symlink() or (folder / MANIFEST).is_symlink() or not (folder / MANIFEST).is_file():
        return None
    try:
        opened = open_envelope(read(folder))
    except (EnvelopeError, OSError):
        return None
    return {MANIFEST, WITHDRAWAL, *opened.digests}


def signer_of(folder: Path) -> str:
    """The fingerprint of the key that signed a release of ours; errors as :func:`committed`."""
    return fingerprint(open_envelope(read(folder)).signer)


def committed(folder: Path) -> Mapping[str, Any]:
    """What a release of ours says of its private inputs: a commitment to each, by its name.

    Raises:
        EnvelopeError: the manifest is not one of ours.
        OSError: missing or unreadable.
    """
    commitments: Mapping[str, Any] = open_envelope(read(folder)).predicate.get("commitments", {})
    return commitments


def digest_of(path: Path) -> str:
    """The SHA-256 digest of a file, read in pieces; a link is not followed."""
    import hashlib

    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_digest(content: bytes) -> str:
    """The digest by which a manifest is known in the ledger."""
    return sha256(content)
