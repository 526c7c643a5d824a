"""The names of everything that a run leaves behind, and a look at what really lies there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RELEASE = "release"
CUSTODY = "custody"
DATA = "data"
#: The one folder that data may have: images that were made, a file each.
IMAGES = "images"

MANIFEST = "manifest.json"
EVIDENCE = "evidence.json"
PLAN = "plan.json"
POLICY = "policy.yaml"
DOSSIER = "dossier.html"
DOSSIER_PDF = "dossier.pdf"
CROISSANT = "croissant.json"
DATASHEET = "datasheet.md"
NOTICE = "notice.md"
#: In a release that was withdrawn, in place of its data.
WITHDRAWAL = "withdrawal.json"
#: In the project's folder: the house's own laws, standards and forms.
LAWS = "law"
#: The documents that every release has, also one without data.
DOCUMENTS = (EVIDENCE, PLAN, POLICY, DOSSIER, DOSSIER_PDF, CROISSANT, DATASHEET, NOTICE)

SEALED_PLAN = "plan.json.age"
SEALED_EVIDENCE = "evidence.json.age"
SEALED_PRIVATE = "private.json.age"
#: Which value became which label; there only where the table was recoded.
SEALED_MAPPING = "mapping.parquet.age"
#: What single people risk, under random ids.
SEALED_PEOPLE = "people.parquet.age"
#: Who has which labels, for later releases to be joined with; there only where data left.
SEALED_RELEASED = "released.parquet.age"
#: What a synthesizer learned, for rows to be made from again; there only where rows were made.
SEALED_SYNTHESIZER = "synthesizer.safetensors.age"
CUSTODY_FILES = (
    SEALED_PLAN,
    SEALED_EVIDENCE,
    SEALED_PRIVATE,
    SEALED_MAPPING,
    SEALED_PEOPLE,
    SEALED_RELEASED,
    SEALED_SYNTHESIZER,
)
_FOLDERS = (DATA, f"{DATA}/{IMAGES}")


@dataclass(frozen=True)
class Files:
    """What lies in a release folder.

    ``names`` are regular files, as paths relative to the folder with ``/`` between the parts;
    ``strange`` is everything that has no place in a release: links, devices, pipes, folders other
    than ``data`` and ``data/images``, empty folders. Nothing strange is opened or followed.
    """

    names: tuple[str, ...]
    strange: tuple[str, ...]


def files_of(folder: Path) -> Files:
    """A folder's files, in the order of their names."""
    names: list[str] = []
    strange: list[str] = []
    waiting = list(_entries(folder, ""))
    while waiting:
        name, entry = waiting.pop()
        if not entry.is_dir(follow_symlinks=False):
            (names if entry.is_file(follow_symlinks=False) else strange).append(name)
            continue
        inside = list(_entries(Path(entry.path), f"{name}/")) if name in _FOLDERS else []
        waiting += inside
        if not inside:
            strange.append(name)
    return Files(tuple(sorted(names)), tuple(sorted(strange)))


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield prefix + entry.name, entry
