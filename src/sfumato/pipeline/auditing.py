"""The audit of a release of answers by who has the rows: is the noise as large as what was charged for it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.audits.released import release
from sfumato.pipeline.asked import Questions, asked_of
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.revisit import open_again, snapshot_of
from sfumato.pipeline.snapshot import Snapshot
from sfumato.project import Project
from sfumato.project.budgets import BUDGETS, Budgets
from sfumato.release.layout import DATA, RELEASE

if TYPE_CHECKING:
    from dp_accounting import DpEvent


class Counts(NamedTuple):
    """The counts that left, the true ones, the scale of each one's noise, and the event of all draws."""

    noisy: NDArray[np.float64]
    exact: NDArray[np.float64]
    scales: NDArray[np.float64]
    event: DpEvent


def audit_release(
    folder: Path, *, policy: Path | None = None, project: Path | None = None, watch: Watch | None = None
) -> Audit:
    """Hold the counts that left against the true ones, and the draws against the ledger.

    The distance of the counts from the truth is their noise; its size has a known law. What it finds is of
    raw rows and was not charged: it stays in the house.

    Args:
        folder: holds ``release/`` and ``custody/``.
        policy: the policy, if it has moved since the run.

    Raises:
        InputError: ``usage``: the release holds no counts that can be audited; otherwise as
            :func:`sfumato.pipeline.revisit.attack`.
    """
    watch = watch or Watch()
    opened, custody = open_again(folder, policy, project, watch)
    private = custody.plan.private
    if private is None or private.kind != "statistics" or not custody.decision.passed:
        raise _no_counts(folder, "the release holds no answers")
    if private.rows_per_subject is not None:
        raise _no_counts(folder, "which rows of each person counted is not kept")
    snapshot = snapshot_of(custody, opened, policy)
    watch.stage("answering without noise")
    counts = _counts(snapshot, folder)
    if not len(counts.noisy):
        raise _no_counts(folder, "none of the answers is a count")
    watch.stage("auditing the noise")
    return release(
        counts.noisy,
        counts.exact,
        counts.scales,
        "gaussian" if private.delta else "laplace",
        drawn=[counts.event],
        charged=_charged(opened, snapshot.policy.dataset.name),
        epsilon=private.epsilon,
        delta=private.delta,
        relation=private.relation,
        what=snapshot.policy.dataset.name,
    )


def _counts(snapshot: Snapshot, folder: Path) -> Counts:
    from sfumato.dp.calibration import calibrate
    from sfumato.dp.exact import exact_counts, is_counted
    from sfumato.dp.mechanisms import Law
    from sfumato.dp.queries.base import GRID

    asked = asked_of(snapshot)
    assert isinstance(asked, Questions)
    terms = asked.terms
    found = calibrate(
        asked.asked, epsilon=terms.epsilon, noise=None, delta=terms.delta, relation=terms.relation
    )
    table, left = asked.table(), _left(folder)
    noisy, exact, scales = [], [], []
    for given, name, laws in zip(asked.asked, asked.names, found.laws, strict=True):
        if not is_counted(given):
            continue
        (law,) = laws
        assert isinstance(law, Law)
        truth = exact_counts(table, given, law)
        noisy.append(left.filter(pl.col("name") == name)["value"].to_numpy())
        exact.append(truth.to_numpy())
        scales.append(np.full(len(truth), law.scale / GRID))
    return Counts(_joined(noisy), _joined(exact), _joined(scales), found.event)


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.empty(0)


def _left(folder: Path) -> pl.DataFrame:
    """The answers as they left."""
    (path,) = (folder / RELEASE / DATA).iterdir()
    engine = LocalEngine()
    return engine.scan(FileSource((path,), path.suffix[1:])).collect()


def _charged(project: Project, dataset: str) -> list[DpEvent]:
    """Everything that the ledger has for the dataset."""
    from sfumato.dp.events import from_json

    account = Budgets(project.folder / BUDGETS).account(dataset)
    return [] if account is None else [from_json(entry.event or {}) for entry in account.spends]


def _no_counts(folder: Path, why: str) -> InputError:
    return InputError(
        "usage",
        f"there is nothing to audit by the rows: {why}",
        where=str(folder),
        remedy="audit the mechanism, or the training, instead",
    )
