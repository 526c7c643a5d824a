"""Laws, standards and forms as data: what each provision asks, what a release shows, what a person answers.

One YAML file for each, with its version, date and source, so that the law can change without code. A
house puts its own files into ``law/`` in the project's folder; one with the ``id`` of a packaged file
takes its place. The grammar is in ``docs/explanation/law.md``; :mod:`sfumato.release.statements`
interprets it. Nothing in a file is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sfumato.core.canonical import sha256
from sfumato.core.errors import InputError
from sfumato.core.values import Role
from sfumato.release.facts import is_path

#: Where in the release a file's text stands: sections of the dossier, or a document of its own.
Place = Literal["recipients", "law", "assessments", "review", "datasheet", "notice"]
#: A path in braces; what it names is put in its place.
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
#: What a provision may say in one word, made from the columns or the findings that it looks at.
Verdict = Literal["columns", "findings"]
#: Placeholders that an item fills itself: the columns that it selects, with what was done, and bare.
_OWN = frozenset({"columns", "names"})

Words = Annotated[str, Field(max_length=1000)]
Expected = bool | str | tuple[str, ...]


class Part(BaseModel):
    """A part of a file: frozen, strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Selector(Part):
    """Columns of the source: all that is said must hold, but of ``detected`` and ``named`` one is enough."""

    role: tuple[Role, ...] = ()
    """How the column is treated."""
    action: tuple[str, ...] = ()
    """What is done to it."""
    sensitive: bool | None = None
    """Whether the policy calls it sensitive."""
    released: bool | None = None
    """Whether anything of it leaves."""
    detected: tuple[str, ...] = ()
    """What the inventory found in it: names of detectors."""
    named: tuple[str, ...] = ()
    """Words that its name holds, in lower case."""


class Item(Part):
    """A sentence, the columns or the findings that speak for it, or a question where they do not."""

    when: dict[str, Expected] = {}
    """What must hold for the item to count: a path, and true (known), false (not), or what it must be."""
    columns: Selector | None = None
    """The columns that ``{columns}`` names, with what was done to each; ``{names}`` has their names alone."""
    findings: tuple[str, ...] = ()
    """Metrics whose findings are told, with ``*`` for any ending."""
    say: Words = ""
    """What is said, if all that it names in braces is known."""
    none: Words = ""
    """What is said where no column, or no finding, is there."""
    ask: Words = ""
    """What a person must answer where nothing can be said; on its own, always."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.say or self.ask or self.findings):
            raise ValueError("an item needs one of say, ask and findings")
        if self.columns is not None and self.findings:
            raise ValueError("an item tells of columns or of findings, not of both")
        return self

    def texts(self) -> Iterator[str]:
        """Everything with placeholders."""
        yield from (self.say, self.none, self.ask)


class Provision(Part):
    """One article, element or question of a file."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Its anchor on the page."""
    name: Words
    """What it is called."""
    asks: Words = ""
    """What it asks, in a few words of our own."""
    shows: tuple[Item, ...] = ()
    """What the release shows, and what a person is asked."""
    verdict: Verdict | None = None
    """Whether a word sums it up: what became of its columns, or what its findings come to."""
    optional: bool = False
    """Whether it is left out where it has nothing to say."""


class Law(Part):
    """A law, a standard or a form."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Its anchor on the page."""
    place: Place
    """Where its text stands."""
    order: int = 100
    """Its place among others there."""
    title: Words
    """Its heading."""
    reference: Words
    """What it is cited as."""
    version: Words
    """Which edition the file follows."""
    dated: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """When the file was last held against its source."""
    source: Words
    """Where the text can be read."""
    about: Words = ""
    """A sentence on what the file covers; it may have placeholders, and is left out where one is unknown."""
    applies: dict[str, Expected] = {}
    """When it applies, as in an item's ``when``."""
    otherwise: Words = ""
    """What is said where it does not apply."""
    each: Literal["", "recipient"] = ""
    """Whether it is told once, or for each recipient."""
    terms: dict[str, Words] = {}
    """Dates and numbers that may move, for ``{terms.NAME}``."""
    provisions: tuple[Provision, ...]
    """Its provisions, in their order."""
    digest: str = ""
    """SHA-256 of the file."""

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        own = {f"terms.{name}" for name in self.terms}
        for path in sorted({*_paths(self)} - own):
            if not is_path(path):
                raise ValueError(f'there is no "{path}" to be known of a release')
        names = [provision.id for provision in self.provisions]
        if len(names) != len(set(names)):
            raise ValueError("two provisions have the same id")
        return self


def _paths(law: Law) -> Iterator[str]:
    """Every path that a file names, but those that an item fills itself."""
    yield from law.applies
    yield from PLACEHOLDER.findall(law.about + law.otherwise)
    for provision in law.provisions:
        yield from PLACEHOLDER.findall(provision.name + provision.asks)
        for item in provision.shows:
            yield from item.when
            named = PLACEHOLDER.findall("".join(item.texts()))
            yield from (path for path in named if item.columns is None or path not in _OWN)


def read_laws(folder: Path | None = None) -> tuple[Law, ...]:
    """The packaged files, and those of a folder in place of the packaged ones with the same ``id``.

    Args:
        folder: ``*.yaml`` in it are read; it may be missing.

    Raises:
        InputError: ``law-invalid``, with the file and what is wrong.

    >>> [law.id for law in read_laws() if law.place == "review"]
    ['expert-review']
    """
    found = {law.id: law for law in _packaged()}
    for path in sorted(folder.glob("*.yaml")) if folder is not None else ():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _invalid(str(path), f"it cannot be read ({error.strerror})") from error
        law = law_of(content, str(path))
        found[law.id] = law
    return tuple(sorted(found.values(), key=lambda law: (law.order, law.id)))


@cache
def _packaged() -> tuple[Law, ...]:
    """The packaged files, which do not change while it runs."""
    packaged = resources.files("sfumato.release").joinpath("law")
    entries = sorted(packaged.iterdir(), key=lambda entry: entry.name)
    return tuple(law_of(entry.read_bytes(), entry.name) for entry in entries if entry.name.endswith(".yaml"))


def law_of(content: bytes, where: str) -> Law:
    """One file.

    Raises:
        InputError: ``law-invalid``.
    """
    try:
        written: Any = YAML(typ="safe", pure=True).load(content)
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise _invalid(where, "it is not YAML") from error
    if not isinstance(written, dict):
        raise _invalid(where, "it is not a mapping")
    try:
        return Law.model_validate({**written, "digest": sha256(content)})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _invalid(where, f"{place}: {first['msg']}" if place else first["msg"]) from error


def _invalid(where: str, what: str) -> InputError:
    return InputError("law-invalid", what, where=where, remedy="see docs/explanation/law.md for its form")
