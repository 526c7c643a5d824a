"""What is known of a release, as words under fixed paths, for laws and forms to be filled from.

Everything comes from the :class:`sfumato.release.account.Account`, whose figures have passed
:mod:`sfumato.core.disclosure`. What the policy does not say has no words, and is never made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfumato.release.words import (
    METHODS,
    UNIT_WORDS,
    action_words,
    count_words,
    listed,
    model_words,
    value_words,
)

if TYPE_CHECKING:
    from sfumato.release.account import Account

#: Every path, and what it says.
PATHS: Mapping[str, str] = {
    "dataset.name": "the data set's name",
    "dataset.description": "what the data are",
    "dataset.origin": "where they come from",
    "dataset.owner": "who answers for them",
    "dataset.purpose": "what the recipients need them for",
    "dataset.recipients": "who gets the release",
    "dataset.licence": "the licence",
    "dataset.target": "the column to be predicted",
    "dataset.subject": "the column that says which rows are one person's",
    "dataset.population": "the population, in words",
    "recipient": "one recipient, in a file that is told for each",
    "context.release": "internal, partner or public",
    "context.attackers": "who might look for people, in words",
    "rows.read": "rows of the source, rounded",
    "rows.released": "rows that leave, rounded",
    "rows.held_out": "rows held out, rounded",
    "rows.suppressed": "rows suppressed, rounded",
    "columns.all": "the number of columns",
    "columns.released": "the names of the columns that leave",
    "columns.sensitive": "the names of the sensitive columns that leave",
    "anonymity.method": "how the table was recoded",
    "anonymity.models": "the privacy models checked on the rows as written",
    "sampling": "the random sample that is released",
    "evidence.probes": "the probes that the policy asks for",
    "fairness.groups": "the columns whose groups were compared",
    "gate.outcome": "whether the gate let the release leave, in words",
    "gate.passed": "known only if it did",
    "gate.thresholds": "the thresholds that were compared",
    "approvals": "who answers for what was loosened",
    "inventory": "known only if the columns' contents were looked at",
    "differential-privacy": "known only if a differential-privacy claim is made",
    "differential-privacy.unit": "whom the claim is about",
    "differential-privacy.budget": "what all releases of the dataset together may cost, and what is spent",
    "differential-privacy.noise": "where its noise comes from",
    "differential-privacy.unbounded": "releases of the same people without it, if there are any",
    "release.files": "the data files",
    "release.time": "when the release was made",
    "release.fingerprint": "the signer's fingerprint",
}
#: Paths that end in a name: a technique or transform used, a model checked, a probe asked for, and the
#: figure of a metric on the whole release.
FAMILIES = ("technique.", "model.", "probe.", "finding.")


#: Statuses of figures that are known.
_KNOWN = ("measured", "proven")


def is_path(path: str) -> bool:
    """Whether something can be known under a path.

    >>> is_path("dataset.owner"), is_path("technique.round"), is_path("dataset.colour")
    (True, True, False)
    """
    return path in PATHS or any(path.startswith(family) and path != family for family in FAMILIES)


@dataclass(frozen=True)
class Column:
    """A column of the source as it may be told.

    ``done`` is in words, ``detected`` are kinds of identifiers, ``gone`` says that nothing of it leaves.
    """

    name: str
    role: str
    sensitive: bool
    action: str
    done: str
    detected: tuple[str, ...] = ()
    gone: bool = False

    @property
    def words(self) -> frozenset[str]:
        """The words of its name, in lower case.

        >>> sorted(Column("homePhone_No", "insensitive", False, "drop", "dropped").words)
        ['home', 'no', 'phone']
        """
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", self.name)
        return frozenset(re.findall(r"[^\W_]+", parted.lower()))


@dataclass(frozen=True)
class Facts:
    """What is known: words by path, and the columns."""

    words: Mapping[str, str]
    columns: tuple[Column, ...]

    def __getitem__(self, path: str) -> str:
        """The words under a path, empty where nothing is known."""
        return self.words.get(path, "")

    def also(self, **words: str) -> Facts:
        """The same with more words."""
        return Facts({**self.words, **words}, self.columns)


def facts(account: Account) -> Facts:
    """What is known of a release."""
    columns = tuple(_columns(account))
    words = dict.fromkeys(PATHS, "")
    words |= _of_dataset(account) | _of_rows(account) | _of_columns(columns) | _of_method(account)
    words |= _of_evidence(account) | _of_guarantee(account) | _of_release(account)
    return Facts(words, columns)


def _columns(account: Account) -> list[Column]:
    """The plan's columns, then those of the policy that the plan never saw."""
    rows = [(step["column"], step, step["action"], step["params"]) for step in account.plan["columns"]]
    seen = {name for name, *_ in rows}
    for name, written in account.policy["columns"].items():
        if name not in seen:
            params = {key: value for key, value in written["action"].items() if key != "do"}
            rows.append((name, written, written["action"]["do"], params))
    return [
        Column(
            name=name,
            role=said["role"],
            sensitive=said["sensitive"],
            action=_effect(action, said),
            done=_done(_effect(action, said), params) + _level_words(said),
            detected=tuple((account.detected or {}).get(name, ())),
            gone=action == "drop" or _at_the_top(said),
        )
        for name, said, action, params in rows
    ]


def _done(action: str, params: Mapping[str, Any]) -> str:
    """What was done, to stand in brackets: with no brackets of its own."""
    words = action_words(action, params)
    return words[:-1].replace(" (", ", ", 1) if words.endswith(")") else words


def _effect(action: str, step: Mapping[str, Any]) -> str:
    """What an action comes to: a column generalized to its lowest level is released as it is."""
    return "keep" if step.get("level") == 0 else action


def _at_the_top(step: Mapping[str, Any]) -> bool:
    """Whether a column's highest level was taken, which says nothing any more."""
    return "level" in step and step["level"] == step["height"] - 1 > 0


def _level_words(step: Mapping[str, Any]) -> str:
    if not step.get("level"):
        return ""
    return ", nothing left of it" if _at_the_top(step) else f", level {step['level']} of {step['height'] - 1}"


def _of_dataset(account: Account) -> dict[str, str]:
    dataset = account.dataset
    plain = ("name", "description", "origin", "owner", "purpose", "licence", "target", "subject")
    context = account.policy["context"]
    return {
        **{f"dataset.{key}": str(dataset.get(key) or "").rstrip(" .") for key in plain},
        "dataset.recipients": listed(dataset.get("recipients") or ()),
        "dataset.population": population_words(dataset.get("population")),
        "context.release": context["release"],
        "context.attackers": "; ".join(attacker_words(attacker) for attacker in context.get("attackers", ())),
    }


def population_words(population: Mapping[str, Any] | None) -> str:
    """The population that the policy names.

    >>> population_words({"fraction": 0.0001, "source": "a guess"})
    'the rows are 0.01 % of it; a guess'
    """
    if population is None:
        return ""
    if population.get("fraction"):
        said = f"the rows are {population['fraction'] * 100:g} % of it"
    elif population.get("size"):
        said = f"{population['size']:,} people"
    else:
        said = "counted in a table of everybody"
    return said + (f"; {population['source']}" if population.get("source") else "")


def attacker_words(attacker: Mapping[str, Any]) -> str:
    """Somebody who might look for a person.

    >>> attacker_words({"knows": ["age", "town"], "source": "a register", "motive": "curiosity"})
    'somebody who knows age and town, from a register (motive: curiosity)'
    """
    source = f", from {attacker['source']}" if attacker.get("source") else ""
    motive = f" (motive: {attacker['motive']})" if attacker.get("motive") else ""
    return f"somebody who knows {listed(attacker['knows'])}{source}{motive}"


def _of_rows(account: Account) -> dict[str, str]:
    plan, anonymity = account.plan, account.plan["anonymity"]
    if account.private is not None:
        return {}
    if account.guarantee is not None:
        return {"rows.released": count_words(account.rows)}
    return {
        "rows.read": count_words(plan["rows"]),
        "rows.released": count_words(account.rows),
        "rows.held_out": count_words(plan["holdout_rows"]) if account.holds_out else "",
        "rows.suppressed": "" if anonymity is None else count_words(anonymity["suppressed_rows"]),
    }


def _of_columns(columns: Sequence[Column]) -> dict[str, str]:
    leave = [column for column in columns if not column.gone]
    used: dict[str, list[str]] = {}
    for column in columns:
        used.setdefault(column.action, []).append(column.name)
    return {
        "columns.all": str(len(columns)),
        "columns.released": listed([column.name for column in leave]),
        "columns.sensitive": listed([column.name for column in leave if column.sensitive]),
        **{f"technique.{action}": listed(names) for action, names in used.items()},
    }


def _of_method(account: Account) -> dict[str, str]:
    words: dict[str, str] = {}
    anonymity, sampling = account.plan["anonymity"], account.policy.get("sampling")
    if anonymity is not None:
        said = [model_words(model) for model in anonymity["models"]]
        words |= {
            "anonymity.method": METHODS.get(anonymity["method"], anonymity["method"]),
            "anonymity.models": "; ".join(said),
            f"technique.{anonymity['method']}": METHODS.get(anonymity["method"], anonymity["method"]),
        }
        words |= {
            f"model.{model['model']}": text for model, text in zip(anonymity["models"], said, strict=True)
        }
        if account.policy.get("anonymity", {}).get("suppression"):
            words["technique.record-suppression"] = _suppression_words(account)
    if account.synthesis is not None:
        words["technique.synthesis"] = METHODS.get(account.synthesis["method"], account.synthesis["method"])
    if sampling:
        words["sampling"] = (
            f"{sampling['share'] * 100:g} % of the people"
            if sampling.get("share")
            else f"{sampling['people']:,} people"
        )
    return words


def _suppression_words(account: Account) -> str:
    """How many rows were left out, and how many could have been."""
    most, rows = account.policy["anonymity"]["suppression"], account.plan["anonymity"]["suppressed_rows"]
    return f"{count_words(rows)} rows left out, at most {most * 100:g} % allowed"


def _of_evidence(account: Account) -> dict[str, str]:
    evidence = account.policy.get("evidence") or {}
    probes = [part["probe"] for kind in ("attacks", "utility") for part in evidence.get(kind, ())]
    groups = (evidence.get("fairness") or {}).get("groups") or ()
    thresholds = [reason.threshold for reason in account.decision.reasons]
    return {
        "evidence.probes": listed(probes),
        "fairness.groups": listed([str(group) for group in groups]),
        "gate.outcome": "the gate let the release leave"
        if account.decision.passed
        else "the gate refused, and no data left",
        "gate.passed": "yes" if account.decision.passed else "",
        "gate.thresholds": listed(thresholds),
        **{f"probe.{name}": name for name in probes},
        **{
            f"finding.{found.metric}": value_words(found.value, found.unit)
            for found in account.findings
            if found.target == "release" and found.value is not None and found.status in _KNOWN
        },
    }


def _of_guarantee(account: Account) -> dict[str, str]:
    private = account.guarantee
    if private is None:
        return {}
    unit, budget = UNIT_WORDS[private["unit"]], private["budget"]
    epsilon, replaced = (value_words(private[name], "epsilon") for name in ("epsilon", "replace_epsilon"))
    return {
        "differential-privacy": f"epsilon {epsilon} and delta {private['delta']:g} for each {unit}, where "
        f"one is added or removed (epsilon {replaced} where one is replaced), by {private['event']}",
        "differential-privacy.unit": "a person with all their rows" if unit == "person" else f"one {unit}",
        "differential-privacy.budget": f"epsilon {budget['epsilon']:g} and delta {budget['delta']:g}; "
        f"{value_words(budget['spent'], 'share')} is spent",
        "differential-privacy.noise": "a cryptographic source"
        if private["secure"]
        else "a generator whose output could be predicted",
        "differential-privacy.unbounded": str(private["unbounded"] or ""),
        "technique.differential-privacy": {
            "model": "a model trained with noise",
            "rows": "rows made by what was learned with noise",
            "statistics": f"{len(private['asked'])} noisy answers",
        }[private["kind"]],
    }


def _of_release(account: Account) -> dict[str, str]:
    approvals = (f"{said['by']} for {said['what']}: {said['why']}" for said in account.approvals)
    return {
        "approvals": "; ".join(approvals),
        "inventory": "" if account.detected is None else "yes",
        "release.files": listed(
            [
                file.name if file.files is None else f"{file.name} ({file.files:,} files)"
                for file in account.data
            ]
        ),
        "release.time": account.time,
        "release.fingerprint": account.fingerprint,
    }
