"""What the benchmarks share: where data are found, and how results are kept and shown."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def data_folder() -> Path | None:
    """The folder of benchmark data that ``SFUMATO_BENCH_DATA`` names; None if it names none."""
    place = os.environ.get("SFUMATO_BENCH_DATA")
    return Path(place) if place and Path(place).is_dir() else None


def keep(name: str, rows: Sequence[dict[str, Any]], note: str) -> None:
    """Print results as a table and keep them as JSON."""
    table = Table(title=f"{name}: {note}", title_justify="left", box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row.values())
        )
    # In a log nothing is cut: it has no width of its own.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    RESULTS.mkdir(exist_ok=True)
    kept = {"note": note, "cores": os.cpu_count(), "python": platform.python_version(), "rows": list(rows)}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
