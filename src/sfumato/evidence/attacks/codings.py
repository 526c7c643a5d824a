"""Values that a register writes otherwise, found again among those of the original.

A register from outside has its own spelling: numbers as text, other cases, accents and separators,
abbreviations, dates day first, typing errors. Each distinct value is taken for the one value of the
original that it can be, by the strictest way of reading that finds one; a value that could be two stays
unread, for a cell that says nothing costs an attacker less than one that says the wrong thing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from sfumato.evidence.features import as_type

#: Pairs of values compared letter by letter in one column.
MOST_PAIRS = 4_000_000

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d-%m-%Y", "%Y/%m/%d", "%d %b %Y")
_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M")
_WORDS = re.compile(r"[^\W_]+")


def same_names(register: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Which column of a register each wanted column is: by its name, else by the only one alike.

    >>> same_names(["Marital Status", "AGE", "age"], ["marital_status", "age"])
    {'marital_status': 'Marital Status', 'age': 'age'}
    """
    alike = _only((_letters(name), name) for name in register)
    found = {name: name if name in register else alike.get(_letters(name)) for name in wanted}
    taken = [held for held in found.values() if held is not None]
    return {name: held for name, held in found.items() if held is not None and taken.count(held) == 1}


def recode(held: pl.Series, original: pl.Series) -> pl.Series:
    """A register's column in the original's type and spelling, missing where it cannot be read.

    >>> recode(pl.Series(["1,200", "40.0", "?"]), pl.Series([40, 1200])).to_list()
    [1200, 40, None]
    >>> recode(pl.Series(["PRIVATE", "Self emp", "Privte"]), pl.Series(["Private", "Self-emp"])).to_list()
    ['Private', 'Self-emp', 'Private']
    """
    if held.dtype == original.dtype and held.dtype != pl.String:
        return held
    distinct = held.drop_nulls().unique()
    if not len(distinct) or original.dtype == pl.Null:
        return pl.Series(held.name, [None], dtype=original.dtype).new_from_index(0, len(held))
    if original.dtype == pl.Boolean:
        read = _booleans(distinct)
    elif original.dtype in (pl.Date, pl.Datetime) and distinct.dtype == pl.String:
        read = _dates(distinct, original)
    elif original.dtype.is_numeric():
        read = _numbers(distinct, original.dtype)
    elif original.dtype == pl.String:
        read = _texts(distinct, original.drop_nulls().unique().sort())
    elif distinct.dtype == pl.String:
        read = distinct.clear(len(distinct)).cast(original.dtype, strict=False)
    else:
        read = as_type(distinct, original.dtype)[0]
    table = pl.DataFrame({"held": distinct, "read": read})
    wanted = held.alias("held").to_frame()
    return wanted.join(table, on="held", how="left", maintain_order="left")["read"].alias(held.name)


def _booleans(distinct: pl.Series) -> pl.Series:
    known = dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
    texts = [_plain(str(value)).removesuffix(".0") for value in distinct]
    return pl.Series([known.get(text) for text in texts], dtype=pl.Boolean)


def _numbers(distinct: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Numbers written with blanks, thousands separators or a decimal comma."""
    if distinct.dtype != pl.String:
        return as_type(distinct, dtype)[0]
    text = distinct.str.normalize("NFKC").str.strip_chars().str.replace_all(r"[\s'’_]", "")
    thousands = text.str.contains(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
    comma = text.str.contains(r"^[+-]?(\d{1,3}(\.\d{3})*|\d+),\d+$") & ~thousands
    plain = text.str.replace_all(",", "", literal=True)
    german = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    as_numbers = plain.zip_with(thousands, text.zip_with(~comma, german)).cast(pl.Float64, strict=False)
    # A whole number too great for a float is read as it stands.
    exact = as_type(text, dtype)[0]
    return exact.zip_with(exact.is_not_null(), as_type(as_numbers, dtype)[0])


def _dates(distinct: pl.Series, original: pl.Series) -> pl.Series:
    """Dates in the one way of writing that reads most of them as dates of the original."""
    known, text = original.drop_nulls().unique(), distinct.str.strip_chars()
    readings = [text.str.to_date(pattern, strict=False).cast(pl.Datetime) for pattern in _DATES]
    readings += [text.str.to_datetime(pattern, strict=False).cast(pl.Datetime) for pattern in _TIMES]
    typed = [_in_type(read, original.dtype) for read in readings]
    scores = [(int(read.is_in(known.implode()).sum()), len(read) - read.null_count()) for read in typed]
    return typed[max(range(len(typed)), key=lambda i: (*scores[i], -i))]


def _in_type(read: pl.Series, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        read = read.dt.replace_time_zone(dtype.time_zone, ambiguous="earliest", non_existent="null")
    return read.cast(dtype, strict=False)


def _texts(distinct: pl.Series, domain: pl.Series) -> pl.Series:
    """Texts read as values of a domain, each way of reading tried on what is left by those before."""
    values, texts = domain.to_list(), [str(value) for value in distinct]
    found: dict[str, str] = {}
    for key in (str, _number, _plain, _letters):
        _read(texts, values, key, found)
    left = [text for text in texts if text not in found]
    if left and len(left) * len(values) <= MOST_PAIRS:
        _abbreviated(left, values, found)
        _mistyped([text for text in left if text not in found], values, found)
    return pl.Series([found.get(text) for text in texts], dtype=pl.String)


def _read(
    texts: Iterable[str], values: Iterable[str], key: Callable[[str], str], found: dict[str, str]
) -> None:
    """Read the texts that are not found yet as the one value with the same key."""
    by_key = _only((key(value), value) for value in values)
    for text in texts:
        if text not in found and (value := by_key.get(key(text))) is not None:
            found[text] = value


def _only(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The value of each key that has one value and is not empty."""
    by_key: dict[str, str | None] = {}
    for key, value in pairs:
        by_key[key] = value if by_key.get(key, value) == value else None
    return {key: value for key, value in by_key.items() if key and value is not None}


def _number(text: str) -> str:
    """A number in one spelling; a text that is none is no key."""
    try:
        number = float(text)
    except ValueError:
        return ""
    return repr(number) if np.isfinite(number) else ""


def _plain(text: str) -> str:
    """Without case, accents and blanks: signs that tell values apart (``<=50K``, ``>50K``) stay."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in folded if not unicodedata.combining(sign) and not sign.isspace())


def _letters(text: str) -> str:
    """Letters and digits alone."""
    return "".join(_WORDS.findall(_plain(text)))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return _WORDS.findall("".join(sign for sign in folded if not unicodedata.combining(sign)))


def _abbreviated(texts: Sequence[str], values: Sequence[str], found: dict[str, str]) -> None:
    """Read a text as the one value that it shortens, or that shortens it."""
    words = {value: _words(value) for value in values}
    for text in texts:
        short = _words(text)
        fits = [value for value in values if _shortens(short, words[value]) or _shortens(words[value], short)]
        if len(fits) == 1:
            found[text] = fits[0]


def _shortens(short: Sequence[str], long: Sequence[str]) -> bool:
    """Whether each word of ``short`` begins one of ``long`` in turn, or is its initials.

    >>> _shortens(["us"], ["united", "states"]), _shortens(["nev", "mar"], ["never", "married"])
    (True, True)
    >>> _shortens(["states"], ["united", "states"])
    False
    """
    if not short or not long:
        return False
    joined = "".join(short)
    if len(long) > 1 and joined == "".join(word[0] for word in long):
        return True
    begins = len(short) <= len(long) and all(w.startswith(s) for s, w in zip(short, long, strict=False))
    return begins and (len(joined) > 1 or len(long) == 1)


def _mistyped(texts: Sequence[str], values: Sequence[str], found: dict[str, str]) -> None:
    """Read a text as the one value that is fewest slips of the keyboard away, one slip in five letters."""
    from sfumato.evidence.attacks.typing_kernels import nearest_words

    if not texts:
        return
    codes, starts = _laid_flat([_plain(value) for value in values])
    asked, ends = _laid_flat([_plain(text) for text in texts])
    for text, at in zip(texts, nearest_words(asked, ends, codes, starts), strict=True):
        if at >= 0:
            found[text] = values[at]


def _laid_flat(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.array([ord(sign) for text in texts for sign in text], dtype=np.int32)
    return codes, np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)
