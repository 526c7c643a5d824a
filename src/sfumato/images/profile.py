"""What is to happen to each attribute of a DICOM header.

Two rules, the stricter way round. An attribute of the Basic Application Level Confidentiality Profile
(DICOM PS3.15, Table E.1-1; here ``profile.csv``) gets the profile's action. Every other one stays only if
its kind of value cannot hold free text, identifiers or dates: numbers, code strings, registered UIDs and
the pixels themselves. What is unknown or private goes.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

#: The profile's options that we offer (PS3.15 E.3.6, E.3.7), with the codes that record them (PS3.16, CID
#: 7050).
OPTIONS = {
    "longitudinal": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
}
PROFILE = ("113100", "Basic Application Confidentiality Profile")

#: Binary attributes that are the picture, or needed to see it.
_PICTURE = {
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "LUTData",
    *(
        f"{segmented}{colour}PaletteColorLookupTableData"
        for segmented in ("", "Segmented")
        for colour in ("Red", "Green", "Blue", "Alpha")
    ),
}
_NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "IS", "DS"}
_BINARY = {"OB", "OW", "OF", "OD", "OL", "OV"}
_DATES = {"DA", "TM", "DT"}
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
_CURVES, _OVERLAYS = range(0x5000, 0x5100), range(0x6000, 0x6100)
#: File meta, commands and media directories: no part of an image's own header.
_LOWEST_GROUP = 0x0008


class Action(StrEnum):
    """What is done to one attribute."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"
    RECURSE = "recurse"
    SHIFT = "shift"


@dataclass(frozen=True)
class Row:
    """One attribute of the profile: its action as printed (``X/Z/D``), and the option that spares it."""

    keyword: str
    action: str
    option: str


@cache
def table() -> dict[int, Row]:
    """Table E.1-1 by tag; curves, overlays and private attributes are rules and not rows.

    >>> table()[0x00100010]
    Row(keyword='PatientName', action='Z', option='')
    """
    text = resources.files("sfumato.images").joinpath("profile.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return {int(row["tag"], 16): Row(row["keyword"], row["action"], row["option"]) for row in rows}


def action_of(element: Any, options: frozenset[str], kept: frozenset[str]) -> Action:
    """The action for one element, by its tag and the kind of its value.

    Args:
        element: a ``pydicom.DataElement``.
        options: names of :data:`OPTIONS`.
        kept: keywords of text attributes outside the profile that somebody answers for.
    """
    tag = element.tag
    if tag.is_private or tag.group < _LOWEST_GROUP or tag.group in _CURVES or tag.group in _OVERLAYS:
        return Action.REMOVE
    row = table().get(int(tag))
    if row is None:
        return _by_kind(element, options, kept)
    if row.option in options:
        return Action.SHIFT if row.option == "longitudinal" else Action.KEEP
    return _by_profile(row.action, element.VR)


def _by_profile(action: str, vr: str) -> Action:
    """The profile's action; of a choice such as ``X/Z/D`` the last, which keeps every kind of image valid.

    A sequence that asks for dummies is emptied: an item made up would say what nobody said.
    """
    last = action.rstrip("*")[-1]
    if last == "U":
        return Action.RECURSE if vr == "SQ" else Action.UID
    if vr == "SQ" and last == "D":
        return Action.EMPTY
    return {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY}[last]


def _by_kind(element: Any, options: frozenset[str], kept: frozenset[str]) -> Action:
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    # A value of another kind than the standard's is not what its name says.
    if not dictionary_has_tag(element.tag) or element.VR not in dictionary_VR(element.tag).split(" or "):
        return Action.REMOVE
    if element.VR == "SQ":
        return Action.RECURSE
    if element.VR == "UI":
        return Action.UID
    if element.VR in _DATES:
        return Action.SHIFT if "longitudinal" in options else Action.REMOVE
    if element.VR == "CS":
        return Action.KEEP if all(map(_CODE_STRING.fullmatch, strings(element))) else Action.REMOVE
    stays = (
        element.keyword in _PICTURE
        if element.VR in _BINARY
        else (element.VR in _NUMBERS or element.keyword in kept)
    )
    return Action.KEEP if stays else Action.REMOVE


def strings(element: Any) -> list[str]:
    """An element's values as texts, one for each of a multiple value."""
    from pydicom.multival import MultiValue

    value = element.value
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value)]
