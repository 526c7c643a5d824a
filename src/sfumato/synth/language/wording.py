"""Words for columns and codes: clean, and one apart from the other; and texts without words that few use."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from sfumato.synth.coded import Field

_MOST_LETTERS = 60
_WORD = re.compile(r" ?(?:\w+|[^\w\s])")


def clean(text: str) -> str:
    """A text on one line: composed (NFC), each run of spaces and control characters one space.

    >>> clean("  two\\nlines\\t ")
    'two lines'
    """
    shown = (letter if letter.isprintable() else " " for letter in unicodedata.normalize("NFC", text))
    return " ".join("".join(shown).split())


def apart(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts, none empty, none with a comma, none too long, and none twice: a number tells them apart.

    >>> apart(["a", "a,", "", "a"])
    ('a', 'a (2)', 'empty', 'a (3)')
    """
    seen: set[str] = set()
    found = []
    for text in texts:
        short = clean(text.replace(",", " "))[:_MOST_LETTERS].rstrip() or "empty"
        new, number = short, 1
        while new in seen:
            number += 1
            new = f"{short} ({number})"
        seen.add(new)
        found.append(new)
    return tuple(found)


def leads(names: Sequence[str]) -> tuple[str, ...]:
    """What stands before the value of each column.

    >>> leads(["marital_status", "age"])
    ('marital status is', 'age is')
    """
    return tuple(f"{name} is" for name in apart(name.replace("_", " ") for name in names))


def words(field: Field, labels: Sequence[str] | None) -> tuple[str, ...]:
    """A text for each code of a field, from its labels if it has any.

    >>> words(Field("age", "age", 3, True, missing=2), None)
    ('0', '1', 'missing')
    """
    if labels is None:
        labels = [str(code) for code in range(field.size)]
        if field.missing is not None:
            labels[field.missing] = "missing"
    return apart(labels)


def pieces(text: str) -> list[str]:
    """The words and signs of a clean text, each with the space before it.

    >>> pieces("Feels well, no pain.")
    ['Feels', ' well', ',', ' no', ' pain', '.']
    """
    return _WORD.findall(text)


def common(texts: Sequence[str | None], least: int) -> list[str]:
    """Texts cleaned, without the words that stand in fewer than ``least`` of them.

    Names and numbers of few are not learned, for they are not there.

    >>> common(["pain in knee", "pain in Zoltan"], 2)
    ['pain in', 'pain in']
    """
    found = [pieces(clean(text or "")) for text in texts]
    counts = Counter(word for row in found for word in {piece.strip() for piece in row})
    return ["".join(piece for piece in row if counts[piece.strip()] >= least).strip() for row in found]
