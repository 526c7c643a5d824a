"""Postcodes by the areas that a country's post has, with the population rule of HIPAA for the US."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.labelling import top

#: Areas of three digits with 20,000 people or fewer in the census of 2000, by the guidance of the US
#: Department of Health and Human Services on 45 CFR 164.514(b)(2)(i)(B), or in that of 2020 (HRSA).
SMALL_ZIP3 = frozenset(
    "036 059 063 102 202 203 204 205 369 556 692 753 772 790 821 823 830 831 878 879 884 890 893".split()  # noqa: SIM905
)
MOST_PEOPLE = 20_000
_SMALL = "000"


@dataclass(frozen=True)
class Country:
    """How a country writes postcodes, blanks and hyphens left out, and its areas from small to large.

    ``code`` has two groups, the second of which may be missing; ``areas`` are patterns of the beginning
    of both with a blank between. ``digits`` are the lengths of codes that are whole numbers.
    """

    code: str
    areas: Mapping[str, str]
    digits: tuple[int, ...] = ()


# Digits are written out: \d would take those of other scripts, which are in no list of areas.
COUNTRIES: Mapping[str, Country] = {
    "US": Country(
        r"^([0-9]{5})([0-9]{4})?$", {"zip5": r"^[0-9]{5}", "zip3": r"^[0-9]{3}", "zip1": r"^[0-9]"}, (5, 9)
    ),
    "GB": Country(
        r"^([A-Z]{1,2}[0-9][A-Z0-9]?)([0-9][A-Z]{2})?$",
        {"sector": r"^\S+(?: [0-9])?", "district": r"^\S+", "area": r"^[A-Z]+"},
    ),
    "CA": Country(r"^([A-Z][0-9][A-Z])([0-9][A-Z][0-9])?$", {"fsa": r"^\S+", "district": r"^[A-Z]"}),
    "DE": Country(r"^([0-9]{5})()$", {"area": r"^[0-9]{3}", "region": r"^[0-9]{2}", "zone": r"^[0-9]"}, (5,)),
    "FR": Country(r"^([0-9]{5})()$", {"department": r"^(?:9[78][0-9]|[0-9]{2})"}, (5,)),
    "NL": Country(r"^([0-9]{4})([A-Z]{2})?$", {"digits": r"^[0-9]{4}", "region": r"^[0-9]{2}"}, (4,)),
    "AT": Country(r"^([0-9]{4})()$", {"area": r"^[0-9]{2}", "zone": r"^[0-9]"}, (4,)),
    "CH": Country(r"^([0-9]{4})()$", {"area": r"^[0-9]{2}", "zone": r"^[0-9]"}, (4,)),
}
Code = Literal["US", "GB", "CA", "DE", "FR", "NL", "AT", "CH"]
Area = Literal[
    "zip5", "zip3", "zip1", "sector", "digits", "fsa", "district", "area", "department", "region", "zone"
]


class PostcodeHierarchy:
    """Level i is the area ``areas[i - 1]`` of the country, the top is ``*``; by default there are all areas.

    US: ``zip5``, ``zip3``, ``zip1`` (a group of states). GB: ``sector``, ``district`` (the outward code),
    ``area``. CA: ``fsa``, ``district`` (the first letter). DE: ``area`` (three digits), ``region`` (two),
    ``zone`` (one). FR: ``department``. NL: ``digits`` (all four), ``region`` (two). AT, CH: ``area``
    (two digits), ``zone`` (one). For other countries use ``prefix``.

    ``zip3`` of areas with 20,000 people or fewer is ``000``, as the safe harbor of HIPAA asks (45 CFR
    164.514(b)(2)(i)(B)), by the census of 2000 or 2020; and ``zip1`` too, so that levels nest. With ``path``
    the people of another census count, and an area that the file does not have is small.

    Case, blanks and hyphens do not matter; whole numbers get their leading zeros back. What is no
    postcode of the country has no label below the top.

    Raises:
        InputError: ``column-values`` if the column is of something else; ``hierarchy-invalid`` for a
            file that cannot be used, with the number of the line.
    """

    summary: ClassVar[str] = "postcodes by the areas of their country; small US areas as HIPAA asks"

    class Params(contracts.Params):
        """``areas`` from small to large; ``path`` is a file with the columns ``zip`` (three digits, or
        five to be added up) and ``people``, relative to the policy's folder."""

        country: Code
        areas: tuple[Area, ...] = ()
        path: Annotated[str, Field(min_length=1)] | None = None
        separator: Annotated[str, Field(min_length=1, max_length=1)] = ","

        @model_validator(mode="after")
        def _of_the_country(self) -> Self:
            known = list(COUNTRIES[self.country].areas)
            if [area for area in known if area in self.areas] != list(self.areas):
                raise ValueError(f"the areas of {self.country} are, in this order: {', '.join(known)}")
            if self.path is not None and self.country != "US":
                raise ValueError("path is for the US")
            return self

    def __init__(self, params: PostcodeHierarchy.Params, folder: Path) -> None:
        self.params = params
        self._country = COUNTRIES[params.country]
        self._areas: tuple[str, ...] = params.areas or tuple(self._country.areas)
        self._large: list[str] | None = None
        if params.path is not None:
            people = _people(folder / params.path, params.separator)
            self._large = sorted(zip3 for zip3, count in people.items() if count > MOST_PEOPLE)

    @property
    def height(self) -> int:
        """The postcode, one level an area, and the top."""
        return len(self._areas) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The area of each postcode, as its digits and letters."""
        codes = self._codes(values)
        if level == self.height - 1:
            return top(values)
        area = self._areas[level - 1]
        pattern = self._country.areas[area]
        label = pl.col("code").str.extract(f"({pattern})")
        if area in ("zip3", "zip1"):
            label = pl.when(self._small()).then(pl.lit(_SMALL)).otherwise(label)
        return codes.to_frame().select(label.alias(values.name))[values.name]

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> None:
        """A code's number means nothing."""
        del values, level

    def _small(self) -> pl.Expr:
        zip3 = pl.col("code").str.slice(0, 3)
        # There is no area 000; whoever wrote it lies under the label of the small ones.
        small = zip3.is_in([*sorted(SMALL_ZIP3), _SMALL])
        return small if self._large is None else ~zip3.is_in(self._large) | (zip3 == _SMALL)

    def _codes(self, values: pl.Series) -> pl.Series:
        """The postcodes written alike, missing for what is none."""
        digits = self._country.digits
        if not (values.dtype in (pl.String, pl.Null) or (values.dtype.is_integer() and digits)):
            raise InputError(
                "column-values",
                f"postcodes of {self.params.country} are {'text or whole numbers' if digits else 'text'}, "
                "and the column has other values",
                where=f"column {values.name}",
                remedy="use another kind of hierarchy",
            )
        text = pl.col("code").cast(pl.String)
        if values.dtype.is_integer():
            shorter = [text.str.zfill(length) for length in digits]
            text = pl.coalesce(
                *(
                    pl.when(padded.str.len_chars() == n).then(padded)
                    for padded, n in zip(shorter, digits, strict=True)
                )
            )
        plain = text.str.to_uppercase().str.replace_all(r"[\s-]", "")
        code = plain.str.replace(self._country.code, "${1} ${2}").str.strip_chars()
        found = pl.when(plain.str.contains(self._country.code)).then(code)
        return values.alias("code").to_frame().select(found.alias("code"))["code"]


def _people(path: Path, separator: str) -> Counter[str]:
    """People by area of three digits."""
    people: Counter[str] = Counter()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter=separator, strict=True)
            if not {"zip", "people"} <= set(rows.fieldnames or ()):
                raise _invalid(path, "it has no columns zip and people", "write both into the first line")
            for row in rows:
                area, count = (str(row[name] or "").strip() for name in ("zip", "people"))
                if not (area.isascii() and area.isdigit() and len(area) in (3, 5)):
                    raise _invalid(
                        path,
                        f"line {rows.line_num} has no area of three or five digits",
                        "write leading zeros",
                    )
                if not (count.isascii() and count.isdigit()):
                    raise _invalid(
                        path, f"line {rows.line_num} has no number of people", "write digits alone"
                    )
                people[area[:3]] += int(count)
    except (OSError, ValueError, csv.Error) as error:
        raise _invalid(
            path, f"it cannot be read ({type(error).__name__})", "check path and separator"
        ) from None
    return people


def _invalid(path: Path, what: str, remedy: str) -> InputError:
    return InputError("hierarchy-invalid", what, where=f"population file {path.name}", remedy=remedy)
