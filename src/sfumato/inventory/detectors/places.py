"""Where people live: street addresses, postcodes, coordinates."""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar

from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors.base import Examined
from sfumato.inventory.headers import fold

_STREET = (
    r"street|st|road|rd|avenue|ave|av|lane|ln|drive|dr|court|ct|boulevard|blvd|way|place|pl|square|sq|terrace|close"
    r"|crescent|highway|hwy|parkway|pkwy|circle|cir|trail|row|grove|gardens|mews|alley|p ?o box|apt|suite"
    r"|rue|chemin|allee|impasse|quai|calle|avenida|avda|plaza|paseo|carrera|via|viale|piazza|corso|rua|travessa"
    r"|weg|platz|gasse|ulica|ul|utca|cesta|gatan|vagen|gade|vej|vei|katu|straat|laan|plein|jalan|dori|nagar|marg"
)
_ADDRESS = re.compile(
    rf"\b\d{{1,6}}[a-z]?\b.*\b(?:{_STREET})\b|\b(?:{_STREET})\b.*\b\d{{1,6}}[a-z]?\b"
    r"|\w+(?:strasse|str\.|weg|platz|gasse|straat|laan|gatan|vagen|gade|vej|katu|tie)\s*\d{1,5}\s?[a-z]?\b"
)
#: Postcodes whose form alone tells them.
_STRICT = {
    "UK": re.compile(r"(?:GIR ?0AA|[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2})", re.IGNORECASE),
    "Canadian": re.compile(
        r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z][ -]?\d[ABCEGHJ-NPRSTV-Z]\d", re.IGNORECASE
    ),
    "Dutch": re.compile(r"[1-9]\d{3} [A-Z]{2}"),
    "US ZIP+4": re.compile(r"\d{5}-\d{4}"),
}
#: Postcodes that other numbers look like: believed under a header that says so.
_LOOSE = {
    "US, German, French, Spanish or Italian": re.compile(r"\d{5}(?:-\d{4})?"),
    "three-figure US": re.compile(r"\d{3}"),
    "four-figure": re.compile(r"\d{4}"),
    "six-figure": re.compile(r"\d{6}|\d{3} \d{3}"),
    "Dutch": re.compile(r"[1-9]\d{3}\s?[A-Z]{2}", re.IGNORECASE),
    "Polish": re.compile(r"\d{2}-\d{3}"),
    "Swedish, Czech or Greek": re.compile(r"\d{3} \d{2}"),
    "Portuguese, Brazilian or Japanese": re.compile(r"\d{4}-\d{3}|\d{5}-?\d{3}|\d{3}-\d{4}"),
    "UK outward": re.compile(r"[A-Z]{1,2}\d[A-Z\d]?", re.IGNORECASE),
    "prefixed": re.compile(r"[A-Z]{1,3}-\d{4,5}", re.IGNORECASE),
}
_PAIR = re.compile(r"\(?\s*(-?\d{1,2}\.\d{3,})\s*[,; ]\s*(-?\d{1,3}\.\d{3,})\s*\)?")
_POINT = re.compile(r"POINT\s*\(\s*-?\d+(?:\.\d+)?\s+-?\d+(?:\.\d+)?\s*\)", re.IGNORECASE)


class StreetAddress:
    """A house number beside a word for street, in several languages."""

    role: ClassVar[Role] = Role.DIRECT_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Two fifths of the values; under an address header, a fifth."""
        if not column.textual:
            return None
        passed = column.passing(lambda value: len(value) < 200 and _ADDRESS.search(fold(value)) is not None)
        least = 0.2 if column.header.hints("address") else 0.4
        if not passed or passed < least * len(column.values):
            return None
        return column.detection("street-address", passed, "have a house number beside a word for street")


class Postcode:
    """Postcodes, by strict forms alone or by loose ones under a header."""

    role: ClassVar[Role] = Role.QUASI_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """Nearly all values have one country's form."""
        if not column.codelike or not column.values:
            return None
        n, hinted = len(column.values), column.header.hints("postcode")
        forms = {**_LOOSE, **_STRICT} if hinted else _STRICT
        # A leading 0 is lost where a postcode was read as a number.
        widths = [value.zfill(5) if column.numeric and len(value) == 4 else value for value in column.values]
        title, passed = "", 0
        for country, form in forms.items():
            fits = sum(form.fullmatch(value) is not None for value in widths)
            if fits > passed:
                title, passed = country, fits
        if passed < (0.7 if hinted else 0.9) * n or (not hinted and n < 5):
            return None
        return column.detection("postcode", passed, f"have the form of a postcode ({title})")


class Coordinates:
    """Latitudes and longitudes: pairs in a text, or numbers in range under a header."""

    role: ClassVar[Role] = Role.QUASI_IDENTIFIER

    def examine(self, column: Examined) -> Detection | None:
        """A text of pairs by its form; a number by range, decimals and header together."""
        if column.textual:
            passed = column.passing(_is_pair)
            if passed and passed >= 0.5 * len(column.values):
                return column.detection("coordinates", passed, "are a latitude with a longitude")
        for axis, limit in (("latitude", 90.0), ("longitude", 180.0)):
            if column.header.hints(axis):
                passed = column.passing(partial(_is_degree, limit=limit))
                if passed >= 0.8 * len(column.values) and passed >= 2:
                    return column.detection(
                        "coordinates", passed, f"are decimal degrees in the range of a {axis}"
                    )
        return None


def _is_pair(value: str) -> bool:
    if _POINT.fullmatch(value):
        return True
    found = _PAIR.fullmatch(value)
    return found is not None and abs(float(found[1])) <= 90 and abs(float(found[2])) <= 180


def _is_degree(value: str, limit: float) -> bool:
    try:
        degree = float(value)
    except ValueError:
        return False
    return abs(degree) <= limit and len(value.partition(".")[2]) >= 2
