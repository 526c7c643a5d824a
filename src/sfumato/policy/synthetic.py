"""The section of a policy that asks for new rows in the place of the people's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sfumato.policy.histories import History
from sfumato.policy.images import MOST_MADE, Images
from sfumato.policy.parts import Section, Text
from sfumato.policy.private import DatasetBudget, Delta, Epsilon
from sfumato.synth.images import METHODS
from sfumato.synth.sequences import MODELS


class SynthesisPrivacy(Section):
    """What the synthesizer may learn of the people, and what it costs.

    The unit is the row; where ``dataset.subject`` says whose a row is, each person has one row, drawn at
    random, and where histories are made all of them. What is not declared of a column (its bounds, its
    values) is learned under the same epsilon; of histories everything is declared.
    """

    budget: DatasetBudget
    """What may be learned over all releases of the dataset."""
    epsilon: Epsilon
    """The epsilon of this release."""
    delta: Annotated[Delta, Field(gt=0)]
    """The delta of this release, far below one over the number of people."""
    relation: Literal["add-remove", "replace-one"] = "add-remove"
    """Whose data differ: somebody is there or not, or is replaced by somebody else."""
    size: Annotated[int, Field(ge=1)] | None = None
    """About how many people there are, as everybody may know it; without it their number is learned too."""
    bounds: dict[Text, tuple[float, float]] = Field(default_factory=dict)
    """The bounds of numbers; values beyond are moved to the nearer one."""
    categories: dict[Text, tuple[bool | int | str, ...]] = Field(default_factory=dict)
    """The values of categories; others count as missing."""
    evidence: Literal["house", "published"] = "house"
    """Where the figures go that are measured on people: to custody alone, or into the dossier too. They are
    not noised, so that no epsilon covers what is published of them."""

    @model_validator(mode="after")
    def _affordable(self) -> Self:
        if self.epsilon > self.budget.epsilon or self.delta > self.budget.delta:
            raise ValueError("one release may not cost more than the budget of the dataset")
        twice = sorted(set(self.bounds) & set(self.categories))
        if twice:
            raise ValueError(f'"{twice[0]}" is declared twice')
        return self


class Synthesis(Section):
    """New rows, made by a synthesizer that learned from the people's; these leave, and no row of anybody.

    It learns from the columns that are not dropped, as their actions leave them.
    """

    method: Text | None = None
    """The synthesizer, by its name in the reference; by default "autoregressive", with dp "aim", of
    histories "events", with dp "ngram", and of images "kernel"."""
    history: History | None = None
    """Where people have several rows: people with all their events are made, and not single rows."""
    images: Images | None = None
    """Where each row names an image: images with labels are made, and not rows alone."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The synthesizer's own parameters."""
    rows: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """How many rows are made; by default about as many as there are people."""
    rare: Literal["merge", "keep"] = "merge"
    """Whether values that fewer than ten people have are merged into others, or kept: who has one can be
    found by it."""
    text: tuple[Text, ...] = ()
    """Columns of free text, which only a synthesizer that reads can make."""
    constraints: tuple[str | dict[str, Any], ...] = ()
    """What holds in every row, such as ``start <= end``, ``total = net + tax`` or ``{unique: number}``."""
    balance: dict[Text, Literal["even"] | dict[str, Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict
    )
    """The shares that some values shall have among the rows made, whatever they are among the people."""
    dp: SynthesisPrivacy | None = None
    """Differential privacy; without it no epsilon bounds what the rows tell of anybody."""
    why: Text
    """The reason; it is published."""

    @property
    def by(self) -> str:
        """The synthesizer's name."""
        if self.history is not None:
            return self.method or ("events" if self.dp is None else "ngram")
        if self.images is not None:
            return self.method or "kernel"
        return self.method or ("autoregressive" if self.dp is None else "aim")

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        """Whoever makes rows makes no histories and no images, and the reverse."""
        makes_histories = self.by in tuple(MODELS)
        if self.images is not None:
            self._of_images(self.images)
            return self
        if self.by in tuple(METHODS):
            raise ValueError(
                f"the method {self.by} makes images: say under images which column names their files, and "
                "which is the label"
            )
        if self.history is None:
            if makes_histories:
                raise ValueError(
                    f"the method {self.by} makes histories: say under history which column is the time, and "
                    "which are items and amounts"
                )
            return self
        if not makes_histories:
            raise ValueError(f"the method {self.by} makes rows; histories are made by {' or '.join(MODELS)}")
        for name in ("rows", "text", "constraints", "balance"):
            if getattr(self, name):
                remedy = "history.people says how many" if name == "rows" else "leave it out"
                raise ValueError(f"{name} is for single rows, and histories are made: {remedy}")
        if self.dp is None and self.history.longest is not None:
            raise ValueError("history.longest is for differential privacy: without it the log says it")
        if self.dp is not None:
            self._everything_declared(self.history, self.dp)
        return self

    def _of_images(self, images: Images) -> None:
        """Refuse what images have not, and under dp whatever would have to be looked at."""
        if self.history is not None:
            raise ValueError("either images are made or histories: leave one of them out")
        if self.by not in tuple(METHODS):
            raise ValueError(
                f"the method {self.by} makes no images; these are made by {' or '.join(METHODS)}"
            )
        for name in ("text", "constraints", "balance"):
            if getattr(self, name):
                raise ValueError(f"{name} is for tables, and images are made: leave it out")
        if self.rare == "keep":
            raise ValueError("rare: keep is for tables: an image of a class of few people is theirs again")
        if self.rows is not None and self.rows > MOST_MADE:
            raise ValueError(f"rows: at most {MOST_MADE} images are made, each a file of its own")
        if self.dp is None:
            return
        if images.size is None or self.dp.size is None:
            raise ValueError("images under dp take images.size and dp.size, which nobody looks up")
        if self.dp.bounds or tuple(self.dp.categories) != (images.label,):
            raise ValueError(f'declare the values of "{images.label}" under dp.categories, and nothing else')
        values = self.dp.categories[images.label]
        if not values or len({str(value) for value in values}) < len(values):
            raise ValueError(f'dp.categories: each value of "{images.label}" is written once')

    @staticmethod
    def _everything_declared(history: History, dp: SynthesisPrivacy) -> None:
        """Refuse what would have to be looked at: of histories nothing is learned but how they go."""
        if history.longest is None or dp.size is None:
            raise ValueError("histories under dp take history.longest and dp.size, which nobody looks up")
        for name in history.amounts:
            if name not in dp.bounds:
                raise ValueError(f'declare the bounds of "{name}" under dp.bounds: it is not looked at')
        for name in history.items:
            if name not in dp.categories:
                raise ValueError(
                    f'declare the values of "{name}" under dp.categories: they are not looked up'
                )
        for name in history.statics:
            if name not in dp.categories and name not in dp.bounds:
                raise ValueError(f'declare "{name}" under dp.categories or dp.bounds: it is not looked at')

    @model_validator(mode="after")
    def _declared(self) -> Self:
        if self.dp is not None and self.rare == "keep":
            raise ValueError("rare: keep looks at what few people have, which differential privacy forbids")
        return self
