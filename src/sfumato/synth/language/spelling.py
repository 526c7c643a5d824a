"""Texts as numbers of tokens: by a model's own tokenizer, or by a vocabulary of a table's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.language.wording import pieces

Tokens = tuple[int, ...]


class Spelling(Protocol):
    """``size`` tokens, of which ``start`` begins a row, ``comma`` ends a value and ``end`` a free text."""

    size: int
    start: int
    comma: int
    end: int

    def ids(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of texts that follow other words."""

    def values(self, labels: Sequence[str]) -> list[Tokens]:
        """The tokens of a column's values; none begins another, so that each is whole where it ends."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens."""


class Words:
    """A vocabulary of whole labels and words, and of letters for what is spelled out.

    Args:
        whole: labels and words that are one token each.
        spelled: texts whose letters are tokens.
    """

    def __init__(self, whole: Iterable[str], spelled: Iterable[str] = ()) -> None:
        letters = sorted({letter for text in spelled for letter in text})
        self.vocabulary = list(dict.fromkeys(["<row>", ",", "\n", " ", *letters, *whole]))
        self._number = {word: number for number, word in enumerate(self.vocabulary)}
        self.size = len(self.vocabulary)
        self.start, self.comma, self.end = 0, 1, 2

    @classmethod
    def of(cls, vocabulary: Sequence[str]) -> Words:
        """The spelling with a vocabulary as another one has it."""
        return cls(vocabulary[4:])

    def ids(self, texts: Sequence[str]) -> list[Tokens]:
        return [self._spelled(text) for text in texts]

    def values(self, labels: Sequence[str]) -> list[Tokens]:
        if all(label in self._number for label in labels):
            return [(self._number[label],) for label in labels]
        return [(*(self._number[letter] for letter in label), self.comma) for label in labels]

    def text(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[number] for number in ids)

    def _spelled(self, text: str) -> Tokens:
        if text in self._number:
            return (self._number[text],)
        return tuple(self._number[piece] for piece in pieces(text) if piece in self._number)


class Subwords:
    """The tokenizer of a model.

    Args:
        tokenizer: of ``transformers``.
        size: the number of tokens that the model knows, which may be more than the tokenizer's.
    """

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer, self.size = tokenizer, size
        self.comma = self._one(",")
        newline = self.ids(["\n"])[0]
        ending = newline[-1] if newline and self.text(newline[-1:]) == "\n" else tokenizer.eos_token_id
        self.end = self.comma if ending is None else int(ending)
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self.start = self.end if start is None else int(start)

    def ids(self, texts: Sequence[str]) -> list[Tokens]:
        if not texts:
            return []
        # The space makes a word the one that stands within a sentence.
        spaced = [text if text in ("", "\n") else " " + text for text in texts]
        return [tuple(row) for row in self._tokenizer(spaced, add_special_tokens=False)["input_ids"]]

    def values(self, labels: Sequence[str]) -> list[Tokens]:
        found = self.ids(labels)
        # A tokenizer that does not know a letter may write two labels alike.
        if self.comma in {token for row in found for token in row} or len(set(found)) < len(found):
            found = self.ids([str(code) for code in range(len(labels))])
        if self.comma in {token for row in found for token in row} or len(set(found)) < len(found):
            raise InputError(
                "usage", "the model's tokenizer cannot write the digits", remedy="take another model"
            )
        return [(*row, self.comma) for row in found]

    def text(self, ids: Sequence[int]) -> str:
        found: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return found

    def _one(self, text: str) -> int:
        found = self._tokenizer([text], add_special_tokens=False)["input_ids"][0]
        if not found:
            raise InputError(
                "usage", "the model's tokenizer cannot write a comma", remedy="take another model"
            )
        return int(found[-1])


def writable(spelling: Spelling) -> NDArray[np.int64]:
    """The number of letters of each token that may stand in a free text, 0 for those that may not.

    A token may if it is whole characters, all of which can be seen: no control character, no line break, no
    part of a character, nothing that the tokenizer keeps for itself.
    """
    letters = np.zeros(spelling.size, dtype=np.int64)
    for number in range(spelling.size):
        try:
            text = spelling.text([number])
        except (IndexError, KeyError, TypeError, OverflowError):
            continue
        if text.isprintable() and "\ufffd" not in text:
            letters[number] = len(text)
    letters[[spelling.start, spelling.end]] = 0
    return letters
