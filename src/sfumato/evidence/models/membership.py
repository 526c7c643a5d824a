"""Membership inference on a trained classifier: who of some people was it taught with?

An audit by somebody who has the model, the people in question and the way it was trained: the strongest
attacker of the literature. What counts is how many members are recognized at few false alarms; an area
under the curve near a half hides a few people who are recognized with certainty (Carlini et al. 2022).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.disclosure import round_count
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.people import FEW, LEAST_PEOPLE, ONE_GROUP
from sfumato.evidence.groups import Grouping
from sfumato.evidence.intervals import LEVEL, newcombe, wilson
from sfumato.evidence.models.shadows import Train, likelihood_ratio, relative, surprise, teach, told
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.roc import Scored, least_outside

REPORT = Report(
    "model-membership",
    {
        "model.tpr_at_1": Metric("low", "share", "people taught who are recognized at 1 % false alarms"),
        "model.tpr_at_01": Metric("low", "share", "people taught who are recognized at 0.1 % false alarms"),
        "model.auc": Metric("low", "auc", "the chance that somebody taught scores above somebody not taught"),
        "model.advantage": Metric("low", "difference", "people recognized less false alarms, at best"),
        "model.disparity": Metric("low", "difference", "largest difference between groups recognized at 1 %"),
    },
)

LOSS = "loss threshold"
LIRA = "likelihood ratio (LiRA)"
OFFLINE = "likelihood ratio offline (LiRA)"
RELATIVE = "relative probability (RMIA)"

#: The target of the attack that does worst.
MODEL = "model"

_RATES = {"model.tpr_at_1": 0.01, "model.tpr_at_01": 0.001}
_BASELINES = {**_RATES, "model.auc": 0.5, "model.advantage": 0.0}
_NO_SHADOWS = "it needs shadow models, and no way to train them was given"


@dataclass(frozen=True)
class ModelAttack:
    """What an attack on a model found.

    ``findings`` have an attack as target, ``model`` for the one that does worst, or a group.
    ``people_at_risk`` is for the house alone: columns ``metric``, ``evidence_id`` (random, drawn anew each
    time) and ``risk``, a row for each member and the greatest risks first. The risk is the share of people
    not taught who look less like members by the attack that does worst.
    """

    findings: tuple[Finding, ...]
    people_at_risk: pl.DataFrame


def attack_model(
    model: Any,
    features: Any,
    labels: Sequence[Any] | NDArray[Any],
    members: Sequence[bool] | NDArray[np.bool_],
    *,
    train: Train | None = None,
    shadows: int = 32,
    groups: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 0,
) -> ModelAttack:
    """Try to tell whom a classifier was taught with from people of the same kind whom it never saw.

    Four attacks: a threshold on the loss (Yeom et al. 2018), which is the baseline; LiRA with shadow models
    that were taught the person and not (Carlini et al. 2022, arXiv 2112.03570), and with the latter alone;
    RMIA (Zarifzadeh, Liu & Shokri 2024, arXiv 2312.03262).

    Args:
        model: fitted, with ``predict_proba`` and ``classes_``, as scikit-learn's classifiers.
        features: of everybody in question, n rows: an array, a sparse matrix, a pandas or Polars frame.
        labels: shape (n,).
        members: shape (n,), who was taught. About as many others as members make the strongest test; 437
            others are needed for a figure at 1 % false alarms, 4,380 for 0.1 %.
        train: from features, labels and a seed to a fitted model, as the attacked one was made.
            Without it there is the loss threshold alone, which misses nearly everything.
        shadows: how many models to train, each on as many people as there are members.
        groups: for each name a label for each person, shape (n,); members are compared by group.
        seed: of the shadow models; the same seed gives the same findings.

    Raises:
        InputError: ``usage`` for lengths that differ, nobody on one side, too few shadows, or a model that
            gives no probabilities.
    """
    truth, inside = np.asarray(labels), np.asarray(members, dtype=bool)
    _check(features, truth, inside, groups or {})
    key = derive(bytes(32), "model-membership", str(seed))
    scores = _scores(model, features, truth, inside, train, shadows, key)
    ways = {way: Scored(found[inside], found[~inside], derive(key, way)) for way, found in scores.items()}
    audit = _Audit(ways, int(inside.sum()), int((~inside).sum()), shadows if train is not None else 0)
    by_group = {name: pl.Series(name, list(found)) for name, found in (groups or {}).items()}
    findings = (*audit.findings(), *audit.by_group(by_group, inside))
    return ModelAttack(findings, audit.people_at_risk())


def _check(
    features: Any, truth: NDArray[Any], inside: NDArray[np.bool_], groups: Mapping[str, Sequence[Any]]
) -> None:
    rows = features.shape[0] if hasattr(features, "shape") else len(features)
    lengths = {rows, len(truth), len(inside), *(len(found) for found in groups.values())}
    if len(lengths) != 1 or truth.ndim != 1 or inside.ndim != 1:
        raise InputError("usage", "features, labels, members and groups are not of the same people")
    if not inside.any() or inside.all():
        raise InputError(
            "usage",
            "there is nobody on one side: members and others are both needed",
            remedy="add people of the same kind who were not taught",
        )


def _scores(
    model: Any,
    features: Any,
    truth: NDArray[Any],
    inside: NDArray[np.bool_],
    train: Train | None,
    shadows: int,
    key: bytes,
) -> dict[str, NDArray[np.float64]]:
    target = told(model, features, truth)
    if train is None:
        return {LOSS: target.confidence}
    taught = teach(train, features, truth, int(inside.sum()), shadows, key)
    return {
        LOSS: target.confidence,
        LIRA: likelihood_ratio(target, taught),
        OFFLINE: surprise(target, taught),
        RELATIVE: relative(target, taught),
    }


@dataclass(frozen=True)
class _Audit:
    """The scores of every attack, and how many people and shadow models they rest on."""

    ways: Mapping[str, Scored]
    members: int
    others: int
    shadows: int

    @property
    def assumes(self) -> str:
        """What the attacker has."""
        trained = f" and {self.shadows} models trained in the same way" if self.shadows else ""
        return f"the model's probabilities, features and label of each person in question{trained}"

    def figure(self, metric: str, way: str, level: float = LEVEL) -> Figure:
        """One figure of one attack."""
        scored = self.ways[way]
        if metric in _RATES:
            return scored.recognized(_RATES[metric], level)
        return scored.auc(level) if metric == "model.auc" else scored.advantage(level)

    def worst(self, metric: str) -> tuple[str, Figure]:
        """The attack that does worst by the bad end of its interval, which holds for the choice."""
        level = 1 - (1 - LEVEL) / len(self.ways)
        figures = {way: self.figure(metric, way, level) for way in self.ways}
        worst = max(figures, key=lambda way: figures[way].high if math.isfinite(figures[way].high) else 2.0)
        return worst, figures[worst]

    def findings(self) -> Iterator[Finding]:
        """Each figure of the worst attack and of each; attacks that need shadow models are not left out."""
        for metric in _BASELINES:
            worst, figure = self.worst(metric)
            yield self._finding(metric, figure, MODEL, f"{worst}, the worst of {len(self.ways)}; ")
            for way in (LOSS, LIRA, OFFLINE, RELATIVE):
                if way in self.ways:
                    yield self._finding(metric, self.figure(metric, way), way, "")
                else:
                    yield REPORT.silent(metric, "not-measured", _NO_SHADOWS, target=way)

    def _finding(self, metric: str, figure: Figure, target: str, chosen: str) -> Finding:
        rate = _RATES.get(metric)
        n = self.members if rate is not None else min(self.members, self.others)
        if not all(map(math.isfinite, figure)):
            needed = f"at least {least_outside(rate)} are needed" if rate is not None else "they are too few"
            note = f"about {round_count(self.others)} people were not taught: {needed}"
            return REPORT.silent(metric, "no-power", note, target=target, n=n, assumes=self.assumes)
        return REPORT.measured(
            metric,
            figure,
            n,
            target=target,
            baseline=_BASELINES[metric],
            control=rate,
            assumes=self.assumes,
            note=f"{chosen}about {round_count(self.members)} people taught and "
            f"{round_count(self.others)} not",
        )

    def by_group(self, groups: Mapping[str, pl.Series], inside: NDArray[np.bool_]) -> Iterator[Finding]:
        """Members recognized at 1 % by group, by the attack that does worst, at one threshold for all."""
        metric = "model.tpr_at_1"
        worst, figure = self.worst(metric)
        if not math.isfinite(figure.value):
            for column in groups:
                note = f"fewer than {least_outside(_RATES[metric])} people were not taught"
                yield REPORT.silent("model.disparity", "no-power", note, target=column, assumes=self.assumes)
            return
        claimed = self.ways[worst].claimed(_RATES[metric])
        for column, series in groups.items():
            yield from self._of_column(column, series, claimed, inside)

    def _of_column(
        self, column: str, series: pl.Series, claimed: NDArray[np.float64], inside: NDArray[np.bool_]
    ) -> Iterator[Finding]:
        grouping = Grouping.fit(series)
        group = grouping.of(series)[inside]
        figures: list[tuple[Figure, int]] = []
        for number, target in enumerate(grouping.targets()):
            chosen = claimed[group == number]
            if len(chosen) >= LEAST_PEOPLE:
                figures.append((wilson(float(chosen.mean()), len(chosen)), len(chosen)))
                yield REPORT.measured(
                    "model.tpr_at_1", *figures[-1], target=target, assumes=self.assumes, baseline=0.01
                )
            elif len(chosen):
                yield REPORT.silent(
                    "model.tpr_at_1", "no-power", FEW, target=target, n=len(chosen), assumes=self.assumes
                )
        if len(figures) < 2:
            yield REPORT.silent("model.disparity", "no-power", ONE_GROUP, target=column, assumes=self.assumes)
            return
        most = max(figures, key=lambda found: found[0].value)
        least = min(figures, key=lambda found: found[0].value)
        yield REPORT.measured(
            "model.disparity",
            newcombe(most[0], least[0]),
            min(most[1], least[1]),
            target=column,
            assumes=self.assumes,
        )

    def people_at_risk(self) -> pl.DataFrame:
        """The share of others who score below each member, by the attack that does worst."""
        worst, figure = self.worst("model.tpr_at_1")
        if not math.isfinite(figure.value):
            worst, _ = self.worst("model.auc")
        scored = self.ways[worst]
        below = np.searchsorted(np.sort(scored.others), scored.members, side="left") / len(scored.others)
        table = pl.DataFrame(
            {
                "metric": ["model.tpr_at_1"] * len(below),
                "evidence_id": [secrets.token_hex(8) for _ in below],
                "risk": below,
            }
        )
        return table.sort(["risk", "evidence_id"], descending=[True, False])
