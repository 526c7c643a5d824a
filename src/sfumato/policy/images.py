"""The part of a policy that says which images the rows name, where images are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from sfumato.core.errors import Problem
from sfumato.core.values import Inventory
from sfumato.policy.parts import Section, Text

#: Each image made is a file of its own, and each is compared with everybody's.
MOST_MADE = 20_000

#: What the values of a column of labels are, by its type.
_KINDS: dict[str, type] = {"text": str, "integer": int, "boolean": bool}

Side = Annotated[int, Field(ge=4, le=128)]
Level = Annotated[int, Field(ge=0, le=255)]


class Images(Section):
    """A row is an image with a label, and images that are nobody's are made.

    Their files are PNGs of one size, grey or in colours, which become grey. What leaves is a table of made
    files and labels, and the files.
    """

    column: Text
    """The column that names each image's file; the files made have names of their own."""
    folder: Text = "."
    """Where the files lie, relative to the policy's folder; what a row names is inside."""
    label: Text
    """The column that says what an image shows."""
    size: tuple[Side, Side] | None = None
    """Height and width in pixels; by default those of the first image, and declared under dp."""
    levels: tuple[Level, Level] = (0, 255)
    """The grey levels of black and white; others are cut to them."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that leaves."""
        return (self.column, self.label)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.column == self.label:
            raise ValueError(f'"{self.label}" cannot be both the file and what it shows')
        if self.levels[0] >= self.levels[1]:
            raise ValueError("levels: that of white is above that of black")
        return self


def unlabelled(
    asked: Images,
    declared: Sequence[bool | int | str],
    inventory: Inventory,
    where: Callable[..., str],
) -> Iterator[Problem]:
    """Files that are no texts, and labels that are no classes, or not of the kind declared."""
    dtypes = {profile.name: profile.dtype for profile in inventory.columns}
    if dtypes.get(asked.column, "text") != "text":
        yield Problem(
            where("synthesis", "images", "column"),
            f'"{asked.column}" is {dtypes[asked.column]}, and files are named by texts',
            "name the column with the images' files, such as scan-1.png",
        )
    kind = dtypes.get(asked.label)
    if kind is not None and kind not in _KINDS:
        yield Problem(
            where("synthesis", "images", "label"),
            f'"{asked.label}" is {kind}, and labels are texts, whole numbers or true and false',
            "name the column that says what an image shows",
        )
    elif kind is not None and any(type(value) is not _KINDS[kind] for value in declared):
        yield Problem(
            where("synthesis", "dp", "categories", asked.label),
            f'"{asked.label}" is {kind}, and not all values that are declared are',
            "write them as the source has them: 1 is a whole number, and '1' a text",
        )


def refuse_unfit(
    asked: Images,
    done: Mapping[str, str],
    *,
    subject: str | None,
    target: str | None,
    probes: Sequence[str],
) -> None:
    """Refuse columns that images have no place for, and measures of tables.

    Args:
        done: what is done to each column.
        probes: what evidence asks for besides what judges images always.

    Raises:
        ValueError: what is wrong, for the loader to say where.
    """
    for name in asked.columns:
        if done.get(name) != "keep":
            raise ValueError(f'"{name}" is part of the images: keep it under columns as it is')
    for name, action in done.items():
        if action != "drop" and name not in asked.columns:
            raise ValueError(
                f'"{name}" leaves and is no part of the images: drop it, for only files and labels are made'
            )
    if subject in asked.columns:
        raise ValueError(f'"{subject}" says whose an image is, and does not leave: name another column')
    if target not in (None, asked.label):
        raise ValueError("dataset.target is of tables; what is foretold of an image is its label")
    if probes:
        raise ValueError(
            f"{probes[0]} is of tables: images are judged by measures of their own, which run unasked; leave "
            "attacks, utility and fairness out of evidence"
        )
