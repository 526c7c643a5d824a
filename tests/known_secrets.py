"""Projects whose secret follows from where they lie: what hangs on a draw by key is the same in every run.

Two projects of one test still have two secrets, as long as their folders have two names. Noise of
differential privacy is not keyed, and stays fresh.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sfumato.project import keys

HERE = Path(__file__).parent


def secret(folder: Path) -> bytes:
    """From the last two names of the path, without the numbers that pytest gives to folders of tests.

    >>> secret(Path("/tmp/test_x0/keys")) == secret(Path("/tmp/other/test_x12/keys"))
    True
    """
    names = [name.rstrip("0123456789") for name in folder.resolve().parts[-2:]]
    return hashlib.sha256("/".join(names).encode()).digest()


def knowing(create: Callable[[Path], None]) -> Callable[[Path], None]:
    """:func:`sfumato.project.keys.create` with :func:`secret` in the place of fresh randomness."""

    def creating(folder: Path) -> None:
        known: Any = SimpleNamespace(token_bytes=lambda _: secret(folder), token_hex=secrets.token_hex)
        with mock.patch.object(keys, "secrets", known):
            create(folder)

    return creating


def in_processes(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with what makes secrets known in a process too: ``known/sitecustomize.py``."""
    return {**environment, "PYTHONPATH": os.pathsep.join([str(HERE / "known"), str(HERE)])}
