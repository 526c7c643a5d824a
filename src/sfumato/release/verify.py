"""Is a release what was signed? Offline, by anyone who holds it.

Everything is refused that is not exactly as signed: a changed, missing or extra file, a link, a folder
inside, a manifest in any encoding but its own, a signature that does not fit, another signer than the
one expected. Nothing in the release is trusted or executed to find out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sfumato.core.canonical import sha256
from sfumato.core.errors import EXIT_GATE_REFUSED, EXIT_PASSED, InputError
from sfumato.core.values import Value
from sfumato.project.keys import fingerprint
from sfumato.release.layout import DATA, DOCUMENTS, MANIFEST, RELEASE, WITHDRAWAL, Files, files_of
from sfumato.release.manifest import EnvelopeError, Opened, digest_of, open_envelope, read
from sfumato.release.withdrawal import Withdrawal, in_folder

#: So many documents of a release make a folder one, even where its manifest is missing.
_ENOUGH = 2


class Verification(Value):
    """What was found out about a release.

    ``intact``: every file is exactly as signed, and the signer is the expected one if one was given.
    ``signer`` is the fingerprint of the key that signed, None where the manifest cannot be read;
    ``signer_checked`` says whether it was compared with a key that came from outside the release.
    ``passed`` is what the gate had said, ``problems`` everything that is wrong, in words. ``withdrawn`` is
    there if the signer took the release back before it left: it may be whole, and is not to be used.
    """

    intact: bool
    signer: str | None
    signer_checked: bool
    passed: bool | None
    dataset: str | None
    time: str | None
    files: int
    problems: tuple[str, ...]
    withdrawn: Withdrawal | None = None

    @property
    def exit_code(self) -> int:
        """0 if intact, 1 for any damage and where it was withdrawn."""
        return EXIT_PASSED if self.intact and self.withdrawn is None else EXIT_GATE_REFUSED

    @property
    def words(self) -> str:
        """The outcome in one line."""
        if not self.intact:
            return f"refused: {self.problems[0]}" + _and_more(len(self.problems) - 1)
        if self.withdrawn is not None:
            said = self.withdrawn
            return f"withdrawn on {said.time} by {said.by}, before it left: {said.why}"
        signer = "as expected" if self.signer_checked else "signer not checked"
        gate = "" if self.passed else "; the gate had refused: a release without data"
        return f"intact, signed by {self.signer}, {signer}{gate}"


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count else ""


def verify(
    path: Path,
    *,
    key_pem: bytes | None = None,
    withdrawn: Mapping[str, Withdrawal] = MappingProxyType({}),
) -> Verification:
    """Check a release folder against its signed manifest.

    Args:
        path: the folder ``release/``.
        key_pem: the public key that must have signed it (PEM), for a recipient the one they were
            given, at home that of the project. Without one the signer is named but not checked.
        withdrawn: what the project at home has withdrawn (:func:`sfumato.release.withdrawal.standing`); a
            withdrawal that lies in the folder is found without it.

    Raises:
        InputError: ``release-unreadable``: the path is no release at all. ``usage``: the key is not
            an Ed25519 public key in PEM.
    """
    expected = None if key_pem is None else public_key(key_pem)
    found = _look(path)
    problems = [f"{name!r} has no place in a release" for name in found.strange]
    opened, taken_back = None, None
    if MANIFEST not in found.names:
        problems.append(f"{MANIFEST} is missing")
    else:
        try:
            content = read(path)
            opened = open_envelope(content)
        except EnvelopeError as error:
            problems.append(f"{MANIFEST}: {error}")
        except OSError as error:
            problems.append(f"{MANIFEST} cannot be read ({error.strerror})")
    if opened is not None:
        digest = sha256(content)
        taken_back, wrong = _taken_back(path, opened, found, digest)
        problems += _signer_problems(opened, expected) + wrong
        problems += _file_problems(path, opened, found, taken_back is not None)
        taken_back = taken_back or withdrawn.get(digest)
    return Verification(
        intact=not problems,
        signer=None if opened is None else fingerprint(opened.signer),
        signer_checked=opened is not None and expected is not None,
        passed=None if opened is None else opened.predicate["passed"],
        dataset=None if opened is None else opened.predicate["dataset"],
        time=None if opened is None else opened.predicate["time"],
        files=len(found.names),
        problems=tuple(problems),
        withdrawn=taken_back,
    )


def public_key(pem: bytes) -> Ed25519PublicKey:
    """The Ed25519 public key in a PEM file's bytes.

    Raises:
        InputError: ``usage``.
    """
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(
            "usage",
            "not an Ed25519 public key in PEM",
            remedy="give the signing-key.pub of the project that made the release",
        )
    return key


def _look(path: Path) -> Files:
    try:
        found = files_of(path)
    except OSError as error:
        raise _no_release(path, f"it cannot be read as a folder ({error.strerror})", "") from error
    if MANIFEST in found.names or len(set(DOCUMENTS) & set(found.names)) >= _ENOUGH:
        return found
    inside = path / RELEASE
    remedy = f"did you mean {inside}?" if (inside / MANIFEST).is_file() else "name the folder release/"
    raise _no_release(path, f"there is no {MANIFEST} here", remedy)


def _no_release(path: Path, what: str, remedy: str) -> InputError:
    return InputError("release-unreadable", what, where=str(path), remedy=remedy)


def _signer_problems(opened: Opened, expected: Ed25519PublicKey | None) -> list[str]:
    if expected is None or expected == opened.signer:
        return []
    return [f"signed by {fingerprint(opened.signer)}, not by the expected {fingerprint(expected)}"]


def _taken_back(path: Path, opened: Opened, found: Files, digest: str) -> tuple[Withdrawal | None, list[str]]:
    """The withdrawal by the same signer that lies in a release, and what is wrong with what is there."""
    if WITHDRAWAL not in found.names:
        return None, []
    try:
        return in_folder(path, digest, opened.signer), []
    except EnvelopeError as error:
        return None, [f"{WITHDRAWAL}: {error}"]
    except OSError as error:
        return None, [f"{WITHDRAWAL} cannot be read ({error.strerror})"]


def _file_problems(path: Path, opened: Opened, found: Files, taken_back: bool) -> list[str]:
    digests, present = opened.digests, set(found.names) - {MANIFEST, WITHDRAWAL}
    gone = digests.keys() - present
    if taken_back:
        # Its data were destroyed when it was withdrawn.
        gone = {name for name in gone if not name.startswith(f"{DATA}/")}
    problems = [f"{name!r} is missing" for name in sorted(gone)]
    problems += [f"{name!r} is not in the manifest" for name in sorted(present - digests.keys())]
    for name in sorted(present & digests.keys()):
        try:
            digest = digest_of(path / name)
        except OSError as error:
            problems.append(f"{name!r} cannot be read ({error.strerror})")
            continue
        if digest != digests[name]:
            problems.append(f"{name!r} has been changed")
    if not opened.predicate["passed"] and any(name.startswith(f"{DATA}/") for name in present):
        problems.append("there are data, although the gate refused")
    return problems
