"""What is wanted of a policy: the figures to make small or large, and what must hold.

A figure is one that the policy's own evidence measures, or one that its plan alone gives. What must hold is
judged as the gate judges: by the unfavourable end of the interval, and a figure that is not there holds
nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from sfumato.core.errors import InputError, nearest
from sfumato.core.values import Finding, Goal, Unit, Value
from sfumato.evidence import ATTACKS, UNGATED, probe
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.evidence.made import rowwise
from sfumato.gate import thresholds
from sfumato.policy.checks import unasked
from sfumato.policy.model import Policy

#: Figures that need no evidence: goal, unit.
PLANNED: Mapping[str, tuple[Goal, Unit]] = {
    "plan.suppressed": ("low", "share"),
    "plan.smallest_class": ("high", "people"),
    "plan.classes": ("high", "classes"),
}
#: What is made small and large where nobody says, the first that the policy's evidence measures.
RISKS = (
    "linkage.success",
    "singling_out.excess",
    "attribute_inference.excess",
    "membership.advantage",
    "risk.marketer",
)
#: The same where rows are made, and where an epsilon bounds them.
MADE_RISKS = ("singling_out.excess", "attribute_inference.excess", "membership.advantage", "copies.excess")
PRIVATE_RISKS = ("dp.epsilon",)
#: One of each: what a model learns of the target, and how columns go together or what is told of each. Full
#: generalization leaves every marginal as it is, so marginals come last.
USES = (
    ("learning.skill_ratio",),
    ("correlations.error", "distributions.precision", "marginals.two", "distributions.tv"),
)
#: Probes whose figures rest on everybody who is held out: of twice the people intervals are narrower.
_ON_HELD_OUT = ("learning", "fairness")
#: Probes whose figures miss a column that is left out; those of others are means over the columns that stay.
_MISSING_COLUMNS = ("learning",)
_BOUNDED: tuple[Unit, ...] = ("share", "probability", "auc")
_LIMIT = re.compile(
    r"^\s*(?P<metric>[^=@\s]+)(?:@(?P<target>.+))?\s*=\s*(?P<bound>[^\s%]+)\s*(?P<share>%?)\s*$"
)


Side = Literal["risk", "use"]


class Aim(Value):
    """A figure to be made as small or as large as can be; which of them, its goal says."""

    metric: str
    target: str = "release"
    goal: Goal
    unit: Unit
    side: Side

    @property
    def name(self) -> str:
        """The metric, with its target where that is not the whole release."""
        return self.metric if self.target == "release" else f"{self.metric} on {self.target}"

    def gain(self, one: float, other: float) -> float:
        """How much better ``one`` is than ``other``, in the figure's unit."""
        return other - one if self.goal == "low" else one - other


class Verdict(NamedTuple):
    """Whether something holds; ``short`` is by how much it does not, in the figure's unit, or None."""

    holds: bool
    short: float | None
    words: str


class Limit(Value):
    """Something that must hold.

    ``of_original`` has the bound count as a share of the same figure on the original. ``origin`` says who
    asks: the ``user``, the policy's ``gate`` or the house's ``floor``.
    """

    metric: str
    target: str = "release"
    at_most: float | None = None
    at_least: float | None = None
    of_original: bool = False
    least_n: int = 1
    origin: Literal["user", "gate"] = "user"

    def __str__(self) -> str:
        word, bound = ("at most", self.at_most) if self.at_most is not None else ("at least", self.at_least)
        assert bound is not None
        told = f"{100 * bound:g} % of the original's" if self.of_original else f"{bound:g}"
        return f"{self.metric} {word} {told}" + ("" if self.target == "release" else f" on {self.target}")

    def judge(self, finding: Finding | None, people: float = 1.0) -> Verdict:
        """Whether a finding lets it hold; ``people`` is the share of all people that were looked at.

        What must hold is to hold of a release of all of them, so the interval and the least n are theirs.
        """
        if finding is None:
            return Verdict(False, None, "nothing measured it")
        if finding.status not in ("measured", "proven") or None in (finding.value, finding.low, finding.high):
            return Verdict(False, None, finding.note or finding.status.replace("-", " "))
        if finding.status == "measured" and finding.n < math.ceil(self.least_n * people):
            return Verdict(False, None, f"it rests on {finding.n:,} people, which is too few")
        scale = 1.0
        if self.of_original:
            if not finding.before or finding.before <= 0:
                return Verdict(False, None, "the original has no such figure")
            scale = finding.before
        low, high = _as_of_all(finding, people)
        worst = (high if self.at_most is not None else low) / scale
        bound = self.at_most if self.at_most is not None else self.at_least
        assert bound is not None
        short = worst - bound if self.at_most is not None else bound - worst
        told = f"{worst:.4g}" + ("" if finding.low == finding.high else " at the unfavourable end")
        return Verdict(short <= 0, max(0.0, short), f"{told}, {self}")

    def is_hopeless(self, finding: Finding | None) -> bool:
        """Whether even the favourable end of the interval is beyond twice, or below half, what is allowed."""
        if finding is None or finding.low is None or finding.high is None:
            return False
        scale = (finding.before or 1.0) if self.of_original else 1.0
        if self.at_most is not None:
            return self.at_most > 0 and finding.low / scale > 2 * self.at_most
        assert self.at_least is not None
        return self.at_least > 0 and finding.high / scale < self.at_least / 2


class Aims(Value):
    """Everything that is wanted. With limits of the user the best policy is the most useful one that holds
    them; else it is the one that gains most over the given policy on the axis where it gains least."""

    aims: tuple[Aim, ...]
    limits: tuple[Limit, ...]

    @property
    def asked(self) -> bool:
        """Whether the user said what must hold."""
        return any(limit.origin == "user" for limit in self.limits)

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Metric and target of every figure that is asked for."""
        wanted = [(aim.metric, aim.target) for aim in self.aims]
        return tuple(dict.fromkeys([*wanted, *((limit.metric, limit.target) for limit in self.limits)]))

    @property
    def counts_dropped(self) -> bool:
        """Whether a column that is left out makes every aim of use worse if it was of use."""
        missing = {metric for name in _MISSING_COLUMNS for metric in probe(name).metrics}
        return all(aim.metric in missing for aim in self.aims if aim.side == "use")

    def probes(self, policy: Policy) -> dict[str, dict[str, Any]]:
        """The probes that measure what is wanted, with the policy's parameters, and no other."""
        wanted = {metric for metric, _ in self.places}
        every = every_probe(policy).items()
        return {name: params for name, params in every if wanted & set(probe(name).metrics)}


def aims_of(
    policy: Policy, minimize: Sequence[str] = (), maximize: Sequence[str] = (), limits: Iterable[Limit] = ()
) -> Aims:
    """What is wanted: as the user says, else a risk and a use that the policy's evidence measures.

    What the policy's gate and the floor ask must hold in any case.

    Raises:
        InputError: ``policy-mismatch`` without evidence, ``unknown-name`` for a figure that nothing
            measures, ``usage`` for aims and limits that cannot be meant.
    """
    if policy.evidence is None:
        raise InputError(
            "policy-mismatch",
            "the policy has no evidence section, so nothing would be measured to choose by",
            where="evidence",
            remedy="add one: evidence: {attacks: [linkage], utility: [learning]}",
        )
    known = _known(policy)
    named = [(name, "low") for name in minimize] + [(name, "high") for name in maximize]
    aims = [_aim(name, goal, known) for name, goal in named]
    for side, groups in (("risk", (_risks(policy),)), ("use", USES)):
        if not any(aim.side == side for aim in aims):
            firsts = (next((name for name in group if name in known), None) for group in groups)
            aims += [_aim(name, known[name][0], known) for name in firsts if name is not None]
    aims.sort(key=lambda aim: aim.side)
    if {aim.side for aim in aims} != {"risk", "use"}:
        raise InputError(
            "policy-mismatch",
            "the policy's evidence measures no utility, so there is nothing to weigh risk against",
            where="evidence.utility",
            remedy="add a measure: utility: [correlations, learning]",
        )
    asked = [_checked(limit, known) for limit in limits]
    _refuse_contradictions(asked)
    gate = [
        Limit(
            origin="gate",
            **threshold.model_dump(include={"metric", "target", "at_most", "at_least", "least_n"}),
        )
        for threshold in thresholds(policy)
    ]
    return Aims(aims=tuple(dict.fromkeys(aims)), limits=(*asked, *gate))


def always(policy: Policy) -> tuple[str, ...]:
    """The probes that run unasked."""
    return unasked(policy)


def every_probe(policy: Policy) -> dict[str, dict[str, Any]]:
    """All probes of a policy with their parameters, those that run unasked first."""
    parts = {} if policy.evidence is None else {p.name: p.params for p in policy.evidence.probes()}
    return {**{name: {} for name in always(policy)}, **parts}


def _risks(policy: Policy) -> tuple[str, ...]:
    if policy.synthesis is None:
        return RISKS
    return MADE_RISKS if policy.synthesis.dp is None else PRIVATE_RISKS


def limit_from(written: str, word: Literal["at_most", "at_least"]) -> Limit:
    """A limit as the command line has it.

    Raises:
        InputError: ``usage``.

    >>> str(limit_from("learning.auc=97%", "at_least"))
    "learning.auc at least 97 % of the original's"
    """
    found = _LIMIT.match(written)
    bound = _number(found["bound"]) if found else None
    if found is None or bound is None:
        raise InputError(
            "usage",
            "a limit is a figure and a number",
            where=f"--{word.replace('_', '-')} {written}",
            remedy="such as linkage.excess=0.05, fairness.auc@white=0=0.7, or learning.auc=97% (of before)",
        )
    share = bool(found["share"])
    bound = bound / 100 if share else bound
    return Limit(
        metric=found["metric"],
        target=found["target"] or "release",
        at_most=bound if word == "at_most" else None,
        at_least=bound if word == "at_least" else None,
        of_original=share,
    )


def _as_of_all(finding: Finding, people: float) -> tuple[float, float]:
    """The interval that the figure would have if all people were looked at, and not a share of them.

    Only where the figure rests on everybody who is held out; samples of a fixed size stay what they are.
    """
    assert finding.value is not None
    assert finding.low is not None
    assert finding.high is not None
    narrower = math.sqrt(people) if finding.source in _ON_HELD_OUT else 1.0
    value = finding.value
    return value - narrower * (value - finding.low), value + narrower * (finding.high - value)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _known(policy: Policy) -> dict[str, tuple[Goal, Unit, str]]:
    """Every figure that the policy's evidence or plan gives: goal, unit, and the probe."""
    found: dict[str, tuple[Goal, Unit, str]] = {
        name: (goal, unit, "plan") for name, (goal, unit) in PLANNED.items()
    }
    parts = policy.evidence.probes() if policy.evidence is not None else ()
    if policy.synthesis is not None and policy.synthesis.dp is not None:
        found |= {
            metric: (goal, GUARANTEE.units[metric], "dp") for metric, (goal, _) in GUARANTEE.metrics.items()
        }
    for name in dict.fromkeys((*always(policy), *(part.name for part in parts))):
        kind = probe(name)
        units = getattr(kind, "units", {})
        never = frozenset() if policy.synthesis is None else rowwise(kind)
        found |= {
            metric: (goal, units.get(metric, "ratio"), name)
            for metric, (goal, _) in kind.metrics.items()
            if metric not in never
        }
    return {metric: told for metric, told in found.items() if metric not in UNGATED}


def _aim(name: str, goal: str, known: Mapping[str, tuple[Goal, Unit, str]]) -> Aim:
    metric, _, target = name.partition("@")
    good, unit, source = _entry(metric, known)
    if good != goal:
        word, other = ("minimized", "maximize") if goal == "low" else ("maximized", "minimize")
        raise InputError(
            "usage",
            f'"{metric}" is good when it is {"high" if good == "high" else "low"}, and is to be {word}',
            remedy=f"name it under {other}",
        )
    side: Side = "risk" if source in ATTACKS or source == "dp" else "use"
    return Aim(metric=metric, target=target or "release", goal=good, unit=unit, side=side)


def _entry(metric: str, known: Mapping[str, tuple[Goal, Unit, str]]) -> tuple[Goal, Unit, str]:
    if metric not in known:
        raise InputError(
            "unknown-name",
            f'nothing that this policy measures reports "{metric}"',
            remedy=nearest(metric, known),
        )
    return known[metric]


def _checked(limit: Limit, known: Mapping[str, tuple[Goal, Unit, str]]) -> Limit:
    goal, unit, _ = _entry(limit.metric, known)
    bound = limit.at_most if limit.at_most is not None else limit.at_least
    if bound is None or (limit.at_most is not None and limit.at_least is not None):
        raise InputError("usage", "a limit has either at_most or at_least", where=limit.metric)
    beyond = bound < 0 if limit.at_most is not None else bound > 1
    if unit in _BOUNDED and not limit.of_original and beyond:
        raise InputError("usage", f"no policy can hold {limit}: the figure is between 0 and 1")
    if (goal == "low") != (limit.at_most is not None):
        raise InputError(
            "usage",
            f'"{limit.metric}" is good when it is {goal}, and the limit asks for the contrary: {limit}',
            remedy="say at most of what is good when low, at least of what is good when high",
        )
    return limit


def _refuse_contradictions(limits: Sequence[Limit]) -> None:
    seen: set[tuple[str, str, bool]] = set()
    for limit in limits:
        place = (limit.metric, limit.target, limit.of_original)
        if place in seen:
            raise InputError("usage", f"there are two limits on {limit.metric}", remedy="leave one out")
        seen.add(place)
