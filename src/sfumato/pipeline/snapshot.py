"""A policy's source as it is now: read lazily, identified by its digest, with keys of its own."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from unicodedata import normalize

import numpy as np
import polars as pl

from sfumato.contracts import ROW
from sfumato.core.canonical import canonical_json, commitment, sha256
from sfumato.core.errors import InputError, nearest
from sfumato.core.keyed import derive
from sfumato.core.values import Inventory, column_of
from sfumato.engines.local import DRAW, LocalEngine, drawn_by
from sfumato.engines.sources import FileSource
from sfumato.inventory import take_inventory
from sfumato.pipeline.scans import Scans, read_scans
from sfumato.policy.model import Policy
from sfumato.policy.tables import Source
from sfumato.project.project import Project

if TYPE_CHECKING:
    from sfumato.pipeline.below import Below

#: Row identities where the source declares a key or a subject; without one a row's number is its identity.
IDENTITY = "__sfumato_identity__"
UNIT = "__sfumato_unit__"

#: The draw that decides who is held out of the releases of a dataset, and who is sampled.
HOLDOUT = "holdout"

#: Rows that the inventory looks at; its figures are about these.
EXAMINED = 200_000

Verb = TypeVar("Verb", bound=Callable[..., Any])


def told_if_changed(verb: Verb) -> Verb:
    """A verb, of a policy and its snapshot, that tells of a source changed or taken away while it is read."""

    @wraps(verb)
    def telling(loaded: Any, snapshot: Snapshot, *asked: Any, **named: Any) -> Any:
        with snapshot.watched():
            return verb(loaded, snapshot, *asked, **named)

    return cast(Verb, telling)


@dataclass(frozen=True)
class Snapshot:
    """Everything that the steps of a run share.

    ``source`` is files or a table in memory, ``folder`` what the policy's paths are relative to. ``given``
    are further tables of the same people in memory, by name; others are files.
    """

    policy: Policy
    folder: Path
    source: FileSource | pl.DataFrame
    project: Project
    engine: LocalEngine
    given: Mapping[str, pl.DataFrame] = field(default_factory=dict, kw_only=True)

    @classmethod
    def open(
        cls,
        policy: Policy,
        folder: Path,
        project: Project,
        data: pl.DataFrame | None = None,
        given: Mapping[str, pl.DataFrame] | None = None,
    ) -> Snapshot:
        """The snapshot of a policy's source and further tables, or of tables given in their place."""
        source = data if data is not None else file_source(policy.dataset.source, folder)
        return cls(policy, folder, source, project, LocalEngine(), given=given or {})

    @cached_property
    def frame(self) -> pl.LazyFrame:
        """All rows, typed, with their numbers, identities and units (the person each belongs to)."""
        frame = self._scanned
        for what, column in (("key", self.policy.dataset.key), ("subject", self.policy.dataset.subject)):
            if column is not None and column not in frame.collect_schema():
                raise InputError(
                    "policy-mismatch",
                    f"the source has no such {what} column",
                    where=f"dataset.{what}",
                    remedy=nearest(column, self.engine.schema(frame)),
                )
        identity = self._identity(self.policy.dataset.key)
        unit = self._identity(self.policy.dataset.subject or self.policy.dataset.key)
        return frame.with_columns(identity.alias(IDENTITY), unit.alias(UNIT))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The source's columns."""
        return tuple(self.engine.schema(self._scanned))

    @cached_property
    def _scanned(self) -> pl.LazyFrame:
        return self.engine.scan(self.source)

    @cached_property
    def below(self) -> Mapping[str, Below]:
        """The further tables of the same people, by name, in the policy's order."""
        from sfumato.pipeline.below import Below

        return {name: Below.of(self, name) for name in self.policy.tables}

    @cached_property
    def population(self) -> pl.LazyFrame | None:
        """The table of the population, if the policy names one."""
        return None if self._population_source is None else self.engine.scan(self._population_source)

    @cached_property
    def _population_source(self) -> FileSource | None:
        population = self.policy.dataset.population
        if population is None or population.table is None:
            return None
        return file_source(population.table, self.folder)

    @cached_property
    def rows(self) -> int:
        """The number of rows of the source."""
        return self.engine.rows(self.frame)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the source's bytes: of its files one after another, or of the table as Arrow.

        Where rows name images, these are of the source, and so are further tables of the same people.
        """
        scans = self.scans
        others = [] if scans is None else [scans.digest]
        return self._digest_now([*others, *(table.digest for table in self.below.values())])

    @cached_property
    def scans(self) -> Scans | None:
        """The images that the rows name, where images are made.

        Raises:
            InputError: from reading them.
        """
        return self._scans_now()

    def _scans_now(self) -> Scans | None:
        asked = None if self.policy.synthesis is None else self.policy.synthesis.images
        if asked is None:
            return None
        return read_scans(self._scanned, asked, self.folder, self.policy.dataset.subject)

    def refuse_changed(self) -> None:
        """Refuse a source whose bytes are no longer those that the run began with: it is read many times.

        Raises:
            InputError: ``source-changed``.
        """
        if isinstance(self.source, pl.DataFrame) and self.scans is None and not self.below:
            return
        expected = self.digest
        try:
            scans = self._scans_now()
            others = [] if scans is None else [scans.digest]
            now = self._digest_now([*others, *(table.digest_now() for table in self.below.values())])
            same = now == expected
        except (OSError, InputError):
            same = False
        if not same:
            raise InputError(
                "source-changed",
                "the source changed while it was read",
                where=self.source.label if isinstance(self.source, FileSource) else "",
                remedy="run again on a source that stays as it is",
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, whatever goes wrong after the source has changed is told as that.

        Raises:
            InputError: ``source-changed``.
        """
        before = self._files
        try:
            yield
        except (Exception, pl.exceptions.PanicException):
            after = self._files
            if after == before:
                raise
            raise InputError(
                "source-changed",
                f"the source was {'taken away' if None in after else 'changed'} while it was read",
                where=self.source.label if isinstance(self.source, FileSource) else "",
                remedy="run again on a source that stays as it is",
            ) from None

    @property
    def _files(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What each file of the source is known by without reading it, None where it is gone."""
        found: list[tuple[int, int, int] | None] = []
        for path in self.paths():
            try:
                about = path.stat()
                found.append((about.st_ino, about.st_size, about.st_mtime_ns))
            except OSError:
                found.append(None)
        return tuple(found)

    def paths(self) -> Iterator[Path]:
        """Every file of the source."""
        yield from () if isinstance(self.source, pl.DataFrame) else self.source.paths
        for table in self.below.values():
            yield from table.paths()

    def _digest_now(self, others: Sequence[str]) -> str:
        """The digest of the source as it is now, and of what belongs to it."""
        digest = hashlib.sha256()
        if isinstance(self.source, pl.DataFrame):
            buffer = io.BytesIO()
            # How a table came together must not show in its bytes.
            self.source.rechunk().write_ipc_stream(buffer)
            digest.update(buffer.getbuffer())
        else:
            for path in self.source.paths:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        for other in others:
            digest.update(bytes.fromhex(other))
        return digest.hexdigest()

    @cached_property
    def release_key(self) -> bytes:
        """The key of this release: no other dataset, policy or source shares a draw with it."""
        return derive(
            self.project.secret, "release", self.policy.dataset.name, self.policy_digest, self.digest
        )

    @cached_property
    def people_key(self) -> bytes:
        """The key by which people are held out: the dataset's, so that its releases hold out the same."""
        return derive(self.project.secret, "people", self.policy.dataset.name)

    @cached_property
    def policy_digest(self) -> str:
        """SHA-256 of the policy's canonical JSON with the digests of the other files that it names."""
        files = set(_named_files(self.policy))
        digests = {path: _file_digest(self.folder / path) for path in sorted(files)}
        parts: list[Any] = [self.policy.model_dump(mode="json"), digests]
        if self._population_source is not None:
            parts.append([_file_digest(path) for path in self._population_source.paths])
        return sha256(canonical_json(parts))

    @cached_property
    def salt(self) -> bytes:
        """The salt of this release's commitments; it stays in custody."""
        return derive(self.release_key, "salt")

    @property
    def source_commitment(self) -> str:
        """What a release says of its source: nothing, until custody shows the salt."""
        return commitment(self.salt, self.digest.encode())

    @cached_property
    def inventory(self) -> Inventory:
        """The inventory of a keyed sample of rows."""
        dataset = self.policy.dataset
        key = derive(self.release_key, "inventory")
        if self.rows <= EXAMINED:
            table = self.frame.select(self.columns).collect(engine="streaming")
        else:
            table = self.engine.sample(self.frame, key, EXAMINED, IDENTITY).select(self.columns)
        return take_inventory(table, rows=self.rows, target=dataset.target, subject=dataset.subject, key=key)

    @property
    def columns_below(self) -> dict[str, tuple[str, ...]]:
        """The columns of each further table."""
        return {name: table.columns for name, table in self.below.items()}

    @cached_property
    def whole_inventory(self) -> Inventory:
        """The inventory with the columns of further tables, by :func:`~sfumato.contracts.column_of`."""
        below = tuple(
            profile.model_copy(update={"name": column_of(name, profile.name)})
            for name, table in self.below.items()
            for profile in table.inventory.columns
            if profile.name not in table.table.names
        )
        found = self.inventory
        return found.model_copy(update={"columns": (*found.columns, *below)}) if below else found

    def part(self, held_out: bool) -> pl.LazyFrame:
        """The rows that are held out for the evidence or not sampled, or all others.

        A person is wholly in one part.
        """
        return self._below(self.least_offered, held_out, HOLDOUT)

    def split(self, share: float, inside: bool, domain: str) -> pl.LazyFrame:
        """A keyed share of the people, or everybody else."""
        return self._below(int(share * 2**64), inside, domain)

    def _below(self, bound: int, inside: bool, domain: str) -> pl.LazyFrame:
        """The people whose draw is below a bound, or everybody else."""
        if bound == 0:
            return self.frame.filter(pl.lit(not inside))
        chosen = pl.col(DRAW) < bound
        return self._drawn(domain).filter(chosen if inside else ~chosen).drop(DRAW)

    def _drawn(self, domain: str) -> pl.LazyFrame:
        """The rows with the draws of their people.

        Who is held out of one release is held out of all: otherwise the people of two releases differ by
        chance alone, and that singles some of them out.
        """
        key = self.people_key if domain == HOLDOUT else self.release_key
        return self.frame.with_columns(drawn_by(UNIT, derive(key, domain)))

    @cached_property
    def least_offered(self) -> int:
        """The least draw of the people offered to the release: the others are held out, or not sampled."""
        held_out = self.policy.evidence.holdout.share if self.policy.evidence is not None else 0.0
        sampling, bound = self.policy.sampling, int(held_out * 2**64)
        if sampling is None:
            return bound
        if sampling.share is not None:
            return max(bound, int((1 - sampling.share) * 2**64))
        draws = self._drawn(HOLDOUT).select(UNIT, DRAW).unique(UNIT).select(DRAW)
        highest = draws.top_k(sampling.people or 0, by=DRAW).collect(engine="streaming")[DRAW].to_list()
        return bound if len(highest) < (sampling.people or 0) else max(bound, min(highest))

    def _identity(self, column: str | None) -> pl.Expr:
        """A 64-bit identity from a column's value under the project's key, or the row's number."""
        return pl.col(ROW) if column is None else self.identified(pl.col(column), column)

    def identified(self, values: pl.Expr, column: str) -> pl.Expr:
        """64-bit identities of texts, the same wherever they are taken for values of a column."""
        key = derive(self.project.secret, "identity", self.policy.dataset.name, column)

        def identify(values: pl.Series) -> pl.Series:
            # Blanks at the ends and another way to write an accent make no other person.
            texts = (normalize("NFC", text.strip()) for text in values.cast(pl.String).fill_null(""))
            digests = b"".join(hmac.digest(key, text.encode(), "sha256")[:8] for text in texts)
            return pl.Series(values.name, np.frombuffer(digests, dtype="<u8").astype(np.uint64))

        return values.map_batches(identify, return_dtype=pl.UInt64, is_elementwise=True)


def _named_files(policy: Policy) -> Iterator[str]:
    """The files of hierarchies, of columns and of models."""
    for column in policy.decided.values():
        if column.hierarchy is not None:
            yield from _paths(column.hierarchy.params)
    for model in policy.anonymity.models if policy.anonymity is not None else ():
        if model.params.get("hierarchy") is not None:
            yield from _paths(model.params["hierarchy"])


def _paths(params: Mapping[str, Any]) -> Iterator[str]:
    """Whatever a part's parameters call a file."""
    for name in ("path", "population"):
        if isinstance(params.get(name), str):
            yield params[name]


def _file_digest(path: Path) -> str | None:
    """The digest of a file's bytes; whoever uses the file says what is wrong if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def file_source(source: Source, folder: Path) -> FileSource:
    """The files that a policy names."""
    return FileSource.find(
        source.path,
        folder,
        form=source.format,
        separator=source.separator,
        encoding=source.encoding,
        missing=source.missing,
    )


def part_of(table: Any) -> pl.DataFrame:
    """Rows without the house's own columns."""
    frame: pl.DataFrame = table.drop(ROW, IDENTITY, UNIT, DRAW, strict=False)
    return frame
