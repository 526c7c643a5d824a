"""The people of every release, kept in the house so that later releases can be joined with it.

Who has which labels in which release is as private as the source: the tables are sealed to the project's
key, and only their owner may read the files. What the tables hold is the business of whoever keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from sfumato.core.canonical import sha256
from sfumato.core.errors import InputError
from sfumato.project import keys
from sfumato.project.ledger import Ledger, Made

PEOPLE = "people"
SEALED = ".age"
#: What the file of another table of a release has in its name.
BESIDE = ".beside"


class People:
    """The sealed tables of a project, one for each release; see :attr:`sfumato.project.Project.people`."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes], bytes],
    ) -> None:
        self._folder = folder / PEOPLE
        self._ledger = ledger
        self._seal, self._unseal = seal, unseal
        self._spaces: dict[Made, tuple[str, ...]] = {}

    def earlier(
        self, made: Made, spaces: Iterable[str], uncounted: Collection[int] = frozenset()
    ) -> tuple[Made, ...]:
        """The releases that left before (:meth:`sfumato.project.ledger.Ledger.earlier`)."""
        return self._ledger.earlier(made, spaces, uncounted)

    def keep(self, made: Made, table: bytes, spaces: Iterable[str], beside: bytes | None = None) -> None:
        """Keep the people of a release, before it gets its name; a re-run replaces them.

        Args:
            beside: another table of them, if there is one.
            spaces: names of the spaces of identities by which they can be found again; they come into the
                ledger with the release.

        Raises:
            InputError: ``project-ledger``: the disk did not take it.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._path(made, BESIDE).unlink(missing_ok=True)
            keys.write_whole(self._path(made), self._seal(table), mode=0o600)
            if beside is not None:
                keys.write_whole(self._path(made, BESIDE), self._seal(beside), mode=0o600)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        self._spaces[made] = tuple(spaces)

    def spaces(self, made: Made) -> tuple[str, ...]:
        """The spaces of a release whose people were just kept; none where they were not."""
        return self._spaces.get(made, ())

    def of(self, made: Made) -> bytes | None:
        """What was kept of a release; None if nothing was, as before there was this.

        Raises:
            InputError: ``custody-closed``: altered, or sealed to another project; ``project-ledger``.
        """
        return self._unsealed(self._path(made))

    def beside(self, made: Made) -> bytes | None:
        """The other table of a release, as :meth:`of`."""
        return self._unsealed(self._path(made, BESIDE))

    def _unsealed(self, path: Path) -> bytes | None:
        try:
            return self._unseal(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _path(self, made: Made, which: str = "") -> Path:
        return self._folder / f"{sha256(made.to_json())[:32]}{which}{SEALED}"


def _unusable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "project-ledger",
        f"the people of earlier releases cannot be used ({error.strerror})",
        where=str(folder),
        remedy="check the disk and who owns the folder",
    )
