"""The ledger of releases: every attempt to release a dataset, in the order in which they were made.

A row is written before a release gets its final name, so that no release can be out in the world and
not in the ledger; a row whose release never appeared costs nothing. SQLite with a write-ahead log and
full synchronization: a crash loses no committed row, and concurrent runs wait for each other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
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
    passed INTEGER NOT NULL CHECK (passed IN (0, 1))
) STRICT
"""


class ReleaseRecord(Value):
    """One attempt: what was released (or refused) when, under which policy, from which source.

    ``time`` is RFC 3339 in UTC; ``manifest_digest`` is None where no manifest was written.
    """

    id: int
    dataset: str
    time: str
    policy_digest: str
    source_commitment: str
    manifest_digest: str | None
    passed: bool


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
    ) -> int:
        """Add an attempt; its number, which only ever grows."""
        row = (dataset, time, policy_digest, source_commitment, manifest_digest, int(passed))
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO releases (dataset, time, policy_digest, source_commitment, manifest_digest,"
                " passed) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def releases(self, dataset: str) -> tuple[ReleaseRecord, ...]:
        """Every attempt for a dataset, oldest first."""
        if not self._path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT id, dataset, time, policy_digest, source_commitment, manifest_digest, passed"
                " FROM releases WHERE dataset = ? ORDER BY id",
                (dataset,),
            ).fetchall()
        names = list(ReleaseRecord.model_fields)
        return tuple(ReleaseRecord(**dict(zip(names, row, strict=True))) for row in rows)

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
                    yield connection
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                "project-ledger",
                f"the ledger of releases cannot be used ({type(error).__name__})",
                where=str(self._path),
                remedy="check the disk and who owns the file, or restore it from a backup",
            ) from error
