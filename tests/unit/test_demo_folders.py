"""Where demos go: one after another in the same place, none in another's way."""

from __future__ import annotations

from pathlib import Path

from sfumato.demos import DEMOS, folder_of


def test_each_demo_has_a_folder_of_its_own() -> None:
    folders = [folder_of(name) for name in DEMOS]
    assert len(set(folders)) == len(folders) == 3
    assert folder_of("alcohol") == Path("demo")
