"""The project's key material: made once, whole, readable by its owner alone.

Three keys, for three uses that never share one: 32 random bytes for keyed randomness (pseudonyms,
splits, order), an Ed25519 key that signs manifests (RFC 8032), and an age X25519 identity that custody
is sealed to (https://age-encryption.org/v1). They lie in one file, so that a project has all of them
or none. Nothing here prints, logs or represents a key.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.errors import InputError

KEYS = "keys.json"
#: 128 bits of the digest: short enough to read out, too long to be found by trying.
FINGERPRINT_LENGTH = 32
_SECRET_LENGTH = 32


@dataclass(frozen=True)
class Keys:
    """The keys of a project; none of them shows in its representation."""

    secret: bytes = field(repr=False)
    signer: Ed25519PrivateKey = field(repr=False)
    identity: pyrage.x25519.Identity = field(repr=False)


def fingerprint(public: Ed25519PublicKey) -> str:
    """The start of the SHA-256 digest of a public key's 32 bytes, as hex."""
    return sha256(public.public_bytes_raw())[:FINGERPRINT_LENGTH]


def public_pem(public: Ed25519PublicKey) -> bytes:
    """A public key as PEM (SubjectPublicKeyInfo, RFC 8410)."""
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def create(folder: Path) -> None:
    """Make the keys of a project, if it has none.

    Of two creators at once, one makes the keys and the other finds them. The file appears whole,
    with mode 0600 from its first byte, or not at all.
    """
    with locked(folder):
        if (folder / KEYS).exists():
            return
        for left_by_a_crash in folder.glob(f".{KEYS}.*"):
            left_by_a_crash.unlink()
        signer = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        written = {
            "format": 1,
            "secret": base64.b64encode(secrets.token_bytes(_SECRET_LENGTH)).decode(),
            "signing_key": signer.decode(),
            "custody_identity": str(pyrage.x25519.Identity.generate()),
        }
        write_whole(folder / KEYS, canonical_json(written), mode=0o600)


def load(folder: Path) -> Keys:
    """The keys of a project.

    Raises:
        InputError: ``project-key``: there are none, they are damaged, or others can read them.
    """
    path = folder / KEYS
    try:
        with path.open("rb") as file:
            _only_owner(path, os.fstat(file.fileno()).st_mode, 0o077, "read")
            content = file.read()
        _only_owner(folder, folder.stat().st_mode, 0o022, "change")
    except FileNotFoundError:
        raise _wrong("no project keys here", path, "restore them from a backup") from None
    except OSError as error:
        raise _wrong(
            f"the project's keys cannot be read ({error.strerror})", path, "check who owns them"
        ) from error
    try:
        return _parse(content)
    except (ValueError, KeyError, TypeError, pyrage.IdentityError):
        # The cause would quote what it could not parse, and that is a key.
        raise _wrong("the project's keys are damaged", path, "restore them from a backup") from None


def _parse(content: bytes) -> Keys:
    written = json.loads(content)
    secret = base64.b64decode(written["secret"], validate=True)
    if len(secret) != _SECRET_LENGTH:
        raise ValueError("wrong length")
    signer = serialization.load_pem_private_key(written["signing_key"].encode(), password=None)
    if not isinstance(signer, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return Keys(secret, signer, pyrage.x25519.Identity.from_str(written["custody_identity"]))


def _only_owner(path: Path, mode: int, forbidden: int, deed: str) -> None:
    if stat.S_IMODE(mode) & forbidden:
        allowed = "700" if path.is_dir() else "600"
        raise _wrong(f"others than the owner can {deed} this", path, f"chmod {allowed} {path}")


def _wrong(what: str, path: Path, remedy: str) -> InputError:
    return InputError("project-key", what, where=str(path), remedy=remedy)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock (flock): one process at a time, and a dead one holds nothing."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """A file that is there whole, and stays there when the power goes, or is not there at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
