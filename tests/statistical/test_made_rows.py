"""Made rows over many keys: fresh people raise few alarms, and what leaks or is broken is caught.

Every test of an interval declares ALPHA, the chance that it fails where all is well: of independent runs no
more may miss than the binomial quantile at the interval's own error allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from evidence_support import one
from made_support import (
    Maker,
    bootstrap,
    comparison,
    copier,
    copying,
    fresh,
    independent,
    jittered,
    overfitted,
    trifling,
)
from sfumato.core.values import Finding
from sfumato.evidence import learners
from sfumato.evidence.attacks import density
from sfumato.evidence.intervals import clopper_pearson, exact_difference
from sfumato.evidence.run import measure

pytestmark = pytest.mark.statistical

ALPHA = 1e-6
RUNS = 30
PEOPLE = 1000
#: What made rows are held to: at the unfavourable end of the interval.
BOUNDS = {"copies.excess": 0.0075, "copies.close_excess": 0.01, "membership.tpr_at_1": 0.1}
EXCESSES = (
    "copies.excess",
    "copies.few_excess",
    "copies.known_excess",
    "copies.close_excess",
    "copies.near_excess",
)
USES: dict[str, dict] = {
    **{name: {} for name in ("distributions", "correlations", "marginals")},
    "learning": {"models": [], "floor": False, "resamples": 100},
}


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density, "_TREES", 6)
    monkeypatch.setattr(learners, "BAGS", 1)


def attacked(make: Maker, people: int, control: int, seed: int) -> list[Finding]:
    return measure(comparison(make, people, control, seed), {"membership": {}})


def refused(findings: Sequence[Finding]) -> bool:
    return any(one(findings, metric).high > bound for metric, bound in BOUNDS.items())


def test_the_exact_difference_covers_and_one_that_takes_the_control_for_known_does_not() -> None:
    draw, runs, n, m, p = np.random.default_rng(0), 2000, 1000, 500, 0.01
    missed = broken = 0
    for _ in range(runs):
        first, second = int(draw.binomial(n, p)), int(draw.binomial(m, p))
        figure = exact_difference(first, n, second, m)
        missed += not figure.low <= 0 <= figure.high
        alone = clopper_pearson(first, n)
        broken += not alone.low <= second / m <= alone.high
    assert missed <= binom.ppf(1 - ALPHA, runs, 0.05)
    assert broken > binom.ppf(1 - ALPHA, runs, 0.05)


def test_fresh_people_raise_no_more_alarms_than_declared() -> None:
    alarms = dict.fromkeys((*EXCESSES, "copies.excess", "copies.extremes", "membership.tpr_at_1"), 0)
    turned_away = 0
    for seed in range(RUNS):
        found = attacked(fresh, PEOPLE, PEOPLE, seed)
        for metric in alarms:
            finding = one(found, metric)
            chance = 0.01 if metric == "membership.tpr_at_1" else 0.0
            alarms[metric] += finding.low is not None and finding.low > chance
        turned_away += refused(found)
    assert max(alarms.values()) <= binom.ppf(1 - ALPHA, RUNS, 0.025)
    # Of a thousand people and a thousand held out fewer than one in twenty are turned away.
    assert turned_away <= binom.ppf(1 - ALPHA, RUNS, 0.05)


@pytest.mark.parametrize("make", [copying(0.01), trifling(0.01), copier, bootstrap, jittered, overfitted])
def test_whatever_repeats_people_is_refused_at_every_key(make: Maker) -> None:
    assert all(refused(attacked(make, PEOPLE, PEOPLE, seed)) for seed in range(5))


def test_one_copied_row_in_twenty_is_seen_by_the_membership_attack() -> None:
    values = []
    for seed in range(6):
        finding = one(attacked(copying(0.05), 2000, 2000, seed), "membership.tpr_at_1")
        values.append(finding.value)
        assert finding.low > 0.01
    assert np.mean(values) >= 0.05


def test_what_was_learned_by_heart_is_seen_by_the_membership_attack() -> None:
    for make, least in ((jittered, 0.3), (overfitted, 0.1)):
        for seed in range(4):
            assert one(attacked(make, PEOPLE, PEOPLE, seed), "membership.tpr_at_1").value > least


def test_without_power_nothing_passes() -> None:
    for seed in range(6):
        found = attacked(fresh, 400, 400, seed)
        assert one(found, "copies.excess").high > BOUNDS["copies.excess"]
        assert one(found, "membership.tpr_at_1").status == "no-power"


def test_a_broken_dependence_is_caught_and_a_whole_one_is_not_called_broken() -> None:
    alarms = dict.fromkeys(("correlations.error", "marginals.two", "marginals.three"), 0)
    runs = 5
    for seed in range(runs):
        broken, whole = (measure(comparison(make, 1200, 1200, seed), USES) for make in (independent, fresh))
        for metric in alarms:
            assert one(broken, metric).low > one(broken, metric).control
            alarms[metric] += one(whole, metric).low > 1.25 * one(whole, metric).control
        assert one(broken, "learning.skill_ratio").high < 0.5
        assert one(whole, "learning.skill_ratio").low > 0.7
        # Every column by itself is right all the same.
        assert one(broken, "distributions.tv").value < 2 * one(broken, "distributions.tv").control
    assert max(alarms.values()) <= binom.ppf(1 - ALPHA, runs, 0.025)


def test_a_classifier_with_interactions_tells_a_broken_dependence() -> None:
    broken, whole = (
        one(measure(comparison(make, 1000, 1000, 0), {"propensity": {}}), "propensity.auc")
        for make in (independent, fresh)
    )
    # The area's interval is of five parts: it is above chance where all is well at one key in forty.
    assert broken.low > broken.control + 0.1
    assert whole.low <= 0.5 + 0.02
