"""The files of a demo, written where nothing else of their name is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sfumato.core.errors import InputError

POLICY = "policy.yaml"


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files of a demo, ``policy.yaml`` among them; its path comes back.

    Raises:
        InputError: ``output-exists``: one of these names is another file already; nothing is written then.
    """
    for name, content in files.items():
        if (folder / name).exists() and (folder / name).read_bytes() != content:
            raise InputError(
                "output-exists",
                "a file of this name is here, and it is not the demo's",
                where=str(folder / name),
                remedy="choose another folder, or remove it if it is an older demo's",
            )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / POLICY
