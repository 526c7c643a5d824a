"""What a column's header says: its words, looked up in the lexicon of this package.

A header adds weight to what the values show and never stands alone against them. The lexicon,
``data/lexicon.json``, has three parts: ``hints`` of what a detector looks for, ``known`` for what
people outside know of each other (quasi-identifiers), ``harm`` for what would hurt if it were learned.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ł": "l", "Ł": "L", "đ": "d"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")


def fold(text: str) -> str:
    """The text in lower case without accents.

    >>> fold("Straße Ángel")
    'strasse angel'
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).lower()


@dataclass(frozen=True)
class Header:
    """The words of a column's name.

    ``words`` are its parts in order ("birthDate_2" has birth, date, 2), ``whole`` the parts between
    blanks and signs before capitals and digits are split off, ``joined`` everything together.
    """

    words: tuple[str, ...]
    whole: tuple[str, ...]
    joined: str

    @classmethod
    def of(cls, name: str) -> Header:
        """The header of a column's name."""
        bare = "".join(
            mark
            for mark in unicodedata.normalize("NFKD", name.translate(_LETTERS))
            if not unicodedata.combining(mark)
        )
        words = tuple(word.lower() for word in _WORDS.findall(bare))
        whole = tuple(part.lower() for part in re.split(r"[\W_]+", bare) if part)
        return cls(words, whole, "".join(words))

    def has(self, patterns: Iterable[str]) -> bool:
        """Whether a pattern fits: ``word`` a word or the whole, ``word*`` / ``*word`` / ``*word*`` a
        word's beginning, end or any part, ``two words`` words that follow one another."""
        return any(self._fits(pattern) for pattern in patterns)

    def _fits(self, pattern: str) -> bool:
        if " " in pattern:
            parts = tuple(pattern.split())
            return any(self.words[i : i + len(parts)] == parts for i in range(len(self.words)))
        core = pattern.strip("*")
        words = {*self.words, *self.whole, self.joined}
        if pattern.startswith("*") and pattern.endswith("*"):
            return core in self.joined
        if pattern.endswith("*"):
            return any(word.startswith(core) for word in words)
        if pattern.startswith("*"):
            return any(word.endswith(core) for word in words)
        return core in words

    def hints(self, topic: str) -> bool:
        """Whether the header speaks of what a detector looks for."""
        return self.has(lexicon()["hints"][topic])

    def known(self) -> str | None:
        """What outsiders know of a person that the header speaks of ("age"), or None."""
        return self._topic("known")

    def harm(self) -> str | None:
        """The sensitive matter that the header speaks of ("health"), or None."""
        return self._topic("harm")

    def _topic(self, part: str) -> str | None:
        for topic, patterns in lexicon()[part].items():
            if self.has(patterns):
                return str(topic)
        return None


@cache
def lexicon() -> Mapping[str, Mapping[str, list[str]]]:
    """The lexicon: part -> topic -> patterns."""
    content: Any = json.loads(_read("lexicon.json"))
    return {part: dict(topics) for part, topics in content.items()}


@cache
def word_list(name: str) -> frozenset[str]:
    """The folded words of a list in ``data/``, one or more a line, ``#`` for comments."""
    lines = (line.partition("#")[0] for line in _read(name).splitlines())
    return frozenset(fold(word) for line in lines for word in line.split())


def _read(name: str) -> str:
    return resources.files("sfumato.inventory").joinpath("data", name).read_text(encoding="utf-8")
