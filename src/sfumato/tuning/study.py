"""What was tried and what came of it, kept in the project: a killed search loses one trial."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.errors import InputError
from sfumato.core.values import Finding, Value
from sfumato.tuning.choices import Scalar

FOLDER = "tune"


class Trial(Value):
    """One policy tried on the people of the search.

    ``figures`` are the findings that the aims and limits ask for, as far as they were measured. A trial is
    "measured", "hopeless" (given up before everything was measured), or "impossible" (it could not be
    fitted, or is no policy); ``note`` says why. ``like`` is an earlier trial that
    gave the same rows, ``rows`` their digest, which stays in the project.
    ``splits`` is on how many splits of the search's people the figures rest.
    """

    number: int
    params: dict[str, Scalar]
    status: Literal["measured", "hopeless", "impossible"]
    figures: tuple[Finding, ...] = ()
    note: str = ""
    like: int | None = None
    rows: str = ""
    splits: int = 1

    def figure(self, metric: str, target: str = "release") -> Finding | None:
        """One figure; None if it was not measured, or is there twice."""
        found = [one for one in self.figures if (one.metric, one.target) == (metric, target)]
        return found[0] if len(found) == 1 else None

    def value(self, metric: str, target: str = "release") -> float | None:
        """Its value."""
        found = self.figure(metric, target)
        return None if found is None else found.value


class Header(Value):
    """What a study is of: another policy, source or search is another study."""

    policy: str
    source: str
    search: str
    version: str

    @classmethod
    def of(cls, policy: str, source: str, search: object, version: str) -> Self:
        """The header of a search; ``search`` is everything else that the trials hang on, as JSON."""
        return cls(policy=policy, source=source, search=sha256(canonical_json(search)), version=version)


#: What differs, in words, by the header's fields.
_OTHER = {
    "policy": "the policy has changed since",
    "source": "the source has changed since",
    "search": "it was of other aims, limits or choices",
    "version": "it was made by another version",
}


class Study:
    """The file of one study: a header, then a line for each trial, on the disk before the next begins."""

    def __init__(self, path: Path, header: Header, trials: Sequence[Trial]) -> None:
        self.path = path
        self.header = header
        self.kept = tuple(trials)

    @classmethod
    def open(cls, path: Path, header: Header, *, resume: bool) -> Study:
        """The study in a file: a new one, or what is there of the same.

        Raises:
            InputError: ``usage`` if there is nothing to resume, ``source-changed`` if it is of something
                else, ``output-failed`` if the file cannot be written.
        """
        try:
            if resume:
                return cls._resumed(path, header)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(header.to_json() + b"\n")
        except OSError as error:
            raise _unwritable(path, error) from None
        return cls(path, header, ())

    @classmethod
    def _resumed(cls, path: Path, header: Header) -> Study:
        if not path.exists():
            raise InputError(
                "usage", "there is no search to resume", where=str(path), remedy="leave --resume out"
            )
        lines = path.read_bytes().splitlines(keepends=True)
        try:
            found = Header.from_json(lines[0] if lines else b"")
            # The last line of a killed process may be half a line.
            trials = [Trial.from_json(line) for line in lines[1:] if line.endswith(b"\n")]
        except ValidationError:
            raise InputError(
                "source-changed", "it is damaged", where=str(path), remedy="leave --resume out"
            ) from None
        for name, words in _OTHER.items():
            if getattr(found, name) != getattr(header, name):
                raise InputError(
                    "source-changed",
                    f"the search cannot be resumed: {words}",
                    where=str(path),
                    remedy="leave --resume out to begin anew",
                )
        whole = sum(len(line) for line in lines if line.endswith(b"\n"))
        os.truncate(path, whole)
        return cls(path, header, trials)

    def add(self, trial: Trial) -> None:
        """Keep a trial.

        Raises:
            InputError: ``output-failed``.
        """
        try:
            with self.path.open("ab") as file:
                file.write(trial.to_json() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        "output-failed",
        f"the search cannot be kept ({error.strerror})",
        where=str(path),
        remedy="check the project's folder and the space left",
    )
