"""The search: one policy after another, each proposed from what the earlier ones came to.

A multi-objective tree-structured Parzen estimator (Ozaki et al. 2022, *JAIR* 73) proposes, from a keyed
seed. It is asked for one policy at a time and told the figures, so a search of so many trials is the same
every time, and an interrupted one goes on as if it had not been: what was kept is proposed again, and told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.tuning.aims import Aim, Aims, Limit
from sfumato.tuning.budget import Budget
from sfumato.tuning.choices import Choice, Params, Scalar, chosen, differences
from sfumato.tuning.measuring import DOMAIN, Bench, told
from sfumato.tuning.study import Study, Trial

#: So often in a row something may be proposed that was tried; then the whole space has been.
_AGAIN = 60
#: What is proposed before figures are looked at; the first are written down, see :func:`starts`.
_STARTUP = 8

Watch = Callable[[str, int, int], None]


@dataclass
class Search:
    """A search on a bench, with what it has tried so far.

    ``longest`` is what the longest trial took, in seconds; ``exhausted`` says that nothing is left to try.
    """

    bench: Bench
    tree: Any
    every: tuple[Choice, ...]
    study: Study
    trials: list[Trial] = field(default_factory=list)
    longest: float = 0.0
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
        proposals = self._proposed()
        kept = dict(enumerate(self.study.kept))
        while budget.allows(len(self.trials), self.longest, after, free=len(self.trials) in kept):
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
                self.longest = max(self.longest, time.monotonic() - begun)
            self._learn(params, trial)
        return self.trials

    def _learn(self, params: Params, trial: Trial) -> None:
        if not self.trials:
            self._refuse_unmeasured(trial)
        self.trials.append(trial)
        self._seen[_named(params)] = trial
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

    def _proposed(self) -> Iterator[Params]:
        """Params that were not tried yet, one after another; each is told before the next is asked for."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        key = derive(self.bench.snapshot.release_key, DOMAIN, "proposals")
        sampler = optuna.samplers.TPESampler(
            seed=int.from_bytes(key[:4], "big"), multivariate=True, n_startup_trials=_STARTUP
        )
        directions: list[Any] = [
            "minimize" if aim.goal == "low" else "maximize" for aim in self.bench.aims.aims
        ]
        study = optuna.create_study(directions=directions, sampler=sampler)
        for start in starts(self.every):
            study.enqueue_trial(
                {
                    choice.name: _coded(choice, start[choice.name])
                    for choice in self.every
                    if choice.name in start
                }
            )
        again = 0
        while again < _AGAIN:
            asked = study.ask()
            params = _suggested(asked, self.every)
            if _named(params) in self._seen:
                again += 1
            else:
                again = 0
                yield params
            self._tell(study, asked, self._seen[_named(params)])

    def _tell(self, study: Any, asked: Any, trial: Trial) -> None:
        """Tell the sampler; a trial without figures has the given policy's, and breaks something."""
        aims = self.bench.aims
        values = [trial.value(aim.metric, aim.target) for aim in aims.aims]
        first = [self.trials[0].value(aim.metric, aim.target) or 0.0 for aim in aims.aims]
        short = 0.0 if None not in values else 1.0
        share = self.bench.shares["search"]
        short += sum(_shortfall(limit, trial, share) for limit in aims.limits) if trial.figures else 1.0
        asked.set_constraint("limits", short)
        study.tell(asked, [own if value is None else value for value, own in zip(values, first, strict=True)])


def starts(every: Sequence[Choice]) -> list[Params]:
    """What is tried first: the policy as it is, then each method, from the middle to the strictest and back
    to the policy's own promises, with detail where the target needs it."""
    own = {choice.name: choice.start for choice in every}
    methods = next((choice.values for choice in every if choice.name == "method"), ())
    found = [own]
    for place in (0.5, 1.0, 0.0):
        # Classes with labels of their own first: they keep most, for most kinds of people.
        for method in reversed(methods):
            params = {**own, "method": method}
            for choice in every:
                if choice.name.startswith("models.") and choice.name.endswith(".k"):
                    params[choice.name] = choice.values[round(place * (len(choice.values) - 1))]
                if choice.name == "weights" and "target" in choice.values:
                    params[choice.name] = "target"
            found.append(params)
    return [
        {choice.name: params[choice.name] for choice in every if choice.applies(params.get("method"))}
        for params in found
    ]


def _suggested(asked: Any, every: Sequence[Choice]) -> Params:
    """A value for each choice that applies; the method is asked for first."""
    params: dict[str, Scalar] = {}
    for choice in every:
        if not choice.applies(params.get("method")):
            continue
        if choice.ordered:
            params[choice.name] = choice.values[asked.suggest_int(choice.name, 0, len(choice.values) - 1)]
        else:
            params[choice.name] = asked.suggest_categorical(choice.name, choice.values)
    return params


def _coded(choice: Choice, value: Scalar) -> Scalar:
    return choice.values.index(value) if choice.ordered else value


def _named(params: Params) -> str:
    return repr(sorted(params.items()))


def _of(findings: Sequence[Finding], place: Aim | Limit) -> Finding | None:
    found = [one for one in findings if (one.metric, one.target) == (place.metric, place.target)]
    return found[0] if len(found) == 1 else None


def _shortfall(limit: Limit, trial: Trial, people: float) -> float:
    verdict = limit.judge(trial.figure(limit.metric, limit.target), people)
    bound = limit.at_most if limit.at_most is not None else limit.at_least
    if verdict.short is None:
        return 1.0
    return verdict.short / max(abs(bound or 0.0), 1e-3)


def held(aims: Aims, trial: Trial, people: float) -> bool:
    """Whether a trial was measured and everything holds that must."""
    return trial.status == "measured" and all(
        limit.judge(trial.figure(limit.metric, limit.target), people).holds for limit in aims.limits
    )
