"""What the user asks of a search: the file of ``--space``, and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sfumato.core.errors import InputError
from sfumato.tuning.aims import Limit, limit_from

#: Trials' worth of time that the whole evidence takes, about.
_WHOLE = 3


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LimitAsked(_Strict):
    """A limit as written; a bound such as "97%" is of the original's figure."""

    metric: str
    target: str = "release"
    at_most: float | str | None = None
    at_least: float | str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("say either at_most or at_least")
        return self

    @classmethod
    def read(cls, written: str, word: Literal["at_most", "at_least"]) -> LimitAsked:
        """A limit of the command line.

        Raises:
            InputError: ``usage``.
        """
        found = limit_from(written, word)
        bound = written.rpartition("=")[2].strip()
        return cls.model_validate({"metric": found.metric, "target": found.target, word: bound})

    def limit(self) -> Limit:
        """The limit.

        Raises:
            InputError: ``usage`` for a bound that is no number.
        """
        word = "at_most" if self.at_most is not None else "at_least"
        found = limit_from(f"{self.metric}={getattr(self, word)}", word)  # type: ignore[arg-type]
        return found.model_copy(update={"target": self.target})


class Vary(_Strict):
    """The values that are tried; what is None has values of its own, an empty list leaves it as it is."""

    method: tuple[str, ...] | None = None
    epsilon: tuple[Annotated[float, Field(gt=0, le=1000)], ...] | None = None
    k: tuple[Annotated[int, Field(ge=2)], ...] | None = None
    l: tuple[Annotated[float, Field(ge=1)], ...] | None = None  # noqa: E741 - the model's own name for it
    t: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = None
    suppression: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = None
    measure: tuple[str, ...] | None = None
    weights: tuple[str, ...] | None = None
    labels: tuple[Literal["hierarchy", "free"], ...] | None = None
    drop: tuple[str, ...] | None = None
    levels: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] | None = None
    round: dict[str, tuple[Annotated[float, Field(gt=0)], ...]] | None = None

    def keeping_columns(self) -> Vary:
        """The same with no column left out but those that the user names."""
        return self if self.drop is not None else self.model_copy(update={"drop": ()})


class Confirm(_Strict):
    """How figures are confirmed: the share of people set aside for it, on how many splits of them, for how
    many policies besides the given one; and for the best of them with how many other targets, and on how
    many splits the ``whole`` evidence. Before, so many contenders are chosen, and measured on ``again``
    splits of the search's people."""

    share: Annotated[float, Field(ge=0.2, le=0.8)] = 0.5
    splits: Annotated[int, Field(ge=1, le=50)] = 8
    policies: Annotated[int, Field(ge=1, le=20)] = 2
    contenders: Annotated[int, Field(ge=1, le=50)] = 6
    again: Annotated[int, Field(ge=1, le=20)] = 4
    targets: Annotated[int, Field(ge=0, le=20)] = 2
    whole: Annotated[int, Field(ge=0, le=50)] = 4

    @property
    def measurements(self) -> int:
        """How many trials' worth of time this takes."""
        confirmed = (1 + self.policies) * self.splits + 2 * _WHOLE * self.whole
        return confirmed + (1 + self.contenders) * (self.again - 1)

    def within(self, measurements: float) -> Confirm:
        """As much of it as there is time for: what is besides first gives way, people set aside last."""
        found = self
        for fewer in (
            {"whole": 2},
            {"whole": 0},
            {"again": 2},
            {"again": 1},
            {"policies": 1},
            {"splits": 4},
            {"splits": 1, "targets": 0},
        ):
            if found.measurements > measurements:
                least = {name: min(value, getattr(found, name)) for name, value in fewer.items()}
                found = found.model_copy(update=least)
        return found


class Asked(_Strict):
    """The search as a whole. ``people`` is the most that either part has, a keyed sample of more;
    ``release_from`` is the source of the release, if people of another one are searched."""

    minimize: tuple[str, ...] = ()
    maximize: tuple[str, ...] = ()
    subject_to: tuple[LimitAsked, ...] = ()
    vary: Vary = Vary()
    confirm: Confirm = Confirm()
    people: Annotated[int, Field(ge=500)] = 50_000
    release_from: str | None = None

    def aiming(
        self,
        minimize: Sequence[str],
        maximize: Sequence[str],
        at_most: Sequence[str],
        at_least: Sequence[str],
    ) -> Asked:
        """The same with what the command line says: its aims in place of these, its limits besides these.

        Raises:
            InputError: ``usage`` for a limit that is none.
        """
        limits = [LimitAsked.read(one, "at_most") for one in at_most]
        limits += [LimitAsked.read(one, "at_least") for one in at_least]
        aims = {"minimize": tuple(minimize), "maximize": tuple(maximize)}
        given = {name: names for name, names in aims.items() if names}
        return self.model_copy(update={**given, "subject_to": (*self.subject_to, *limits)})


def load_asked(path: Path | None) -> Asked:
    """The file of ``--space``; without one everything is as the policy suggests.

    Raises:
        InputError: ``usage``, with what is wrong and where.
    """
    if path is None:
        return Asked()
    try:
        data: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("usage", f"cannot be read ({error.strerror})", where=str(path)) from None
    except (YAMLError, UnicodeDecodeError, ValueError):
        raise InputError("usage", "is not valid YAML", where=str(path)) from None
    return asked_from({} if data is None else data, str(path))


def asked_from(data: Any, where: str) -> Asked:
    """The same from a mapping.

    Raises:
        InputError: ``usage``.
    """
    try:
        return Asked.model_validate(data)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            "usage",
            f"{place}: {first['msg']}" if place else "a mapping is needed",
            where=where,
            remedy="it has the keys " + ", ".join(Asked.model_fields),
        ) from None
