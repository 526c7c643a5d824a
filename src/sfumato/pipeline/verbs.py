"""The verbs of the house, for the command line and for Python callers alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sfumato.anonymity.assess import Assessment, assess
from sfumato.contracts import COUNT, ROW
from sfumato.core.errors import InputError, PolicyError, Problem
from sfumato.core.keyed import derive
from sfumato.core.values import Inventory, Role
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.evidence.attacks.composition import WORST
from sfumato.gate import decide, floors, is_approved, loosened
from sfumato.inventory import take_inventory
from sfumato.pipeline import both, composing, made, private
from sfumato.pipeline.comparing import PeopleAtRisk, compare, evidence
from sfumato.pipeline.earlier import earlier_releases, refuse_newer, taken_back
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.meanings import meanings
from sfumato.pipeline.outcome import Outcome, Watch
from sfumato.pipeline.recheck import check_again, check_baskets, check_people_again
from sfumato.pipeline.snapshot import EXAMINED, IDENTITY, UNIT, Snapshot, told_if_changed
from sfumato.pipeline.written import counter, data_file, parquet, recheck_columns
from sfumato.policy.checks import check_gate, check_policy, population_columns, unknown_columns
from sfumato.policy.load import LoadedPolicy
from sfumato.release.assemble import assemble
from sfumato.release.layout import RELEASE, SEALED_MAPPING, SEALED_PEOPLE, SEALED_RELEASED
from sfumato.release.writer import Outgoing

#: The finding on earlier releases of the same people.
COMPOSITION = WORST


def inspect_source(
    source: FileSource | pl.DataFrame,
    *,
    target: str | None = None,
    subject: str | None = None,
    watch: Watch | None = None,
) -> Inventory:
    """The inventory of a source, over a fixed sample of rows where it is large.

    Raises:
        InputError: from reading, or for a target or subject that is no column.
    """
    watch = watch or Watch()
    engine = LocalEngine()
    watch.stage("reading the source")
    frame = engine.scan(source)
    rows = engine.rows(frame)
    table = engine.sample(frame, bytes(32), min(rows, EXAMINED)).drop(ROW)
    return take_inventory(table, rows=rows, target=target, subject=subject, progress=watch.stage)


def assess_source(
    source: FileSource | pl.DataFrame,
    quasi: Sequence[str] | None = None,
    sensitive: Sequence[str] = (),
    *,
    fraction: float | None = None,
    subject: str | None = None,
    linked: bool = False,
    watch: Watch | None = None,
) -> Assessment:
    """Every privacy model's figure for a source as it is, all rows.

    Args:
        quasi: the columns that outsiders may know; None asks the inventory.
        subject: the column that says whose a row is; without it a row is a person.
        linked: whether who sees the table can tell which rows are one person's.

    Raises:
        InputError: from reading, or for a name that is no column.
    """
    watch = watch or Watch()
    engine = LocalEngine()
    if quasi is None:
        found = inspect_source(source, subject=subject, watch=watch).named(Role.QUASI_IDENTIFIER)
        quasi = tuple(name for name in found if name not in (*sensitive, subject))
    watch.stage("reading the source")
    frame = engine.scan(source)
    wanted = list(dict.fromkeys((*quasi, *sensitive, *(() if subject is None else (subject,)))))
    known = [name for name in wanted if name in engine.schema(frame)]
    # A name that is no column is for assess to tell, which knows those that are.
    columns = known if len(known) == len(wanted) else list(engine.schema(frame))
    table = frame.select(columns or pl.len()).collect(engine="streaming")
    watch.stage("checking every privacy model")
    return assess(table, quasi, sensitive, fraction=fraction, subject=subject, linked=linked)


@told_if_changed
def check(loaded: LoadedPolicy, snapshot: Snapshot) -> tuple[Problem, ...]:
    """Every problem of a policy against its source, the loosened floor included.

    Names that are no columns come alone: without its target or subject there is no inventory.
    """
    below = snapshot.columns_below
    problems = tuple(unknown_columns(loaded, snapshot.columns, below))
    if problems:
        return problems
    if snapshot.policy.dp is None:
        problems = check_policy(loaded, snapshot.columns, snapshot.whole_inventory, below)
    else:
        problems = tuple(check_gate(loaded))
    if snapshot.population is not None:
        problems += tuple(population_columns(loaded, tuple(snapshot.engine.schema(snapshot.population))))
    for bound in floors(loaded.policy, earlier=1, others=1):
        looser = loosened(loaded.policy, bound)
        if looser is not None and not is_approved(loaded.policy, bound):
            i = loaded.policy.gate.index(looser)
            problems += (
                Problem(
                    loaded.where("gate", i),
                    f"{looser} asks less than the floor ({bound})",
                    f'ask no less, or have it approved: {{by: NAME, what: "gate {bound.metric}", why: ...}}',
                ),
            )
    return problems


def refuse_problems(loaded: LoadedPolicy, snapshot: Snapshot) -> None:
    """Raise all problems of a policy at once.

    Raises:
        PolicyError: ``policy-mismatch``.
    """
    problems = check(loaded, snapshot)
    if problems:
        raise PolicyError(problems, code="policy-mismatch")


@told_if_changed
def plan(loaded: LoadedPolicy, snapshot: Snapshot, watch: Watch | None = None) -> Outcome:
    """Fit the policy and say what would happen; nothing is written.

    Raises:
        PolicyError: the policy does not fit its source.
        InputError: from reading, fitting and searching.
    """
    watch = watch or Watch()
    if snapshot.policy.dp is not None:
        _refused(loaded, snapshot, watch)
        return private.plan_answers(snapshot, watch)
    fitted = _fitted(loaded, snapshot, watch)
    if snapshot.policy.synthesis is not None:
        return made.plan_made(fitted, watch)
    return Outcome(snapshot.inventory, fitted.plan)


@told_if_changed
def run(loaded: LoadedPolicy, snapshot: Snapshot, folder: Path, watch: Watch | None = None) -> Outcome:
    """The whole way: fit, write aside, check what was written, attack it, decide, release or refuse.

    Args:
        folder: gets ``release/`` and ``custody/``, whole or not at all.

    Raises:
        PolicyError: the policy does not fit its source.
        InputError: from any step; nothing is left under the final names then.
    """
    watch = watch or Watch()
    _refuse_source_inside(snapshot, folder)
    if snapshot.policy.dp is not None:
        _refused(loaded, snapshot, watch)
        return private.run_answers(loaded, snapshot, folder, watch)
    if snapshot.policy.synthesis is not None:
        return made.run_made(loaded, _fitted(loaded, snapshot, watch), folder, watch)
    with Outgoing(folder, snapshot.project.fingerprint) as outgoing:
        fitted = _fitted(loaded, snapshot, watch)
        part = snapshot.part(held_out=False)
        watch.stage("writing the rows aside")
        written = _write(fitted, part, outgoing.data_folder)
        count = counter(fitted, written)
        watch.stage("checking the rows as written")
        data = [data_file(path, fitted.types()) for path in written]
        recheck_columns(fitted, data)
        if fitted.anonymized is not None:
            _check_again(fitted, part, count(fitted.anonymized.counted))
        check_baskets(fitted.plan.steps, count)
        watch.stage("comparing people before and after")
        control = snapshot.part(held_out=True) if fitted.plan.holdout_rows else None
        people = PeopleAtRisk()
        comparison = compare(fitted, part, count, control, people)
        probes = loaded.policy.evidence.probes() if loaded.policy.evidence is not None else ()
        findings = evidence(
            snapshot, comparison, probes, lambda name: watch.stage(f"measuring {name}"), watch.within
        )
        watch.stage("joining earlier releases")
        earlier, released = earlier_releases(fitted), composing.people_of(fitted, part, comparison)
        before = both.Kinds.of(fitted, earlier)
        findings += composing.composition(fitted, part, comparison, released, before.own)
        findings += both.after_made(fitted, released, before.made)
        decision = decide(loaded.policy, findings, len(before.own), len(before.made))
        snapshot.refuse_changed()
        watch.stage("writing the release")
        tables = _tables(fitted, people)
        with snapshot.project.releasing():
            refuse_newer(fitted, earlier)
            if decision.passed:
                tables[SEALED_RELEASED] = composing.keep(fitted, released)
            release = assemble(
                outgoing,
                policy=loaded.policy,
                plan=fitted.plan,
                findings=findings,
                decision=decision,
                data=data,
                project=snapshot.project,
                inventory=snapshot.inventory,
                private={
                    "source": snapshot.digest,
                    "inventory": snapshot.inventory.digest,
                    "policy": loaded.policy.model_dump(mode="json"),
                    "folder": str(loaded.folder.resolve()),
                },
                salt=snapshot.salt,
                meanings=meanings(findings),
                tables=tables,
                withdrawn=taken_back(fitted),
            )
    private.enter_rows(snapshot.project, fitted.plan.dataset)
    return Outcome(snapshot.inventory, fitted.plan, tuple(findings), decision, release, fitted.types())


def _check_again(fitted: Fitted, part: pl.LazyFrame, counted: pl.DataFrame) -> None:
    """Hold the privacy models against the rows as written, or the people whose rows they are."""
    found = fitted.anonymized
    assert found is not None
    if fitted.linked is None:
        check_again(found, counted, fitted.population())
        return
    rows = fitted.rows(part).group_by([*found.counted, UNIT]).len(COUNT).collect(engine="streaming")
    check_people_again(found, counted, rows, fitted.linked)


def _tables(fitted: Fitted, people: PeopleAtRisk) -> dict[str, bytes]:
    """The tables of custody: which value became which label, and what single people risk."""
    found = {SEALED_PEOPLE: parquet(people.table)}
    return found if fitted.recoding is None else found | {SEALED_MAPPING: parquet(fitted.recoding.mapping())}


def _refuse_source_inside(snapshot: Snapshot, folder: Path) -> None:
    """The source is never written to, also where it is an earlier release that the new one would replace."""
    for path in snapshot.paths():
        if (folder / RELEASE).resolve() in path.resolve().parents:
            raise InputError(
                "output-exists",
                "the source lies in the release that would be replaced",
                where=str(folder / RELEASE),
                remedy="name another output folder",
            )


def _fitted(loaded: LoadedPolicy, snapshot: Snapshot, watch: Watch) -> Fitted:
    _refused(loaded, snapshot, watch)
    watch.stage("fitting the policy")
    held_out = snapshot.engine.rows(snapshot.part(held_out=True))
    return fit(snapshot, snapshot.part(held_out=False), held_out, watch.within)


def _refused(loaded: LoadedPolicy, snapshot: Snapshot, watch: Watch) -> None:
    """Read what the source is, and refuse a policy that does not fit it."""
    watch.stage("reading the source")
    # Read now, while the stage is named so: what is different later has changed.
    _ = snapshot.columns, snapshot.digest
    watch.stage("taking the inventory" if snapshot.policy.dp is None else "checking the policy")
    refuse_problems(loaded, snapshot)


def _write(fitted: Fitted, part: pl.LazyFrame, folder: Path) -> Sequence[Path]:
    snapshot = fitted.snapshot
    return snapshot.engine.write(
        fitted.rows(part),
        fitted.released,
        folder,
        snapshot.policy.dataset.name,
        snapshot.policy.release.format,
        derive(snapshot.release_key, "order"),
        IDENTITY,
    )
