"""The gate: findings and thresholds in, a decision out. It fails closed and cannot be talked round.

A threshold is passed only by a measured finding with enough people behind it, and by the unfavourable
end of its interval. A finding that is missing, errored or had no power to tell passes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.core.values import Decision, Finding, Reason
from sfumato.evidence import UNGATED
from sfumato.policy.measured import Threshold
from sfumato.policy.model import Policy

#: What every release is held to, whatever its policy says: nobody may be picked out of their class
#: with more than one chance in five. A class has at least five people however small the table is.
FLOOR = (Threshold(metric="risk.worst_class", at_most=0.2, least_n=1),)

#: What a release is held to beside these if others of the same people left before it: nobody may be
#: picked out of those who share their classes in all of them with more than one chance in five, and a
#: promise must hold where pseudonyms join releases. A named person may answer for a composition whatever
#: it is (an approval without a threshold), for it may be that nobody can measure it.
COMPOSED = (
    Threshold(metric="composition.worst_class", at_most=0.2, least_n=1),
    Threshold(metric="composition.joined_broken", at_most=0.0, least_n=1),
)
#: What people's own rows are held to if made rows of the same people left before, and the other way round:
#: who holds both may guess people who taught the synthesizer hardly better than others. A bound that fresh
#: people pass, and rows that know every other person by heart do not; exact copies have one of their own.
BOTH = (Threshold(metric="composition.both_excess", at_most=0.075, least_n=1),)
#: What a release under differential privacy is held to instead: beyond an epsilon of 10 the guarantee says
#: little of anybody (Ponomareva et al., *How to DP-fy ML*, JAIR 77, 2023, section 5.2).
PRIVATE_FLOOR = (
    Threshold(metric="dp.epsilon", at_most=10.0, least_n=1),
    Threshold(metric="dp.delta", at_most=1e-5, least_n=1),
)
#: What rows that were made are held to: they may repeat the people who taught the synthesizer, or come very
#: near to them, hardly more often than people who did not, and may not tell who taught it. Bounds that fresh
#: people pass, and one copy in a hundred does not.
MADE_FLOOR = (
    Threshold(metric="copies.excess", at_most=0.0075, least_n=1000),
    Threshold(metric="copies.close_excess", at_most=0.01, least_n=1000),
    Threshold(metric="membership.tpr_at_1_all_columns", at_most=0.1, least_n=1000),
)
#: What histories that were made are held to besides: they may not be a person's but for dates, items or
#: amounts; and without differential privacy, which bounds that, none may reach where ten people do not.
RETOLD_FLOOR = (
    Threshold(metric="retelling.excess", at_most=0.0075, least_n=1000),
    Threshold(metric="retelling.close_excess", at_most=0.01, least_n=1000),
)
#: What images that were made are held to, by pixels and by features: hardly more of them may be copies than
#: chance makes, hardly anybody may be copied, and nearness may hardly tell whose images taught. Bounds that
#: fresh images pass. Which of two images a made one is nearer to is not among them: where made images crowd
#: around a few people's, it hangs on the side of the draw that these are on.
_SPACES = ("pixels", "features")
IMAGES_FLOOR = tuple(
    Threshold(metric=metric, target=space, at_most=most, least_n=least)
    for metric, most, least in (
        ("images.copies_excess", 0.01, 300),
        ("images.repeated_excess", 0.01, 300),
        ("images.members_auc", 0.6, 300),
    )
    for space in _SPACES
)
#: The same of all rows made of the same people without differential privacy, if some left before.
COMPOSED_MADE = (
    Threshold(metric="composition.copies_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="composition.copies_close_excess", at_most=0.01, least_n=1000),
)
COMPOSED_RETOLD = (
    Threshold(metric="composition.retelling_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="composition.retelling_close_excess", at_most=0.01, least_n=1000),
)
COMPOSED_IMAGES = tuple(
    Threshold(metric="composition.copies_excess", target=space, at_most=0.01, least_n=300)
    for space in _SPACES
)
#: What several tables that were made are held to besides: they may repeat no person's rows in one of them,
#: whatever they say of the person elsewhere; and none may have what ten people do not reach.
RELATED_FLOOR = (
    Threshold(metric="relations.rows_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="relations.whole_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="relations.close_excess", at_most=0.01, least_n=1000),
)
COMPOSED_RELATED = (
    Threshold(metric="composition.relations_rows_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="composition.relations_whole_excess", at_most=0.0075, least_n=1000),
    Threshold(metric="composition.relations_close_excess", at_most=0.01, least_n=1000),
)
BEYOND_RELATED = (Threshold(metric="relations.beyond", at_most=0.001, least_n=1),)
BEYOND_FLOOR = (Threshold(metric="retelling.beyond", at_most=0.001, least_n=1),)
#: Figures on earlier releases, which the first one of its people does not have.
_COMPOSITION = "composition."
#: Those of them on releases of the other kind.
_WITH_OTHERS = "composition.both_"


def thresholds(policy: Policy, earlier: int = 0, others: int = 0) -> tuple[Threshold, ...]:
    """The policy's thresholds, and those of the floor that none of them replaces.

    A threshold of the policy replaces the floor's on the same figure if it asks as much, or if a named
    person approved that it asks less.

    Args:
        earlier: how many releases of the same people left before that are of the kind of this one (people's
            own rows, or made rows); without any there is no composition of these.
        others: how many of the other kind.
    """
    bounds = floors(policy, earlier, others)
    floor = tuple(bound for bound in bounds if not _replaced(policy, bound))
    counted = {True: others, False: earlier}
    own = (
        t
        for t in policy.gate
        if not t.metric.startswith(_COMPOSITION) or counted[t.metric.startswith(_WITH_OTHERS)]
    )
    return (*floor, *own)


def floors(policy: Policy, earlier: int = 0, others: int = 0) -> tuple[Threshold, ...]:
    """The built-in bounds that a policy's release is held to."""
    if policy.dp is not None:
        return PRIVATE_FLOOR
    if policy.synthesis is not None:
        told = policy.synthesis.history is not None
        images = policy.synthesis.images is not None
        tables = bool(policy.tables)
        alone = (*MADE_FLOOR, *(RETOLD_FLOOR if told else ()), *(RELATED_FLOOR if tables else ()))
        alone = IMAGES_FLOOR if images else alone
        if policy.synthesis.dp is not None:
            return (*PRIVATE_FLOOR, *alone)
        rows = (*COMPOSED_MADE, *(COMPOSED_RETOLD if told else ()), *(COMPOSED_RELATED if tables else ()))
        joint = rows if earlier else ()
        joint = COMPOSED_IMAGES if images and earlier else joint
        beyond = (*(BEYOND_FLOOR if told else ()), *(BEYOND_RELATED if tables else ()))
        return (*alone, *beyond, *joint, *(BOTH if others else ()))
    return (*FLOOR, *(COMPOSED if earlier else ()), *(BOTH if others else ()))


def _replaced(policy: Policy, bound: Threshold) -> bool:
    """Whether the policy's own word stands instead of the floor's ``bound``."""
    if is_approved(policy, bound) and bound.metric.startswith(_COMPOSITION):
        return True
    asked = any(own.metric == bound.metric and own.target == bound.target for own in policy.gate)
    return asked and (loosened(policy, bound) is None or is_approved(policy, bound))


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


def decide(policy: Policy, findings: Sequence[Finding], earlier: int = 0, others: int = 0) -> Decision:
    """The decision on findings, with a reason for every threshold; the counts as for :func:`thresholds`."""
    reasons = tuple(_judge(threshold, findings) for threshold in thresholds(policy, earlier, others))
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
    if threshold.metric in UNGATED:
        return False, "it is a figure of plausibility, and no evidence that anything may leave by"
    if not met:
        return False, "nothing measured it"
    if len(met) > 1:
        return False, "it was measured more than once, and none of the figures is the one to judge by"
    (finding,) = met
    if finding.status not in ("measured", "proven") or finding.value is None:
        return (
            False,
            f"{finding.status.replace('-', ' ')}: {finding.note}" if finding.note else "not measured",
        )
    if finding.status == "measured" and finding.n < threshold.least_n:
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
