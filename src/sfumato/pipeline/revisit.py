"""Coming back to a release with custody and the original at hand, checked against their commitments."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from sfumato.contracts import ROW, Comparison
from sfumato.core.errors import InputError
from sfumato.core.values import Finding
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.evidence.attacks.external import link_register
from sfumato.evidence.images.judging import RISKS
from sfumato.pipeline.comparing import compare, compare_made, counted, evidence
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.images import Seen, images_of, judge, read_images
from sfumato.pipeline.lesson import taught_by
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.private import refuse_answers
from sfumato.pipeline.snapshot import Snapshot
from sfumato.pipeline.tables import compare_tables, makes_tables
from sfumato.pipeline.written import counter, read_back
from sfumato.pipeline.written_tables import files_by_table, read_tables
from sfumato.policy.load import load_policy
from sfumato.policy.measured import Evidence
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.project import Project, locate
from sfumato.project.keys import KEYS
from sfumato.project.project import FOLDER, PUBLIC_KEY
from sfumato.release.custody import Custody, open_custody, open_table
from sfumato.release.layout import CUSTODY, DATA, RELEASE, SEALED_MAPPING, SEALED_PEOPLE
from sfumato.release.manifest import committed
from sfumato.release.verify import verify


@dataclass(frozen=True)
class Revisited:
    """A release opened again: its snapshot, the comparison of its probes, and what the policy asks for.

    Made images have no comparison of tables, but what measures them.
    """

    snapshot: Snapshot
    comparison: Comparison | None
    asked: Evidence
    images: Callable[[], list[Finding]] | None = None


def attack(
    folder: Path,
    *,
    against: str | None = None,
    truth: str | None = None,
    policy: Path | None = None,
    project: Path | None = None,
    watch: Watch | None = None,
) -> list[Finding]:
    """The attack battery against a release, or one attack with an external register.

    Args:
        folder: holds ``release/`` and ``custody/``.
        against: a path or pattern of an external register.
        truth: a column of register and original that says who is who.
        policy: where the policy lies now, if the source moved with it.
        project: the project's folder.

    Raises:
        InputError: ``release-unreadable``, ``release-altered``, ``custody-closed``, ``source-changed``,
            ``register-mismatch``.
    """
    watch = watch or Watch()
    if truth is not None and against is None:
        raise InputError("usage", "--truth is about a register", remedy="name the register with --against")
    with reopened(folder, policy, project, watch) as found:
        if against is None and found.images is not None:
            return _of_images(found.images(), watch, risks=True)
        if against is None:
            return _measured(found, found.asked.attacks, watch)
        return _linked(found, folder, against, truth, watch)


def _of_images(found: Sequence[Finding], watch: Watch, *, risks: bool) -> list[Finding]:
    """The figures of made images that tell of risks, or of what they are good for."""
    watch.stage("comparing people's images with those made")
    return [finding for finding in found if (finding.metric in RISKS) is risks]


def _measured(found: Revisited, probes: Sequence[Part], watch: Watch) -> list[Finding]:
    assert found.comparison is not None

    def telling(name: str) -> None:
        watch.stage(f"measuring {name}")

    return evidence(found.snapshot, found.comparison, probes, telling, watch.within)


def _linked(found: Revisited, folder: Path, against: str, truth: str | None, watch: Watch) -> list[Finding]:
    """The attack with an external register."""
    if found.comparison is None or found.comparison.made:
        raise InputError(
            "usage",
            "the rows of this release were made: none is of anybody whom a register could name",
            where=str(folder / RELEASE),
            remedy="run the attack without a register: it looks for people whom the rows repeat",
        )
    watch.stage("linking the register")
    engine = LocalEngine()
    register = engine.scan(FileSource.find(against, Path())).drop(ROW).collect(engine="streaming")
    return link_register(found.comparison, register, truth)


def evaluate(
    folder: Path, *, policy: Path | None = None, project: Path | None = None, watch: Watch | None = None
) -> list[Finding]:
    """Utility and fairness of a release against the original; arguments and errors as :func:`attack`."""
    watch = watch or Watch()
    with reopened(folder, policy, project, watch) as found:
        if found.images is not None:
            return _of_images(found.images(), watch, risks=False)
        fairness: tuple[Part, ...] = (found.asked.fairness,) if found.asked.fairness is not None else ()
        probes = (*found.asked.utility, *fairness)
        findings = _measured(found, probes, watch)
    wanted = {part.name for part in probes}
    return [finding for finding in findings if finding.source in wanted]


@contextmanager
def reopened(folder: Path, policy: Path | None, project: Path | None, watch: Watch) -> Iterator[Revisited]:
    """A release with everything behind it, checked to be all what it was, before and after.

    The plan is fitted again, which for the same policy, source and key gives the same plan, and is
    compared with the one in custody.

    Raises:
        InputError: ``source-changed``, also where that happens meanwhile.
    """
    opened, custody = open_again(folder, policy, project, watch)
    refuse_answers(custody.plan, folder / RELEASE)
    snapshot = snapshot_of(custody, opened, policy)
    with snapshot.watched():
        yield _revisited(folder, custody, snapshot, watch)
        snapshot.refuse_changed()


def _revisited(folder: Path, custody: Custody, snapshot: Snapshot, watch: Watch) -> Revisited:
    watch.stage("fitting the policy again")
    part = snapshot.part(held_out=False)
    held_out = snapshot.engine.rows(snapshot.part(held_out=True))
    fitted = fit(snapshot, part, held_out, watch.within)
    # What a synthesizer learned is not learned again: its noise is drawn once.
    planned = custody.plan.model_copy(update={"synthesis": None})
    if fitted.whole_plan.digest != planned.digest:
        raise InputError(
            "source-changed",
            "the policy fitted again gives another plan than the one in custody",
            where=str(folder / CUSTODY),
            remedy="use the version of sfumato, and the hierarchy files, that the release was made with",
        )
    watch.stage("comparing people before and after")
    data = folder / RELEASE / DATA
    written = sorted(path for path in data.iterdir() if path.is_file()) if data.exists() else []
    if images_of(fitted) is not None:
        rows = _written(fitted, written, folder)
        return Revisited(
            snapshot, None, snapshot.policy.evidence or Evidence(), partial(_judged, fitted, rows, data)
        )
    if makes_tables(fitted):
        tables = read_tables(fitted, files_by_table(fitted, _left(written, folder)))
        comparison = compare_tables(fitted, tables, custody.plan.synthesis)
        return Revisited(snapshot, comparison, snapshot.policy.evidence or Evidence())
    if custody.plan.synthesis is not None:
        comparison = _made(replace(fitted, plan=custody.plan), written, folder)
        return Revisited(snapshot, comparison, snapshot.policy.evidence or Evidence())
    rows = fitted.rows(part)
    count = counter(fitted, written) if written else (lambda columns: counted(rows, columns))
    control = snapshot.part(held_out=True) if held_out else None
    comparison = compare(fitted, part, count, control)
    return Revisited(snapshot, comparison, snapshot.policy.evidence or Evidence())


def _made(fitted: Fitted, written: Sequence[Path], folder: Path) -> Comparison:
    """The comparison of a release of rows that were made."""
    return compare_made(fitted, taught_by(fitted), _written(fitted, written, folder))


def _written(fitted: Fitted, written: Sequence[Path], folder: Path) -> pl.LazyFrame:
    """The rows of a release of rows that were made."""
    return read_back(fitted, _left(written, folder))


def _left(written: Sequence[Path], folder: Path) -> Sequence[Path]:
    """The files of a release of rows that were made.

    Raises:
        InputError: ``usage``: the gate withheld them.
    """
    if not written:
        raise InputError(
            "usage",
            "the gate withheld the rows that were made, and nobody can make the same ones again",
            where=str(folder / RELEASE),
            remedy="its dossier and custody have what was measured on them",
        )
    return written


def _judged(fitted: Fitted, written: pl.LazyFrame, data: Path) -> list[Finding]:
    """The figures of made images, read from their files again."""
    seen = Seen.of(fitted)
    rows = written.sort(ROW).select(fitted.released).collect()
    return judge(seen, rows, read_images(rows, seen.asked, data))


def open_again(
    folder: Path, policy: Path | None, project: Path | None, watch: Watch
) -> tuple[Project, Custody]:
    """The project and the custody of a release that is what was signed.

    Raises:
        InputError: ``release-altered``, ``release-withdrawn``, ``custody-closed``.
    """
    watch.stage("verifying the release")
    opened = Project.open(find_project(folder, policy, project), create=False)
    checked = verify(folder / RELEASE, key_pem=opened.public_key_pem())
    if not checked.intact:
        raise InputError(
            "release-altered", checked.words, where=str(folder / RELEASE), remedy="fetch it again"
        )
    if checked.withdrawn is not None:
        raise InputError(
            "release-withdrawn",
            f"it was {checked.words}; its data were destroyed",
            where=str(folder / RELEASE),
            remedy="run the policy again for a release to attack; it counts from then on",
        )
    watch.stage("opening custody")
    custody = open_custody(folder / CUSTODY, opened)
    if committed(folder / RELEASE) != dict(custody.commitments):
        raise InputError(
            "custody-closed",
            "it is the custody of another release",
            where=str(folder / CUSTODY),
            remedy="put release/ and custody/ of one run side by side",
        )
    return opened, custody


def mapping(folder: Path, *, project: Path | None = None) -> pl.DataFrame:
    """Which value became which label in a release, from its custody.

    Raises:
        InputError: ``custody-closed``, also where the table was not recoded.
    """
    return _table(folder, SEALED_MAPPING, project)


def people_at_risk(folder: Path, *, project: Path | None = None) -> pl.DataFrame:
    """What single people of a release's evidence risk, from its custody.

    Raises:
        InputError: ``custody-closed``.
    """
    return _table(folder, SEALED_PEOPLE, project)


def _table(folder: Path, name: str, project: Path | None) -> pl.DataFrame:
    opened = Project.open(find_project(folder, None, project), create=False)
    return pl.read_parquet(io.BytesIO(open_table(folder / CUSTODY, name, opened)))


def find_project(folder: Path, policy: Path | None, project: Path | None) -> Path:
    """The project of a release: as given, beside the policy, or in or above the release's folder."""
    beside = policy.parent if policy is not None else None
    if beside is None:
        here = folder.resolve()
        beside = next((place for place in (here, *here.parents) if (place / FOLDER).is_dir()), here)
    return locate(beside, project)


def expected_key(release: Path, key: Path | None, project: Path | None) -> bytes | None:
    """The public key that must have signed a release: the one given, else that of a project at hand.

    A project is at hand if its private keys are: a public key that lies near a release may have come
    with it, and says nothing of who signed.

    Raises:
        InputError: ``usage``: the key file cannot be read.
    """
    if key is None:
        place = find_project(release, None, project)
        if not (place / (KEYS if project is None else PUBLIC_KEY)).exists():
            if project is not None:
                raise InputError(
                    "project-key", "no project here", where=str(project), remedy="check --project"
                )
            return None
        key = place / PUBLIC_KEY
    try:
        return key.read_bytes()
    except OSError as error:
        raise InputError(
            "usage", f"the key cannot be read ({type(error).__name__})", where=str(key)
        ) from None


def snapshot_of(custody: Custody, project: Project, moved: Path | None) -> Snapshot:
    """The snapshot that the release was made from.

    Raises:
        InputError: ``source-changed``.
    """
    policy, folder = Policy.model_validate(custody.private["policy"]), Path(custody.private["folder"])
    if moved is not None:
        loaded = load_policy(moved)
        policy, folder = loaded.policy, loaded.folder
        if not custody.confirms("policy", policy.model_dump(mode="json")):
            raise InputError(
                "source-changed",
                "this is not the policy that the release was made by",
                where=str(moved),
                remedy="use the policy of that run",
            )
    snapshot = Snapshot.open(policy, folder, project)
    with snapshot.watched():
        confirmed = custody.confirms("source", snapshot.digest)
    if not confirmed:
        raise InputError(
            "source-changed",
            "the source is not the one that the release was made from",
            where=policy.dataset.source.path,
            remedy="put the original back where the policy names it",
        )
    return snapshot
