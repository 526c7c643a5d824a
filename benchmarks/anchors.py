"""The lattice search against the published results of ARX 3.9.2, digit by digit.

Data: the folders ``arx/adult``, ``arx/fars_int`` and ``arx/creditcard_int`` in the folder that
SFUMATO_BENCH_DATA names (ARX's own ``data/`` folder: a table and a hierarchy file a column). CPU seconds
are from the distinct tuples in memory to the solution, all threads, kernels warm.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.anonymity import MEASURES, MODELS
from sfumato.anonymity.lattice import Problem, Solution, search
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import COUNT, Units
from sfumato.hierarchies.file import FileHierarchy
from sfumato.hierarchies.ladder import Ladder

COLUMNS = {
    "adult": [
        *("sex", "age", "race", "marital-status", "education"),
        *("native-country", "workclass", "occupation", "salary-class"),
    ],
    "fars_int": ["iage", "irace", "ideathmon", "ideathday", "isex", "ihispanic", "istatenum", "iinjury"],
    "creditcard_int": ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", "PAY_0"],
}

#: ARX tells entropies of exactly ln 3 from it by their last bit; ours are those that the definition gives.
DEFINITION = "ARX .215449, 1180: a class of exactly l even values fails there"


@dataclass(frozen=True)
class Row:
    """A row of ARX's results: what was asked, and its node, rows suppressed, figures and CPU seconds."""

    data: str
    limit: float
    node: str
    suppressed: int
    score: float
    granularity: float
    seconds: float
    classes: int | None = None
    measure: str = "loss"
    model: str = ""
    note: str = ""

    @property
    def digits(self) -> int:
        """Decimals that were printed of the score."""
        return 6 if self.measure == "loss" else 1 if self.score > 1e6 else 2


ARX = [
    Row("adult", 0, "0,4,1,1,3,2,2,1,0", 0, 0.573151, 0.291721, 0.030, 24),
    Row("adult", 0.02, "0,3,0,2,2,1,1,2,0", 506, 0.313713, 0.604409, 0.887, 222),
    Row("adult", 0.05, "0,3,0,0,2,1,1,2,0", 1346, 0.241932, 0.698371, 1.048, 397),
    Row("adult", 1, "0,3,0,0,2,1,1,1,0", 2553, 0.220412, 0.751425, 3.888, 602),
    Row("adult", 0, "1,2,1,1,3,2,2,1,1", 0, 407289.54, 0.278141, 0.030, 48, "entropy"),
    Row("adult", 0.02, "0,0,1,1,3,2,2,1,1", 309, 285604.75, 0.354556, 0.677, 599, "entropy"),
    Row("adult", 0.05, "0,0,1,1,2,2,2,1,1", 1285, 264341.94, 0.419582, 1.065, 998, "entropy"),
    Row("adult", 1, "0,0,1,1,3,2,2,0,0", 3659, 249855.11, 0.406043, 7.119, 1623, "entropy"),
    Row("adult", 0.05, "0,3,0,0,2,1,1,0", 1400, 0.171702, 0.797647, 0.509, 387, model="distinct l=3"),
    Row(
        "adult",
        0.05,
        "0,3,0,1,2,1,1,0",
        1174,
        0.215277,
        0.748381,
        0.572,
        262,
        "loss",
        "entropy l=3",
        DEFINITION,
    ),
    Row("adult", 0.05, "0,2,0,1,2,1,1,0", 1408, 0.209361, 0.757147, 0.557, 378, model="recursive c=4 l=3"),
    Row("adult", 0.05, "1,4,1,1,3,1,2,1", 235, 0.815003, 0.184067, 1.121, 6, model="equal t=.2"),
    Row("adult", 0.05, "1,4,0,0,3,1,2,1", 1384, 0.612806, 0.350635, 1.161, 24, model="hierarchical t=.2"),
    Row("adult", 1, "1,2,0,0,3,0,2,1", 8156, 0.604165, 0.400524, 1.773, 23, model="equal t=.2"),
    Row("fars_int", 0, "4,2,3,0,1,2,2,2", 0, 0.663471, 0.307909, 0.082, 296),
    Row("fars_int", 0.02, "4,0,2,2,0,0,2,0", 1591, 0.199958, 0.770548, 4.51, 601),
    Row("fars_int", 0.05, "3,0,1,1,0,0,2,0", 4597, 0.153990, 0.832593, 3.43, 1586),
    Row("fars_int", 1, "3,0,1,1,0,0,1,0", 6438, 0.152854, 0.837606, 12.2, 2164),
    Row("fars_int", 0.05, "3,0,2,2,1,0,0,0", 4546, 1006671.2, 0.726795, 5.80, 2424, "entropy"),
    Row("fars_int", 0.05, "1,2,3,3,0,2,0", 2293, 0.508511, 0.397671, 0.41, 1602, model="distinct l=3"),
    Row("fars_int", 0.05, "3,2,3,3,0,2,1", 4114, 0.577510, 0.344551, 4.07, 52, model="equal t=.2"),
    Row("creditcard_int", 0, "3,0,2,0,4,2", 0, 0.529919, 0.323094, 0.015),
    Row("creditcard_int", 0.02, "2,0,1,1,2,1", 400, 0.116357, 0.860576, 0.067),
    Row("creditcard_int", 0.05, "2,0,1,1,2,0", 896, 0.102472, 0.877555, 0.082),
    Row("creditcard_int", 0.05, "2,0,1,1,2,1", 1091, 0.136194, 0.841568, 0.140, model="equal t=.2"),
]

SENSITIVE = {"adult": "occupation", "fars_int": "iinjury", "creditcard_int": "default-payment-next-month"}

MODEL: dict[str, tuple[str, dict[str, Any]]] = {
    "distinct l=3": ("l-diversity", {"l": 3}),
    "entropy l=3": ("l-diversity", {"l": 3, "kind": "entropy"}),
    "recursive c=4 l=3": ("l-diversity", {"l": 3, "c": 4, "kind": "recursive"}),
    "equal t=.2": ("t-closeness", {"t": 0.2}),
    "hierarchical t=.2": (
        "t-closeness",
        {"t": 0.2, "distance": "hierarchical", "hierarchy": {"kind": "file"}},
    ),
}


def table(folder: Path, data: str) -> pl.DataFrame:
    """ARX's table as texts."""
    return pl.read_csv(folder / data / f"{data}.csv", separator=";", infer_schema=False)


def ladders(folder: Path, data: str, frame: pl.DataFrame, columns: Sequence[str]) -> list[Ladder]:
    """ARX's hierarchies over the values of a table."""
    found = []
    for column in columns:
        kind = FileHierarchy(FileHierarchy.Params(path=f"{data}_hierarchy_{column}.csv"), folder / data)
        values = frame[column].unique(maintain_order=True)
        found.append(Ladder.build(kind, values, pl.Series(range(len(values)))))
    return found


def place(values: pl.Series, known: pl.Series) -> np.ndarray:
    """For each value its place among the known ones."""
    order = pl.DataFrame({"value": known}).with_row_index("place")
    return values.alias("value").to_frame().join(order, on="value", maintain_order="left")["place"].to_numpy()


def units(frame: pl.DataFrame, steps: Sequence[Ladder], tree: Ladder | None) -> tuple[np.ndarray, Units]:
    """Distinct tuples as positions in ladders, with what the sensitive column's ladder says of it."""
    columns = [step.column for step in steps]
    tuples = frame.group_by(columns + ([tree.column] if tree else []), maintain_order=True).len(COUNT)
    positions = np.stack([place(tuples[step.column], step.values).astype(np.int64) for step in steps])
    counts = tuples[COUNT].cast(pl.Int64).to_numpy()
    if tree is None:
        return positions, Units(counts)
    codes = place(tuples[tree.column], tree.values).astype(np.int64)
    overall = np.bincount(codes, counts, len(tree.values)).astype(np.int64)
    levels = np.stack([np.unique(level, return_inverse=True)[1] for level in tree.codes])
    return positions, Units(counts, {tree.column: Sensitive(codes, overall, levels)})


def problem(folder: Path, row: Row, frame: pl.DataFrame, k: int = 5) -> Problem:
    """A row of ARX's results as a search problem."""
    columns = COLUMNS[row.data]
    models = [MODELS.resolve("k-anonymity")]
    models = [models[0](models[0].Params(k=k))]
    tree = None
    if row.model:
        name, params = MODEL[row.model]
        columns = [column for column in columns if column != SENSITIVE[row.data]]
        kind = MODELS.resolve(name)
        models.append(kind(kind.Params(on=SENSITIVE[row.data], **params)))
        (tree,) = ladders(folder, row.data, frame, [SENSITIVE[row.data]])
    steps = ladders(folder, row.data, frame, columns)
    positions, people = units(frame, steps, tree)
    limit = int(row.limit * people.rows + 1e-9)
    return Problem(steps, positions, people, models, limit, MEASURES.resolve(row.measure))


def timed(asked: Problem) -> tuple[Solution, float]:
    """The solution and the median of the CPU seconds of five searches, after one to warm up."""
    found, times = search(asked), []
    for _ in range(5):
        start = time.process_time()
        found = search(asked)
        times.append(time.process_time() - start)
    return found, statistics.median(times)


def compare(row: Row, found: Solution, seconds: float) -> dict[str, Any]:
    """A line of the results."""
    exact = (
        ",".join(map(str, found.levels)) == row.node
        and found.suppressed == row.suppressed
        and row.classes in (None, found.classes)
        and round(found.score, row.digits) == row.score
        and round(found.granularity, 6) == row.granularity
        and found.optimal
    )
    return {
        "data": row.data,
        "what": f"{row.measure} {row.limit:.0%} {row.model}".strip(),
        "node": row.node,
        "suppressed": found.suppressed,
        "score": f"{found.score:.{row.digits}f}",
        "gran": f"{found.granularity:.6f}",
        "as ARX": "NO" if not exact else row.note or "exactly",
        "checked": found.checked,
        "CPU s": round(seconds, 4),
        "ARX CPU s": row.seconds,
        "ratio": round(seconds / row.seconds, 2),
    }


def wide(folder: Path) -> dict[str, Any]:
    """All 24 columns of creditcard: 4.9e13 nodes, of which ARX's heuristic search checks 1,000."""
    frame = table(folder, "creditcard_int")
    steps = ladders(folder, "creditcard_int", frame, frame.columns)
    positions, people = units(frame, steps, None)
    kind = MODELS.resolve("k-anonymity")
    models, limit = [kind(kind.Params(k=5))], people.rows // 20
    asked = Problem(steps, positions, people, models, limit, MEASURES.resolve("loss"))
    start = time.process_time()
    found = search(asked)
    return {
        "suppressed": found.suppressed,
        "score": f"{found.score:.6f}",
        "proved bound": f"{found.bound:.6f}",
        "optimal": found.optimal,
        "gran": f"{found.granularity:.6f}",
        "ARX gran": 0.247360,
        "checked": found.checked,
        "CPU s": round(time.process_time() - start, 2),
        "ARX CPU s": 2.36,
    }


def million(folder: Path) -> tuple[dict[str, Any], bool]:
    """A million rows drawn from fars, k = 50, from an Arrow table of dictionary columns to the solution."""
    small = table(folder, "fars_int")
    chosen = random.Random(0).choices(range(small.height), k=1_000_000)
    frame = small[chosen].select(pl.all().cast(pl.Categorical)).to_arrow()
    columns = COLUMNS["fars_int"]
    steps = ladders(folder, "fars_int", small[sorted(set(chosen))], columns)
    kind = MODELS.resolve("k-anonymity")
    models, times, before = [kind(kind.Params(k=50))], [], resident("VmRSS")
    for _ in range(4):
        start = time.process_time()
        read = pl.DataFrame(pl.from_arrow(frame)).select(columns)
        tuples = read.group_by(columns, maintain_order=False).len(COUNT)
        tuples = tuples.with_columns(pl.col(columns).cast(pl.String)).sort(columns)
        positions = np.stack([place(tuples[step.column], step.values).astype(np.int64) for step in steps])
        people = Units(tuples[COUNT].cast(pl.Int64).to_numpy())
        found = search(Problem(steps, positions, people, models, 50_000, MEASURES.resolve("loss")))
        times.append(time.process_time() - start)
    exact = (found.suppressed, round(found.score, 6)) == (48_487, 0.156639)
    return {
        "tuples": len(people.counts),
        "suppressed": found.suppressed,
        "score": f"{found.score:.6f}",
        "as ARX": "exactly" if exact else "NO",
        "CPU s": round(statistics.median(times[1:]), 3),
        "ARX CPU s": 5.76,
        "MB above before": resident("VmHWM") - before,
        "ARX MB": 365,
    }, exact


def resident(field: str) -> int:
    """Resident memory of this process in MB, now (VmRSS) or at most (VmHWM)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) // 1024


def main() -> int:
    """Compare every row; 1 if any figure differs."""
    data = data_folder()
    if data is None:
        print("anchors: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    folder = data / "arx"
    large, large_exact = million(folder)
    keep("anchors_million", [large], "1,000,000 rows drawn from fars, k=50, loss 5 %")
    frames = {name: table(folder, name) for name in COLUMNS}
    rows = [compare(row, *timed(problem(folder, row, frames[row.data]))) for row in ARX]
    keep("anchors", rows, "optimal lattice search, k=5; ARX 3.9.2 as published")
    keep("anchors_wide", [wide(folder)], "24 quasi-identifiers of creditcard, k=5, loss 5 %, anytime search")
    return int(not large_exact or any(row["as ARX"] == "NO" for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
