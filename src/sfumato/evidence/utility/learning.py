"""What a model still learns: taught by the release, tested on held-out original people."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.intervals import percentile, resample_counts, weighted_auc
from sfumato.evidence.learners import LEAST_PER_CLASS, Learned, Unlearned, learned
from sfumato.evidence.report import Metric, Report, design_note
from sfumato.evidence.utility.calibration import calibration
from sfumato.evidence.utility.importance import agreement

REPORT = Report(
    "learning",
    {
        "learning.auc": Metric(
            "high", "auc", "area under the ROC curve of a model taught by the release, on held-out people"
        ),
        "learning.r2": Metric(
            "high", "ratio", "share of a number's variance on held-out people that such a model explains"
        ),
        "learning.skill_ratio": Metric(
            "high", "ratio", "(AUC - .5) or R2 of that model / that of one taught by the original"
        ),
        "learning.brier": Metric(
            "low", "distance", "mean squared error of that model's probabilities (Brier score)"
        ),
        "learning.calibration": Metric(
            "low", "difference", "expected calibration error of that model's probabilities"
        ),
        "learning.importance": Metric(
            "high", "correlation", "rank agreement of what columns matter to both models, by permutation"
        ),
    },
)

#: A lower bound of the original's AUC up to here is no skill to keep; the same for the variance explained.
NO_SKILL = 0.52
NO_VARIANCE = 0.02
FOR_NUMBERS = "the target is a number"
FOR_CLASSES = "the target has classes"
#: What the other kinds of models are called where they are a finding's target.
TITLES = {"forest": "random forest", "linear": "linear model"}


class Scores(NamedTuple):
    """The AUC or the variance explained of both learners: of the people as they are, then of resamples."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]


class Learning:
    """Train on the release, test on real people (Esteban, Hyland & Rätsch 2017, *TSTR*).

    Two identical learners, taught by the release and by the original, are tested on the same held-out
    people; the intervals resample these people, the same ones for both. More than two classes are
    averaged one against the rest (macro), over classes that have 10 people in the test. A target of
    numbers has the share of its variance explained instead. If the original teaches nothing that can be
    told from chance, the ratio has no power, for 0 of 0 is kept.

    The figures of the release are of gradient boosting. A forest and a linear model, taught on as many as
    ``rows`` people, have findings of their own. ``control`` is what a resample of the original as large as
    the release teaches: no release can be asked for more.
    """

    summary: ClassVar[str] = "models taught by the release against models taught by the original"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``resamples`` of the held-out people; ``models`` besides boosting, on at most ``rows`` people;
        whether the ``floor`` and the ``importance`` of columns are measured."""

        resamples: Annotated[int, Field(ge=100, le=10_000)] = 500
        models: tuple[Literal["forest", "linear"], ...] = ("forest", "linear")
        rows: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
        floor: bool = True
        importance: bool = True

    def run(self, comparison: Comparison, params: Learning.Params) -> list[Finding]:
        """Boosting's findings, then other models'; without target, held-out people or skill no figures."""
        outcome = learned(comparison)
        if isinstance(outcome, Unlearned):
            return [REPORT.silent(metric, outcome.status, outcome.note) for metric in REPORT.table]
        key = derive(comparison.key, "learning", "resamples")
        note = design_note(comparison)
        drawn = _drawn(outcome, comparison) if params.floor else None
        scores = resampled_scores(outcome, outcome.before, outcome.after, params.resamples, key)
        floor = None if drawn is None else resampled_scores(outcome, outcome.before, drawn, 0, key)
        findings = _skill(outcome, scores, floor, note, "release")
        findings += _other_metric(outcome)
        findings += calibration(REPORT, outcome, drawn, params.resamples, key, note)
        if params.importance:
            findings.append(agreement(REPORT, outcome, params.resamples, key, note))
        else:
            findings.append(REPORT.silent("learning.importance", "not-measured", "it was not asked for"))
        for kind in dict.fromkeys(params.models):
            before, after = _of_kind(outcome, comparison, kind, params.rows)
            scores = resampled_scores(outcome, before, after, params.resamples, key)
            findings += _skill(outcome, scores, None, note, TITLES[kind])
        return findings


def _drawn(outcome: Learned, comparison: Comparison) -> NDArray[np.float64]:
    """What boosting says that was taught by a resample of the original, as large as the release."""
    lesson = outcome.lesson
    draw = generator(derive(comparison.key, "learning", "floor"))
    rows = draw.integers(0, lesson.original.frame.height, lesson.released.frame.height)
    return lesson.by_original("boosting", rows).predict(lesson.tested.frame)


def _of_kind(
    outcome: Learned, comparison: Comparison, kind: Literal["forest", "linear"], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What two models of another kind say, each taught on a keyed sample."""
    lesson = outcome.lesson
    draw = generator(derive(comparison.key, "learning", kind))
    many = min(most, lesson.original.frame.height, lesson.released.frame.height)
    first, second = (
        draw.permutation(part.frame.height)[:many] for part in (lesson.original, lesson.released)
    )
    if lesson.original.frame.height == lesson.released.frame.height:
        # The same people on both sides, so that an unchanged release teaches the same.
        second = first
    before = lesson.by_original(kind, first).predict(lesson.tested.frame)
    return before, lesson.by_release(kind, second).predict(lesson.described)


def _skill(outcome: Learned, scores: Scores, floor: Scores | None, note: str, target: str) -> list[Finding]:
    """The AUC or variance explained, and the share of the original's skill."""
    metric, chance = ("learning.auc", 0.5) if outcome.classes else ("learning.r2", 0.0)
    least = NO_SKILL if outcome.classes else NO_VARIANCE
    n = len(outcome.truth)
    found = REPORT.measured(
        metric,
        percentile(scores.after[0], scores.after[1:]),
        n,
        target=target,
        before=float(scores.before[0]),
        baseline=chance,
        control=None if floor is None else float(floor.after[0]),
        note=note,
    )
    if not percentile(scores.before[0], scores.before[1:]).low > least:
        reason = "a model taught by the original does no better than chance, as far as can be told"
        return [found, REPORT.silent("learning.skill_ratio", "no-power", reason, target=target, n=n)]
    ratios = (scores.after - chance) / (scores.before - chance)
    kept = REPORT.measured(
        "learning.skill_ratio",
        percentile(ratios[0], ratios[1:]),
        n,
        target=target,
        before=1.0,
        baseline=0.0,
        control=None if floor is None else float((floor.after[0] - chance) / (scores.before[0] - chance)),
        note=note,
    )
    return [found, kept]


def _other_metric(outcome: Learned) -> list[Finding]:
    """What does not exist for this kind of target."""
    metric, note = ("learning.r2", FOR_CLASSES) if outcome.classes else ("learning.auc", FOR_NUMBERS)
    return [REPORT.silent(metric, "not-measured", note)]


def resampled_scores(
    outcome: Learned,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    resamples: int,
    key: bytes,
) -> Scores:
    """The macro AUC or the variance explained: of the people as they are first, then on each resample.

    Args:
        before, after: what two learners say, shape (people, classes), or (people, 1) of numbers.

    Returns:
        Two of shape (1 + resamples,), paired.
    """
    n = len(outcome.truth)
    blocks = [np.ones((1, n)), *resample_counts(n, resamples, key)]
    if not outcome.classes:
        return Scores(*(_explained(outcome.truth, said[:, 0], blocks) for said in (before, after)))
    measured = [c for c in range(len(outcome.classes)) if _testable(outcome.truth == c)]
    if not measured:
        return Scores(*(np.full(1 + resamples, math.nan),) * 2)
    if len(outcome.classes) == 2:
        measured = [1]
    return Scores(
        *(
            np.concatenate(
                [
                    np.mean([weighted_auc(outcome.truth == c, said[:, c], block) for c in measured], axis=0)
                    for block in blocks
                ]
            )
            for said in (before, after)
        )
    )


def _testable(positive: NDArray[np.bool_]) -> bool:
    return min(int(positive.sum()), int((~positive).sum())) >= LEAST_PER_CLASS


def _explained(
    truth: NDArray[np.float64], said: NDArray[np.float64], blocks: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """1 - squared error / variance for each row of people's weights; NaN where nothing varies."""
    found = []
    for weights in blocks:
        total = weights.sum(axis=1)
        middle = weights @ truth / total
        variance = weights @ truth**2 / total - middle**2
        error = weights @ (truth - said) ** 2 / total
        share = np.divide(error, variance, out=np.full(len(weights), math.nan), where=variance > 0)
        found.append(1 - share)
    return np.concatenate(found)
