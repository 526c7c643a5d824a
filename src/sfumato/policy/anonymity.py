"""Whether the anonymity that a policy asks for fits its columns, target, population and method."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sfumato.anonymity import MODELS
from sfumato.core.errors import Problem, nearest
from sfumato.core.values import Role
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part

Where = Callable[..., str]

#: What only one method looks at.
_OF_METHOD = {"labels": ("partition",), "weights": ("lattice", "cells"), "suppression_gap": ("lattice",)}


def check_anonymity(policy: Policy, where: Where) -> Iterator[Problem]:
    """Every problem of the section with the columns, the target and the population that the policy has."""
    if policy.anonymity is None:
        return
    released = {name for name, column in policy.columns.items() if column.done != "drop"}
    if not any(policy.columns[name].role is Role.QUASI_IDENTIFIER for name in released):
        yield Problem(
            where("anonymity"),
            "no released column is a quasi-identifier, so there is nothing to be anonymous on",
            "give the columns that outsiders may know the role quasi-identifier",
        )
    for i, model in enumerate(policy.anonymity.models):
        yield from _about(policy, model, where("anonymity", "models", i))
        yield from _counts_population(policy, model, where("anonymity", "models", i))
    yield from _others_known(policy, released, where)
    yield from _method(policy, released, where)


def _others_known(policy: Policy, released: set[str], where: Where) -> Iterator[Problem]:
    """Whether there is something to protect from those who know other sensitive columns."""
    asked = policy.anonymity
    assert asked is not None
    if not asked.others_known:
        return
    place = where("anonymity", "others_known")
    protected = [str(model.params["on"]) for model in asked.models if "on" in model.params]
    if not any(asked.known_beside(name) for name in protected):
        yield Problem(
            place,
            "no model is about a sensitive column beside which another one could be known",
            "add a model of another column, or leave others_known out",
        )
    for name in asked.others_known if isinstance(asked.others_known, tuple) else ():
        column = policy.columns.get(name)
        if column is None or name not in released:
            yield Problem(
                place, f'"{name}" is to be known and is no released column', nearest(name, released)
            )
        elif column.role is not Role.INSENSITIVE or column.known_to:
            yield Problem(
                place,
                f'"{name}" is known to outsiders in any case: every class agrees on it',
                "name sensitive columns that outsiders do not know",
            )


def _method(policy: Policy, released: set[str], where: Where) -> Iterator[Problem]:
    """Whether a method can do what is asked of it."""
    asked = policy.anonymity
    assert asked is not None
    for key, methods in _OF_METHOD.items():
        if getattr(asked, key) is not None and asked.method not in methods:
            yield Problem(
                where("anonymity", key),
                f"{key} is for the method {' or '.join(methods)}, and this is {asked.method}",
                "leave it out, or take another method",
            )
    if asked.measure != "loss" and asked.method != "lattice":
        yield Problem(
            where("anonymity", "measure"),
            f"a measure is for the method lattice, and {asked.method} has one of its own",
            "leave it out, or take the method lattice",
        )
    target = policy.dataset.target
    if asked.weights == "target" or asked.measure == "classification":
        key = "weights" if asked.weights == "target" else "measure"
        if target is None or target not in released:
            yield Problem(
                where("anonymity", key),
                f"{key} looks at the target, and no released column is one",
                "name the target under dataset and let it leave",
            )
    for name in asked.weights if isinstance(asked.weights, dict) else ():
        if name not in released:
            yield Problem(
                where("anonymity", "weights", name),
                f'"{name}" has a weight and is no released column',
                nearest(name, released),
            )
    for name in asked.suppression_gap.groups if asked.suppression_gap is not None else ():
        if name not in released:
            yield Problem(
                where("anonymity", "suppression_gap", "groups"),
                f'people are to be compared by "{name}", which is no released column',
                nearest(name, released),
            )


def _about(policy: Policy, model: Part, where: str) -> Iterator[Problem]:
    """A model of a sensitive column promises nothing if the column stays away, or everybody knows it."""
    column = policy.columns.get(str(model.params.get("on", "")))
    if column is None:
        return
    name = model.params["on"]
    if column.done == "drop":
        yield Problem(
            where,
            f'{model.name} is about "{name}", which does not leave',
            "keep the column, or drop the model",
        )
    elif column.role is not Role.INSENSITIVE or column.known_to:
        yield Problem(
            where,
            f'{model.name} is about "{name}", which outsiders know: everybody in a class has the same value',
            "the model is for what outsiders must not learn: role insensitive, sensitive: true",
        )


def _counts_population(policy: Policy, model: Part, where: str) -> Iterator[Problem]:
    """Counting the population takes a table of it, and classes that people outside fall into."""
    assert policy.anonymity is not None
    kind = MODELS.resolve(model.name)
    if not kind(kind.Params(**model.params)).counts_population:
        return
    population = policy.dataset.population
    if population is None or population.table is None:
        yield Problem(
            where,
            f"{model.name} counts people in a table of the population, and there is none",
            "name one under dataset.population",
        )
    elif policy.anonymity.method == "microaggregation":
        yield Problem(
            where,
            f"{model.name} counts people of the population who fit each class, and a mean fits nobody "
            "in particular",
            "take another method",
        )
    elif policy.anonymity.method != "lattice" and not all(map(_monotone, policy.anonymity.models)):
        yield Problem(
            where,
            f"{model.name} counts people who fit classes, and another model may fail for classes together",
            "take the method lattice, or another kind of the other model",
        )
    if float(model.params.get("low", 0)) > 0 and policy.anonymity.suppression > 0:
        yield Problem(
            where,
            f"{model.name} with a low above 0 rules nobody out, and suppressed people would be ruled out",
            "set suppression to 0, or leave low out",
        )


def _monotone(model: Part) -> bool:
    kind = MODELS.resolve(model.name)
    found: bool = kind(kind.Params(**model.params)).monotone
    return found
