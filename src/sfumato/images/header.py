"""A DICOM header cleaned, sequence within sequence, and then searched for what should be gone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sfumato.images.profile import Action, action_of, strings
from sfumato.images.pseudonyms import Pseudonyms

_DUMMIES: dict[str, Any] = {
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101",
    "OB": b"\0\0",
    "OW": b"\0\0",
}
_DUMMY = "REMOVED"
#: Kinds of value that are searched; UIDs are all new or registered.
_SEARCHED = {"CS", "IS", "DS", "LO", "SH", "LT", "ST", "UT", "UC", "PN", "AE", "AS", "UR"}
#: Our own pseudonyms may hold a short name by chance, and tell nothing.
_PSEUDONYMS = ("PatientName", "PatientID")
#: Attributes whose values name somebody or something, and so must not stand elsewhere either.
_NAMING = re.compile(r"(Names?|IDs?|Numbers?|Address|Information|Locator|Date|DateTime|UIDs?)$")
#: Shorter values stand everywhere by chance.
_LEAST_NAME, _LEAST_VALUE = 3, 4
#: An age from which on there are few people (45 CFR 164.514(b)(2)(i)(C)).
_OLDEST = 90


@dataclass
class Changes:
    """What was done to a header: counts by attribute name, and the values that must not come back."""

    removed: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    traced: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    naming: set[str] = field(default_factory=set, repr=False)


@dataclass(frozen=True)
class HeaderCleaner:
    """Cleans headers of one house under one key."""

    names: Pseudonyms
    options: frozenset[str]
    kept: frozenset[str]

    def clean(self, dataset: Any, identity: str) -> Changes:
        """Clean a ``pydicom.Dataset`` in place.

        Args:
            identity: what tells the patient apart: it decides pseudonym and shift of dates.

        Returns:
            The changes. Elements that held a naming value of the same header elsewhere (a name in a code
            string, say) are removed too, and counted as traced.
        """
        changes = Changes()
        self._walk(dataset, identity, changes)
        _trace(dataset, tokens(changes.naming), changes)
        return changes

    def _walk(self, dataset: Any, identity: str, changes: Changes) -> None:
        for tag in list(dataset.keys()):
            try:
                element = dataset[tag]
            except Exception:  # noqa: BLE001  a value that cannot be parsed raises anything
                del dataset[tag]
                changes.removed["(unreadable)"] += 1
                continue
            self._treat(dataset, element, identity, changes)

    def _treat(self, dataset: Any, element: Any, identity: str, changes: Changes) -> None:
        action = action_of(element, self.options, self.kept)
        if action is Action.RECURSE:
            for item in element.value:
                self._walk(item, identity, changes)
            return
        if action is Action.KEEP:
            _top_code(element, changes)
            return
        value = self._replacement(element, action, identity)
        if value == element.value:
            changes.unchanged += 1
            return
        _remember(element, changes)
        name = "(private)" if element.tag.is_private else element.keyword or "(unknown)"
        if value is None:
            del dataset[element.tag]
            changes.removed[name] += 1
        else:
            element.value = value
            changes.replaced[name] += 1

    def _replacement(self, element: Any, action: Action, identity: str) -> Any:
        """The new value; None where the element goes."""
        if element.keyword in _PSEUDONYMS:
            return self.names.patient(identity)
        if action is Action.UID:
            found = [self._uid(uid) for uid in strings(element) if uid]
            return found if len(found) > 1 else "".join(found)
        if action is Action.SHIFT:
            moved = [self.names.shifted(text, identity) for text in strings(element)]
            if element.VR != "TM" and len(moved) == 1 and moved[0] is not None:
                return moved[0]
            # What is no date, and every time of day, goes as without the option.
            strict = action_of(element, self.options - {"longitudinal"}, self.kept)
            return self._replacement(element, strict, identity)
        if action is Action.DUMMY:
            return _DUMMIES.get(element.VR, _DUMMY)
        if action is Action.EMPTY:
            return [] if element.VR == "SQ" else ""
        return None

    def _uid(self, uid: str) -> str:
        from pydicom.uid import UID_dictionary

        return uid if uid in UID_dictionary else self.names.uid(uid)


def _top_code(element: Any, changes: Changes) -> None:
    """Ages of few people become one age."""
    years = re.fullmatch(r"(\d{3})Y", str(element.value or "")) if element.keyword == "PatientAge" else None
    if years and int(years[1]) > _OLDEST:
        element.value = f"{_OLDEST:03}Y"
        changes.replaced[element.keyword] += 1
    else:
        changes.unchanged += 1


def _remember(element: Any, changes: Changes) -> None:
    """Keep, while this file is open, the values that name somebody."""
    if element.VR == "SQ":
        for item in element.value:
            for tag in list(item.keys()):
                try:
                    _remember(item[tag], changes)
                except Exception:  # noqa: BLE001, S112  it goes with its sequence
                    continue
    elif element.VR == "PN":
        for written in strings(element):
            parts = [part for part in re.split(r"[\^=\s,;]+", written) if len(part) >= _LEAST_NAME]
            changes.naming.update(parts)
    elif element.tag.is_private:
        # A private value names nobody by its tag; the house's own words for a scan are no names.
        return
    elif _NAMING.search(element.keyword):
        changes.naming.update(text.strip() for text in strings(element) if len(text.strip()) >= _LEAST_VALUE)


def tokens(naming: set[str]) -> list[str]:
    """Naming values in the form in which they are searched for."""
    return sorted({value.casefold() for value in naming if value != _DUMMY})


def _trace(dataset: Any, sought: list[str], changes: Changes) -> None:
    if not sought:
        return
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                _trace(item, sought, changes)
        elif element.VR in _SEARCHED and element.keyword not in _PSEUDONYMS and _holds(element, sought):
            del dataset[element.tag]
            changes.traced[element.keyword] += 1


def _holds(element: Any, sought: list[str]) -> bool:
    written = "\\".join(strings(element)).casefold()
    return any(token in written for token in sought)
