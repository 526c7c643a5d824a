"""For whom it got worse: error and selection rates by group, calibration, and whose rows were suppressed.

The two learners of :mod:`sfumato.evidence.learners` select as many people as the original says are
positive, and each group's rates before and after are compared (Hardt, Price & Srebro 2016 for the
error rates, Feldman et al. 2015 for selection). Suppression is itself a treatment: a rare group
loses more rows than a common one, and a model then knows less of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.disclosure import LEAST
from sfumato.core.errors import InputError, nearest
from sfumato.core.keyed import derive, draws
from sfumato.core.values import Finding
from sfumato.evidence.groups import Crossing, Grouping
from sfumato.evidence.intervals import (
    auc,
    clopper_pearson,
    newcombe,
    percentile,
    resample_counts,
    weighted_auc,
)
from sfumato.evidence.learners import Learned, Unlearned, learned
from sfumato.evidence.report import Figure, Metric, Report, design_note

REPORT = Report(
    "fairness",
    {
        "fairness.auc": Metric("high", "auc", "area under the ROC curve within a group"),
        "fairness.selection": Metric("high", "share", "share of a group that the model selects"),
        "fairness.fnr": Metric("low", "share", "share of a group's positives that it does not select"),
        "fairness.fpr": Metric("low", "share", "share of a group's negatives that it selects"),
        "fairness.calibration": Metric(
            "low", "difference", "how far the mean probability of a group is from its share of positives"
        ),
        "fairness.selection_gap": Metric(
            "low", "difference", "largest difference of selection rates between groups (demographic parity)"
        ),
        "fairness.fnr_gap": Metric(
            "low", "difference", "largest difference of false negative rates (equal opportunity)"
        ),
        "fairness.fpr_gap": Metric("low", "difference", "largest difference of false positive rates"),
        "fairness.calibration_gap": Metric(
            "low", "difference", "largest difference between groups of what probabilities promise too much"
        ),
        "fairness.suppressed": Metric("low", "share", "share of a group's people whose row was suppressed"),
        "fairness.suppression_gap": Metric(
            "low", "difference", "largest difference between groups in the share of rows suppressed"
        ),
    },
)

#: Rates by group and the gap that each has; the first has none.
RATES = {
    "fairness.auc": None,
    "fairness.selection": "fairness.selection_gap",
    "fairness.fnr": "fairness.fnr_gap",
    "fairness.fpr": "fairness.fpr_gap",
    "fairness.calibration": "fairness.calibration_gap",
}
#: The rate that may be below 0: what probabilities promise too much. Its size is reported.
SIGNED = "fairness.calibration"
#: Group columns of which every two are crossed.
MOST_CROSSED = 4
Groups = Grouping | Crossing
BEFORE, AFTER = 0, 1
LEAST_PEOPLE = 30
LEAST_OF_CLASS = 10
ONE_GROUP = "fewer than two groups are large enough to compare"
FEW_AT_ALL = f"fewer than {LEAST} people of the group"
TOO_FEW = f"fewer than {LEAST_PEOPLE} people of the group, or {LEAST_OF_CLASS} of a class, were held out"


@dataclass(frozen=True)
class _Tested:
    """The held-out people, what they are, and what each learner (before, after) says of them."""

    truth: NDArray[np.bool_]
    people: NDArray[np.int64]
    scores: tuple[NDArray[np.float64], NDArray[np.float64]]
    selected: tuple[NDArray[np.bool_], NDArray[np.bool_]]


class Fairness:
    """Rates and gaps by group, taught by the release against taught by the original.

    Both learners select the same number of held-out people: the share that is positive in the original.
    Groups with fewer than 30 people held out (or, for error rates, 10 of the class) have no power and
    stay out of the gaps. Intervals of rates and gaps resample the held-out people; a gap is never below
    0, so chance alone makes one, and ``before`` says how large the original's is. Groups that are alike in
    two columns are compared as well, for a rate may be even in each column and not in both: their targets
    name both (``white & married=0 & 1``). Suppression rates
    have exact intervals, their gap Newcombe's between the two groups furthest apart.
    """

    summary: ClassVar[str] = "error rates, selection rates and suppression by group, before and after"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset({"fairness.suppressed", "fairness.suppression_gap"})

    class Params(contracts.Params):
        """``groups`` are columns of the original; ``positive`` the target's favourable value.

        With ``intersections`` every two of the first four columns are crossed.
        """

        groups: Annotated[tuple[str, ...], Field(min_length=1)]
        positive: str | None = None
        intersections: bool = True
        resamples: Annotated[int, Field(ge=100, le=10_000)] = 500

    def run(self, comparison: Comparison, params: Fairness.Params) -> list[Finding]:
        """Findings for each group column; targets are the column (gaps) and its groups (rates).

        Raises:
            InputError: ``policy-mismatch`` for a group column or positive value that the data lack.
        """
        for column in params.groups:
            if column not in comparison.original.columns:
                raise InputError(
                    "policy-mismatch",
                    f'no column "{column}" to group people by',
                    remedy=nearest(column, comparison.original.columns),
                )
        columns = list(dict.fromkeys(params.groups))
        if not comparison.original.height:
            return [
                REPORT.silent(metric, "not-measured", "nobody was offered to the release", target=column)
                for column in columns
                for metric in REPORT.table
            ]
        outcome = learned(comparison)
        groupings: list[Groups] = [Grouping.fit(comparison.original[column]) for column in columns]
        if params.intersections:
            groupings += _crossings(comparison, columns)
        findings: list[Finding] = []
        tested = _test(outcome, params.positive, derive(comparison.key, "fairness", "ties"))
        for grouping in groupings:
            if isinstance(tested, Unlearned):
                findings += _unlearned(grouping, tested)
            else:
                findings += _by_group(comparison, grouping, tested, params.resamples)
            findings += _suppression(comparison, grouping)
        return findings


def _crossings(comparison: Comparison, columns: list[str]) -> list[Crossing]:
    fitted = [Grouping.fit(comparison.original[column]) for column in columns[:MOST_CROSSED]]
    return [Crossing.fit(pair, comparison.original) for pair in combinations(fitted, 2)]


def _test(outcome: Learned | Unlearned, positive: str | None, key: bytes) -> _Tested | Unlearned:
    if isinstance(outcome, Unlearned):
        return outcome
    if len(outcome.classes) != 2:
        return Unlearned("not-measured", "selection needs a target of two classes")
    if positive is not None and positive not in outcome.classes:
        raise InputError(
            "policy-mismatch",
            "the target never has the positive value that fairness names",
            remedy="name a value of the target, as text",
        )
    index = 1 if positive is None else outcome.classes.index(positive)
    scores = (outcome.before[:, index], outcome.after[:, index])
    count = round(float(outcome.rates[index]) * len(outcome.truth))
    return _Tested(
        outcome.truth == index,
        outcome.people,
        scores,
        (_select(scores[0], count, key), _select(scores[1], count, key)),
    )


def _select(scores: NDArray[np.float64], count: int, key: bytes) -> NDArray[np.bool_]:
    """The ``count`` people of the highest scores; ties are broken by a keyed draw, not by order."""
    ties = draws(key, np.arange(len(scores), dtype=np.uint64))
    order = np.lexsort((ties, -scores))
    selected = np.zeros(len(scores), dtype=bool)
    selected[order[:count]] = True
    return selected


def _unlearned(grouping: Groups, reason: Unlearned) -> list[Finding]:
    return [
        REPORT.silent(metric, reason.status, reason.note, target=grouping.column)
        for rate, gap in RATES.items()
        for metric in (rate, gap)
        if metric is not None
    ]


def _by_group(comparison: Comparison, grouping: Groups, tested: _Tested, resamples: int) -> list[Finding]:
    """Rates of every group that the original has, and the gap of each rate."""
    member = grouping.members(comparison.control)[tested.people]
    groups = np.unique(grouping.members(comparison.original))
    key = derive(comparison.key, "fairness", "resamples")
    before, after = (_points(tested, side, member, groups) for side in (BEFORE, AFTER))
    resampled = np.concatenate(
        [_resampled(tested, member, groups, block) for block in resample_counts(len(member), resamples, key)],
        axis=2,
    )
    note = design_note(comparison)
    findings: list[Finding] = []
    for i, (metric, gap) in enumerate(RATES.items()):
        power = np.array([_has_power(metric, tested.truth[member == g]) for g in groups])
        people = np.array([_people(metric, tested.truth[member == g]) for g in groups])
        for j, g in enumerate(groups):
            target, n = grouping.targets()[g], int(people[j])
            if power[j]:
                figure, earlier = percentile(float(after[i, j]), resampled[i, j]), float(before[i, j])
                if metric == SIGNED:
                    figure, earlier = _size(figure), abs(earlier)
                findings.append(REPORT.measured(metric, figure, n, target=target, before=earlier, note=note))
            else:
                findings.append(REPORT.silent(metric, "no-power", TOO_FEW, target=target, n=n))
        if gap is not None:
            figure = percentile(_spread(after[i, power]), _spread(resampled[i, power]))
            earlier = float(_spread(before[i, power]))
            findings.append(_gap(grouping, gap, figure, earlier, _smallest(people[power]), power, note))
    return findings


def _size(figure: Figure) -> Figure:
    """The absolute value of a figure; an interval around 0 begins there."""
    ends = abs(figure.low), abs(figure.high)
    return Figure(abs(figure.value), 0.0 if figure.low <= 0 <= figure.high else min(ends), max(ends))


def _gap(
    grouping: Groups,
    metric: str,
    figure: Figure,
    before: float,
    n: int,
    power: NDArray[np.bool_],
    note: str,
) -> Finding:
    if power.sum() < 2:
        return REPORT.silent(metric, "no-power", ONE_GROUP, target=grouping.column, n=n)
    left_out = int((~power).sum())
    note = f"{note}; {left_out} group(s) too small to compare" if left_out else note
    return REPORT.measured(metric, figure, n, target=grouping.column, before=before, note=note)


def _smallest(people: NDArray[np.int64]) -> int:
    """The people that a gap rests on: a difference is known no better than its smallest group."""
    return int(people.min()) if len(people) else 0


def _has_power(metric: str, truth: NDArray[np.bool_]) -> bool:
    positives, negatives = int(truth.sum()), int((~truth).sum())
    needed = {
        "fairness.auc": min(positives, negatives),
        "fairness.selection": len(truth),
        "fairness.fnr": positives,
        "fairness.fpr": negatives,
        "fairness.calibration": len(truth),
    }
    return len(truth) >= LEAST_PEOPLE and needed[metric] >= LEAST_OF_CLASS


def _people(metric: str, truth: NDArray[np.bool_]) -> int:
    """The people of a group that a rate is of: an error rate is one of a class alone."""
    positives = int(truth.sum())
    return {"fairness.fnr": positives, "fairness.fpr": len(truth) - positives}.get(metric, len(truth))


def _spread(rates: NDArray[np.float64]) -> Any:
    """The largest difference between groups (first axis); 0 of none."""
    return rates.max(axis=0) - rates.min(axis=0) if len(rates) else np.zeros(rates.shape[1:])


def _points(
    tested: _Tested, side: int, member: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The rates of :data:`RATES` by group for one learner, shape (rates, groups); NaN without people."""
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate

    truth = tested.truth.astype(np.int64)
    within = MetricFrame(
        metrics=lambda y_true, y_pred: auc(np.asarray(y_true) == 1, np.asarray(y_pred)),
        y_true=truth,
        y_pred=tested.scores[side],
        sensitive_features=member,
    )
    rates = MetricFrame(
        metrics={
            "selection": lambda y_true, y_pred: selection_rate(y_true, y_pred, pos_label=1),
            "fnr": lambda y_true, y_pred: false_negative_rate(y_true, y_pred, pos_label=1),
            "fpr": lambda y_true, y_pred: false_positive_rate(y_true, y_pred, pos_label=1),
        },
        y_true=truth,
        y_pred=tested.selected[side].astype(np.int64),
        sensitive_features=member,
    )
    promised = MetricFrame(
        metrics=lambda y_true, y_pred: float(np.mean(np.asarray(y_pred) - np.asarray(y_true))),
        y_true=truth,
        y_pred=tested.scores[side],
        sensitive_features=member,
    )
    shown = (rates.by_group[name] for name in ("selection", "fnr", "fpr"))
    rows = [within.by_group, *shown, promised.by_group]
    return np.stack([row.reindex(groups).to_numpy(dtype=np.float64) for row in rows])


def _resampled(
    tested: _Tested, member: NDArray[np.int64], groups: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same rates of the learner of the release on resamples, shape (rates, groups, resamples).

    Args:
        weights: how often each person is drawn, shape (resamples, people).
    """
    truth, selected, scores = tested.truth, tested.selected[AFTER], tested.scores[AFTER]
    inside = member == groups[:, None]
    hits = np.stack([inside & selected, inside & truth & ~selected, inside & ~truth & selected])
    of = np.stack([inside, inside & truth, inside & ~truth])
    # One product for all rates and groups: it costs less than many small ones.
    both = np.stack([hits, of]).reshape(-1, len(member)).astype(np.float64)
    counted = (both @ weights.T).reshape(2, *hits.shape[:2], len(weights))
    rates = np.divide(counted[0], counted[1], out=np.full(counted.shape[1:], np.nan), where=counted[1] > 0)
    within = np.stack([weighted_auc(truth[group], scores[group], weights[:, group]) for group in inside])
    promised = (inside * (scores - truth)) @ weights.T
    people = counted[1, 0]
    promised = np.divide(promised, people, out=np.full(people.shape, np.nan), where=people > 0)
    return np.concatenate([within[None], rates, promised[None]])


def _suppression(comparison: Comparison, grouping: Groups) -> list[Finding]:
    """The share suppressed of each group's people offered to the release, and the largest difference."""
    member = grouping.members(comparison.original)
    findings, rates = [], []
    for g in np.unique(member):
        inside = member == g
        n, target = int(inside.sum()), grouping.targets()[g]
        if n < LEAST:
            findings.append(REPORT.silent("fairness.suppressed", "no-power", FEW_AT_ALL, target=target, n=n))
            continue
        rates.append((clopper_pearson(int((~comparison.kept[inside]).sum()), n), n))
        findings.append(REPORT.measured("fairness.suppressed", rates[-1][0], n, target=target))
    if len(rates) < 2:
        gap = REPORT.silent("fairness.suppression_gap", "no-power", ONE_GROUP, target=grouping.column)
    else:
        (most, _), (least, _) = (pick(rates, key=lambda rate: rate[0].value) for pick in (max, min))
        n = min(size for _, size in rates)
        gap = REPORT.measured("fairness.suppression_gap", newcombe(most, least), n, target=grouping.column)
    return [*findings, gap]
