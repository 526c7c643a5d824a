"""Does a policy fit its source, and does it decide about everything it should?

``check`` finds what YAML and models cannot know: columns that the source has not, roles against what
the inventory found, hierarchies that cannot be built, thresholds on figures that nothing measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from sfumato.core.errors import InputError, Problem, nearest
from sfumato.core.values import Inventory, Role, column_of
from sfumato.dp.queries import QUERIES
from sfumato.evidence import UNGATED, probe
from sfumato.evidence.attacks.composition import REPORT as COMPOSITION
from sfumato.evidence.audits.outcome import REPORT as AUDITS
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.evidence.images.judging import REPORT as IMAGES
from sfumato.evidence.made import rowwise
from sfumato.evidence.run import always
from sfumato.hierarchies import HIERARCHIES
from sfumato.inventory.roles import SINGLES_OUT
from sfumato.policy.anonymity import check_anonymity
from sfumato.policy.histories import untimely
from sfumato.policy.images import unlabelled
from sfumato.policy.load import LoadedPolicy
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.policy.tables import Column, Table
from sfumato.transforms import TRANSFORMS

Where = Callable[..., str]

#: A column's type for the inventory, as the engine has it.
_DTYPES: dict[str, Any] = {
    "integer": pl.Int64,
    "number": pl.Float64,
    "text": pl.String,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "datetime": pl.Datetime,
    "empty": pl.String,
}


def check_policy(
    loaded: LoadedPolicy,
    columns: Sequence[str],
    inventory: Inventory,
    below: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Problem, ...]:
    """Every problem of a policy against a source's columns and inventory, in the policy's order.

    Args:
        below: the columns of each further table; the inventory has them as :func:`column_of` calls them.
    """
    policy, where, synthesis = loaded.policy, loaded.where, loaded.policy.synthesis
    return (
        *unknown_columns(loaded, columns, below),
        *_roles(policy, inventory, where),
        *_actions(loaded, inventory, where),
        *check_anonymity(policy, where),
        *_model_hierarchies(loaded, where),
        *(untimely(synthesis.history, inventory, where) if synthesis and synthesis.history else ()),
        *_of_images(policy, inventory, where),
        *check_gate(loaded),
        *_evidence(policy, where),
    )


def _of_images(policy: Policy, inventory: Inventory, where: Where) -> Iterator[Problem]:
    asked = policy.synthesis
    if asked is not None and asked.images is not None:
        declared = () if asked.dp is None else asked.dp.categories[asked.images.label]
        yield from unlabelled(asked.images, declared, inventory, where)


def undecided(
    policy: Policy, columns: Sequence[str], below: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    """The columns, of the source and of tables ``below``, that the policy is silent about: they are dropped.

    Where answers leave and no rows, there is nothing to decide about columns.
    """
    if policy.dp is not None:
        return ()
    further = tuple(
        column_of(table, name)
        for table, names in (below or {}).items()
        for name in names
        if name not in policy.tables[table].names
    )
    return tuple(name for name in (*columns, *further) if name not in policy.decided)


def measured_metrics(policy: Policy) -> frozenset[str]:
    """Every metric that a run of the policy reports; class risks always, the others if asked for."""
    if policy.dp is not None:
        return frozenset(GUARANTEE.metrics) | (frozenset(AUDITS.metrics) if policy.dp.audit else frozenset())
    if policy.synthesis is not None:
        assert policy.evidence is not None
        priced = frozenset(GUARANTEE.metrics) if policy.synthesis.dp is not None else frozenset()
        if policy.synthesis.images is not None:
            return priced | frozenset(IMAGES.metrics)
        asked = {*unasked(policy), *(part.name for part in policy.evidence.probes())}
        kinds = [probe(name) for name in asked]
        return priced | {metric for kind in kinds for metric in set(kind.metrics) - rowwise(kind)}
    names = {"uniqueness"} | ({part.name for part in policy.evidence.probes()} if policy.evidence else set())
    # What a release gives away with earlier ones is measured wherever there are any.
    return frozenset(metric for name in names for metric in probe(name).metrics) | set(COMPOSITION.metrics)


def unasked(policy: Policy) -> tuple[str, ...]:
    """The probes that run unasked."""
    asked = policy.synthesis
    histories = asked is not None and asked.history is not None
    return always(made=asked is not None, histories=histories, tables=bool(policy.tables))


def unknown_columns(
    loaded: LoadedPolicy, columns: Sequence[str], below: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Problem]:
    """Every name in a policy that should be a column of the source, or of a table ``below``, and is not."""
    policy, where = loaded.policy, loaded.where
    whole = (*columns, *(column_of(table, name) for table, names in (below or {}).items() for name in names))

    def named(what: str, name: str, *place: str | int) -> Iterator[Problem]:
        known = whole if place[0] in ("context", "synthesis") else columns
        if name not in known:
            yield Problem(
                where(*place), f'{what} "{name}" is not a column of the source', nearest(name, known)
            )

    for name in policy.columns:
        yield from named("column", name, "columns", name)
    for table, names in (below or {}).items():
        yield from _of_table(table, policy.tables[table], names, where)
    dataset = policy.dataset
    for key, column in (("target", dataset.target), ("subject", dataset.subject), ("key", dataset.key)):
        if column is not None:
            yield from named(key, column, "dataset", key)
    for i, attacker in enumerate(policy.context.attackers):
        for column in attacker.knows:
            yield from named("attackers.knows", column, "context", "attackers", i, "knows")
    for i, query in enumerate(policy.dp.queries if policy.dp is not None else ()):
        kind = QUERIES.resolve(query.name)
        for column in kind.reads(kind.Params.model_validate(query.params)):
            yield from named(query.name, column, "dp", "queries", i)
    training = policy.dp.training if policy.dp is not None else None
    for column in (training.target, *training.columns) if training is not None else ():
        yield from named("training", column, "dp", "training")
    yield from _of_synthesis(policy, named)
    if policy.anonymity is not None:
        for i, model in enumerate(policy.anonymity.models):
            if "on" in model.params:
                yield from named(f"{model.name} on", str(model.params["on"]), "anonymity", "models", i)
    if policy.evidence is not None and policy.evidence.fairness is not None:
        for column in policy.evidence.fairness.params.get("groups", ()):
            yield from named("fairness.groups", str(column), "evidence", "fairness", "groups")
    for i, measure in enumerate(policy.evidence.utility if policy.evidence is not None else ()):
        for query in measure.params.get("queries", ()) if measure.name == "findings" else ():
            for key, column in _asked_of(query):
                yield from named(f"findings {key}", column, "evidence", "utility", i)


def _of_table(name: str, table: Table, columns: Sequence[str], where: Where) -> Iterator[Problem]:
    """The same of one table below the people's."""
    asked = [("column", column, "columns", column) for column in table.columns]
    asked += [("key", table.key, "key", ""), *([("id", table.id, "id", "")] if table.id is not None else [])]
    for what, column, *place in asked:
        if column not in columns:
            yield Problem(
                where("tables", name, *place),
                f'{what} "{column}" is not a column of the source of {name}',
                nearest(column, columns),
            )


def _of_synthesis(policy: Policy, named: Callable[..., Iterator[Problem]]) -> Iterator[Problem]:
    """The columns of which something is declared or asked of the rows that are made."""
    asked = policy.synthesis
    if asked is None:
        return
    for name in asked.history.columns if asked.history is not None else ():
        yield from named("history", name, "synthesis", "history")
    for name in asked.images.columns if asked.images is not None else ():
        yield from named("images", name, "synthesis", "images")
    for name in asked.text:
        yield from named("text", name, "synthesis", "text")
    for name in asked.balance:
        yield from named("balance", name, "synthesis", "balance", name)
    for key in ("bounds", "categories") if asked.dp is not None else ():
        for name in getattr(asked.dp, key):
            yield from named(key, name, "synthesis", "dp", key, name)


def _asked_of(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The columns that a query of the probe findings names, each with its key."""
    for key in ("share", "mean", "median", "correlation", "coefficient", "of", "on", "by"):
        value = query.get(key) or ()
        for column in (value,) if isinstance(value, str) else value:
            yield key, str(column)


def population_columns(loaded: LoadedPolicy, columns: Sequence[str]) -> Iterator[Problem]:
    """What the table of the population has to have and has not: all that outsiders know of a person."""
    policy, where = loaded.policy, loaded.where
    needed = [
        name
        for name, column in policy.columns.items()
        if column.done != "drop" and (column.role is Role.QUASI_IDENTIFIER or column.known_to)
    ]
    count = policy.dataset.population.count if policy.dataset.population is not None else None
    for name in (*needed, *((count,) if count is not None else ())):
        if name not in columns:
            yield Problem(
                where("dataset", "population", "table"),
                f'the table of the population has no column "{name}"',
                nearest(name, columns) or "it needs every released quasi-identifier, named as in the source",
            )


def _roles(policy: Policy, inventory: Inventory, where: Where) -> Iterator[Problem]:
    """A policy may be stricter than the inventory; to be laxer takes a name."""
    found = {profile.name: profile for profile in inventory.columns}
    for name, column in policy.decided.items():
        profile, place = found.get(name), policy.place_of(name)
        if profile is None or column.done == "drop" or policy.approved(f"column {name}"):
            continue
        if name == policy.made_names:
            # Nobody's own name is learned, or leaves.
            continue
        if name == policy.dataset.target and column.sensitive and profile.unique < SINGLES_OUT:
            # What is to be learned may count as unknown, as any sensitive column does, if the policy says so.
            continue
        if column.role is Role.INSENSITIVE and profile.role is not Role.INSENSITIVE:
            yield Problem(
                where(*place, "role"),
                f'"{name}" is called insensitive, and the inventory finds it a {profile.role}: {profile.why}',
                f'change its role, or add to approvals: {{by: NAME, what: "column {name}", why: ...}}',
            )
        elif _lists_values(policy, column) and profile.role is Role.DIRECT_IDENTIFIER:
            yield Problem(
                where(*place),
                f'"{name}" is found a {profile.role}, and this method would make labels of its values',
                f"drop or pseudonymize it, give it a hierarchy, or add to approvals: {{by: NAME, what: "
                f'"column {name}", why: ...}}',
            )
        elif column.role is Role.DIRECT_IDENTIFIER and column.done == "keep":
            yield Problem(
                where(*place),
                f'"{name}" is a direct identifier and would leave as it is',
                f"drop or pseudonymize it, or have it approved: {{by: NAME, what: column {name}, why: ...}}",
            )


def _lists_values(policy: Policy, column: Column) -> bool:
    """Whether a column's labels would be sets of its own values, or some of them."""
    asked = policy.anonymity
    if asked is None or column.role is not Role.QUASI_IDENTIFIER or column.done != "generalize":
        return False
    if asked.method in ("cells", "microaggregation"):
        return True
    return asked.method == "partition" and (asked.labels == "free" or column.hierarchy is None)


def _actions(loaded: LoadedPolicy, inventory: Inventory, where: Where) -> Iterator[Problem]:
    policy = loaded.policy
    dtypes = {profile.name: profile.dtype for profile in inventory.columns}
    for name, column in policy.decided.items():
        place = policy.place_of(name)
        if column.done != "generalize":
            if name in dtypes:
                yield from _values(name, column, dtypes[name], where(*place, "action"))
            continue
        level = column.action.params.get("level") if column.action is not None else None
        if level is None and policy.anonymity is None:
            yield Problem(
                where(*place),
                f'"{name}" is to be generalized, but no level is given and no anonymity section chooses one',
                "add a level to the action, or an anonymity section",
            )
        yield from _hierarchy(loaded, name, column, level, lambda *at, place=place: where(*place, *at))


def _values(name: str, column: Column, dtype: str, place: str) -> Iterator[Problem]:
    """Whether an action can be done to values of a column's type."""
    transform, params = (
        TRANSFORMS.resolve(column.done),
        column.action.params if column.action is not None else {},
    )
    empty = pl.DataFrame({"value": pl.Series(dtype=_DTYPES[dtype]), "count": pl.Series(dtype=pl.Int64)})
    try:
        transform().fit(empty, transform.Params(**params), bytes(32))
    except InputError as error:
        yield Problem(place, f"{name}: {error.what}", error.remedy)


def _model_hierarchies(loaded: LoadedPolicy, where: Where) -> Iterator[Problem]:
    """Hierarchies on which models measure distances, and that cannot be built."""
    for i, model in enumerate(loaded.policy.anonymity.models if loaded.policy.anonymity is not None else ()):
        if model.hierarchy is not None:
            height = _height(loaded, model.hierarchy, where("anonymity", "models", i))
            if isinstance(height, Problem):
                yield height


def _height(loaded: LoadedPolicy, written: Part, place: str) -> int | Problem:
    """How many levels a hierarchy has, or why it has none."""
    kind = HIERARCHIES.resolve(written.name)
    try:
        return int(kind(kind.Params(**written.params), loaded.folder).height)
    except InputError as error:
        return Problem(place, f"{error.where}: {error.what}", error.remedy)


def _hierarchy(
    loaded: LoadedPolicy, name: str, column: Column, level: int | None, where: Where
) -> Iterator[Problem]:
    written = column.hierarchy if column.hierarchy is not None else Part(name="suppress")
    kind = HIERARCHIES.resolve(written.name)
    height = _height(loaded, written, where("hierarchy"))
    if isinstance(height, Problem):
        yield height
        return
    if getattr(kind, "needs_target", False) and loaded.policy.dataset.target is None:
        yield Problem(
            where("hierarchy"),
            f'the hierarchy of "{name}" learns from the target, and the dataset has none',
            "name the target under dataset, or take another kind",
        )
    if level is not None and level >= height:
        yield Problem(
            where("action"),
            f'level {level} of "{name}" does not exist: its hierarchy has levels 0 to {height - 1}',
            "choose a lower level",
        )


def check_gate(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Thresholds on figures that nothing in the policy measures."""
    policy, where = loaded.policy, loaded.where
    known = measured_metrics(policy)
    for i, threshold in enumerate(policy.gate):
        if threshold.metric in UNGATED:
            yield Problem(
                where("gate", i),
                f'"{threshold.metric}" says nothing of privacy, so no threshold may rest on it',
                "ask for membership.tpr_at_1 instead, which the probe membership measures",
            )
        elif threshold.metric not in known:
            yield Problem(
                where("gate", i),
                f'nothing that this policy measures reports "{threshold.metric}"',
                nearest(threshold.metric, known),
            )


def _evidence(policy: Policy, where: Where) -> Iterator[Problem]:
    target = policy.dataset.target
    asked = {part.name for part in policy.evidence.utility} if policy.evidence is not None else set()
    if "learning" in asked and target is not None:
        column = policy.columns.get(target)
        if column is None or column.done == "drop":
            yield Problem(
                where("dataset", "target"),
                f'the target "{target}" does not leave, so nothing can be learned from the release',
                "keep it, or take learning out of evidence.utility",
            )
