"""The language model on Adult: a small one taught from scratch, and what it costs.

Run ``SFUMATO_BENCH_DATA=... python -m benchmarks.synthesis.language [plain] [private] [smollm2]``. A model at
hand may have read Adult before it was taught: its figures on Adult are marked so, and it is taught few rows.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.report import data_folder, keep
from benchmarks.synthesis.evaluator import TARGET, Adult
from sfumato import synth

_FEW = 2000
#: As many rows as the rest are, and as everybody knows of Adult.
_SIZE = 26_000


def judged(
    name: str, adult: Adult, rows: int | None = None, made: int | None = None, **how: Any
) -> dict[str, Any]:
    """One row of the table: figures, CPU seconds, and how many made rows are not valid."""
    taught = adult.train if rows is None else adult.train[:rows]
    begin = time.process_time()
    model = synth.fit(taught, "language-model", target=TARGET, **how)
    learned = time.process_time() - begin
    # What is compiled is compiled.
    model.sample(100)
    begin = time.process_time()
    table = model.sample(made or adult.train.height)
    sampled = (time.process_time() - begin) / table.height * 10_000
    found = adult.judge(table)
    return {
        "model": name,
        "rows": taught.height,
        "TV1": found.tv1,
        "TV2": found.tv2,
        "AUC": found.auc,
        "told": found.told,
        "invalid": _invalid(adult, table),
        "train CPU s": learned,
        "CPU s per 10k": sampled,
        "parameters": model.facts["model"]["parameters"],
        "contaminated": model.facts["model"]["contaminated"].split(":")[0],
    }


def _invalid(adult: Adult, table: Any) -> int:
    """Rows with a missing value, a category that no real row has, or a number outside the real range."""
    bad = 0
    for name in adult.train.columns:
        real = adult.train[name]
        if real.dtype.is_numeric():
            fits = table[name].is_between(real.min(), real.max())
        else:
            fits = table[name].is_in(real.unique().implode())
        bad += int((~fits.fill_null(False)).sum())
    return bad


def main() -> int:
    """Run what is named, or the plain model; the number of things that failed."""
    folder = data_folder()
    if folder is None:
        print("SFUMATO_BENCH_DATA names no folder: nothing to do")
        return 0
    wanted = sys.argv[1:] or ["plain"]
    adult = Adult.read(0, folder)
    rows = []
    if "plain" in wanted:
        rows.append(judged("from scratch", adult))
    if "private" in wanted:
        rows.append(judged("from scratch, epsilon 3", adult, epsilon=3.0, delta=1e-5, size=_SIZE))
    if "smollm2" in wanted:
        params = {"model": "smollm2-135m", "epochs": 1}
        rows.append(judged("SmolLM2-135M, LoRA", adult, _FEW, _FEW, params=params))
    keep("synthesis_language", rows, "Adult, seed 0, one core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
