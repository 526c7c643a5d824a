"""The policy as a value: what is to be done with a dataset, by whom, for whom and why.

Parts (actions, hierarchies, privacy models, probes) are held as a name with parameters; what the
parameters may be is the business of the part's registry, asked by :mod:`sfumato.policy.load`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sfumato.core.values import Role


class Section(BaseModel):
    """A part of a policy: frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


Text = Annotated[str, Field(min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]


class Source(Section):
    """Where the rows are: a path, glob pattern or folder, relative to the policy's folder."""

    path: Text
    format: Literal["csv", "tsv", "parquet", "ndjson"] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    missing: tuple[str, ...] = ()


class Population(Section):
    """How many people the rows were drawn from: ``fraction`` of them, or a ``size``; and who says so."""

    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    source: Text | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.fraction is None) == (self.size is None):
            raise ValueError("say either fraction or size")
        return self

    def fraction_of(self, rows: int) -> float:
        """The sampling fraction, at most 1."""
        if self.fraction is not None:
            return self.fraction
        assert self.size is not None
        return min(1.0, rows / self.size)


class Dataset(Section):
    """What the data are, and for whom and why they are prepared."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    source: Source
    key: Text | None = None
    subject: Text | None = None
    target: Text | None = None
    population: Population | None = None
    purpose: Text | None = None
    recipients: tuple[Text, ...] = ()
    owner: Text | None = None
    description: Text | None = None
    origin: Text | None = None
    licence: Text | None = None


class Part(Section):
    """A named part with its parameters, as written; validated against the part's own ``Params``."""

    name: Text
    params: dict[str, Any] = {}

    @classmethod
    def written(cls, value: Any, key: str) -> Any:
        """``{do: mask, keep: 2}`` as ``Part(name="mask", params={"keep": 2})``, given ``key="do"``."""
        if isinstance(value, str):
            return cls(name=value)
        if isinstance(value, dict) and set(value) == {"name", "params"}:
            # Its own dump, as custody keeps it.
            return cls(**value)
        if isinstance(value, dict) and isinstance(value.get(key), str):
            return cls(name=value[key], params={k: v for k, v in value.items() if k != key})
        if isinstance(value, cls):
            return value
        raise ValueError(f'a mapping with the key "{key}" is needed, or just a name')


class Column(Section):
    """What is done to one column and why."""

    role: Role
    sensitive: bool = False
    known_to: tuple[Text, ...] = ()
    action: Part | None = None
    hierarchy: Part | None = None
    why: Text

    @field_validator("action", mode="before")
    @classmethod
    def _action(cls, value: Any) -> Any:
        return None if value is None else Part.written(value, "do")

    @field_validator("hierarchy", mode="before")
    @classmethod
    def _hierarchy(cls, value: Any) -> Any:
        return None if value is None else Part.written(value, "kind")

    @model_validator(mode="after")
    def _known_to_needs_sensitive(self) -> Self:
        if self.known_to and not self.sensitive:
            raise ValueError("known_to says who knows a sensitive column: add sensitive: true")
        if self.hierarchy is not None and self.done != "generalize":
            raise ValueError("a hierarchy is for the action generalize, and this column has another")
        return self

    @property
    def done(self) -> str:
        """The name of the action, the role's default if none is written."""
        return self.action.name if self.action is not None else DEFAULT_ACTIONS[self.role]


DEFAULT_ACTIONS = {
    Role.DIRECT_IDENTIFIER: "drop",
    Role.QUASI_IDENTIFIER: "generalize",
    Role.INSENSITIVE: "keep",
}


class Anonymity(Section):
    """The table recoding: method, the privacy models that must hold, and what may be given up."""

    method: Literal["lattice"] = "lattice"
    models: Annotated[tuple[Part, ...], Field(min_length=1)]
    suppression: Share = 0.0
    measure: str = "loss"

    @field_validator("models", mode="before")
    @classmethod
    def _models(cls, value: Any) -> Any:
        return [Part.written(item, "model") for item in value] if isinstance(value, list | tuple) else value


class Attacker(Section):
    """Somebody who might look for a person in the release, and what they know."""

    knows: tuple[Text, ...]
    source: Text | None = None
    motive: Text | None = None


class Context(Section):
    """To whom the release goes, and who might attack it."""

    release: Literal["internal", "partner", "public"] = "partner"
    attackers: tuple[Attacker, ...] = ()


class Holdout(Section):
    """The share of people who are neither fitted nor released: test set and control population."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.2


def _probes(value: Any) -> Any:
    """Names, or one-key mappings of a name to its parameters, as parts."""
    if not isinstance(value, list | tuple):
        return value
    parts: list[Any] = []
    for item in value:
        if isinstance(item, dict) and len(item) == 1:
            name, params = next(iter(item.items()))
            parts.append(Part(name=str(name), params=params or {}))
        else:
            parts.append(Part.written(item, "probe"))
    return parts


class Evidence(Section):
    """What is measured on the release."""

    holdout: Holdout = Holdout()
    sample: Annotated[int, Field(ge=1000)] = 50_000
    attacks: tuple[Part, ...] = (Part(name="uniqueness"), Part(name="linkage"))
    utility: tuple[Part, ...] = (Part(name="distributions"), Part(name="correlations"), Part(name="learning"))
    fairness: Part | None = None

    @field_validator("holdout", mode="before")
    @classmethod
    def _holdout(cls, value: Any) -> Any:
        return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("attacks", "utility", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return _probes(value)

    @field_validator("fairness", mode="before")
    @classmethod
    def _fairness(cls, value: Any) -> Any:
        if isinstance(value, dict) and set(value) != {"name", "params"}:
            return Part(name="fairness", params=value)
        return value

    def probes(self) -> tuple[Part, ...]:
        """Every probe asked for, attacks first."""
        return (*self.attacks, *self.utility, *((self.fairness,) if self.fairness else ()))


class Threshold(Section):
    """What a finding must reach for the release to leave."""

    metric: Text
    at_most: float | None = None
    at_least: float | None = None
    target: Text = "release"
    least_n: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("say either at_most or at_least")
        return self

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{self.metric} {bound}" + ("" if self.target == "release" else f" on {self.target}")


class Approval(Section):
    """A named person answers for something that the house would refuse.

    ``what`` is "column NAME" (its role, against the inventory) or "gate METRIC" (a looser floor).
    """

    by: Text
    what: Annotated[str, Field(pattern=r"^(column|gate) \S.*$")]
    why: Text


class ReleaseForm(Section):
    """The form in which data leave."""

    format: Literal["parquet", "csv"] = "parquet"


class Policy(Section):
    """A whole policy."""

    sfumato: Literal[1]
    dataset: Dataset
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    anonymity: Anonymity | None = None
    context: Context = Context()
    evidence: Evidence | None = None
    gate: tuple[Threshold, ...] = ()
    approvals: tuple[Approval, ...] = ()
    release: ReleaseForm = ReleaseForm()

    def approved(self, what: str) -> bool:
        """Whether somebody answers for ``what`` ("column age", "gate risk.worst_class")."""
        return any(" ".join(approval.what.split()) == what for approval in self.approvals)

    def named(self, role: Role) -> tuple[str, ...]:
        """The columns of a role, in the policy's order."""
        return tuple(name for name, column in self.columns.items() if column.role is role)
