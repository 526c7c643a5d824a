"""What may differ between the policies that are tried, and a policy with some of it chosen.

A choice has a name (``method``, ``models.0.k``, ``drop.age``) and values, the policy's own first. The same
function makes the policy that is tried and, on the text of the given one, the file that is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.anonymity import MEASURES
from sfumato.core.errors import InputError, nearest
from sfumato.core.values import Role
from sfumato.hierarchies import HIERARCHIES
from sfumato.pipeline.methods import METHODS
from sfumato.policy.load import LoadedPolicy
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.policy.synthetic import Synthesis
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.sequences import MODELS as MODELS_OF_HISTORIES
from sfumato.tuning.asked import Vary

Scalar = str | int | float | bool | None
Params = Mapping[str, Scalar]

#: Times the policy's own k and l: a policy is made stricter and never laxer unless the user says so.
_STRICTER = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
_CLOSER = (1.0, 0.75, 0.5, 0.25)
_COARSER = (1, 2, 5)
_KEPT = (1.0, 0.5, 0.2, 0.0)
#: Times the policy's own epsilon.
_SPENT = (1.0, 0.5, 0.2, 0.1)
#: Synthesizers that are quick enough to be tried one after another, without and with differential privacy.
_QUICK = ("autoregressive", "aim", "mst", "copula")
_QUICK_PRIVATE = ("aim", "mst", "autoregressive")
#: What a search of the lattice may make small, of the measures that are quick on any lattice.
_MEASURES = ("loss", "entropy")
#: Parameters by what only one method looks at.
_OF_METHOD: Mapping[str, tuple[str, ...]] = {
    "suppression": ("lattice",),
    "measure": ("lattice",),
    "weights": ("lattice", "cells"),
    "labels": ("partition",),
    "level": ("lattice",),
}


@dataclass(frozen=True)
class Choice:
    """Something that may differ. ``ordered`` values go from loose to strict, or small to large.

    ``near`` says that only a policy of the frontier is varied in it: of all combinations most are no use.
    """

    name: str
    values: tuple[Scalar, ...]
    start: Scalar
    ordered: bool = False
    near: bool = False

    def applies(self, method: Scalar) -> bool:
        """Whether a method looks at it."""
        return method is None or method in _OF_METHOD.get(self.name.partition(".")[0], (method,))


def choices(loaded: LoadedPolicy, vary: Vary) -> tuple[Choice, ...]:
    """Everything that may differ.

    Raises:
        InputError: ``usage`` for a name that is none, or if nothing may differ.
    """
    policy = loaded.policy
    _refuse_unknown(policy, vary)
    every = (*_of_table(policy, vary), *_of_columns(loaded, vary))
    methods = next((choice.values for choice in every if choice.name == "method"), (None,))
    found = [
        choice
        for choice in every
        if len(choice.values) > 1 and any(choice.applies(method) for method in methods)
    ]
    if not found:
        raise InputError(
            "usage",
            "nothing of the policy may differ, so there is nothing to search",
            where="vary",
            remedy="give several values to something, or leave vary out",
        )
    return tuple(found)


def refuse_images(policy: Policy) -> None:
    """Refuse to search over generators of images.

    Raises:
        InputError: ``usage``.
    """
    if policy.synthesis is not None and policy.synthesis.images is not None:
        raise InputError(
            "usage",
            "policies that make images are not searched over: their measures are no aims of tune",
            where="synthesis.images",
            remedy="compare a few runs by images.classifier_auc, with each method and epsilon",
        )


def _of_synthesis(asked: Synthesis, vary: Vary) -> Iterator[Choice]:
    quick: Sequence[str] = _QUICK if asked.dp is None else _QUICK_PRIVATE
    if asked.history is not None:
        quick = tuple(MODELS_OF_HISTORIES)
    # Settings are one synthesizer's own.
    yield _choice("synthesizer", asked.by, (asked.by,) if asked.settings else quick, vary.method)
    if asked.dp is not None:
        values = [round(asked.dp.epsilon * share, 6) for share in _SPENT]
        yield _choice("epsilon", asked.dp.epsilon, values, vary.epsilon, ordered=True)


def _of_table(policy: Policy, vary: Vary) -> Iterator[Choice]:
    asked = policy.anonymity
    if policy.synthesis is not None:
        yield from _of_synthesis(policy.synthesis, vary)
    if asked is None:
        return
    target = policy.dataset.target
    learns = target is not None and target in policy.columns and policy.columns[target].done != "drop"
    laddered = any(
        column.done == "generalize" and column.hierarchy is not None for column in policy.columns.values()
    )
    only_lattice = asked.suppression_gap is not None or policy.dataset.subject is not None
    methods: Sequence[str] = (asked.method,) if only_lattice else tuple(METHODS)
    yield _choice("method", asked.method, methods, vary.method)
    for i, model in enumerate(asked.models):
        yield from _of_model(i, model, vary)
    kept = sorted({round(asked.suppression * share, 4) for share in _KEPT})
    yield _choice("suppression", asked.suppression, kept, vary.suppression, ordered=True)
    measures = (*_MEASURES, *(("classification",) if learns else ()))
    yield _choice("measure", asked.measure, measures, vary.measure)
    own = "own" if isinstance(asked.weights, dict) else asked.weights or "none"
    yield _choice("weights", own, ("none", *(("target",) if learns else ())), vary.weights)
    # Without hierarchies labels are free as it is.
    yield _choice(
        "labels",
        asked.labels,
        ("free", "hierarchy") if laddered and asked.labels else ("free",) if laddered else (),
        vary.labels,
    )


def _of_model(i: int, model: Part, vary: Vary) -> Iterator[Choice]:
    k, least, closeness = (model.params.get(name) for name in ("k", "l", "t"))
    if isinstance(k, int):
        yield _choice(f"models.{i}.k", k, [math.ceil(k * times) for times in _STRICTER], vary.k, ordered=True)
    if isinstance(least, int | float):
        yield _choice(f"models.{i}.l", least, [least, least + 1, least + 2], vary.l, ordered=True)
    if isinstance(closeness, float):
        values = [round(closeness * share, 4) for share in _CLOSER]
        yield _choice(f"models.{i}.t", closeness, values, vary.t, ordered=True)


def _of_columns(loaded: LoadedPolicy, vary: Vary) -> Iterator[Choice]:
    policy = loaded.policy
    needed = _needed(policy)
    for name, column in policy.columns.items():
        if column.done == "drop":
            continue
        quasi = column.role is Role.QUASI_IDENTIFIER and name not in needed
        if quasi if vary.drop is None else name in vary.drop:
            yield Choice(f"drop.{name}", (False, True), False)
        if column.done == "generalize" and (vary.levels is None or name in vary.levels):
            yield from _of_level(loaded, name, None if vary.levels is None else vary.levels[name])
        if column.done == "round" and column.action is not None and "to" in column.action.params:
            width = column.action.params["to"]
            given = None if vary.round is None else vary.round.get(name, ())
            widths = [width * times for times in _COARSER]
            yield _choice(f"round.{name}", width, widths, given, ordered=True)


def _of_level(loaded: LoadedPolicy, name: str, given: Sequence[int] | None) -> Iterator[Choice]:
    """The level of a column, one that the policy fixes or coarser if none are given."""
    action = loaded.policy.columns[name].action
    own = None if action is None else action.params.get("level")
    if loaded.policy.anonymity is None:
        return
    height = _height(loaded, name)
    levels = range(own or 0, height) if given is None else (level for level in given if level < height)
    yield Choice(f"level.{name}", tuple(dict.fromkeys((own, *levels))), own, near=given is None)


def _choice(
    name: str, own: Scalar, values: Sequence[Scalar], given: Sequence[Scalar] | None, *, ordered: bool = False
) -> Choice:
    """A choice of the given values, or of those suggested; the policy's own is one of them in any case."""
    chosen = values if given is None else given
    if ordered:
        # A whole number stays one where the user wrote 10.0 or YAML made it so.
        chosen = sorted({_whole(value) for value in (own, *chosen)})  # type: ignore[type-var]
        return Choice(name, tuple(chosen), _whole(own), True)
    return Choice(name, tuple(dict.fromkeys((own, *chosen))), own)


def _whole(value: Scalar) -> Scalar:
    return int(value) if isinstance(value, float) and value.is_integer() and value > 1 else value


def _methods(policy: Policy) -> tuple[str, ...]:
    """Everything that may be a method of the policy."""
    if policy.synthesis is None:
        return tuple(METHODS)
    return tuple(SYNTHESIZERS if policy.synthesis.history is None else MODELS_OF_HISTORIES)


def _needed(policy: Policy) -> set[str]:
    """Columns that something else in the policy rests on."""
    dataset, asked = policy.dataset, policy.anonymity
    needed = {dataset.target, dataset.subject, dataset.key, *policy.groups}
    if policy.synthesis is not None and policy.synthesis.history is not None:
        needed |= set(policy.synthesis.history.columns)
    if asked is not None:
        needed |= {str(model.params["on"]) for model in asked.models if "on" in model.params}
        needed |= set(asked.suppression_gap.groups if asked.suppression_gap is not None else ())
    return {name for name in needed if name is not None}


def _height(loaded: LoadedPolicy, name: str) -> int:
    written = loaded.policy.columns[name].hierarchy or Part(name="suppress")
    kind = HIERARCHIES.resolve(written.name)
    return int(kind(kind.Params(**written.params), loaded.folder).height)


def _refuse_unknown(policy: Policy, vary: Vary) -> None:
    for key, names, known in (
        ("method", vary.method or (), _methods(policy)),
        ("measure", vary.measure or (), tuple(MEASURES)),
        ("weights", vary.weights or (), ("none", "target")),
        ("drop", vary.drop or (), tuple(policy.columns)),
        ("labels", vary.labels or (), ("hierarchy", "free")),
        ("levels", tuple(vary.levels or ()), tuple(policy.columns)),
        ("round", tuple(vary.round or ()), tuple(policy.columns)),
    ):
        for name in names:
            if name not in known:
                raise InputError(
                    "unknown-name",
                    f'"{name}" is none of them',
                    where=f"vary.{key}",
                    remedy=nearest(name, known),
                )


def chosen(tree: Any, every: Sequence[Choice], params: Params) -> Any:
    """Change a policy's tree, in place, to what was chosen; what is as it was is not touched.

    Args:
        tree: the policy as written, plain or with YAML's comments.
        params: a value for each choice that applies.
    """
    for choice in every:
        value = params.get(choice.name, choice.start)
        if value != choice.start:
            what, _, rest = choice.name.partition(".")
            _EDITS[what](tree, rest, value)
    _keep_to_method(tree)
    return tree


def _edit_table(key: str) -> Callable[[Any, str, Scalar], None]:
    def edit(tree: Any, _: str, value: Scalar) -> None:
        tree["anonymity"][key] = value

    return edit


def _edit_synthesizer(tree: Any, _: str, value: Scalar) -> None:
    tree["synthesis"]["method"] = value
    tree["synthesis"].pop("settings", None)


def _edit_epsilon(tree: Any, _: str, value: Scalar) -> None:
    tree["synthesis"]["dp"]["epsilon"] = value


def _edit_weights(tree: Any, _: str, value: Scalar) -> None:
    if value == "none":
        del tree["anonymity"]["weights"]
    else:
        tree["anonymity"]["weights"] = value


def _edit_model(tree: Any, rest: str, value: Scalar) -> None:
    number, _, name = rest.partition(".")
    tree["anonymity"]["models"][int(number)][name] = value


def _edit_drop(tree: Any, name: str, _: Scalar) -> None:
    column = tree["columns"][name]
    column["action"] = {"do": "drop"}
    column.pop("hierarchy", None)
    _forget(tree["anonymity"].get("weights") if "anonymity" in tree else None, name)
    column["why"] = f"{str(column['why']).rstrip(' .')}. Left out: people are harder to find without it."


def _forget(weights: Any, name: str) -> None:
    if isinstance(weights, Mapping):
        weights.pop(name, None)  # type: ignore[attr-defined]


def _edit_level(tree: Any, name: str, value: Scalar) -> None:
    column = tree["columns"][name]
    if column.get("action") != {"do": "drop"}:
        column["action"] = {"do": "generalize", "level": value}


def _edit_round(tree: Any, name: str, value: Scalar) -> None:
    tree["columns"][name]["action"]["to"] = value


_EDITS: Mapping[str, Callable[[Any, str, Scalar], None]] = {
    "method": _edit_table("method"),
    "synthesizer": _edit_synthesizer,
    "epsilon": _edit_epsilon,
    "suppression": _edit_table("suppression"),
    "measure": _edit_table("measure"),
    "weights": _edit_weights,
    "labels": _edit_table("labels"),
    "models": _edit_model,
    "drop": _edit_drop,
    "level": _edit_level,
    "round": _edit_round,
}


def _keep_to_method(tree: Any) -> None:
    """Leave out what the method does not look at, which the checks would refuse."""
    asked = tree.get("anonymity")
    if asked is None:
        return
    method = asked.get("method", "lattice")
    for key, methods in (
        ("labels", ("partition",)),
        ("weights", ("lattice", "cells")),
        ("measure", ("lattice",)),
    ):
        if method not in methods:
            asked.pop(key, None)


def differences(every: Sequence[Choice], params: Params) -> tuple[str, ...]:
    """What differs from the given policy, in words, nothing if it is that.

    >>> differences([Choice("models.0.k", (5, 20), 5), Choice("drop.age", (False, True), False)],
    ...             {"models.0.k": 20, "drop.age": True})
    ('k 20 (was 5)', 'without age')
    """
    changed = [choice for choice in every if params.get(choice.name, choice.start) != choice.start]
    return tuple(_words(choice, params[choice.name]) for choice in changed)


def _words(choice: Choice, value: Scalar) -> str:
    what, _, rest = choice.name.partition(".")
    if what == "drop":
        return f"without {rest}"
    name = {"models": rest.partition(".")[2], "level": f"level of {rest}", "round": f"{rest} rounded to"}.get(
        what, what
    )
    if what == "labels" and choice.start is None:
        return f"{value} labels"
    own = "chosen by the search" if choice.start is None else _plain(choice.start)
    return f"{name} {_plain(value)} (was {own})"


def _plain(value: Scalar) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
