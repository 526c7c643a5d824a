"""The search: one policy after another, each proposed from what the earlier ones came to.

It is asked for one policy at a time and told the figures, so a search of so many trials is the same every
time, and an interrupted one goes on as if it had not been: what was kept is proposed again, and told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.tuning.aims import Aim, Limit
from sfumato.tuning.budget import Budget
from sfumato.tuning.choices import Choice, Params, chosen, differences
from sfumato.tuning.measuring import DOMAIN, Bench, told
from sfumato.tuning.proposals import Proposals, named
from sfumato.tuning.study import Study, Trial

Watch = Callable[[str, int, int], None]


#: A trial's time is taken to be so many times the median.
_MORE = 1.25


@dataclass
class Search:
    """A search on a bench, with what it has tried so far.

    ``took`` is what each trial took, in seconds; ``exhausted`` says that nothing is left to try.
    """

    bench: Bench
    tree: Any
    every: tuple[Choice, ...]
    study: Study
    trials: list[Trial] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    exhausted: bool = False
    _rows: dict[str, Trial] = field(default_factory=dict)
    _seen: dict[str, Trial] = field(default_factory=dict)

    def run(self, budget: Budget, after: int, watch: Watch) -> list[Trial]:
        """Try policies until the budget is spent, or all of them were tried.

        Args:
            after: how many trials' worth of time what follows takes.
            watch: told what is tried, how far it is and of how much.

        Raises:
            InputError: the given policy's own evidence does not measure an aim.
        """
        share, key = self.bench.shares["search"], derive(self.bench.snapshot.release_key, DOMAIN)
        proposals = iter(Proposals(self.every, self.bench.aims, share, key, self.trials, self._seen))
        kept = dict(enumerate(self.study.kept))
        while budget.allows(len(self.trials), self.typical, after, free=len(self.trials) in kept):
            params = next(proposals, None)
            if params is None:
                self.exhausted = True
                break
            trial = kept.get(len(self.trials))
            if trial is None:
                begun = time.monotonic()
                self._tell_watch(params, budget, watch)
                trial = self._tried(params)
                self.study.add(trial)
                self.took.append(time.monotonic() - begun)
            self._learn(params, trial)
        return self.trials

    @property
    def typical(self) -> float:
        """The seconds that a trial takes, the first of which compiles and reads; a little more than most."""
        return _MORE * statistics.median(self.took[1:] or self.took) if self.took else 0.0

    def _learn(self, params: Params, trial: Trial) -> None:
        if not self.trials:
            self._refuse_unmeasured(trial)
        self.trials.append(trial)
        self._seen[named(params)] = trial
        if trial.rows:
            self._rows.setdefault(trial.rows, trial)

    def _tell_watch(self, params: Params, budget: Budget, watch: Watch) -> None:
        words = ", ".join(differences(self.every, params)) or "the policy as it is"
        done, total = len(self.trials), budget.trials or 0
        if budget.seconds is not None:
            done, total = int(budget.spent), int(budget.seconds)
        watch(f"trial {len(self.trials) + 1}: {words}", done, total)

    def _tried(self, params: Params) -> Trial:
        """One policy on the people of the search."""
        number = len(self.trials)
        try:
            policy = self.bench.policy(chosen(deepcopy(self.tree), self.every, params))
            found = self.bench.measure(policy, "search", 0, self._hopeless, self._known)
        except InputError as error:
            return Trial(number=number, params=dict(params), status="impossible", note=told(error))
        same = self._rows.get(found.rows)
        figures = tuple(one for one in found.findings if one.source == "plan" or self._wanted(one))
        broken = self._broken(figures)
        return Trial(
            number=number,
            params=dict(params),
            status="hopeless" if broken else "measured",
            figures=figures,
            note="" if broken is None else f"given up: {broken.judge(_of(figures, broken)).words}",
            like=None if same is None else same.number,
            rows=found.rows,
        )

    def _known(self, rows: str) -> tuple[Finding, ...] | None:
        same = self._rows.get(rows)
        return None if same is None else same.figures

    def _wanted(self, finding: Finding) -> bool:
        return (finding.metric, finding.target) in self.bench.aims.places

    def _hopeless(self, findings: Sequence[Finding]) -> bool:
        # The given policy is what all others are held against, so it is measured whatever comes out.
        return bool(self.trials) and self._broken(findings) is not None

    def _broken(self, findings: Sequence[Finding]) -> Limit | None:
        if not self.trials:
            return None
        return next(
            (limit for limit in self.bench.aims.limits if limit.is_hopeless(_of(findings, limit))), None
        )

    def _refuse_unmeasured(self, trial: Trial) -> None:
        for aim in self.bench.aims.aims if trial.status == "measured" else ():
            found = trial.figure(aim.metric, aim.target)
            if found is None or found.value is None:
                why = found.note if found is not None and found.note else "nothing reported it"
                raise InputError(
                    "policy-mismatch",
                    f"{aim.name} cannot be measured under the given policy: {why}",
                    where="evidence",
                    remedy="choose others with --minimize and --maximize, or change the evidence section",
                )


def _of(findings: Sequence[Finding], place: Aim | Limit) -> Finding | None:
    found = [one for one in findings if (one.metric, one.target) == (place.metric, place.target)]
    return found[0] if len(found) == 1 else None
