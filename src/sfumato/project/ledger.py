"""The ledger of releases: every attempt to release a dataset, in the order in which they were made.

Beside it stands what is kept of a release's people, for later releases to be joined with: by which
spaces of identities (a source, a key column, a domain of pseudonyms) they can be found again. Attempts are
never taken out: a release that was withdrawn stays, and beside it who said so, signed.

A row is written before a release gets its final name, so that no release can be out in the world and
not in the ledger; a row whose release never appeared costs nothing. SQLite with a write-ahead log and
full synchronization: a crash loses no committed row, and concurrent runs wait for each other.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sfumato.core.errors import InputError
from sfumato.core.values import Value

LEDGER = "ledger.sqlite"
_WAIT_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL,
    time TEXT NOT NULL,
    policy_digest TEXT NOT NULL,
    source_commitment TEXT NOT NULL,
    manifest_digest TEXT,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    answers INTEGER NOT NULL DEFAULT 0 CHECK (answers IN (0, 1))
) STRICT
"""
#: For a ledger from before there were releases of answers.
_ANSWERS = "ALTER TABLE releases ADD COLUMN answers INTEGER NOT NULL DEFAULT 0 CHECK (answers IN (0, 1))"
_SPACES = """
CREATE TABLE IF NOT EXISTS spaces (
    dataset TEXT NOT NULL,
    policy_digest TEXT NOT NULL,
    source_commitment TEXT NOT NULL,
    space TEXT NOT NULL,
    PRIMARY KEY (dataset, policy_digest, source_commitment, space)
) STRICT, WITHOUT ROWID
"""
_WITHDRAWALS = """
CREATE TABLE IF NOT EXISTS withdrawals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document BLOB NOT NULL
) STRICT
"""


class Made(Value):
    """What makes a release one: attempts under the same policy and from the same source are the same."""

    dataset: str
    policy_digest: str
    source_commitment: str


class ReleaseRecord(Value):
    """One attempt: what was released (or refused) when, under which policy, from which source.

    ``time`` is RFC 3339 in UTC; ``manifest_digest`` is None where no manifest was written. ``answers`` says
    that what it released are answers under differential privacy, and no rows.
    """

    id: int
    dataset: str
    time: str
    policy_digest: str
    source_commitment: str
    manifest_digest: str | None
    passed: bool
    answers: bool = False

    @property
    def made(self) -> Made:
        """What makes the release that was attempted one."""
        return Made(
            dataset=self.dataset, policy_digest=self.policy_digest, source_commitment=self.source_commitment
        )


class Ledger:
    """The ledger in one file.

    Args:
        path: the SQLite file; made, with mode 0600, when first written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

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
        spaces: Iterable[str] = (),
    ) -> int:
        """Add an attempt; its number, which only ever grows.

        Args:
            spaces: by which spaces of identities the people of the release can be found again.
        """
        row = (dataset, time, policy_digest, source_commitment, manifest_digest, int(passed), int(answers))
        found = [(dataset, policy_digest, source_commitment, space) for space in spaces]
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO releases (dataset, time, policy_digest, source_commitment, manifest_digest,"
                " passed, answers) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.executemany("INSERT OR IGNORE INTO spaces VALUES (?, ?, ?, ?)", found)
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def releases(self, dataset: str) -> tuple[ReleaseRecord, ...]:
        """Every attempt for a dataset, oldest first."""
        return tuple(record for record in self._records() if record.dataset == dataset)

    def passed(self) -> tuple[ReleaseRecord, ...]:
        """Every attempt that the gate let leave, oldest first."""
        return tuple(record for record in self._records() if record.passed)

    def runs(self, manifest_digest: str) -> tuple[ReleaseRecord, ...]:
        """Every attempt that passed and made the same release as one with this manifest, oldest first."""
        passed = self.passed()
        same = {record.made for record in passed if record.manifest_digest == manifest_digest}
        return tuple(record for record in passed if record.made in same)

    def _records(self) -> tuple[ReleaseRecord, ...]:
        if not self._path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT id, dataset, time, policy_digest, source_commitment, manifest_digest, passed, answers"
                " FROM releases ORDER BY id"
            ).fetchall()
        names = list(ReleaseRecord.model_fields)
        return tuple(ReleaseRecord(**dict(zip(names, row, strict=True))) for row in rows)

    def withdraw(self, document: bytes) -> None:
        """Add a signed withdrawal."""
        with self._connection() as connection:
            connection.execute("INSERT INTO withdrawals (document) VALUES (?)", (document,))

    def withdrawals(self) -> tuple[tuple[int, bytes], ...]:
        """Every withdrawal with its number, oldest first; whether it is as signed is for readers to ask."""
        if not self._path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute("SELECT id, document FROM withdrawals ORDER BY id").fetchall()
        return tuple((int(number), bytes(document)) for number, document in rows)

    def earlier(
        self, made: Made, spaces: Iterable[str], uncounted: Collection[int] = frozenset()
    ) -> tuple[Made, ...]:
        """The other releases of rows that passed: of the same dataset, or of any with people in these spaces.

        Each is there once, in the order in which they first passed.

        Args:
            uncounted: the numbers of attempts that were withdrawn.
        """
        if not self._path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT dataset, policy_digest, source_commitment FROM releases AS one WHERE passed = 1"
                " AND answers = 0 AND id NOT IN (SELECT value FROM json_each(?))"
                " AND (dataset = ? OR EXISTS (SELECT 1 FROM spaces WHERE spaces.dataset = one.dataset"
                " AND spaces.policy_digest = one.policy_digest"
                " AND spaces.source_commitment = one.source_commitment"
                " AND space IN (SELECT value FROM json_each(?))))"
                " GROUP BY dataset, policy_digest, source_commitment ORDER BY MIN(id)",
                (json.dumps(sorted(uncounted)), made.dataset, json.dumps(list(spaces))),
            ).fetchall()
        names = list(Made.model_fields)
        found = (Made(**dict(zip(names, row, strict=True))) for row in rows)
        return tuple(other for other in found if other != made)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            # SQLite gives its log files the mode of the database, so that one is made first.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                with connection:
                    connection.execute(_SCHEMA)
                    if "answers" not in {row[1] for row in connection.execute("PRAGMA table_info(releases)")}:
                        connection.execute(_ANSWERS)
                    connection.execute(_SPACES)
                    connection.execute(_WITHDRAWALS)
                    yield connection
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                "project-ledger",
                f"the ledger of releases cannot be used ({type(error).__name__})",
                where=str(self._path),
                remedy="check the disk and who owns the file, or restore it from a backup",
            ) from error
