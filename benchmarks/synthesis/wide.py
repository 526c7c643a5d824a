"""Rows of 100 columns, one of them a category of nearly 10,000 values, by the autoregressive synthesizer.

What making rows costs does not hang on what was learned: the heads here are untaught.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.report import keep

ROWS, RUNS = 10_000, 5
#: The numbers of codes: of numbers in bins, of small categories, and of the large one.
SIZES = (*[64] * 50, *([2, 5, 10, 30] * 13)[:49], 8535)


def main() -> int:
    """The least and the median CPU seconds of making the rows."""
    import torch

    from sfumato.synth.coded import Field
    from sfumato.synth.learning import arrays_of, seeded
    from sfumato.synth.networks.draws import Drawer
    from sfumato.synth.networks.heads import Heads
    from sfumato.synth.networks.tables import HeadTables

    fields = tuple(Field(f"c{at}", f"c{at}", size, at < 50) for at, size in enumerate(SIZES))
    with seeded(bytes(32)), torch.no_grad():
        arrays = arrays_of(Heads(fields, 8, 16))
    drawer = Drawer(HeadTables(SIZES, arrays), fields, tuple(range(len(SIZES))), True)
    seconds = []
    for run in range(RUNS):
        begin = time.process_time()
        drawer.rows(ROWS, np.random.default_rng(run), {})
        seconds.append(time.process_time() - begin)
    row = {
        "columns": len(SIZES),
        "most values": max(SIZES),
        "rows": ROWS,
        "CPU s, least": min(seconds),
        "CPU s, median": float(np.median(seconds)),
    }
    keep("synthesis_wide", [row], f"autoregressive, {RUNS} runs, one core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
