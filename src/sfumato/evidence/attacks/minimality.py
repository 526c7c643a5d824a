"""The minimality attack: what it says of secrets that no finer table kept the promises.

A search that generalizes no more than it must tells by its choice that a table one level finer broke a
promise. An attacker who knows everybody's quasi-identifiers sees how that table's classes are made up. Where
they are not too small, some class must have too few values of the secret, too many people of one, or too
little entropy, and that makes some values likelier than the release itself does (Wong, Fu, Wang & Pei 2007,
*Minimality attack in privacy preserving data publishing*, VLDB, section 4; Zhang, Jajodia & Brodsky 2007,
*Information disclosure under realistic assumptions: privacy versus optimality*, CCS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.values import AnonymityPlan, Finding
from sfumato.evidence.attacks.controls import NOBODY, badness
from sfumato.evidence.attacks.failing import RUNS
from sfumato.evidence.attacks.finer import STEPS, Asked, Finer, Groups, Table, numbered
from sfumato.evidence.attacks.partings import Promise
from sfumato.evidence.attacks.secret_classes import located
from sfumato.evidence.attacks.spreads import Close, Tail
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "minimality",
    {
        "minimality.posterior": Metric(
            "low",
            "probability",
            "the likeliest of all secrets, to who knows that no finer table would do",
        ),
        "minimality.gain": Metric(
            "low", "difference", "how much likelier than in the class alone that makes a secret at most"
        ),
        "minimality.beyond": Metric(
            "low", "share", "people for whom that makes a secret likelier than the privacy model promises"
        ),
    },
)

ASSUMES = "an attacker who knows the method, how much it may suppress, and everybody's quasi-identifiers"
NO_METHOD = "the release is not made by a search for the least generalization"
LOCAL = "the method {} does not promise that its classes could not be finer"
PEOPLE = "people have several rows"
OTHER_MODELS = "what the privacy model {} asks of finer classes is not worked out"
NO_PROMISE = "no privacy model promises anything of a sensitive column"
OTHER_CLASSES = "the privacy models alone do not explain which rows were suppressed"
NO_TREE = "the hierarchy of the privacy model t-closeness is not at hand"
UNEXPLAINED = "too unlikely a chance, or one of too many parts of classes, must have ruled a finer table out"
SAMPLED = "; chances of parts of classes are sampled, the interval is of {} independent runs"
CUT = "; of others than the likeliest parts to fail none is taken to have failed, which errs on the high side"
SHOWN = "; the whole table is taken to be as the released rows are"


@dataclass(frozen=True)
class _Found:
    """Of each tuple its likeliest secret, in its class and to the attacker, and is it too likely?

    ``alone`` has shape (tuples,), the others (runs, tuples): with all that was sampled, and with each run.
    """

    alone: NDArray[np.float64]
    posterior: NDArray[np.float64]
    beyond: NDArray[np.bool_]


def _attack(table: Table, name: str, promise: Promise, finer: Sequence[Finer]) -> _Found:
    """What all finer tables, one at a time, say of one sensitive column."""
    alone = _heaviest(table.classes, name)[table.classes.of]
    runs = max([one.runs for one in finer], default=1)
    posterior = np.tile(alone, (runs, 1))
    beyond = np.zeros(posterior.shape, dtype=bool)
    for one in finer:
        for parts, values, shares in one.posteriors(name):
            here = np.isin(one.groups.of, parts)
            # In a run that explains nothing it might be anything.
            lost: NDArray[np.bool_] = np.isnan(shares[:, 0])
            most = np.where(lost, 1.0, shares.max(axis=1))
            kept = promise.kept_by(np.where(lost[:, None], shares[0], shares), values, table.shown[name])
            posterior[:, here] = np.maximum(posterior[:, here], most[:, None])
            beyond[:, here] |= (lost | ~kept)[:, None]
    return _Found(alone, posterior, beyond)


def _heaviest(groups: Groups, name: str) -> NDArray[np.float64]:
    """The share of the most frequent value in each group."""
    of, _, people = groups.pairs[name]
    most = np.zeros(len(groups.sizes))
    np.maximum.at(most, of, people)
    return np.asarray(most / groups.sizes, dtype=np.float64)


def _asked(plan: AnonymityPlan | None) -> Asked | str:
    """What the models ask of classes, or why the attack is not made."""
    if plan is None:
        return NO_METHOD
    if plan.method != "lattice":
        return LOCAL.format(plan.method)
    if plan.unit != "row":
        return PEOPLE
    least, promises = 1, dict[str, Promise]()
    for model in plan.models:
        promise = _promise(model)
        if promise is None:
            return OTHER_MODELS.format(model["model"])
        least = max(least, int(model.get("k", 1)))
        if "on" in model:
            promises[model["on"]] = promises.get(model["on"], Promise()).both(promise)
    return Asked(least, promises) if promises else NO_PROMISE


def _promise(model: Mapping[str, Any]) -> Promise | None:
    """What a model promises of its sensitive column, None if that is not worked out here."""
    name, kind = model["model"], model.get("kind", "distinct")
    if model.get("others_known"):
        return None
    if name == "k-anonymity":
        return Promise()
    if name == "alpha-k":
        return Promise(most=float(model["alpha"]))
    if name == "p-sensitive":
        return Promise(least=int(model["p"]))
    if name == "t-closeness":
        return Promise(close=(Close(float(model["t"]), model.get("distance", "equal")),))
    if name == "l-diversity" and kind == "entropy":
        return Promise(even=float(model["l"]))
    if name == "l-diversity" and kind == "recursive":
        tail = Tail(float(model["c"]), int(model["l"]))
        return Promise(tails=(tail,)) if tail.rank > 2 else Promise(most=tail.heaviest)
    return Promise(least=int(model["l"])) if name == "l-diversity" and kind == "distinct" else None


class Minimality:
    """What the choice of the levels says of people's secrets, worked out for each column a level finer.

    ``baseline`` is what the classes alone say, ``before`` what the original's do, where a class is of people
    who are the same in every column. Figures are exact where one part of a class depends on the secrets; of
    several in a class each counts as independent of the others; where chances are sampled they have the
    interval of independent runs, and where none explains what failed they have no power. Findings have a
    sensitive column as target, and ``release`` for the worst.
    """

    summary: ClassVar[str] = "minimality: that no finer table would do tells of people's secrets"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """None: everything is known from the plan."""

    def run(self, comparison: Comparison, params: Minimality.Params) -> list[Finding]:
        """The findings of each sensitive column that a model looks at, and of the worst."""
        del params
        asked, plan = _asked(comparison.plan.anonymity), comparison.plan.anonymity
        if isinstance(asked, str) or plan is None:
            return _silent(asked if isinstance(asked, str) else NO_METHOD)
        if comparison.finer is None or comparison.suppressible is None:
            return _silent(NO_METHOD)
        if not comparison.kept.any():
            return _silent(NOBODY)
        if comparison.tree is None and any(close.distance == "hierarchical" for close in asked.close):
            return _silent(NO_TREE)
        columns = tuple(plan.levels)
        table = Table.of(comparison, columns, asked)
        if table.suppressed != plan.suppressed_rows:
            return _silent(OTHER_CLASSES)
        finer = [
            found
            for column, level in plan.levels.items()
            if level > 0
            and (found := _finer(comparison, table, asked, column, comparison.suppressible)) is not None
        ]
        if any(one.unexplained for one in finer):
            return [REPORT.silent(metric, "no-power", UNEXPLAINED) for metric in REPORT.table]
        findings: list[Finding] = []
        for name, promise in asked.promises.items():
            told = _attack(table, name, promise, finer)
            _record(comparison, table, columns, told)
            findings += _findings(table, columns, name, promise, told, finer)
        return [*_worst(findings), *findings]


def _silent(note: str) -> list[Finding]:
    return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]


def _finer(comparison: Comparison, table: Table, asked: Asked, column: str, limit: int) -> Finer | None:
    assert comparison.finer is not None, "asked for only where there are levels"
    # Sampling takes longer, so that all finer tables share what work one may be.
    assert comparison.plan.anonymity is not None, "there is a model"
    among = 1 if asked.adds_up else sum(level > 0 for level in comparison.plan.anonymity.levels.values())
    labels = comparison.finer(column, table.frame)[column]
    return Finer.of(table, asked, column, labels, limit, STEPS // among)


def _record(comparison: Comparison, table: Table, columns: Sequence[str], found: _Found) -> None:
    """Who risks what, for custody."""
    rows = np.flatnonzero(comparison.kept)
    known = table.frame.select(columns)
    first = known.with_row_index("__sfumato_tuple__").unique(columns, keep="first", maintain_order=True)
    at = located(comparison.original[rows], first.select(columns))
    tuples = first["__sfumato_tuple__"].to_numpy()[at]
    comparison.record("minimality.posterior", rows, found.posterior[0, tuples])


def _findings(
    table: Table, columns: Sequence[str], name: str, promise: Promise, found: _Found, finer: Sequence[Finer]
) -> list[Finding]:
    here = table.held[table.classes.of]
    people = table.people[here]
    many = int(people.sum())
    same = Groups.by(
        numbered(table.frame.select(columns)), table.people, {name: table.secrets[name]}, table.classes.scales
    )
    alike = Asked(1, {name: promise})
    beyond_before = float(same.sizes[~same.holds(alike)].sum() / same.sizes.sum())
    figures = {
        "minimality.posterior": (found.posterior[:, here].max(axis=1), float(_heaviest(same, name).max())),
        "minimality.gain": ((found.posterior - found.alone)[:, here].max(axis=1), None),
        "minimality.beyond": (found.beyond[:, here] @ people / many, beyond_before),
    }
    baselines = {"minimality.posterior": float(found.alone[here].max())}
    return [
        REPORT.measured(
            metric, Figure(float(runs[0]), float(runs.min()), float(runs.max())), many, target=name,
            before=before, baseline=baselines.get(metric, 0.0), assumes=ASSUMES,
            note=_note(table, promise, finer),
        )
        for metric, (runs, before) in figures.items()
    ]  # fmt: skip


def _note(table: Table, promise: Promise, finer: Sequence[Finer]) -> str:
    note = f"of the columns generalized {len(finer)} could tell something by their level"
    if any(one.sampled for one in finer):
        note += SAMPLED.format(RUNS)
    if any(one.cut for one in finer):
        note += CUT
    return note + (SHOWN if promise.close and table.suppressed else "")


def _worst(found: Sequence[Finding]) -> list[Finding]:
    """Each figure of the sensitive column that it is worst of."""
    worst = [max((one for one in found if one.metric == metric), key=badness) for metric in REPORT.table]
    return [
        one.model_copy(update={"target": "release", "note": f"of {one.target}: {one.note}"}) for one in worst
    ]
