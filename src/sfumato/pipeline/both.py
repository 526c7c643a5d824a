"""Releases of people's own rows beside releases of rows that were made of the same people.

Both kinds are measured with those of their own kind (:mod:`sfumato.pipeline.composing`,
:mod:`sfumato.pipeline.together`); here with the other. Whichever leaves second is measured with all that left
first. For that everybody of the source of made rows is kept beside them, in their terms and with who taught
the synthesizer, so that people can be found again in a release of own rows whatever that is made from.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sfumato.contracts import ROW, Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, Role
from sfumato.evidence.attacks.both import Both, told_by_both, unmeasured
from sfumato.evidence.attacks.controls import badness
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.pipeline.composing import LABEL, LEAST_CLASS, People, number, numbered, sensitive_forms
from sfumato.pipeline.earlier import PSEUDONYM_ID, ROW_ID, UNIT_ID, spaces_of
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.histories import history_of
from sfumato.pipeline.snapshot import UNIT
from sfumato.pipeline.together import Before, Lesson
from sfumato.project.ledger import Made

#: The columns of what is kept of everybody with a value that made rows do not have, and with who taught.
_ASIDE, _TAUGHT = "aside ", "taught"

_STRANGERS = (
    "nobody can tell who is in both: their sources differ and have no key in common; declare as dataset.key "
    "a column that is the same for a person in every source"
)
_OLDER = (
    "another version of sfumato made one of the releases and kept too little of its people; run its policy "
    "again on its source, and then this one"
)
_NO_ROWS = (
    "histories, images or several tables were made, and nobody has one row that could be looked for in a "
    "class"
)
_SEVERAL = "somebody has several rows, and nobody looked for all of them together"


@dataclass(frozen=True)
class Kinds:
    """Earlier releases by what left: people's own rows (or nobody can tell what), and rows that were made."""

    own: tuple[Made, ...]
    made: tuple[Made, ...]

    @classmethod
    def of(cls, fitted: Fitted, releases: Sequence[Made]) -> Kinds:
        """By what was kept of them.

        Raises:
            InputError: ``custody-closed``, ``project-ledger``.
        """
        found: tuple[list[Made], list[Made]] = ([], [])
        for release in releases:
            content = fitted.snapshot.project.people.of(release)
            found[content is not None and Lesson.read(content) is not None].append(release)
        return cls(*(tuple(part) for part in found))


def everybody(fitted: Fitted, comparison: Comparison) -> People | None:
    """Everybody of the source of made rows, for releases of own rows; None where histories are made.

    Values are as they taught the synthesizer, or would have; beside them stand raw those that identify people
    and do not leave.
    """
    if history_of(fitted) is not None:
        return None
    snapshot = fitted.snapshot
    spaces = {
        space: column
        for space, column in spaces_of(snapshot, fitted.plan.steps)[0].items()
        if not column.startswith(PSEUDONYM_ID)
    }
    raw = snapshot.frame.sort(ROW).collect(engine="streaming")
    if snapshot.policy.dataset.subject is not None:
        raw = raw.unique(UNIT, keep="first", maintain_order=True)
    teaching = snapshot.part(held_out=False).select(ROW).collect(engine="streaming")[ROW]
    described = fitted.describe(raw)
    aside = [
        step.column
        for step in fitted.plan.steps
        if step.column not in fitted.released
        and Role.QUASI_IDENTIFIER in (step.role, snapshot.inventory.column(step.column).role)
    ]
    table = pl.DataFrame(
        [
            raw[ROW].cast(pl.UInt64).alias(ROW_ID),
            *([raw[UNIT].cast(pl.UInt64).alias(UNIT_ID)] if UNIT_ID in spaces.values() else []),
            raw[ROW].is_in(teaching.implode()).alias(_TAUGHT),
            *(described[name].alias(LABEL + name) for name in factual_columns(comparison)),
            *(raw[name].alias(_ASIDE + name) for name in aside),
        ]
    )
    known, sensitive = attack_columns(comparison), sensitive_forms(fitted, comparison)
    return People(spaces, (), known, sensitive, None, LEAST_CLASS, table)


def after_made(fitted: Fitted, own: People, earlier: Sequence[Made]) -> list[Finding]:
    """What own rows give away with made rows that left before; nothing where there were none."""
    project, kept = fitted.snapshot.project, []
    for release in earlier:
        content, beside = project.people.of(release), project.people.beside(release)
        lesson = None if content is None else Lesson.read(content)
        assert content is not None and lesson is not None
        kept.append((lesson, content, None if beside is None else People.from_parquet(beside)))
    found: list[list[Finding]] = []
    for lesson, content, people in kept:
        if people is None:
            found.append(
                unmeasured("not-measured", f"{_note(len(kept))}; {_OLDER if lesson.rows else _NO_ROWS}")
            )
            continue
        columns = [name.removeprefix(LABEL) for name in people.table.columns if name.startswith(LABEL)]
        # Laid together as for copies: whoever holds one of them holds all that are in its terms.
        rows = [pl.read_parquet(io.BytesIO(content), columns=columns)]
        rows += [
            pl.read_parquet(io.BytesIO(other), columns=columns)
            for of_other, other, _ in kept
            if of_other is not lesson and of_other.teaches_as(lesson)
        ]
        found.append(_measured(fitted, own, people, pl.concat(rows), _note(len(kept))))
    return _worst(found)


def after_own(fitted: Fitted, people: People | None, rows: pl.DataFrame, before: Before) -> list[Finding]:
    """What made rows give away with people's own that left before; nothing where there were none.

    Args:
        people: everybody, as :func:`everybody` has them.
        rows: those made now, as written.
    """
    many = len(before.own)
    note = f"with {many} earlier release{'s' if many > 1 else ''} of these people's own rows"
    found: list[list[Finding]] = []
    for release in before.own:
        content = fitted.snapshot.project.people.of(release)
        own = None if content is None else People.from_parquet(content)
        if own is None or people is None:
            found.append(unmeasured("not-measured", f"{note}; {_OLDER if own is None else _NO_ROWS}"))
            continue
        columns = [name.removeprefix(LABEL) for name in people.table.columns if name.startswith(LABEL)]
        made = pl.concat([table.select(columns) for table in (rows, *before.made)])
        found.append(_measured(fitted, own, people, made, note))
    return _worst(found)


def _note(many: int) -> str:
    return f"with {many} earlier release{'s' if many > 1 else ''} of rows made of these people"


def _measured(fitted: Fitted, own: People, people: People, made: pl.DataFrame, note: str) -> list[Finding]:
    """The findings on one release of own rows with made rows in the terms of ``people``."""
    both = joined(own, people, made)
    if isinstance(both, str):
        return unmeasured("not-measured", f"{note}; {both}")
    return told_by_both(both, derive(fitted.snapshot.release_key, "own and made rows"), note)


def joined(own: People, people: People, made: pl.DataFrame) -> Both | str:
    """A release of own rows and made rows with who is in both, or why nobody can tell.

    Args:
        people: everybody of the source of the made rows, as :func:`everybody` has them.
    """
    whose, who = number([own, people])
    if whose is None or who is None:
        return _STRANGERS
    if any(len(np.unique(persons)) < len(persons) for persons in (whose, who)):
        return _SEVERAL
    rows = np.full(max(int(whose.max(initial=-1)), int(who.max(initial=-1))) + 1, -1, dtype=np.int64)
    rows[whose] = np.arange(len(whose))
    columns = {name.removeprefix(LABEL): name for name in own.table.columns if name.startswith(LABEL)}
    known = tuple(name for name in dict.fromkeys([*own.known, *people.known]))
    hidden = [name for name in columns if name in made.columns and name not in known]
    labels = own.labels(known)
    classes = numbered(labels) if labels.width else np.zeros(len(whose), dtype=np.int64)
    values = people.table.select(
        *(pl.col(LABEL + name).alias(name) for name in made.columns),
        *(
            pl.col(name).alias(name.removeprefix(_ASIDE))
            for name in people.table.columns
            if name.startswith(_ASIDE)
        ),
    )
    return Both(
        classes=classes,
        own=own.labels(hidden),
        made=made,
        people=values,
        at=rows[who],
        taught=people.table[_TAUGHT].to_numpy(),
        known=tuple(name for name in known if name in made.columns),
        matched=tuple(name for name in known if name in columns),
        secrets=tuple(name for name in hidden if name in {*own.sensitive, *people.sensitive}),
    )


def _worst(found: Iterable[Sequence[Finding]]) -> list[Finding]:
    """Of each figure the worst of several releases; one without a figure is the worst."""
    worst: dict[tuple[str, str], Finding] = {}
    for finding in (each for one in found for each in one):
        at = finding.metric, finding.target
        worst[at] = max((worst.get(at, finding), finding), key=badness)
    return list(worst.values())
