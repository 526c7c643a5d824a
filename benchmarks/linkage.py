"""Linkage over all pairs against splink 5 and recordlinkage 0.16: who finds most people, at what cost.

The task: the release is 10,000 of the 30,162 complete training rows of adult, as
pandas draws them (``sample(10_000, random_state=0)``), raw, in nine columns (8,361 rows are unique). The
register has the same people, each age moved by -2..2, and in each of four columns of categories a tenth of
the cells permuted among themselves (``default_rng(0)``). The figure is the share of correct rank-1 links,
ties shared. The peers compare the pairs that agree in the four columns without errors, which an attacker
would not know; ours compare all pairs. A second task has 100,000 rows of fars_int against as many people
with the same flaws.

Data: ``adult_full/`` and ``arx/`` in the folder that SFUMATO_BENCH_DATA names. The peers run in an
environment of their own, whose Python SFUMATO_LINKERS names; without it that part is left out. CPU seconds
are over all threads, kernels warm, from two tables in memory to the best rows of everybody.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Inventory, Plan
from sfumato.evidence.attacks.gower import claim_nearest
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.outcomes import hits
from sfumato.evidence.attacks.pairs import Pairs
from sfumato.evidence.attacks.probabilistic import claim_probable, learn

ADULT = ("age", "workclass", "education", "marital_status", "occupation", "race", "sex", "native_country",
         "hours_per_week")  # fmt: skip
PERMUTED = ("workclass", "education", "occupation", "native_country")
FARS_PERMUTED = ("irace", "ihispanic", "istatenum", "iinjury")
#: Share of people found by recordlinkage on its own register.
ANCHOR = 0.677

PEER = """
import json, sys, time
import numpy as np, pandas as pd
release, register = (pd.read_csv(path, dtype={"age": int}) for path in sys.argv[2:4])
text = [c for c in release.columns if c not in ("age", "hours_per_week")]

def rank1(first, second, score):
    # Links as (row of the register, row of the release, score): the best of each, ties shared.
    links = pd.DataFrame({"i": first, "k": second, "s": np.round(score, 9)})
    best = links[links.s == links.groupby("i").s.transform("max")]
    size = best.groupby("i").size()
    right = best.loc[best.i == best.k, "i"]
    return float((1 / size.loc[right]).sum()) / len(register)

def by_recordlinkage():
    import recordlinkage
    index = recordlinkage.Index()
    index.block(["sex", "race", "marital_status", "hours_per_week"])
    pairs = index.index(register, release)
    compare = recordlinkage.Compare()
    compare.numeric("age", "age", method="linear", offset=0, scale=2, label="age")
    for column in text + ["hours_per_week"]:
        compare.exact(column, column, label=column)
    found = compare.compute(pairs, register, release)
    levels = (found > 0.4).astype(int)
    model = recordlinkage.ECMClassifier(use_col_names=False)
    model.fit(levels)
    weights = model.prob(levels)
    weights = np.log(weights.to_numpy() + 1e-300) + found["age"].to_numpy() * 1e-6
    i, k = (pairs.get_level_values(j).to_numpy() for j in (0, 1))
    simple = found.sum(axis=1).to_numpy()
    return max(rank1(i, k, weights), rank1(i, k, simple))

def by_splink():
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    settings = SettingsCreator(
        link_type="link_only",
        comparisons=[cl.CustomComparison(output_column_name="age", comparison_levels=[
            {"sql_condition": "age_l is null or age_r is null", "label_for_charts": "n",
             "is_null_level": True},
            {"sql_condition": "age_l = age_r", "label_for_charts": "same"},
            {"sql_condition": "abs(age_l - age_r) <= 2", "label_for_charts": "near"},
            {"sql_condition": "ELSE", "label_for_charts": "else"}])]
        + [cl.ExactMatch(c).configure(term_frequency_adjustments=True) for c in text + ["hours_per_week"]],
        blocking_rules_to_generate_predictions=[block_on("sex", "race", "marital_status", "hours_per_week")],
        retain_intermediate_calculation_columns=False,
    )
    numbered = [t.assign(unique_id=range(len(t))) for t in (release, register)]
    api = DuckDBAPI()
    linker = Linker([api.register(table, table_name=name) for table, name in zip(numbered, "ab")], settings)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=0)
    for rule in (("age", "hours_per_week", "sex"), ("education", "occupation", "workclass")):
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(*rule), fix_u_probabilities=True)
    found = linker.inference.predict(threshold_match_weight=-10).as_pandas_dataframe()
    return rank1(found.unique_id_r.to_numpy(), found.unique_id_l.to_numpy(), found.match_weight.to_numpy())

start = time.process_time()
share = {"splink": by_splink, "recordlinkage": by_recordlinkage}[sys.argv[1]]()
print(json.dumps({"share": share, "seconds": time.process_time() - start}))
"""


def adult(folder: Path) -> pl.DataFrame:
    """The 10,000 people of the task."""
    rows = pl.read_csv(folder / "adult_full" / "adult.csv.gz").filter(pl.col("split") == "train")
    complete = rows.filter(pl.all_horizontal(pl.col(ADULT).cast(pl.String).fill_null("?") != "?"))
    return pl.from_pandas(complete.to_pandas().sample(10_000, random_state=0)).select(ADULT)


def flawed(table: pl.DataFrame, number: str, permuted: Sequence[str]) -> pl.DataFrame:
    """The register: a number moved by -2..2, and a tenth of the cells of some columns permuted."""
    draw = np.random.default_rng(0)
    moved = pl.col(number) + pl.Series(draw.integers(-2, 3, table.height))
    register = table.with_columns(moved.alias(number))
    for column in permuted:
        rows = np.flatnonzero(draw.random(table.height) < 0.1)
        values = register[column].to_numpy().copy()
        values[rows] = values[draw.permutation(rows)]
        register = register.with_columns(pl.Series(column, values))
    return register


def comparison(table: pl.DataFrame) -> Comparison:
    """A raw release, as far as the attacks look at it."""

    def count(columns: Sequence[str]) -> pl.DataFrame:
        return table.group_by(columns).len(COUNT)

    return Comparison(
        inventory=Inventory(rows=table.height, examined=0, target=None, columns=()),
        plan=Plan(dataset="", policy_digest="", inventory_digest="", rows=0, holdout_rows=0, steps=()),
        original=table, released=table, kept=np.ones(table.height, dtype=bool), control=table.clear(),
        describe=lambda frame: frame, count=count, count_original=count, centers={}, key=bytes(32),
        design="none",
    )  # fmt: skip


def linked(table: pl.DataFrame, register: pl.DataFrame, how: str) -> float:
    """The share of people found by one of our attackers."""
    given = comparison(table)
    classes = Classes.of(given.count(table.columns), table.columns)
    own = classes.label_codes(table)
    pairs = Pairs.of(given, classes, register, np.zeros(register.shape, dtype=bool))
    claims, weights = (
        claim_nearest(pairs, own) if how == "nearest" else claim_probable(pairs, learn(pairs), own)
    )
    return float(hits(claims, weights).mean())


def timed(task: Callable[[], float], runs: int) -> tuple[float, float]:
    """What a task answers, and the median of its CPU seconds once it is warm."""
    share, seconds = 0.0, []
    for _ in range(runs):
        start = time.process_time()
        share = task()
        seconds.append(time.process_time() - start)
    return share, statistics.median(seconds)


def peer(python: str, name: str, table: pl.DataFrame, register: pl.DataFrame) -> dict[str, Any] | None:
    """What a peer finds, or None if it does not run."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "release.csv", Path(folder) / "register.csv"]
        table.write_csv(paths[0])
        register.write_csv(paths[1])
        command = [python, "-c", PEER, name, *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"linkage: {name} did not run: {done.stderr.strip().splitlines()[-1:]}")
        return None
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    """Run the comparison and keep the results; 1 if the probabilistic attack finds less than the anchor."""
    folder = data_folder()
    if folder is None:
        print("linkage: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    table = adult(folder)
    register = flawed(table, "age", PERMUTED)
    rows: list[dict[str, Any]] = []
    for how in ("nearest", "probabilistic"):
        linked(table[:100], register[:100], how)
        share, seconds = timed(lambda how=how: linked(table, register, how), 5)
        rows.append({"attack": f"sfumato, {how}", "pairs": "10k x 10k", "found": share, "CPU s": seconds})
    wrong = rows[-1]["found"] < ANCHOR
    python = os.environ.get("SFUMATO_LINKERS")
    if python is None:
        print("linkage: peers not run; SFUMATO_LINKERS names no Python that has splink and recordlinkage")
    else:
        for name in ("splink", "recordlinkage"):
            found = peer(python, name, table, register)
            if found is not None:
                rows.append(
                    {
                        "attack": name,
                        "pairs": "alike in 4 columns",
                        "found": found["share"],
                        "CPU s": found["seconds"],
                    }
                )
                wrong |= found["share"] > rows[1]["found"]
    fars = pl.read_csv(folder / "arx" / "fars_int" / "fars_int.csv", separator=";")[:100_000]
    many = flawed(fars, "iage", FARS_PERMUTED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for how in ("nearest", "probabilistic"):
        share, seconds = timed(lambda how=how: linked(fars, many, how), 1)
        rows.append({"attack": f"sfumato, {how}", "pairs": "100k x 100k", "found": share, "CPU s": seconds})
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    keep("linkage", rows, f"share of people found, ties shared; 100k x 100k took {more:,.0f} MB more")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
