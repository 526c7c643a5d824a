"""The gate: findings and thresholds in, a decision out. It fails closed and cannot be talked round.

A threshold is passed only by a measured finding with enough people behind it, and by the unfavourable
end of its interval. A finding that is missing, errored or had no power to tell passes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.core.values import Decision, Finding, Reason
from sfumato.policy.model import Policy, Threshold

#: What every release is held to, whatever its policy says: nobody may be picked out of their class
#: with more than one chance in five. A class has at least five people however small the table is.
FLOOR = (Threshold(metric="risk.worst_class", at_most=0.2, least_n=1),)


def thresholds(policy: Policy) -> tuple[Threshold, ...]:
    """The policy's thresholds, and those of the floor that none of them replaces.

    A threshold of the policy replaces the floor's on the same figure if it asks as much, or if a named
    person approved that it asks less.
    """
    asked = {(threshold.metric, threshold.target) for threshold in policy.gate}
    floor = tuple(
        bound
        for bound in FLOOR
        if (bound.metric, bound.target) not in asked
        or (loosened(policy, bound) is not None and not is_approved(policy, bound))
    )
    return (*floor, *policy.gate)


def loosened(policy: Policy, bound: Threshold) -> Threshold | None:
    """The policy's threshold that asks less than the floor's ``bound``, if there is one."""
    for threshold in policy.gate:
        if (
            threshold.metric == bound.metric
            and threshold.target == bound.target
            and _asks_less(threshold, bound)
        ):
            return threshold
    return None


def is_approved(policy: Policy, bound: Threshold) -> bool:
    """Whether a named person answers for asking less than the floor."""
    return policy.approved(f"gate {bound.metric}")


def decide(policy: Policy, findings: Sequence[Finding]) -> Decision:
    """The decision on findings, with a reason for every threshold."""
    reasons = tuple(_judge(threshold, findings) for threshold in thresholds(policy))
    return Decision(passed=all(reason.passed for reason in reasons), reasons=reasons)


def _asks_less(threshold: Threshold, bound: Threshold) -> bool:
    if bound.at_most is not None:
        return threshold.at_most is None or threshold.at_most > bound.at_most
    return threshold.at_least is None or (bound.at_least is not None and threshold.at_least < bound.at_least)


def _judge(threshold: Threshold, findings: Sequence[Finding]) -> Reason:
    met = [f for f in findings if f.metric == threshold.metric and f.target == threshold.target]
    passed, words = _words(threshold, met)
    return Reason(
        metric=threshold.metric, target=threshold.target, threshold=str(threshold), passed=passed, words=words
    )


def _words(threshold: Threshold, met: Sequence[Finding]) -> tuple[bool, str]:
    if not met:
        return False, "nothing measured it"
    if len(met) > 1:
        return False, "it was measured more than once, and none of the figures is the one to judge by"
    (finding,) = met
    if finding.status != "measured" or finding.value is None:
        return (
            False,
            f"{finding.status.replace('-', ' ')}: {finding.note}" if finding.note else "not measured",
        )
    if finding.n < threshold.least_n:
        return False, f"it rests on too few people: at least {threshold.least_n} are asked for"
    worst = finding.high if threshold.at_most is not None else finding.low
    if worst is None:
        return False, "it has no interval, so its unfavourable end is unknown"
    end = "" if finding.low == finding.high else " at the unfavourable end of its interval"
    if threshold.at_most is not None:
        passed = worst <= threshold.at_most
        return passed, f"{worst:.4g}{end} is {'within' if passed else 'above'} {threshold.at_most:g}"
    assert threshold.at_least is not None
    passed = worst >= threshold.at_least
    return passed, f"{worst:.4g}{end} {'reaches' if passed else 'is below'} {threshold.at_least:g}"
