"""What an audit says: a frozen value with its power, its verdict in words, and its findings for the gate."""

from __future__ import annotations

from typing import Literal

from sfumato.core.values import Finding, Value
from sfumato.evidence.intervals import LEVEL, clopper_pearson
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "audit",
    {
        "audit.epsilon_lower": Metric("low", "epsilon", "the least epsilon that the audit did not refute"),
        "audit.excess": Metric("low", "epsilon", "how far the refuted epsilon is above the claimed one"),
        "audit.power": Metric("high", "share", "audits that catch a quarter of the noise that is needed"),
        "audit.faults": Metric("low", "share", "checks of draws against charges that failed"),
    },
)

#: An audit that would miss a gross fault more often than not has said nothing.
LEAST_POWER = 0.5
#: The twin that an audit with power must find: a quarter of the noise.
GROSS = "a quarter of the noise"
HALVED = "half of the noise"
IDEAL = "all of the noise that is claimed"

Kind = Literal["mechanism", "training", "release", "instrumentation"]


class Power(Value):
    """How often the same audit finds a violation in a twin, out of so many trials.

    A twin with all its noise has none: the share there is that of false alarms.
    """

    twin: str
    caught: int
    trials: int

    @property
    def share(self) -> float:
        """The share of the trials."""
        return self.caught / self.trials


class Audit(Value):
    """What an audit of one claim found.

    ``epsilon_lower`` is proven at ``level``, one-sided: no mechanism that keeps the claim gives a larger
    figure than the claimed epsilon more often than in 1 - level of all audits. ``epsilon_estimate`` holds
    only under ``estimate_assumes`` and proves nothing. ``tested`` is the number of canaries or runs that the
    bound rests on, ``guesses`` how many of them were guessed and ``right`` how many rightly. ``faults`` are
    contradictions found by looking at what was drawn and charged, out of ``checks``.
    """

    kind: Kind
    what: str
    method: str
    claimed_epsilon: float
    claimed_delta: float
    relation: str = "add-remove"
    level: float = LEVEL
    epsilon_lower: float | None = None
    epsilon_estimate: float | None = None
    estimate_assumes: str = ""
    refuted_curve: bool = False
    p_value: float | None = None
    tested: int
    guesses: int = 0
    right: int = 0
    powers: tuple[Power, ...] = ()
    faults: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def violated(self) -> bool:
        """Whether the claim was proven wrong."""
        above = self.epsilon_lower is not None and self.epsilon_lower > self.claimed_epsilon
        return above or self.refuted_curve or bool(self.faults)

    @property
    def power(self) -> float | None:
        """How often a quarter of the noise is found; None if nobody tried."""
        return next((power.share for power in self.powers if power.twin == GROSS), None)

    @property
    def has_power(self) -> bool:
        """Whether silence means anything: statistics must find gross faults, looking at charges does."""
        return (self.power or 0.0) >= LEAST_POWER if self.powers else bool(self.checks)

    @property
    def verdict(self) -> str:
        """One sentence; an audit can prove a claim wrong, never right."""
        claim = f"epsilon {self.claimed_epsilon:.4g} at delta {self.claimed_delta:.3g}"
        if self.faults:
            return f"violation: {'; '.join(self.faults)}"
        if self.epsilon_lower is not None and self.epsilon_lower > self.claimed_epsilon:
            return (
                f"violation: {claim} is claimed, and epsilon is at least {self.epsilon_lower:.3g} "
                f"at a level of {100 * self.level:g} %"
            )
        if self.refuted_curve:
            level = f"{100 * self.level:g} %"
            return f"violation: the privacy curve of the charged event is refuted at a level of {level}"
        return f"no violation of {claim} found by {self.method}, {self._would_find()}"

    def _would_find(self) -> str:
        twins = [power for power in self.powers if power.twin != IDEAL]
        found = [f"{power.twin} in {100 * power.share:.3g} % of {power.trials} trials" for power in twins]
        found += [f"a failed check of {check}" for check in self.checks]
        return f"which would find {', '.join(found)}" if found else "whose power nobody measured"


def findings(audit: Audit, target: str = "release") -> list[Finding]:
    """An audit as findings; a gate that demands an audit asks for ``audit.excess`` of at most 0.

    An audit without the power to find gross faults makes no measured excess, unless it found a violation.
    """
    found = [_excess(audit), _power(audit)]
    if audit.epsilon_lower is not None:
        found.append(_measured("audit.epsilon_lower", Figure.counted(audit.epsilon_lower), audit))
    if audit.checks:
        share = min(1.0, len(audit.faults) / len(audit.checks))
        found.append(_measured("audit.faults", Figure.counted(share), audit))
    return [finding.model_copy(update={"target": target}) for finding in found]


def unaudited(why: str, target: str = "release") -> list[Finding]:
    """The findings where no audit was made, which pass no threshold."""
    metrics = ("audit.excess", "audit.power")
    return [REPORT.silent(metric, "not-measured", why, target=target) for metric in metrics]


def _excess(audit: Audit) -> Finding:
    metric = "audit.excess"
    if not audit.violated and not audit.has_power:
        return REPORT.silent(metric, "no-power", audit.verdict, n=audit.tested, assumes=audit.method)
    if audit.epsilon_lower is not None and not audit.faults and not audit.refuted_curve:
        excess = audit.epsilon_lower - audit.claimed_epsilon
    else:
        # How far a contradiction goes nobody knows; its sign is what a threshold meets.
        excess = 1.0 if audit.violated else 0.0
    return _measured(metric, Figure.counted(excess), audit)


def _power(audit: Audit) -> Finding:
    for power in audit.powers:
        if power.twin == GROSS:
            figure = clopper_pearson(power.caught, power.trials)
            return REPORT.measured("audit.power", figure, power.trials, assumes=audit.method)
    return REPORT.silent(
        "audit.power", "not-measured", "nobody tried the audit on a twin with too little noise"
    )


def _measured(metric: str, figure: Figure, audit: Audit) -> Finding:
    return REPORT.measured(metric, figure, audit.tested, assumes=audit.method, note=audit.verdict)
