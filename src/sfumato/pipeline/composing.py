"""What a release gives away together with those that left before: people joined, findings, what is kept.

People of two releases are found again by a space of identities that both have: the same source (by the
rows' numbers), the same key column of the same dataset, or a domain of pseudonyms that the policies let
recipients join. Where releases have none in common nobody can say who is in both, and the gate must not
pass over it in silence.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.classes.grouping import group
from sfumato.classes.table import Units
from sfumato.contracts import ROW, Comparison, nobody
from sfumato.core.canonical import canonical_json
from sfumato.core.values import Finding
from sfumato.evidence.attacks.composition import ASSUMES, JOINED, REPORT, WORST, Column, Joint, compose
from sfumato.evidence.attacks.composition_classes import ABSENT, joint_classes
from sfumato.evidence.attacks.composition_labels import Shown
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.report import Figure
from sfumato.pipeline.covered import VALUE, Covered, covered_by, shown
from sfumato.pipeline.earlier import PSEUDONYM_ID as _PSEUDONYM
from sfumato.pipeline.earlier import ROW_ID as _ROW
from sfumato.pipeline.earlier import UNIT_ID as _UNIT
from sfumato.pipeline.earlier import made, spaces_of
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.methods.task import Scale, coded, looked_at, models_of
from sfumato.pipeline.snapshot import UNIT, part_of
from sfumato.policy.model import Anonymity
from sfumato.project.ledger import Made

#: A class has so many people where no model says how many: the floor's worst class is one in five.
LEAST_CLASS = 5

#: The columns of what is kept that have released labels.
LABEL = "label "

_ABOUT = "sfumato"
_FORMAT = 1
_ID, _PERSON, _CLASS = "id", "person", "class"
#: Hex digits of a pseudonym that make a 64-bit number; none has fewer.
_DIGITS = 16


@dataclass(frozen=True)
class People:
    """The people of one release: a row for each of its rows, with identities and released labels.

    ``spaces`` maps each space of identities to the column of ``table`` that has them, ``known`` are the
    columns that outsiders may know, ``sensitive`` those that they are not to learn with the way in which
    each was changed, ``promised`` what was promised of classes, at least ``k`` people among it. ``covered``
    says of columns whose labels overlap what each label covers.
    """

    spaces: Mapping[str, str]
    joinable: tuple[str, ...]
    known: tuple[str, ...]
    sensitive: Mapping[str, str]
    promised: Mapping[str, Any] | None
    k: int
    table: pl.DataFrame
    covered: Covered = field(default_factory=dict)

    def to_parquet(self) -> bytes:
        """The table with everything else in its metadata, for custody and project alone."""
        about = {name: value for name, value in vars(self).items() if name != "table"}
        buffer = io.BytesIO()
        metadata = {_ABOUT: canonical_json(about | {"format": _FORMAT}).decode()}
        self.table.write_parquet(buffer, compression="zstd", metadata=metadata)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes) -> People | None:
        """What :meth:`to_parquet` wrote; None if another version did."""
        about = json.loads(pl.read_parquet_metadata(io.BytesIO(content)).get(_ABOUT, "{}"))
        if about.pop("format", None) != _FORMAT:
            return None
        for name in ("joinable", "known"):
            about[name] = tuple(about[name])
        return cls(**about, table=pl.read_parquet(io.BytesIO(content)))

    def labels(self, columns: Sequence[str]) -> pl.DataFrame:
        """The released labels of those of the columns that left."""
        left = [name for name in columns if LABEL + name in self.table.columns]
        return self.table.select(pl.col(LABEL + name).alias(name) for name in left)

    def within(self, spaces: Sequence[str]) -> People:
        """The same people, to be found by these spaces only."""
        return replace(self, spaces={space: self.spaces[space] for space in spaces if space in self.spaces})


def people_of(fitted: Fitted, part: pl.LazyFrame, comparison: Comparison) -> People:
    """The people of a release that is about to leave."""
    snapshot, steps = fitted.snapshot, fitted.plan.steps
    known, asked = attack_columns(comparison), snapshot.policy.anonymity
    factual = factual_columns(comparison)
    spaces, joinable = spaces_of(snapshot, steps)
    sensitive = sensitive_forms(fitted, comparison)
    table = fitted.rows(part).select(
        pl.col(ROW).cast(pl.UInt64).alias(_ROW),
        *([pl.col(UNIT).cast(pl.UInt64).alias(_UNIT)] if _UNIT in spaces.values() else []),
        *(
            pl.col(column.removeprefix(_PSEUDONYM))
            .str.slice(0, _DIGITS)
            .str.to_integer(base=16, dtype=pl.UInt64)
            .alias(column)
            for column in spaces.values()
            if column.startswith(_PSEUDONYM)
        ),
        *(pl.col(name).cast(pl.String).alias(LABEL + name) for name in factual),
    )
    promised = None if asked is None else asked.model_dump(mode="json", include={"models", "others_known"})
    rows = table.collect(engine="streaming").sort(_ROW)
    labels = rows.select(pl.col(_ROW).alias(ROW), *(pl.col(LABEL + name).alias(name) for name in known))
    values, covered = covered_by(fitted, part, comparison, labels)
    rows = pl.concat([rows, values], how="horizontal")
    return People(spaces, joinable, known, sensitive, promised, _promised_k(asked), rows, covered)


def sensitive_forms(fitted: Fitted, comparison: Comparison) -> dict[str, str]:
    """The released columns that outsiders are not to learn, and the way in which each was changed."""
    known, factual = attack_columns(comparison), factual_columns(comparison)
    target = fitted.snapshot.policy.dataset.target
    return {
        step.column: canonical_json([step.action, step.params]).decode()
        for step in fitted.plan.steps
        if step.column in factual and step.column not in known and (step.sensitive or step.column == target)
    }


def keep(fitted: Fitted, released: People) -> bytes:
    """Keep the people of a release in its project before it gets its name; the table, for custody."""
    content = released.to_parquet()
    fitted.snapshot.project.people.keep(made(fitted.snapshot), content, released.spaces)
    return content


def _promised_k(asked: Anonymity | None) -> int:
    """The people that a class is promised to have."""
    models = () if asked is None else asked.models
    counting = [model for model in models if model.name in ("k-anonymity", "alpha-k")]
    return max((int(model.params["k"]) for model in counting), default=LEAST_CLASS)


def composition(
    fitted: Fitted, part: pl.LazyFrame, comparison: Comparison, this: People, earlier: Sequence[Made]
) -> list[Finding]:
    """What a release and the earlier ones give away together; nothing where there are none."""
    if not earlier:
        return []
    kept = [fitted.snapshot.project.people.of(other) for other in earlier]
    found = [None if content is None else People.from_parquet(content) for content in kept]
    before = [people for people in found if people is not None]
    persons = number([this, *before])
    releases = [(people, who) for people, who in zip(before, persons[1:], strict=True) if who is not None]
    note = f"{len(earlier)} earlier release{'s' if len(earlier) > 1 else ''} of these people left before"
    findings: list[Finding] = []
    if releases:
        assert persons[0] is not None
        releases.append((this, persons[0]))
        joint = _joint(releases)
        findings = compose(joint, note, *_attacked(part, comparison, joint, this, persons[0]))
    unknown = len(earlier) + 1 - max(1, len(releases))
    if unknown:
        why = (
            f"{note}; of {unknown} of them nobody can tell who is in both: their sources differ and have no "
            "key in common; declare as dataset.key a column that is the same for a person in every source"
        )
        findings = [finding for finding in findings if finding.metric != WORST]
        findings.append(REPORT.silent(WORST, "not-measured", why))
    return [*findings, _joined(fitted, this, found, note)]


def number(releases: Sequence[People]) -> list[NDArray[np.int64] | None]:
    """The number of the person of each row, the same in all releases; those of the first come first.

    Returns:
        For each release shape (rows,); None where it shares no space of identities, directly or by way
        of others, with the first.
    """
    known: dict[str, pl.DataFrame] = {}
    found: list[NDArray[np.int64] | None] = [None] * len(releases)
    many, waiting = 0, list(range(len(releases)))
    while waiting:
        ready = [i for i in waiting if not known or set(releases[i].spaces) & set(known)]
        if not ready:
            break
        release = releases[ready[0]]
        persons, many = _persons(release, known, many)
        for space, column in release.spaces.items():
            ids = release.table.select(pl.col(column).alias(_ID), pl.Series(_PERSON, persons)).drop_nulls()
            known[space] = pl.concat([known[space], ids]) if space in known else ids
            known[space] = known[space].unique(_ID, keep="first", maintain_order=True)
        found[ready[0]] = persons
        waiting.remove(ready[0])
    return found


def _persons(release: People, known: Mapping[str, pl.DataFrame], many: int) -> tuple[NDArray[np.int64], int]:
    """The person of each row: those known by some space, and new numbers from ``many`` on."""
    own = _UNIT if _UNIT in release.table.columns else _ROW
    units = release.table.select(pl.col(own).alias(_ID))
    matched = [
        release.table.select(pl.col(own).alias("own"), pl.col(column).alias(_ID))
        .drop_nulls()
        .join(known[space], on=_ID)
        .select("own", _PERSON)
        for space, column in release.spaces.items()
        if space in known
    ]
    new = units.unique(maintain_order=True)
    if matched:
        people = pl.concat(matched).group_by("own").agg(pl.col(_PERSON).min())
        found = units.join(people, left_on=_ID, right_on="own", how="left", maintain_order="left")
        new = units.filter(found[_PERSON].is_null()).unique(maintain_order=True)
    numbers = new.with_columns(pl.Series("new", np.arange(many, many + new.height)))
    fresh = units.join(numbers, on=_ID, how="left", maintain_order="left")["new"]
    persons = fresh if not matched else found[_PERSON].fill_null(fresh)
    return persons.cast(pl.Int64).to_numpy(), many + new.height


def _joint(releases: Sequence[tuple[People, NDArray[np.int64]]]) -> Joint:
    """Everybody of several releases with their classes and sensitive values."""
    many = max(int(persons.max(initial=-1)) for _, persons in releases) + 1
    known = tuple(dict.fromkeys(name for people, _ in releases for name in people.known))
    classes = tuple(_classes(people.labels(known), persons, many) for people, persons in releases)
    # Numbers that none of these releases has are of those that cannot be joined.
    there = (np.stack(classes) != ABSENT).any(axis=0)
    names = dict.fromkeys(name for people, _ in releases for name in people.sensitive)
    columns = {
        name: column
        for name in names
        if name not in known and (column := _column(name, releases, many, there)) is not None
    }
    return Joint(
        tuple(release[there] for release in classes),
        min(people.k for people, _ in releases),
        columns,
        tuple(release.of(there) for release in _shown(releases, known, many)),
    )


def _shown(
    releases: Sequence[tuple[People, NDArray[np.int64]]], known: Sequence[str], many: int
) -> Iterator[Shown]:
    """The releases by what labels cover; none where labels never overlap, or people have several rows."""
    overlap = any(set(people.covered) & set(known) for people, _ in releases)
    if not overlap or any(len(np.unique(persons)) < len(persons) for _, persons in releases):
        return
    for people, persons in releases:
        told = [name for name in known if name in people.covered]
        plain = _classes(people.labels([name for name in known if name not in told]), persons, many)
        values = people.table.select(pl.col(VALUE + name).alias(name) for name in told)
        yield shown(people.labels(told), values, people.covered, plain, persons, many)


def _classes(labels: pl.DataFrame, persons: NDArray[np.int64], many: int) -> NDArray[np.int64]:
    """The class of each person, shape (many,): the labels of all their rows."""
    # A release without any of the columns is one class.
    rows = numbered(labels) if labels.width else np.zeros(len(persons), dtype=np.int64)
    found = np.full(many, ABSENT, dtype=np.int64)
    if len(np.unique(persons)) == len(persons):
        found[persons] = rows
        return found
    sets = (
        pl.DataFrame({_PERSON: persons, _CLASS: rows})
        .group_by(_PERSON)
        .agg(pl.col(_CLASS).sort().cast(pl.String).str.join(" "))
        .sort(_PERSON)
    )
    found[sets[_PERSON].to_numpy()] = numbered(sets.select(_CLASS))
    return found


def numbered(table: pl.DataFrame) -> NDArray[np.int64]:
    """Equal rows by equal numbers from 0, in the order in which they first stand."""
    distinct = table.unique(maintain_order=True).with_row_index(_CLASS + " number")
    joined = table.join(distinct, on=table.columns, how="left", nulls_equal=True, maintain_order="left")
    return joined[_CLASS + " number"].cast(pl.Int64).to_numpy()


def _column(
    name: str,
    releases: Sequence[tuple[People, NDArray[np.int64]]],
    many: int,
    there: NDArray[np.bool_],
) -> Column | None:
    """A sensitive column in the releases that have it; None if people have several values of it."""
    having = [i for i, (people, _) in enumerate(releases) if people.labels([name]).width]
    if any(len(np.unique(releases[i][1])) < len(releases[i][1]) for i in having):
        return None
    stacked = numbered(pl.concat([releases[i][0].labels([name]) for i in having]))
    ends = np.cumsum([0, *(releases[i][0].table.height for i in having)])
    values = []
    for i, start, end in zip(having, ends, ends[1:], strict=False):
        codes = np.zeros(many, dtype=np.int64)
        codes[releases[i][1]] = stacked[start:end]
        values.append(codes[there])
    forms = {releases[i][0].sensitive.get(name) for i in having}
    return Column(tuple(having), tuple(values), len(forms) == 1)


def _attacked(
    part: pl.LazyFrame,
    comparison: Comparison,
    joint: Joint,
    this: People,
    persons: NDArray[np.int64],
) -> tuple[Comparison, NDArray[np.int64]]:
    """The people of this release who are in another one too, with the columns that groups are made of."""
    # This release was numbered first, so its people stand first among all.
    rows = pl.DataFrame({_PERSON: persons, ROW: this.table[_ROW]}).unique(_PERSON, keep="first").sort(_PERSON)
    several = joint.times[: rows.height] > 1
    raw = part.select(pl.col(ROW).cast(pl.UInt64), *comparison.groups).collect(engine="streaming")
    chosen = rows.filter(pl.Series(several))
    original = part_of(chosen.join(raw, on=ROW, how="left", maintain_order="left").drop(_PERSON))
    return replace(comparison, original=original, record=nobody), np.flatnonzero(several)


def _joined(fitted: Fitted, this: People, others: Sequence[People | None], note: str) -> Finding:
    """Who is in a class that breaks a promise, once releases are joined by pseudonyms that they share."""
    if this.joinable and None in others:
        unknown = f"{note}; nothing was kept of some of them, which may share a domain of pseudonyms"
        return REPORT.silent(JOINED, "not-measured", unknown)
    sharing = [people for people in others if people and set(people.joinable) & set(this.joinable)]
    if not sharing:
        alone = "the releases share no domain of pseudonyms, so recipients have nothing to join them by"
        return REPORT.measured(JOINED, Figure.counted(0.0), this.table.height, note=alone)
    releases = [this, *sharing]
    persons = number([people.within(this.joinable) for people in releases])
    assumes = f"{ASSUMES}; joins them by the pseudonyms that they share"
    linked = [who for who in persons if who is not None]
    if any(len(np.unique(who)) < len(who) for who in linked):
        return REPORT.silent(JOINED, "not-measured", "somebody has several rows", assumes=assumes)
    many = max(int(who.max(initial=-1)) for who in linked) + 1
    known = tuple(dict.fromkeys(name for people in releases for name in people.known))
    pairs = list(zip(releases, linked, strict=True))
    joined, _ = joint_classes([_classes(people.labels(known), who, many) for people, who in pairs])
    broken = np.zeros(many, dtype=bool)
    for people, who in pairs:
        scales = fitted.anonymized.scales if people is this and fitted.anonymized is not None else None
        classes = _breaking(people, joined[who], scales)
        if classes is None:
            unknown = "a model counts the population or a hierarchy of values, which the join has not"
            return REPORT.silent(JOINED, "not-measured", unknown, assumes=assumes)
        broken[who] |= classes
    share = Figure.counted(float(broken.mean()))
    return REPORT.measured(JOINED, share, many, assumes=assumes, note=note)


def _breaking(
    people: People, joined: NDArray[np.int64], scales: Mapping[str, Scale] | None
) -> NDArray[np.bool_] | None:
    """Which rows of a release are in classes of the join that break its models; None if nobody can say."""
    if people.promised is None:
        return np.zeros(len(joined), dtype=bool)
    asked = Anonymity.model_validate(people.promised)
    models = models_of(asked)
    if any(model.counts_population for model in models):
        return None
    if scales is None:
        if any(model.params.get("hierarchy") is not None for model in asked.models):
            return None
        scales = {name: _scale(people.labels([name])[name]) for name in looked_at(models)}
    ones = np.ones(len(joined), dtype=np.int64)
    classes, sizes = group(joined, ones)
    values = people.labels(tuple(scales)).cast({name: scale.values.dtype for name, scale in scales.items()})
    table = Units(ones, coded(values, scales, models)).classes(classes, len(sizes))
    return np.asarray(~holding(models, table)[classes], dtype=bool)


def _scale(values: pl.Series) -> Scale:
    counted = values.alias("value").to_frame().group_by("value").len().sort("value", nulls_last=True)
    return Scale(counted["value"], counted["len"].cast(pl.Int64).to_numpy(), None)
