"""Taking back a release that never left the house: its data are destroyed, and it is not counted any more.

What left cannot be taken back, for nobody can be made to forget it; so a named person must say that it did
not, with the release at hand, and every later release of the same people says first of all that they did.
What was spent of a privacy budget stays spent: the noise was drawn, and somebody saw the answers.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from sfumato.core.canonical import sha256
from sfumato.core.errors import InputError
from sfumato.pipeline.revisit import find_project
from sfumato.project import Project
from sfumato.project.keys import KEYS, locked
from sfumato.project.ledger import LEDGER, Ledger
from sfumato.project.project import PUBLIC_KEY
from sfumato.release import manifest as manifests
from sfumato.release.layout import MANIFEST, RELEASE, WITHDRAWAL
from sfumato.release.verify import public_key, verify
from sfumato.release.withdrawal import Withdrawal, covers, signed, standing, take_back


def withdraw(release: Path, *, why: str, by: str, project: Path | None = None) -> Withdrawal:
    """Withdraw a release that never left, with every run of the same policy on the same source.

    Args:
        release: the folder ``release/``, or the one that holds it; its data are destroyed.
        why: how it is known that nobody outside has a copy.
        by: the name of the person who answers for that.

    Raises:
        InputError: ``release-withdrawn``: it is not in the project's ledger, the gate let no data leave, or
            it was withdrawn already; ``release-altered``, ``release-unreadable``, ``usage``, ``project-key``,
            ``project-ledger``, ``output-failed``.
    """
    said = {"why": why.strip(), "by": by.strip()}
    for name, words in said.items():
        if not words:
            raise InputError("usage", f"nobody can answer for an empty --{name}", remedy="say it in words")
    folder = release / RELEASE if (release / RELEASE / MANIFEST).is_file() else release
    house = Project.open(find_project(folder, None, project), create=False)
    with ExitStack() as locks:
        _checked(folder, house)
        locks.enter_context(house.releasing())
        # A run that replaces the release meanwhile would find its folder changed.
        locks.enter_context(locked(folder.resolve().parent))
        begun = _checked(folder, house)
        digest = sha256((folder / MANIFEST).read_bytes())
        if digest in standing(house.ledger, house.signer.public_key()):
            raise _cannot(folder, "it was withdrawn already", "nothing: it is not counted")
        runs = house.ledger.runs(digest)
        if not runs:
            raise _cannot(folder, "this project's ledger does not have it", "name its project (--project)")
        if begun is None:
            found = Withdrawal(
                dataset=runs[-1].dataset, time=manifests.timestamp(), runs=covers(runs), **said
            )
            content = signed(found, house.signer)
        else:
            found, content = begun, (folder / WITHDRAWAL).read_bytes()
        take_back(folder, content)
        house.ledger.withdraw(content)
    return found


def _checked(folder: Path, house: Project) -> Withdrawal | None:
    """The release is whole and had data; the withdrawal in it, if one was interrupted."""
    checked = verify(folder, key_pem=house.public_key_pem())
    if not checked.intact:
        raise InputError(
            "release-altered",
            checked.words,
            where=str(folder),
            remedy="withdraw the release as it was made: what this is nobody can say",
        )
    if not checked.passed:
        raise _cannot(folder, "the gate let no data leave", "nothing: it is not counted")
    return checked.withdrawn


def _cannot(folder: Path, why: str, remedy: str) -> InputError:
    return InputError(
        "release-withdrawn", f"this cannot be withdrawn: {why}", where=str(folder), remedy=remedy
    )


def withdrawn_at_home(release: Path, project: Path | None) -> dict[str, Withdrawal]:
    """What the project at hand, if there is one, has withdrawn: by the digests of manifests.

    Raises:
        InputError: ``project-ledger``.
    """
    place = find_project(release, None, project)
    # As for the expected key: a public key alone may have come with the release, and a ledger with it.
    if not (place / (KEYS if project is None else PUBLIC_KEY)).exists():
        return {}
    return standing(Ledger(place / LEDGER), public_key((place / PUBLIC_KEY).read_bytes()))
