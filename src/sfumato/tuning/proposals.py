"""What is tried next: what is known to be good first, then what lies near the frontier or looks promising.

The first policies are written down (:func:`starts`). After them every second proposal changes one choice of
a policy on the frontier to the next value, and the others come from a multi-objective tree-structured Parzen
estimator (Ozaki et al. 2022, *JAIR* 73): the one refines, the other looks where nobody has. All draws are
keyed, and each trial is told before the next proposal, so a search of so many trials is the same every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sfumato.core.keyed import derive, generator
from sfumato.tuning.aims import Aims, Limit
from sfumato.tuning.choices import Choice, Params, Scalar
from sfumato.tuning.frontier import frontier, is_plain
from sfumato.tuning.study import Trial

#: So often in a row something may be proposed that was tried; then the whole space has been.
_AGAIN = 60
#: What is proposed before figures are looked at, besides the starts.
_STARTUP = 8
#: Neighbours that are drawn until one was not tried yet.
_DRAWS = 30
#: So often each method is among the starts.
_TURNS = 5
#: Classes that are made one by one have so many times k people, on average about.
_LARGER = 1.2
#: What is set where the target has to be learned, by choice.
_FOR_TARGET: Mapping[str, Scalar] = {"weights": "target", "measure": "classification"}


class Proposals:
    """Params that were not tried yet, one after another.

    Args:
        every: what may differ.
        aims: what is wanted; ``share`` of all people are the search's.
        key: what all draws derive from.
        trials: what was tried so far, as the search goes on; ``seen`` has it by :func:`named`.
    """

    def __init__(
        self,
        every: Sequence[Choice],
        aims: Aims,
        share: float,
        key: bytes,
        trials: Sequence[Trial],
        seen: Mapping[str, Trial],
    ) -> None:
        self.every, self.aims, self.share = every, aims, share
        self.key, self.trials, self.seen = key, trials, seen

    def __iter__(self) -> Iterator[Params]:
        study = self._study()
        again, given_ones = 0, self._given()
        while again < _AGAIN:
            given = next(given_ones)
            if given is not None:
                study.enqueue_trial(_coded(self.every, given))
            asked = study.ask()
            params = _suggested(asked, self.every, given or {})
            if named(params) in self.seen:
                again += 1
            else:
                again = 0
                yield params
            self._tell(study, asked, self.seen[named(params)])

    def _given(self) -> Iterator[Params | None]:
        """What is proposed without the sampler, in order; None where it is asked."""
        yield starts(self.every)[0]
        yield from starts(self.every, self._people())[1:]
        while True:
            yield self._near() if len(self.trials) % 2 else None

    def _study(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=int.from_bytes(derive(self.key, "proposals")[:4], "big"),
            multivariate=True,
            n_startup_trials=_STARTUP,
        )
        directions: list[Any] = ["minimize" if aim.goal == "low" else "maximize" for aim in self.aims.aims]
        return optuna.create_study(directions=directions, sampler=sampler)

    def _people(self) -> float | None:
        """How many people a class of the given policy has on average."""
        classes = self.trials[0].figure("plan.classes")
        return None if classes is None or not classes.value else classes.n / classes.value

    def _near(self) -> Params | None:
        """A policy of the frontier, or the given one, with one choice changed; None if all were tried."""
        draw = generator(derive(self.key, "near", str(len(self.trials))))
        found = frontier(self.aims, self.trials, self.share)
        parents = [trial for trial in found if is_plain(self.aims, trial, found)] or [self.trials[0]]
        for _ in range(_DRAWS):
            parent = parents[int(draw.integers(len(parents)))]
            params = neighbour(self.every, parent.params, draw)
            if named(params) not in self.seen:
                return params
        return None

    def _tell(self, study: Any, asked: Any, trial: Trial) -> None:
        """Tell the sampler; a trial without figures has the given policy's, and breaks something."""
        values = [trial.value(aim.metric, aim.target) for aim in self.aims.aims]
        first = [self.trials[0].value(aim.metric, aim.target) or 0.0 for aim in self.aims.aims]
        short = 0.0 if None not in values else 1.0
        short += (
            sum(_shortfall(limit, trial, self.share) for limit in self.aims.limits) if trial.figures else 1.0
        )
        asked.set_constraint("limits", short)
        study.tell(asked, [own if value is None else value for value, own in zip(values, first, strict=True)])


def starts(every: Sequence[Choice], people: float | None = None) -> list[Params]:
    """What is tried first: the policy as it is, then each method, with detail where the target needs it and
    in turn with free labels and the policy's own.

    Args:
        people: how many people a class of the given policy has on average. Another method with classes as
            large has about the same risk, so that it shows at once whether it is of more use.
    """
    own = {choice.name: choice.start for choice in every}
    method = next((choice for choice in every if choice.name == "method"), None)
    found = [_applying(every, own)]
    # Classes with labels of their own first: they keep most, for most kinds of people.
    others = [] if method is None else [value for value in reversed(method.values) if value != method.start]
    for turn in range(_TURNS):
        for value in (*others, *(() if method is None else (method.start,))):
            params = {**own, "method": value}
            for choice in every:
                if choice.name.startswith("models.") and choice.name.endswith(".k"):
                    params[choice.name] = _size(choice, turn, None if value in others else 0, people)
                if (good := _FOR_TARGET.get(choice.name)) in choice.values and good is not None:
                    params[choice.name] = good
                if choice.name == "labels":
                    params[choice.name] = choice.values[(turn + 1) % len(choice.values)]
            found.append(_applying(every, params))
    return found


def _size(choice: Choice, turn: int, at: int | None, people: float | None) -> Scalar:
    """The k of a start: about as large as the policy's classes, a step more, a step less, loosest, strictest.

    Args:
        at: the place among the values to begin with, in the place of what ``people`` suggest.
    """
    last = len(choice.values) - 1
    if at is None:
        least = (people or 0.0) / _LARGER
        at = next((i for i, k in enumerate(choice.values) if float(k or 0) >= least), last)
        at = last // 2 if people is None else at
    steps = (at, at + 1, at - 1 if at else at + 2, 0 if at else last, last)
    return choice.values[max(0, min(last, steps[turn]))]


def neighbour(every: Sequence[Choice], params: Params, draw: np.random.Generator) -> Params:
    """The same policy with one choice changed: an ordered one to the value before or after it.

    >>> every = [Choice("models.0.k", (5, 10, 20), 5, True), Choice("drop.age", (False, True), False)]
    >>> draw = np.random.default_rng(0)
    >>> sorted({repr(neighbour(every, {"models.0.k": 5, "drop.age": True}, draw)) for _ in range(20)})
    ["{'models.0.k': 10, 'drop.age': True}", "{'models.0.k': 5, 'drop.age': False}"]
    """
    able = [choice for choice in every if choice.name in params]
    choice = able[int(draw.integers(len(able)))]
    at = choice.values.index(params[choice.name])
    if choice.ordered:
        places = [place for place in (at - 1, at + 1) if 0 <= place < len(choice.values)]
    else:
        places = [place for place in range(len(choice.values)) if place != at]
    value = choice.values[places[int(draw.integers(len(places)))]]
    own = {one.name: one.start for one in every}
    return _applying(every, {**own, **params, choice.name: value})


def named(params: Params) -> str:
    """A name of params, the same for the same."""
    return repr(sorted(params.items()))


def _applying(every: Sequence[Choice], params: Params) -> Params:
    """Params without what the method does not look at."""
    return {choice.name: params[choice.name] for choice in every if choice.applies(params.get("method"))}


def _suggested(asked: Any, every: Sequence[Choice], given: Params) -> Params:
    """A value for each choice that applies, the method first; what the sampler does not draw is as given."""
    params: dict[str, Scalar] = {}
    for choice in every:
        if not choice.applies(params.get("method")):
            continue
        if choice.near:
            params[choice.name] = given.get(choice.name, choice.start)
        elif choice.ordered:
            params[choice.name] = choice.values[asked.suggest_int(choice.name, 0, len(choice.values) - 1)]
        else:
            params[choice.name] = asked.suggest_categorical(choice.name, choice.values)
    return params


def _coded(every: Sequence[Choice], params: Params) -> dict[str, Scalar]:
    """Params as the sampler has them."""
    return {
        choice.name: choice.values.index(params[choice.name]) if choice.ordered else params[choice.name]
        for choice in every
        if choice.name in params and not choice.near
    }


def _shortfall(limit: Limit, trial: Trial, people: float) -> float:
    verdict = limit.judge(trial.figure(limit.metric, limit.target), people)
    bound = limit.at_most if limit.at_most is not None else limit.at_least
    if verdict.short is None:
        return 1.0
    return verdict.short / max(abs(bound or 0.0), 1e-3)
