"""The section of a policy that asks for answers under differential privacy."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sfumato.policy.parts import Part, Section, Text

Epsilon = Annotated[float, Field(gt=0, le=1000)]
Delta = Annotated[float, Field(ge=0, lt=1)]


class DatasetBudget(Section):
    """What may be learned of the dataset's people over all its releases, declared once."""

    epsilon: Epsilon
    """The largest epsilon of all releases together."""
    delta: Delta
    """The largest delta of all releases together."""
    filter: Literal["rdp", "zcdp", "basic"] = "rdp"
    """How spends that are chosen one after another add up: by Renyi divergence at an order fixed now, by
    zero-concentrated divergence, or epsilon by epsilon."""


class Training(Section):
    """A model taught by the rows; its weights leave, and no rows.

    Every column that it learns from has declared bounds or categories, and no other is looked at.
    """

    model: Literal["logistic-regression", "linear-regression"]
    """The kind of model: of classes, or of a number."""
    target: Text
    """The column to be predicted; rows without a value of it are left out."""
    classes: tuple[bool | int | str, ...] = ()
    """The classes of the target, for a model of classes; rows of another are left out."""
    range: tuple[float, float] | None = None
    """The bounds of the target, for a model of a number."""
    bounds: dict[Text, tuple[float, float]] = Field(default_factory=dict)
    """The bounds of each number to learn from; values beyond are moved to the nearer one."""
    categories: dict[Text, tuple[bool | int | str, ...]] = Field(default_factory=dict)
    """The values of each category to learn from; others count as anything else."""
    missing: Literal["refuse", "category"] = "refuse"
    """Whether a missing value is refused, or is a value of its own."""
    size: Annotated[int, Field(ge=1)]
    """About how many rows there are, as everybody may know it."""
    test: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """The share of people who do not teach, but on whom the house tests it; the figures stay in custody."""
    why: Text
    """The reason; it is published."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it learns from."""
        return (*self.bounds, *self.categories)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.columns:
            raise ValueError("declare bounds or categories of at least one column to learn from")
        twice = sorted(set(self.bounds) & set(self.categories))
        if twice or self.target in self.columns:
            raise ValueError(f'"{twice[0] if twice else self.target}" is declared twice')
        of_classes = self.model == "logistic-regression"
        if of_classes != (len(set(self.classes)) >= 2) or of_classes == (self.range is not None):
            raise ValueError("a model of classes needs two classes or more, one of a number the range of it")
        return self


class DifferentialPrivacy(Section):
    """What is asked of the rows, and what it may cost: queries, or a training.

    The unit is the person (``dataset.subject``), or the row where no column says whose a row is.
    """

    budget: DatasetBudget
    """What may be learned over all releases of the dataset."""
    epsilon: Epsilon
    """The epsilon of this release."""
    delta: Delta = 0.0
    """The delta of this release; with 0 the noise is of Laplace's kind, otherwise Gaussian."""
    relation: Literal["add-remove", "replace-one"] = "add-remove"
    """Whose data differ: somebody is there or not, or is replaced by somebody else."""
    rows_per_subject: Annotated[int, Field(ge=1)] | None = None
    """The most rows of a person that are looked at, chosen at random."""
    queries: tuple[Part, ...] = ()
    """The questions, answered together; each with its parameters and a ``why``, which is published."""
    training: Training | None = None
    """The model that is to be trained."""
    audit: bool = False
    """Whether the mechanism is audited before it is used, on rows that are made up."""

    @property
    def unit(self) -> Literal["row", "subject"]:
        """What is protected: rows, or people with all their rows."""
        return "row" if self.rows_per_subject is None else "subject"

    @field_validator("queries", mode="before")
    @classmethod
    def _queries(cls, value: Any) -> Any:
        return [Part.written(item, "query") for item in value] if isinstance(value, list | tuple) else value

    @field_validator("queries")
    @classmethod
    def _reasons(cls, value: tuple[Part, ...]) -> tuple[Part, ...]:
        if not all(str(query.params.get("why", "")).strip() for query in value):
            raise ValueError("each query needs a why, which is published")
        return value

    @model_validator(mode="after")
    def _affordable(self) -> Self:
        if bool(self.queries) == (self.training is not None):
            raise ValueError("say either queries or training")
        if self.training is not None and self.delta == 0:
            raise ValueError("training needs a delta above 0, far below one over the number of people")
        if self.training is not None and self.rows_per_subject not in (None, 1):
            raise ValueError("training takes one row of each person: rows_per_subject: 1")
        if self.epsilon > self.budget.epsilon or self.delta > self.budget.delta:
            raise ValueError("one release may not cost more than the budget of the dataset")
        return self
