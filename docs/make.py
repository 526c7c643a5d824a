"""Makes the reference pages from the code: ``python -m docs.make``, or ``--check`` to see if they are fresh.

The same code gives the same bytes. Pages that people write stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from docs.commands import cli_page
from docs.errors import errors_page
from docs.parts import (
    actions_page,
    detectors_page,
    hierarchies_page,
    privacy_models_page,
    probes_page,
    queries_page,
    synthesizers_page,
)
from docs.picture import epsilon_svg
from docs.policy import policy_page
from docs.python import api_page, room_page
from docs.schema import policy_schema

REFERENCE = Path(__file__).parent / "reference"

PAGES = {
    "policy.md": policy_page,
    "policy.schema.json": policy_schema,
    "actions.md": actions_page,
    "hierarchies.md": hierarchies_page,
    "privacy-models.md": privacy_models_page,
    "probes.md": probes_page,
    "queries.md": queries_page,
    "synthesizers.md": synthesizers_page,
    "detectors.md": detectors_page,
    "errors.md": errors_page,
    "cli.md": cli_page,
    "api.md": api_page,
    **{f"api-{room}.md": partial(room_page, room) for room in ("audit", "dp", "images", "synth")},
    "epsilon.svg": epsilon_svg,
}


def stale(folder: Path = REFERENCE) -> dict[str, str]:
    """The generated pages that are not what the code says: their names and what they should be."""
    made = {name: page() for name, page in PAGES.items()}
    return {name: text for name, text in made.items() if _read(folder / name) != text}


def write(folder: Path = REFERENCE) -> list[str]:
    """Write the generated pages that are stale; their names come back."""
    changed = stale(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in changed.items():
        (folder / name).write_text(text, encoding="utf-8")
    return list(changed)


def main(arguments: Sequence[str]) -> int:
    """0 if all pages are fresh now; 1 if ``--check`` found one that is not."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m docs.make [--check]\n")
        return 2
    checking = bool(arguments)
    names = list(stale()) if checking else write()
    for name in names:
        sys.stdout.write(f"docs/reference/{name}: {'stale' if checking else 'written'}\n")
    if checking and names:
        sys.stdout.write("to do: make docs\n")
    return int(checking and bool(names))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
