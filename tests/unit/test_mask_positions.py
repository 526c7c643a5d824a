"""Codes starred at chosen places, against the same done character by character."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.hierarchies.mask import MaskHierarchy

PLACES = st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=6, unique=True)
CODES = st.lists(st.text(st.sampled_from("abé\u0301*\n"), max_size=8) | st.none(), min_size=1, max_size=9)


def starred(code: str | None, places: list[int]) -> str | None:
    if code is None:
        return None
    characters = list(code)
    for place in places:
        at = place - 1 if place > 0 else len(code) + place
        if 0 <= at < len(code):
            characters[at] = "*"
    return "".join(characters)


def kind(**params: Any) -> MaskHierarchy:
    return MaskHierarchy(MaskHierarchy.Params(**params), Path())


def test_level_by_level_from_chosen_places() -> None:
    codes, mask = pl.Series("code", ["AB-1234-C", "AB-12", None, "7"]), kind(positions=[[4, 5], [6, 7], [-1]])
    assert mask.height == 5
    found = [mask.labels(codes, level).to_list() for level in range(1, 5)]
    assert found[0] == ["AB-**34-C", "AB-**", None, "7"]
    assert found[1] == ["AB-****-C", "AB-**", None, "7"]
    assert found[2] == ["AB-****-*", "AB-**", None, "*"]
    assert found[3] == ["*", "*", "*", "*"]


@settings(deadline=None)
@given(CODES, PLACES, st.integers(1, 5))
def test_as_character_by_character(codes: list[str | None], places: list[int], first: int) -> None:
    levels = [part for part in (places[:first], places[first:]) if part]
    mask, hidden = kind(positions=levels), []
    for level, part in enumerate(levels, start=1):
        hidden += part
        found = mask.labels(pl.Series("code", codes, dtype=pl.String), level)
        assert found.to_list() == [starred(code, hidden) for code in codes]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "say either hide or positions"),
        ({"hide": [2], "positions": [[1]]}, "say either hide or positions"),
        ({"positions": [[1, 0]]}, "counted from 1"),
        ({"positions": [[1], [2, 1]]}, "named once"),
        ({"positions": [[1], []]}, "at least 1"),
        ({"positions": [[2]], "side": "start"}, "side is for hide"),
    ],
)
def test_places_that_cannot_be_meant(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind(**params)
