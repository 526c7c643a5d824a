"""What a model still learns: taught by the release, tested on held-out original people."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.intervals import percentile, resample_counts, weighted_auc
from sfumato.evidence.learners import LEAST_PER_CLASS, Learned, Unlearned, learned
from sfumato.evidence.report import Metric, Report, design_note

REPORT = Report(
    "learning",
    {
        "learning.auc": Metric(
            "high", "auc", "area under the ROC curve of a model taught by the release, on held-out people"
        ),
        "learning.skill_ratio": Metric(
            "high", "ratio", "(AUC - .5) of that model / (AUC - .5) of one taught by the original"
        ),
    },
)

#: A lower bound of the original's AUC up to here is no skill to keep.
NO_SKILL = 0.52


class Learning:
    """Train on the release, test on real people (Esteban, Hyland & Rätsch 2017, *TSTR*).

    Two identical learners, taught by the release and by the original, are tested on the same held-out
    people; the intervals resample these people, the same ones for both. More than two classes are
    averaged one against the rest (macro), over classes that have 10 people in the test. If the
    original teaches nothing that can be told from chance, the ratio has no power, for 0 of 0 is kept.
    """

    summary: ClassVar[str] = "a model taught by the release against one taught by the original"
    metrics = REPORT.metrics
    units = REPORT.units

    class Params(contracts.Params):
        """``resamples`` of the held-out people for the intervals."""

        resamples: Annotated[int, Field(ge=100, le=10_000)] = 500

    def run(self, comparison: Comparison, params: Learning.Params) -> list[Finding]:
        """The two findings; without target, held-out people or skill they have no figure."""
        outcome = learned(comparison)
        if isinstance(outcome, Unlearned):
            return [REPORT.silent(metric, outcome.status, outcome.note) for metric in REPORT.table]
        key = derive(comparison.key, "learning", "resamples")
        before, after = resampled_aucs(outcome, params.resamples, key)
        auc = percentile(after[0], after[1:])
        n = len(outcome.truth)
        note = design_note(comparison)
        found = REPORT.measured("learning.auc", auc, n, before=float(before[0]), baseline=0.5, note=note)
        skill = percentile(before[0], before[1:])
        if not skill.low > NO_SKILL:
            reason = "a model taught by the original does no better than chance, as far as can be told"
            return [found, REPORT.silent("learning.skill_ratio", "no-power", reason, n=n)]
        ratios = (after - 0.5) / (before - 0.5)
        ratio = percentile(ratios[0], ratios[1:])
        return [found, REPORT.measured("learning.skill_ratio", ratio, n, before=1.0, baseline=0.0, note=note)]


def resampled_aucs(
    outcome: Learned, resamples: int, key: bytes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The macro AUC of both learners: on the people as they are first, then on each resample.

    Returns:
        Two of shape (1 + resamples,), paired.
    """
    n = len(outcome.truth)
    measured = [c for c in range(len(outcome.classes)) if _testable(outcome.truth == c)]
    if not measured:
        return (np.full(1 + resamples, math.nan),) * 2
    if len(outcome.classes) == 2:
        measured = [1]
    blocks = [np.ones((1, n)), *resample_counts(n, resamples, key)]
    before, after = (
        np.concatenate(
            [
                np.mean([weighted_auc(outcome.truth == c, scores[:, c], block) for c in measured], axis=0)
                for block in blocks
            ]
        )
        for scores in (outcome.before, outcome.after)
    )
    return before, after


def _testable(positive: NDArray[np.bool_]) -> bool:
    return min(int(positive.sum()), int((~positive).sum())) >= LEAST_PER_CLASS
