"""One policy on some of the people: fitted, recoded and attacked as a run does it, and nothing released.

People of the search and people of the confirmation are two keyed parts of the source. Within a part every
policy has the same people held out and the same draws, so that two figures differ by the policies.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import polars as pl

from sfumato.contracts import ROW, Comparison
from sfumato.core.errors import InputError, PolicyError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, Plan
from sfumato.evidence import ATTACKS
from sfumato.evidence.estimators import Taught
from sfumato.evidence.guarantee import guarantee
from sfumato.evidence.learners import share_learners
from sfumato.pipeline.comparing import compare, compare_made, counted, evidence
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.lesson import learned, lesson_of, rows_made, tables_made, taught_by
from sfumato.pipeline.snapshot import UNIT, Snapshot, part_of
from sfumato.pipeline.tables import TaughtTables, compare_tables, makes_tables
from sfumato.pipeline.verbs import check
from sfumato.pipeline.written_tables import all_rows, kept_rows
from sfumato.policy.load import LoadedPolicy, policy_from
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.tuning.aims import PLANNED, Aims, always, every_probe

Which = Literal["search", "confirm"]

#: What of a probe no figure of the whole release rests on, left out of a search.
LIGHTER: Mapping[str, Mapping[str, Any]] = {"learning": {"models": (), "floor": False, "importance": False}}
#: Figures that are measured by what is left out.
_HEAVIER = ("learning.importance",)
#: A column with more values is no other target to try.
_MOST_CLASSES = 10
#: Every key of a search is derived with this word, so that none is a release's.
DOMAIN = "tune"


def _never(findings: Sequence[Finding]) -> bool:
    del findings
    return False


def _unknown(rows: str) -> tuple[Finding, ...] | None:
    del rows
    return None


@dataclass(frozen=True)
class Figures:
    """What was measured of a policy on some people. ``rows`` is a digest of the rows as they would leave."""

    findings: tuple[Finding, ...]
    plan: Plan
    rows: str


@dataclass(frozen=True)
class Bench:
    """Where policies are tried: the source in two parts, and what is wanted of it.

    ``share`` of the people are set aside for the confirmation; neither part has more than ``people``.
    """

    loaded: LoadedPolicy
    snapshot: Snapshot
    aims: Aims
    share: float
    people: int

    @cached_property
    def shares(self) -> Mapping[Which, float]:
        """The share of all people in each part."""
        most = min(1.0, self.people / max(1, self.snapshot.rows))
        return {"search": min(1 - self.share, most), "confirm": min(self.share, most)}

    @cached_property
    def _memories(self) -> defaultdict[bytes, dict[tuple[Any, ...], Taught]]:
        """What the people of each split, by its key, taught a model: the same for every policy."""
        return defaultdict(dict)

    @property
    def _people(self) -> Mapping[Which, pl.LazyFrame]:
        return {
            "search": self.snapshot.split(self.shares["search"], True, DOMAIN),
            "confirm": self.snapshot.split(1 - self.shares["confirm"], False, DOMAIN),
        }

    @cached_property
    def _parts(self) -> Mapping[Which, pl.DataFrame]:
        return {which: part_of(rows.collect(engine="streaming")) for which, rows in self._people.items()}

    @cached_property
    def _tables(self) -> Mapping[Which, Mapping[str, pl.DataFrame]]:
        """The rows of further tables that are of the people in each part."""
        return {which: self._of(rows) for which, rows in self._people.items()}

    def _of(self, people: pl.LazyFrame) -> dict[str, pl.DataFrame]:
        units = people.select(UNIT).unique()
        return {
            name: part_of(table.frame.join(units, on=UNIT, how="semi").sort(ROW).collect(engine="streaming"))
            for name, table in self.snapshot.below.items()
        }

    def rows(self, which: Which) -> int:
        """The number of rows in a part."""
        return self._parts[which].height

    def policy(self, data: Any) -> Policy:
        """A policy that ``sfumato check`` finds nothing wrong with.

        Raises:
            PolicyError: with what is wrong.
        """
        policy = policy_from(data)
        told = self.snapshot
        whole = Snapshot(policy, told.folder, told.source, told.project, told.engine)
        # What the inventory says of the source hangs on no policy that may be tried.
        vars(whole).update(columns=told.columns, inventory=told.inventory)
        vars(whole).update(below=told.below, whole_inventory=told.whole_inventory)
        problems = check(LoadedPolicy(policy, self.loaded.path, {}), whole)
        if problems:
            raise PolicyError(problems, code="policy-mismatch")
        return policy

    def measure(
        self,
        policy: Policy,
        which: Which,
        split: int = 0,
        hopeless: Callable[[Sequence[Finding]], bool] = _never,
        known: Callable[[str], tuple[Finding, ...] | None] = _unknown,
        *,
        whole: bool = False,
    ) -> Figures:
        """Fit and measure a policy on a part; cheap figures come first, and may end it.

        Args:
            split: another number holds out other people, and draws anew.
            hopeless: asked after each step with what was measured so far.
            known: the findings of an earlier policy with the same rows, if there are any.
            whole: everything that the policy's evidence measures, and not what is wanted alone.

        Raises:
            InputError: it cannot be fitted.
        """
        snapshot = self._snapshot(policy, which, split)
        part, outside = snapshot.part(held_out=False), snapshot.part(held_out=True)
        held_out = snapshot.engine.rows(outside)
        fitted = fit(snapshot, part, held_out)
        priced: list[Finding] = []
        if policy.synthesis is None:
            written = part_of(fitted.rows(part).collect(engine="streaming")).select(fitted.released)
        else:
            fitted, written, priced = _made(fitted)
        digest = _digest(written)
        if (earlier := known(digest)) is not None:
            return Figures(earlier, fitted.plan, digest)
        findings = [*planned(fitted.plan, written.height), *priced]
        if hopeless(findings):
            return Figures(tuple(findings), fitted.plan, digest)
        comparison = self._compared(fitted, part, written, outside if held_out else None)
        for probes in self._probes(policy, whole):
            if hopeless(findings):
                break
            findings += [
                one for one in evidence(snapshot, comparison, probes) if one.source in _names(probes)
            ]
        return Figures(tuple(findings), fitted.plan, digest)

    def other_targets(self, policy: Policy, most: int) -> list[Finding]:
        """What the people set aside let be learned of columns that no search looked at as targets.

        Args:
            most: so many columns, the first sensitive ones that leave as they are and have classes.

        Returns:
            ``learning.skill_ratio``, a finding a column, with the column in its target.
        """
        columns = self._learnable(policy)[:most] if "learning" in self.aims.probes(policy) else []
        if not columns:
            return []
        snapshot = self._snapshot(policy, "confirm", 0)
        part, outside = snapshot.part(held_out=False), snapshot.part(held_out=True)
        held_out = snapshot.engine.rows(outside)
        fitted = fit(snapshot, part, held_out)
        if policy.synthesis is None:
            written = part_of(fitted.rows(part).collect(engine="streaming")).select(fitted.released)
        else:
            fitted, written, _ = _made(fitted)
        seen = self._compared(fitted, part, written, outside if held_out else None)
        found = []
        for column in columns:
            inventory = seen.inventory.model_copy(update={"target": column})
            probe = Part(name="learning", params=dict(LIGHTER["learning"]))
            said = evidence(snapshot, replace(seen, inventory=inventory), [probe])
            found += [
                one.model_copy(update={"target": f"learning {column}"}) for one in said if _is_skill(one)
            ]
        return found

    def _learnable(self, policy: Policy) -> list[str]:
        kept = [name for name, column in policy.columns.items() if column.sensitive and column.done == "keep"]
        profiles = [self.snapshot.inventory.column(name) for name in kept if name != policy.dataset.target]
        return [one.name for one in profiles if 2 <= one.distinct <= _MOST_CLASSES]

    def _snapshot(self, policy: Policy, which: Which, split: int) -> Snapshot:
        if policy.sampling is not None and policy.sampling.people is not None:
            fewer = max(1, math.ceil(policy.sampling.people * self.shares[which]))
            sampling = policy.sampling.model_copy(update={"people": fewer})
            policy = policy.model_copy(update={"sampling": sampling})
        real, given = self.snapshot, self._tables[which]
        found = Snapshot(policy, real.folder, self._parts[which], real.project, real.engine, given=given)
        key = derive(real.release_key, DOMAIN, which, str(split))
        vars(found).update(release_key=key, people_key=key, inventory=real.inventory)
        for name, table in found.below.items():
            vars(table).update(inventory=real.below[name].inventory)
        return found

    def _compared(
        self, fitted: Fitted, part: pl.LazyFrame, written: pl.DataFrame, outside: pl.LazyFrame | None
    ) -> Comparison:
        frame, memory = written.lazy(), self._memories[fitted.snapshot.release_key]
        if makes_tables(fitted):
            tables = all_rows(fitted, [written])
            return share_learners(compare_tables(fitted, tables, fitted.plan.synthesis), memory)
        if fitted.plan.synthesis is not None:
            made = frame.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.UInt64))
            return share_learners(compare_made(fitted, taught_by(fitted), made), memory)
        compared = compare(fitted, part, lambda columns: counted(frame, columns), outside)
        return share_learners(compared, memory)

    def _probes(self, policy: Policy, whole: bool) -> list[list[Part]]:
        """What is to be measured, in steps: class risks, attacks, what the release is good for."""
        wanted = every_probe(policy) if whole else self.aims.probes(policy)
        first = always(policy)
        special = any(target != "release" or metric in _HEAVIER for metric, target in self.aims.places)
        parts = [
            Part(name=name, params={**params, **({} if special else LIGHTER.get(name, {}))})
            for name, params in wanted.items()
        ]
        steps = (
            [part for part in parts if part.name in first] or [Part(name=name) for name in first[:1]],
            [part for part in parts if part.name in tuple(ATTACKS) and part.name not in first],
            [part for part in parts if part.name not in tuple(ATTACKS)],
        )
        return [step for step in steps if step]


def _is_skill(finding: Finding) -> bool:
    return finding.metric == "learning.skill_ratio" and finding.target == "release"


def _names(probes: Sequence[Part]) -> set[str]:
    return {part.name for part in probes}


def _made(fitted: Fitted) -> tuple[Fitted, pl.DataFrame, list[Finding]]:
    """What a synthesizer makes of a trial's people, and what its guarantee costs.

    A trial has a budget of its own: nothing of it is released. That a policy was chosen by looking at trials
    is charged to nobody, and the page says so.
    """
    lesson = lesson_of(fitted)
    taught = learned(lesson, lesson.trial_budget())
    plan = lesson.plan(taught, None)
    if isinstance(taught, TaughtTables):
        rows = kept_rows(tables_made(lesson, taught, plan))
    else:
        rows = rows_made(lesson, taught, plan)
    planned = replace(fitted, plan=fitted.plan.model_copy(update={"synthesis": plan}))
    return planned, rows, [] if plan.private is None else guarantee(plan.private)


def _digest(written: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    written.rechunk().write_ipc(buffer)
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def planned(plan: Plan, rows: int) -> list[Finding]:
    """The figures that a plan alone gives."""
    found = plan.anonymity
    figures = {
        "plan.suppressed": 0.0 if found is None else found.suppressed_share,
        "plan.smallest_class": None if found is None else float(found.smallest_class),
        "plan.classes": None if found is None else float(found.classes),
    }
    return [
        Finding(
            metric=metric,
            value=value,
            low=value,
            high=value,
            goal=PLANNED[metric][0],
            unit=PLANNED[metric][1],
            n=rows,
            status="measured" if value is not None else "not-measured",
            source="plan",
            note="" if value is not None else "the policy has no anonymity section",
        )
        for metric, value in figures.items()
    ]


def told(error: InputError) -> str:
    """Why a policy cannot be tried, in a sentence."""
    if isinstance(error, PolicyError):
        return error.problems[0].what
    return f"{error.where}: {error.what}" if error.where else error.what
