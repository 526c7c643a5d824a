"""A project: the folder in which everything lies that must outlive one run.

``.sfumato/`` beside the policy (or where ``--project`` or ``SFUMATO_HOME`` says), open to its owner
alone. Whoever holds it can open custody and sign releases; a recipient is given only
``signing-key.pub``. It is never part of a release, and its ``.gitignore`` keeps it out of repositories.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sfumato.core.errors import InputError
from sfumato.project import keys
from sfumato.project.ledger import LEDGER, Ledger, Made, ReleaseRecord
from sfumato.project.people import People

FOLDER = ".sfumato"
HOME_VARIABLE = "SFUMATO_HOME"
PUBLIC_KEY = "signing-key.pub"


def locate(policy_folder: Path, given: Path | None = None) -> Path:
    """Where a policy's project lies: where the caller says, else ``SFUMATO_HOME``, else beside the policy.

    >>> locate(Path("study"), Path("elsewhere"))
    PosixPath('elsewhere')
    """
    if given is not None:
        return given
    home = os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() if home else policy_folder / FOLDER


class Project:
    """The keys, the ledger and the lock on custody of one project; see :meth:`open`."""

    def __init__(self, folder: Path, held: keys.Keys) -> None:
        self.folder = folder
        self._keys = held
        self._ledger = Ledger(folder / LEDGER)
        self._people = People(folder, self._ledger, self.seal, self.unseal)

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Project:
        """The project in a folder, made if there is none and ``create`` is set.

        Raises:
            InputError: ``project-key``: the keys are missing, damaged or readable by others. A folder
                that has a ledger or a public key but no keys is not given new ones, for nothing
                signed or sealed before could be checked or opened with them.
        """
        if create:
            cls._create(folder)
        project = cls(folder, keys.load(folder))
        if create:
            project._publish_key()
        return project

    @classmethod
    def _create(cls, folder: Path) -> None:
        if (folder / keys.KEYS).exists():
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lost = [name for name in (PUBLIC_KEY, LEDGER) if (folder / name).exists()]
            # A second look, for another run may just have made the keys, and they come first.
            if lost and not (folder / keys.KEYS).exists():
                raise InputError(
                    "project-key",
                    f"the keys are gone, but {lost[0]} of an earlier run is here",
                    where=str(folder),
                    remedy=f"restore {keys.KEYS} from a backup, or start a project in another folder",
                )
            keys.create(folder)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                keys.write_whole(ignore, b"*\n", mode=0o644)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def _publish_key(self) -> None:
        path, pem = self.folder / PUBLIC_KEY, self.public_key_pem()
        try:
            if not path.exists() or path.read_bytes() != pem:
                keys.write_whole(path, pem, mode=0o644)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def __repr__(self) -> str:
        return f"Project({str(self.folder)!r}, fingerprint={self.fingerprint!r})"

    @property
    def secret(self) -> bytes:
        """32 bytes for keyed randomness; only :func:`sfumato.core.keyed.derive` should see them."""
        return self._keys.secret

    @property
    def signer(self) -> Ed25519PrivateKey:
        """The key that signs manifests."""
        return self._keys.signer

    @property
    def fingerprint(self) -> str:
        """The signing key's fingerprint: what a recipient compares."""
        return keys.fingerprint(self.signer.public_key())

    def public_key_pem(self) -> bytes:
        """The public half of the signing key, as in ``signing-key.pub``."""
        return keys.public_pem(self.signer.public_key())

    def seal(self, data: bytes) -> bytes:
        """Data encrypted to the project's own identity, in the age format."""
        sealed: bytes = pyrage.encrypt(data, [self._keys.identity.to_public()])
        return sealed

    def unseal(self, data: bytes) -> bytes:
        """What :meth:`seal` was given; all of it, or an error and none of it.

        Raises:
            InputError: ``custody-closed``: altered, cut short, or sealed to another project.
        """
        try:
            opened: bytes = pyrage.decrypt(data, [self._keys.identity])
        except pyrage.DecryptError:
            raise InputError(
                "custody-closed",
                "altered, or sealed to another project",
                remedy="use the project that made it (--project or SFUMATO_HOME)",
            ) from None
        return opened

    def record(
        self,
        *,
        dataset: str,
        time: str,
        policy_digest: str,
        source_commitment: str,
        manifest_digest: str | None,
        passed: bool,
        answers: bool = False,
    ) -> int:
        """Add an attempt to the ledger (:meth:`sfumato.project.ledger.Ledger.record`).

        The spaces of its people come with it, if they were kept.
        """
        made = Made(dataset=dataset, policy_digest=policy_digest, source_commitment=source_commitment)
        return self._ledger.record(
            dataset=dataset,
            time=time,
            policy_digest=policy_digest,
            source_commitment=source_commitment,
            manifest_digest=manifest_digest,
            passed=passed,
            answers=answers,
            spaces=self._people.spaces(made),
        )

    def releases(self, dataset: str) -> tuple[ReleaseRecord, ...]:
        """Every attempt to release a dataset, oldest first."""
        return self._ledger.releases(dataset)

    @property
    def ledger(self) -> Ledger:
        """Every attempt, and what was withdrawn."""
        return self._ledger

    @property
    def people(self) -> People:
        """The people of earlier releases, sealed, for later ones to be joined with."""
        return self._people

    def releasing(self) -> AbstractContextManager[None]:
        """One release of the project at a time: no other leaves between a look at the ledger and an entry."""
        return keys.locked(self.folder)


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "project-key",
        f"the project's files cannot be written ({error.strerror})",
        where=str(folder),
        remedy="check who owns the folder, or name another with --project",
    )
