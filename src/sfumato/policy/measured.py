"""The sections of a policy on what is measured, and what a release must reach."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from sfumato.policy.parts import Part, Section, Text


class Holdout(Section):
    """The share of people who are neither fitted nor released: test set and control population."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """The share of people; with 0 what needs a holdout is not measured, or on a twin release."""


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


#: The attacks that every release stands, and what is measured of its use, if the policy does not say.
BATTERY = ("uniqueness", "linkage", "singling-out", "linkability", "attribute-inference", "membership")
#: The same where rows are made; copies are looked for besides.
MADE_BATTERY = ("singling-out", "linkability", "attribute-inference", "membership", "outliers")
USES = ("distributions", "correlations", "marginals", "tails", "learning")
#: What is measured of the use of histories that are made.
HISTORY_USES = ("histories", "distributions", "learning")
#: The same of several tables that are made together.
TABLE_USES = ("tables", "distributions", "correlations", "learning")


class Evidence(Section):
    """What is measured on the release."""

    holdout: Holdout = Holdout()
    """Who is kept back; a number is short for its share."""
    sample: Annotated[int, Field(ge=1000)] = 50_000
    """The most people looked at by probes that need rows, a keyed sample of more."""
    attacks: tuple[Part, ...] = tuple(Part(name=name) for name in BATTERY)
    """Attacks on the release; class risks are measured whether asked for or not."""
    utility: tuple[Part, ...] = tuple(Part(name=name) for name in USES)
    """What the release is still good for."""
    fairness: Part | None = None
    """For whom it got worse; written as the parameters of the probe fairness."""

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

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        names = [part.name for part in self.probes()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is asked for twice: name it once, with its parameters")
        return self

    def probes(self) -> tuple[Part, ...]:
        """Every probe asked for, attacks first."""
        return (*self.attacks, *self.utility, *((self.fairness,) if self.fairness else ()))


class Threshold(Section):
    """What a finding must reach for the release to leave."""

    metric: Text
    """The figure, by its name in the reference of probes."""
    at_most: float | None = None
    """The upper end of the figure's interval may not be above this."""
    at_least: float | None = None
    """The lower end of the figure's interval may not be below this."""
    target: Text = "release"
    """What the figure is about: the release, a column, or a group such as white=0."""
    least_n: Annotated[int, Field(ge=1)] = 100
    """The least number of people that the figure must rest on."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("say either at_most or at_least")
        return self

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{self.metric} {bound}" + ("" if self.target == "release" else f" on {self.target}")
