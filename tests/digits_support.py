"""Scikit-learn's handwritten digits as files with a table of labels, and policies that make such images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from sfumato.synth.images.png import png

LEVELS = (0, 16)


def write_digits(folder: Path, count: int = 1797, images: int = 1, name: str = "scan") -> pl.DataFrame:
    """The files in ``folder/scans``, and a table ``scans.csv`` of file, digit and whose it is.

    Args:
        images: of each person, one after another.
        name: begins the names of files and people.
    """
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[:count]
    (folder / "scans").mkdir(parents=True)
    names = [f"{name}-{number:04}.png" for number in range(len(order))]
    for file, place in zip(names, order, strict=True):
        (folder / "scans" / file).write_bytes(png(pixels[place].reshape(8, 8).astype(np.uint8)))
    whose = [f"{name}-of-{number // images}" for number in range(len(order))]
    table = pl.DataFrame({"file": names, "digit": labels[order], "person": whose})
    table.write_csv(folder / "scans.csv")
    return table


BUDGET: dict[str, Any] = {
    "budget": {"epsilon": 3.0, "delta": 1e-5},
    "epsilon": 2.0,
    "delta": 1e-5,
    "size": 1250,
    "categories": {"digit": list(range(10))},
}


def images_policy(
    *, dp: dict[str, Any] | None = None, images: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """A policy for :func:`write_digits`; ``changes`` replace its sections, those of ``synthesis`` add."""
    named = {"column": "file", "folder": "scans", "label": "digit", "levels": list(LEVELS)}
    paid = {} if dp is None else {"dp": dp}
    size = {} if dp is None else {"size": [8, 8]}
    return {
        "sfumato": 1,
        "dataset": {"name": "digits", "source": {"path": "scans.csv"}, **changes.pop("dataset", {})},
        "columns": {"digit": {"role": "quasi-identifier", "sensitive": True, "why": "what models learn"}},
        "synthesis": {
            "images": named | size | (images or {}),
            "settings": {"steps": 30, "width": 8},
            "rows": 600,
            "why": "to try models on",
            **paid,
            **changes.pop("synthesis", {}),
        },
        "evidence": {"holdout": 0.3},
        **changes,
    }
