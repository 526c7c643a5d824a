"""Rows made now together with those made before of the same people: what all of them repeat between them.

A synthesizer that knows a few people by heart repeats some of them in each release, and whoever holds all
releases has all of these. Every release may be within the bounds of one, and the people be known by the
tenth. So what is made is laid together with what was made before, and copies are looked for in all of it.
What was made under differential privacy is not: the budget of the dataset bounds all of that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.values import Finding, Value
from sfumato.evidence.attacks.composition import REPORT
from sfumato.evidence.images.pictures import SPACES
from sfumato.evidence.run import measure
from sfumato.pipeline.comparing import compare_made
from sfumato.pipeline.earlier import earlier_releases, made, spaces_of
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.histories import history_of
from sfumato.pipeline.images import Seen, images_of, repeated_together
from sfumato.pipeline.tables import compare_tables, each_table, makes_tables
from sfumato.pipeline.written_tables import all_rows
from sfumato.project.ledger import Made

_ABOUT, _MADE = "sfumato", "made rows"
#: What is looked for in the rows of all releases: by probe, its figures and what each is of all together.
COPIED = {
    "copies": {
        "copies.excess": "composition.copies_excess",
        "copies.close_excess": "composition.copies_close_excess",
    },
    "retelling": {
        "retelling.excess": "composition.retelling_excess",
        "retelling.close_excess": "composition.retelling_close_excess",
    },
    "relations": {
        "relations.rows_excess": "composition.relations_rows_excess",
        "relations.whole_excess": "composition.relations_whole_excess",
        "relations.close_excess": "composition.relations_close_excess",
    },
}
#: The same of images, by the figure of the composition.
IMAGES_COPIED = ("composition.copies_excess",)


@dataclass(frozen=True)
class Before:
    """The releases that left before, what was made in them, and of how many of those nobody can tell it.

    ``made`` has only rows in which every column of this release is, in the same terms, and whom nobody
    taught who is held out of this release: they would seem to be repeated by chance. ``own`` are the releases
    of people's own rows.
    """

    releases: tuple[Made, ...]
    made: tuple[pl.DataFrame, ...]
    unknown: int
    own: tuple[Made, ...]

    @property
    def counted(self) -> int:
        """How many releases of made rows left before."""
        return len(self.made) + self.unknown


def left_before(fitted: Fitted) -> Before:
    """The releases of the same people that left before rows of this policy are made.

    Raises:
        InputError: ``project-ledger``, ``custody-closed``.
    """
    releases, now = earlier_releases(fitted), Lesson.of(fitted)
    tables, own, unknown = [], [], 0
    for release in releases:
        content = fitted.snapshot.project.people.of(release)
        then = None if content is None else Lesson.read(content)
        if content is None or (then is not None and not then.teaches_as(now)):
            unknown += 1
        elif then is not None:
            tables.append(pl.read_parquet(io.BytesIO(content), columns=list(now.terms)))
        else:
            own.append(release)
    return Before(releases, tuple(tables), unknown, tuple(own))


def keep(fitted: Fitted, rows: pl.DataFrame, everybody: bytes | None) -> None:
    """Keep made rows in the project, for what leaves after them, before their release gets its name.

    Args:
        everybody: those who taught the synthesizer and those who did not, for releases of their own rows.
    """
    kept = io.BytesIO()
    lesson = Lesson.of(fitted)
    rows.write_parquet(kept, compression="zstd", metadata={_ABOUT: lesson.written()})
    people = fitted.snapshot.project.people
    people.keep(made(fitted.snapshot), kept.getvalue(), lesson.spaces, everybody)


def together(fitted: Fitted, taught: pl.LazyFrame, rows: pl.DataFrame, before: Before) -> list[Finding]:
    """What the rows made now and before repeat between them; nothing where there were none before.

    Args:
        taught: as for :func:`sfumato.pipeline.comparing.compare_made`.
        rows: those made now, as written.
    """
    if not before.counted:
        return []
    images = images_of(fitted) is not None
    there = {"copies": True, "retelling": history_of(fitted) is not None, "relations": makes_tables(fitted)}
    probes = {name: figures for name, figures in COPIED.items() if there[name]}
    if before.unknown:
        why = (
            f"of {before.unknown} earlier release{'s' if before.unknown > 1 else ''} of rows made of these"
            " people nobody can tell what they repeat together with this one: what they have in a column is"
            " something else, or was not kept"
        )
        targets = SPACES if images else ("release",)
        silent = IMAGES_COPIED if images else [name for names in probes.values() for name in names.values()]
        return [
            REPORT.silent(name, "not-measured", why, target=target) for name in silent for target in targets
        ]
    many = len(before.made)
    note = f"together with {many} earlier release{'s' if many > 1 else ''} of made rows; "
    if images:
        return repeated_together(Seen.of(fitted), [*before.made, rows], note)
    if makes_tables(fitted):
        comparison = compare_tables(fitted, all_rows(fitted, [*before.made, rows]))
    else:
        comparison = compare_made(fitted, taught, _one_log(fitted, [*before.made, rows]))
    found = measure(comparison, {name: {} for name in probes})
    named = {metric: name for names in probes.values() for metric, name in names.items()}
    return [
        finding.model_copy(
            update={"metric": named[finding.metric], "source": REPORT.source, "note": note + finding.note}
        )
        for finding in found
        if finding.metric in named and finding.target == "release"
    ]


def _one_log(fitted: Fitted, tables: Sequence[pl.DataFrame]) -> pl.LazyFrame:
    """Rows of several releases as those of one; the same made name in two of them is of two people."""
    history, subject = history_of(fitted), fitted.snapshot.policy.dataset.subject
    if history is not None and subject is not None:
        tables = [
            table.with_columns(pl.lit(f"{at} ").add(pl.col(subject).cast(pl.String)).alias(subject))
            for at, table in enumerate(tables)
        ]
    whole = pl.concat([table.select(fitted.released) for table in tables])
    return whole.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.UInt64)).lazy()


def _done(fitted: Fitted) -> list[list[Any]]:
    """Each column that leaves with what is done to it."""
    return [
        [step.column, step.action, step.params, step.state]
        for step in fitted.plan.steps
        if step.column in fitted.released
    ]


class Lesson(Value):
    """Of what kept rows were taught: by whom, and what was done to each column before.

    ``spaces`` are those of identities, ``offered`` is the least draw of the people who taught, and ``terms``
    has a digest for each column that leaves: the same in releases whose values are alike. ``rows`` says
    whether each row that was made is a person's, as in histories and of images it is not.
    """

    dataset: str
    spaces: tuple[str, ...]
    offered: int
    terms: dict[str, str]
    rows: bool = True

    @classmethod
    def of(cls, fitted: Fitted) -> Lesson:
        snapshot, steps = fitted.snapshot, fitted.plan.steps
        asked, scans = images_of(fitted), snapshot.scans
        # Images are kept in the place of their names, and are alike in their size and levels.
        images = [] if asked is None or scans is None else [[*scans.shape, *asked.levels]]
        several = each_table(fitted) if makes_tables(fitted) else {}
        return cls(
            dataset=snapshot.policy.dataset.name,
            spaces=tuple(spaces_of(snapshot, steps)[0]),
            offered=snapshot.least_offered,
            # Of several tables each is kept whole, under its name.
            terms={name: sha256(canonical_json(_done(one))) for name, one in several.items()}
            or {name: sha256(canonical_json([*done, *images])) for name, *done in _done(fitted)},
            rows=history_of(fitted) is None and asked is None and not several,
        )

    @classmethod
    def read(cls, content: bytes) -> Lesson | None:
        """What was kept with made rows; None of whatever else is kept of a release."""
        about = json.loads(pl.read_parquet_metadata(io.BytesIO(content)).get(_ABOUT, "{}"))
        return cls.model_validate(about[_MADE]) if _MADE in about else None

    def written(self) -> str:
        return canonical_json({_MADE: self.model_dump(mode="json")}).decode()

    def teaches_as(self, now: Lesson) -> bool:
        """Whether it taught nobody who is held out now, and its rows are in the terms of those made now."""
        same = self.dataset == now.dataset and bool(set(self.spaces) & set(now.spaces))
        return same and self.offered >= now.offered and now.terms.items() <= self.terms.items()
