"""The budgets of datasets: what was declared, every spend, and the answers that were drawn for it.

An entry is written, durably, before anything is drawn: a crash in between leaves it spent. The look at what
was spent and the new entry are one transaction that no other can stand in (``BEGIN IMMEDIATE``), so that
processes side by side cannot overdraw together. What a spend costs and whether it fits is not this module's
to know: :mod:`sfumato.dp.budget` gives it a rule to ask.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.values import Value

BUDGETS = "budgets.sqlite"
_WAIT_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS budgets (
    dataset TEXT PRIMARY KEY,
    time TEXT NOT NULL,
    declared TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS raises (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL REFERENCES budgets,
    time TEXT NOT NULL,
    epsilon REAL NOT NULL,
    delta REAL NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset TEXT NOT NULL REFERENCES budgets,
    time TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('spend', 'unbounded')),
    place TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    key TEXT NOT NULL,
    event TEXT,
    cost TEXT,
    answers TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS sources (
    fingerprint TEXT PRIMARY KEY,
    dataset TEXT NOT NULL REFERENCES budgets
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS of_key ON entries (dataset, key) WHERE key <> '';
"""


class Raise(Value):
    """A budget raised after it was declared: to what, by whom and why."""

    time: str
    epsilon: float
    delta: float
    by: str
    why: str


class Entry(Value):
    """One line of a budget: a spend, or a release of the same people without differential privacy.

    ``event`` is what was charged and ``cost`` what it came to in the coin of the budget's filter (both None
    where nothing bounds it); ``answered`` says whether the answers drawn for it were stored.
    """

    id: int
    time: str
    kind: Literal["spend", "unbounded"]
    place: str
    by: str
    why: str
    key: str
    event: dict[str, Any] | None
    cost: dict[str, Any] | None
    answered: bool


class Account(Value):
    """Everything that is written of a dataset's budget: the declaration, its raises and its entries."""

    dataset: str
    time: str
    declared: dict[str, Any]
    raises: tuple[Raise, ...]
    entries: tuple[Entry, ...]

    @property
    def spends(self) -> tuple[Entry, ...]:
        """The entries that something was charged for."""
        return tuple(entry for entry in self.entries if entry.kind == "spend")


class Budgets:
    """The budgets of all datasets, in one file.

    Args:
        path: the SQLite file; made, with mode 0600, when first written to. None keeps them in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._memory = None if path is not None else _in_memory()
        self._process = os.getpid()

    def datasets(self) -> tuple[str, ...]:
        """The datasets that have a budget, by name."""
        if not self._exists():
            return ()
        with self._connection() as connection:
            return tuple(
                name for (name,) in connection.execute("SELECT dataset FROM budgets ORDER BY dataset")
            )

    def account(self, dataset: str) -> Account | None:
        """The account of a dataset; None if no budget was ever declared for it."""
        if not self._exists():
            return None
        with self._connection() as connection:
            return _account(connection, dataset)

    def declare(self, dataset: str, declared: Mapping[str, Any], *, time: str) -> Account:
        """The account of a dataset, made with this declaration if there was none."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO budgets VALUES (?, ?, ?)", (dataset, time, _text(dict(declared)))
            )
            account = _account(connection, dataset)
        assert account is not None
        return account

    def charged_to(self, fingerprint: str) -> str | None:
        """The dataset to whose budget a source is charged, None if nothing was charged for it yet."""
        if not self._exists():
            return None
        with self._connection() as connection:
            return _of_source(connection, fingerprint)

    def charge_to(self, dataset: str, fingerprint: str) -> str:
        """The same, and from now on this dataset if there was none."""
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO sources VALUES (?, ?)", (fingerprint, dataset))
            found = _of_source(connection, fingerprint)
        assert found is not None
        return found

    def raise_to(
        self, dataset: str, *, time: str, by: str, why: str, rule: Callable[[Account], tuple[float, float]]
    ) -> None:
        """Record that a budget was raised to what the rule says; a rule that raises an error leaves it."""
        with self._writing() as connection:
            account = _account(connection, dataset)
            assert account is not None
            row = (dataset, time, *rule(account), by, why)
            connection.execute(
                "INSERT INTO raises (dataset, time, epsilon, delta, by, why) VALUES (?, ?, ?, ?, ?, ?)", row
            )

    def enter(
        self,
        dataset: str,
        *,
        time: str,
        kind: Literal["spend", "unbounded"],
        place: str,
        by: str,
        why: str,
        key: str = "",
        event: Mapping[str, Any] | None = None,
        cost: Mapping[str, Any] | None = None,
        rule: Callable[[Account], None] = lambda _: None,
    ) -> int:
        """Write an entry, durably; its number.

        Args:
            rule: raises an error where the account as it stands does not allow the entry; nothing is written.
        """
        with self._writing() as connection:
            account = _account(connection, dataset)
            assert account is not None
            rule(account)
            cursor = connection.execute(
                "INSERT INTO entries (dataset, time, kind, place, by, why, key, event, cost)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (dataset, time, kind, place, by, why, key, _text(event), _text(cost)),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def settle(self, dataset: str, entry: int, answers: Mapping[str, Any]) -> bool:
        """Store the answers of an entry that has none yet; whether there was such an entry."""
        with self._writing() as connection:
            cursor = connection.execute(
                "UPDATE entries SET answers = ? WHERE dataset = ? AND id = ? AND answers IS NULL",
                (_text(dict(answers)), dataset, entry),
            )
            return cursor.rowcount == 1

    def answers(self, dataset: str, key: str) -> dict[str, Any] | None:
        """The answers first stored under a key; None if there are none."""
        if not key or not self._exists():
            return None
        with self._connection() as connection:
            found = connection.execute(
                "SELECT answers FROM entries WHERE dataset = ? AND key = ? AND answers IS NOT NULL"
                " ORDER BY id LIMIT 1",
                (dataset, key),
            ).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def _exists(self) -> bool:
        return self.path is None or self.path.exists()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        if self._memory is not None:
            self._refuse_a_fork()
            with self._lock:
                yield self._memory
            return
        assert self.path is not None
        try:
            # SQLite gives its log files the mode of the database, so that one is made first.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            opened = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
            with closing(opened) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                "project-ledger",
                f"the ledger of budgets cannot be used ({type(error).__name__})",
                where=str(self.path),
                remedy="check the disk and who owns the file, or restore it from a backup",
            ) from error

    def _refuse_a_fork(self) -> None:
        # A forked process has a copy of the memory: what it spent, nobody else would know.
        if os.getpid() != self._process:
            raise InputError(
                "usage",
                "a budget in memory was used by another process, which could spend it again",
                remedy="keep it in a project (Budget.open)",
            )


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(_SCHEMA)
    return connection


def _of_source(connection: sqlite3.Connection, fingerprint: str) -> str | None:
    found = connection.execute("SELECT dataset FROM sources WHERE fingerprint = ?", (fingerprint,)).fetchone()
    return None if found is None else str(found[0])


def _account(connection: sqlite3.Connection, dataset: str) -> Account | None:
    found = connection.execute("SELECT time, declared FROM budgets WHERE dataset = ?", (dataset,)).fetchone()
    if found is None:
        return None
    raises = connection.execute(
        "SELECT time, epsilon, delta, by, why FROM raises WHERE dataset = ? ORDER BY id", (dataset,)
    )
    entries = connection.execute(
        "SELECT id, time, kind, place, by, why, key, event, cost, answers IS NOT NULL FROM entries"
        " WHERE dataset = ? ORDER BY id",
        (dataset,),
    )
    return Account(
        dataset=dataset,
        time=found[0],
        declared=json.loads(found[1]),
        raises=tuple(Raise(**_row(Raise, row)) for row in raises),
        entries=tuple(_entry(row) for row in entries),
    )


def _entry(row: Sequence[Any]) -> Entry:
    fields = _row(Entry, row)
    for name in ("event", "cost"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return Entry(**fields)


def _row(kind: type[Value], row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(kind.model_fields, row, strict=True))


def _text(document: Any) -> str | None:
    return None if document is None else canonical_json(document).decode()
