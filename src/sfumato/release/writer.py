"""Outputs that appear whole or not at all.

Everything is written into a hidden folder beside its final place, synchronized to disk, verified, and
only then renamed to ``release/`` and ``custody/``. Two folders cannot be renamed in one step, so the
earlier output is first moved into the staging folder and ``release/`` comes last: whatever moment a run
is killed at, the next one finds either a whole new output or everything needed to put the old one back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sfumato.core.errors import InputError
from sfumato.release.layout import CUSTODY, CUSTODY_FILES, DATA, RELEASE, files_of
from sfumato.release.manifest import claimed_files, signer_of

STAGING = ".sfumato-staging-"
_OLD = "old"
#: What a disk says when it is full, over quota, broken or read-only.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class Outgoing:
    """The staging folder of one run, as a context: left without :meth:`commit`, nothing remains of it.

    Args:
        folder: where ``release/`` and ``custody/`` are to appear; made if missing.
        signer: the fingerprint of the key whose releases there may be replaced; without one, of any key.

    Raises:
        InputError: on entering, ``output-exists`` if something there is not an earlier output of ours;
            on leaving, ``output-failed`` if the disk did not take everything.

    >>> with tempfile.TemporaryDirectory() as place, Outgoing(Path(place)) as outgoing:
    ...     outgoing.write("plan.json", b"{}")
    ...     release, custody = outgoing.commit(lambda staged: None)
    ...     sorted(path.name for path in release.iterdir())
    ['plan.json']
    """

    def __init__(self, folder: Path, signer: str | None = None) -> None:
        self.folder = folder
        self.signer = signer
        self._made_folder = False
        self._staging: Path | None = None
        self._lock = -1

    def __enter__(self) -> Self:
        try:
            if not self.folder.exists():
                # Another run may make it at the same time, and the two take turns then.
                with suppress(FileExistsError):
                    self.folder.mkdir(parents=True)
                    self._made_folder = True
            if not self.folder.is_dir():
                raise _exists(self.folder, "it is not a folder")
            with _locked(self.folder):
                _clear_stale(self.folder)
                _refuse_foreign(self.folder, self.signer)
                self._staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=self.folder))
                # Held until the end: a later run takes only folders for stale whose lock is free.
                self._lock = os.open(self._staging, os.O_RDONLY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.data_folder.mkdir(parents=True)
            self.custody_folder.mkdir(mode=0o700)
        except OSError as error:
            self._clean()
            raise _failed(self.folder, error) from error
        except BaseException:
            # Also Ctrl-C, before there is a with block to leave.
            self._clean()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean()
        if isinstance(error, OSError) and error.errno in _DISK:
            raise _failed(self.folder, error) from error

    @property
    def _staged(self) -> Path:
        if self._staging is None:
            raise InputError("usage", "the staging folder is open only inside its with block")
        return self._staging

    @property
    def release_folder(self) -> Path:
        """The release as it is being written."""
        return self._staged / RELEASE

    @property
    def custody_folder(self) -> Path:
        """The custody as it is being written."""
        return self._staged / CUSTODY

    @property
    def data_folder(self) -> Path:
        """Where the engine writes the data files of the release."""
        return self.release_folder / DATA

    def write(self, name: str, content: bytes) -> None:
        """A document of the release."""
        (self.release_folder / name).write_bytes(content)

    def keep(self, name: str, content: bytes) -> None:
        """A sealed document of custody, with mode 0600."""
        descriptor = os.open(self.custody_folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def withhold_data(self) -> None:
        """Take the data out of the release: there is no ``data/`` where the gate said no."""
        shutil.rmtree(self.data_folder)

    def commit(self, check: Callable[[Path], None]) -> tuple[Path, Path]:
        """Give everything its final name, after a last check of the staged release.

        Args:
            check: called with the staged release, synchronized to disk; raises to call it off.

        Returns:
            The final ``release/`` and ``custody/``.
        """
        if self.data_folder.exists() and not any(self.data_folder.iterdir()):
            self.data_folder.rmdir()
        _synchronize(self._staged)
        check(self.release_folder)
        with _locked(self.folder):
            _refuse_foreign(self.folder, self.signer)
            _exchange(self.folder, self._staged)
        return self.folder / RELEASE, self.folder / CUSTODY

    def _clean(self) -> None:
        if self._staging is not None:
            # What cannot be removed now is stale for the next run, and hides no error of this one.
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._made_folder:
            # Only an empty folder can be removed so: it was made for an output that did not come.
            with suppress(OSError):
                self.folder.rmdir()


def _exchange(folder: Path, staging: Path) -> None:
    old = staging / _OLD
    old.mkdir()
    try:
        for name in (RELEASE, CUSTODY):
            if (folder / name).exists():
                (folder / name).rename(old / name)
        for name in (CUSTODY, RELEASE):
            (staging / name).rename(folder / name)
    except BaseException:
        _put_back(folder, staging)
        raise
    _synchronize_folder(folder)


def _put_back(folder: Path, staging: Path) -> None:
    """Undo an exchange that did not reach its last step, which is ``release/`` getting its name."""
    if not (staging / RELEASE).exists():
        return
    old = staging / _OLD
    if not (staging / CUSTODY).exists() and (folder / CUSTODY).exists():
        (folder / CUSTODY).rename(staging / CUSTODY)
    for name in (CUSTODY, RELEASE):
        if (old / name).exists():
            (old / name).rename(folder / name)


def _clear_stale(folder: Path) -> None:
    """Remove what killed runs left behind, after putting back what they had moved away."""
    for staging in sorted(folder.glob(f"{STAGING}*")):
        if not _is_ours(staging):
            continue
        descriptor = os.open(staging, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _put_back(folder, staging)
            shutil.rmtree(staging)
        finally:
            os.close(descriptor)


def _is_ours(staging: Path) -> bool:
    """Whether a folder of that name holds nothing but what a run puts there."""
    if staging.is_symlink() or not staging.is_dir():
        return False
    return {entry.name for entry in staging.iterdir()} <= {RELEASE, CUSTODY, _OLD}


def _refuse_foreign(folder: Path, signer: str | None) -> None:
    release, custody = folder / RELEASE, folder / CUSTODY
    if release.is_symlink() or release.exists():
        claimed = claimed_files(release)
        if claimed is None:
            raise _exists(release, "it is not a release that we wrote")
        if signer is not None and signer_of(release) != signer:
            raise _exists(release, "it is a release that another project signed")
        if set(files_of(release).names) - claimed:
            raise _exists(release, "it holds files that its manifest does not name")
    if custody.exists() or custody.is_symlink():
        if custody.is_symlink() or not custody.is_dir():
            raise _exists(custody, "it is not a folder that we wrote")
        if any(path.name not in CUSTODY_FILES for path in custody.iterdir()):
            raise _exists(custody, "it holds files that we did not write")
        if not release.exists():
            raise _exists(custody, "it belongs to a release that is no longer beside it")


def _exists(path: Path, why: str) -> InputError:
    return InputError(
        "output-exists",
        f"this may not be replaced: {why}",
        where=str(path),
        remedy="move it away, or name another folder",
    )


def _failed(folder: Path, error: OSError) -> InputError:
    return InputError(
        "output-failed",
        f"the output could not be written ({error.strerror}); nothing was left under its final name",
        where=str(folder),
        remedy="check the space left, the quota and who may write there",
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _synchronize(folder: Path) -> None:
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(place, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _synchronize_folder(Path(place))


def _synchronize_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
