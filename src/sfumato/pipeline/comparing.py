"""What the probes see: people before and after, and people who were left out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.contracts import COUNT, ROW, Comparison, nobody, unwatched
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.made import laid_beside
from sfumato.evidence.run import measure
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.histories import compare_histories, history_of
from sfumato.pipeline.methods.task import positions
from sfumato.pipeline.population import population_counter
from sfumato.pipeline.remaking import Shadow, made_again
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot, part_of
from sfumato.pipeline.subjects import histories_of, one_row_each, people_alike, people_of
from sfumato.policy.parts import Part

Count = Callable[[Sequence[str]], pl.DataFrame]

#: The attack that makes releases of its own.
SHADOWS = "shadow-membership"
#: Attacks that run on a twin release where every row is released; the others need no control.
_NEED_CONTROL = (
    *("linkage", "membership", "singling-out", "linkability", "attribute-inference"),
    *("definetti", "downcoding", "outliers", SHADOWS),
)

_AT_RISK = {"metric": pl.String, "evidence_id": pl.String, "risk": pl.Float64}


class PeopleAtRisk:
    """What single people risk, as the attacks tell it: for custody, under ids that say nothing of them.

    A person of the evidence's sample has one random id for all attacks; it is drawn anew for each run, so
    that neither the source nor another run can be joined to it.
    """

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._found: list[pl.DataFrame] = []

    def record(self, metric: str, rows: NDArray[np.int64], risks: NDArray[np.float64]) -> None:
        """Keep the risk of the people in some rows of the sample."""
        ids = [self._ids.setdefault(int(row), secrets.token_hex(8)) for row in rows]
        columns = {"metric": [metric] * len(ids), "evidence_id": ids, "risk": np.asarray(risks, dtype=float)}
        self._found.append(pl.DataFrame(columns, schema=_AT_RISK))

    @property
    def table(self) -> pl.DataFrame:
        """Columns ``metric``, ``evidence_id`` and ``risk``, the greatest risks of each metric first."""
        everybody = pl.concat([pl.DataFrame(schema=_AT_RISK), *self._found])
        return everybody.sort(["metric", "risk", "evidence_id"], descending=[False, True, False])


def compare(
    fitted: Fitted,
    part: pl.LazyFrame,
    count: Count,
    control: pl.LazyFrame | None,
    people: PeopleAtRisk | None = None,
) -> Comparison:
    """The comparison of a fitted release.

    Args:
        part: the rows offered to the release.
        count: distinct tuples of released columns with their rows, of the release as written; where a
            person has several, people are counted on the rows that were written.
        control: rows of people who are neither fitted nor released, or None.
        people: keeps what single people risk.
    """
    snapshot = fitted.snapshot
    engine, policy = snapshot.engine, snapshot.policy
    size = policy.evidence.sample if policy.evidence is not None else 50_000
    people_count = fitted.linked is not None
    rows = fitted.rows(part)
    sample = engine.sample(
        _one_row_each(fitted, part), derive(snapshot.release_key, "evidence"), size, IDENTITY
    )
    labelled, kept = fitted.label(sample)
    outside = (
        engine.sample(_one_row_each(fitted, control), derive(snapshot.release_key, "control"), size, IDENTITY)
        if control is not None
        else sample.head(0)
    )
    population = policy.dataset.population
    # Who knows everybody in the source does not know who of them is in a sample of it.
    source = None if policy.sampling is None else 1.0
    fraction = source if population is None else population.fraction_of(snapshot.rows)
    local = fitted.recoding if isinstance(fitted.recoding, LocalRecoding) else None
    return Comparison(
        inventory=snapshot.inventory,
        plan=fitted.plan,
        original=part_of(sample),
        released=part_of(labelled),
        kept=kept.to_numpy(),
        control=part_of(outside),
        describe=fitted.describe,
        count=(lambda columns: people_of(rows, columns)) if people_count else count,
        count_original=lambda columns: people_of(part, columns) if people_count else counted(part, columns),
        alike=(lambda columns: people_alike(rows, columns)) if fitted.linked else None,
        alike_original=(lambda columns: people_alike(part, columns)) if fitted.linked else None,
        histories=(lambda columns: histories_of(rows, columns)) if people_count else None,
        histories_original=(lambda columns: histories_of(part, columns)) if people_count else None,
        people=sample[UNIT].cast(pl.UInt64).to_numpy() if people_count else None,
        centers=fitted.centers(),
        key=derive(snapshot.release_key, "probes"),
        design="none" if control is None else "holdout",
        # The source's fraction is the policy's; those offered to the release are a part of the source.
        population=None if fraction is None else fraction * _offered(fitted),
        covers=local.covers if local is not None else None,
        overlapping=local.columns if local is not None else (),
        count_population=population_counter(snapshot, fitted.describe),
        count_population_original=population_counter(snapshot, lambda people: people),
        context=policy.context.model_dump(),
        finer=fitted.finer if fitted.anonymized is not None and local is None else None,
        suppressible=_suppressible(fitted),
        tight=_tight(fitted, local),
        tree=partial(_tree, fitted),
        groups=policy.groups,
        record=nobody if people is None else people.record,
    )


def compare_made(
    fitted: Fitted, taught: pl.LazyFrame, made: pl.LazyFrame, people: PeopleAtRisk | None = None
) -> Comparison:
    """The comparison of rows that are made with the people who taught the synthesizer, and with others.

    Args:
        taught: the raw rows that it learned from, one of each person, or all where histories are made.
        made: the rows made, as written.
        people: keeps what single people risk.
    """
    snapshot, history = fitted.snapshot, history_of(fitted)
    record = nobody if people is None else people.record
    if history is not None:
        return compare_histories(fitted, history, taught, made, record)
    engine, policy = snapshot.engine, snapshot.policy
    assert policy.evidence is not None
    size, key = policy.evidence.sample, snapshot.release_key
    others = snapshot.part(held_out=True)
    if policy.dataset.subject is not None:
        others = one_row_each(others, derive(key, "one row each"))
    original = part_of(engine.sample(taught, derive(key, "evidence"), size, IDENTITY))
    released = engine.sample(made, derive(key, "made evidence"), size, ROW).select(fitted.released)
    laid, kept = laid_beside(released, original.height, derive(key, "laid beside"))
    written = made.select(fitted.released)
    return Comparison(
        inventory=snapshot.inventory,
        plan=fitted.plan,
        original=original,
        released=laid,
        kept=kept,
        control=part_of(engine.sample(others, derive(key, "control"), size, IDENTITY)),
        describe=fitted.describe,
        count=lambda columns: counted(written, columns),
        count_original=lambda columns: counted(taught, columns),
        count_taught=lambda columns: counted(fitted.rows(taught), columns),
        centers={},
        key=derive(key, "probes"),
        design="holdout",
        context=policy.context.model_dump(),
        groups=policy.groups,
        record=record,
        made=True,
    )


def _one_row_each(fitted: Fitted, part: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that stand for their people in the evidence."""
    if fitted.linked is None:
        return part
    return one_row_each(part, derive(fitted.snapshot.release_key, "one row each"))


def _suppressible(fitted: Fitted) -> int | None:
    """The most rows that the policy lets the recoding suppress."""
    asked, plan = fitted.snapshot.policy.anonymity, fitted.plan.anonymity
    return None if asked is None or plan is None else int(asked.suppression * plan.rows + 1e-9)


def _tight(fitted: Fitted, local: LocalRecoding | None) -> tuple[str, ...]:
    """The columns in which each class of a partition has a label made of its own values."""
    plan = fitted.plan.anonymity
    if local is None or plan is None or plan.method != "partition":
        return ()
    return tuple(column for column, axis in local.axes.items() if axis.free)


def _tree(fitted: Fitted, column: str, values: pl.Series) -> NDArray[np.int64] | None:
    """The labels of values of the snapshot at each level of the hierarchy that a model has of a column."""
    scale = None if fitted.anonymized is None else fitted.anonymized.scales.get(column)
    return None if scale is None or scale.tree is None else scale.tree[:, positions(values, scale.values)]


def _offered(fitted: Fitted) -> float:
    """The share of the source's rows that are offered to the release, none of them held out."""
    return 1 - fitted.plan.holdout_rows / fitted.plan.rows


def twin(snapshot: Snapshot) -> Comparison:
    """The comparison of a twin release: the same policy fitted to one half, the other half left out."""
    inside = snapshot.split(0.5, False, "twin")
    outside = snapshot.split(0.5, True, "twin")
    fitted = fit(snapshot, inside, snapshot.engine.rows(outside))
    rows = fitted.rows(inside)
    comparison = compare(fitted, inside, lambda columns: counted(rows, columns), outside)
    return replace(comparison, design="twin")


def remade(snapshot: Snapshot, rows: pl.DataFrame, key: bytes) -> Comparison:
    """The comparison of a shadow release: the snapshot's policy carried out on other rows, each a person's.

    Raises:
        InputError: as :func:`sfumato.pipeline.fitting.fit`, and where a synthesizer cannot learn from them.
    """
    shadow = Shadow.of(snapshot, rows, key)
    fitted = fit(shadow, shadow.frame, 0)
    if shadow.policy.synthesis is not None:
        return compare_made(fitted, shadow.frame, made_again(fitted))
    left = fitted.rows(shadow.frame).collect(engine="streaming").lazy()
    return compare(fitted, shadow.frame, lambda columns: counted(left, columns), None)


def counted(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Distinct tuples of columns with their number of rows, in a column :data:`COUNT`."""
    if not columns:
        return frame.select(pl.len().alias(COUNT)).collect(engine="streaming")
    return frame.group_by(list(columns)).len(COUNT).collect(engine="streaming").sort(list(columns))


def evidence(
    snapshot: Snapshot,
    comparison: Comparison,
    probes: Sequence[Part],
    progress: Callable[[str], None] | None = None,
    within: Callable[[str, int, int], None] = unwatched,
) -> list[Finding]:
    """The findings of some probes; class risks are always among them.

    Attacks that need a control run on a twin release where nobody was held out.
    """
    parts = {part.name: part.params for part in probes}
    if SHADOWS in parts:
        comparison = _remakable(snapshot, comparison, within)
    on_twin = {
        name: parts.pop(name) for name in _NEED_CONTROL if name in parts and comparison.design == "none"
    }
    findings = measure(comparison, parts, progress)
    if on_twin:
        twins = measure(_remakable(snapshot, twin(snapshot), within), on_twin, progress)
        findings += [finding for finding in twins if finding.source in on_twin]
    return findings


def _remakable(
    snapshot: Snapshot, comparison: Comparison, within: Callable[[str, int, int], None]
) -> Comparison:
    """The comparison for attackers who try the policy; of people with several rows no shadow is made."""
    several = any(each is not None for each in (comparison.people, comparison.logs, comparison.tables))
    remake = None if several else partial(remade, snapshot)
    return replace(comparison, remake=remake, watch=within)
