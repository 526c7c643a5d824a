"""Several tables of the same people, made together: how they hang together, and whether they repeat anybody.

Two shops. CDNOW's log (Fader & Hardie 2001, as the package Lifetimes ships it) as two tables: 23,570
customers with the month in which they first came, and what they bought. A simulated one as three: 6,000
people, purchases that go by age and region, and what was in each. A policy is walked as ``sfumato run`` walks
it, with .3 of the people held out; what these would be in the place of the made ones stands beside each
figure as its floor. Means of three secrets.

What is declared under differential privacy: the number of people, bounds of numbers, and most rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import sfumato as sf
from benchmarks.report import keep
from sfumato.demos.shop import read_log

RUNS = 3
#: Who makes the tables, and at which epsilon.
MAKERS = (
    ("independent", None),
    ("copula", None),
    ("autoregressive", None),
    ("aim", 3.0),
    ("aim", 1.0),
)
FIGURES = ("tables.count_ks", "tables.column_tv", "tables.across_tv")
RISKS = ("copies.excess", "relations.rows_excess", "relations.whole_excess", "membership.tpr_at_1")
_USE = {"role": "quasi-identifier", "why": "what the shop is looked at for"}

Shop = tuple[str, dict[str, Any], dict[str, Any], dict[str, pl.DataFrame]]


def cdnow() -> Shop:
    """Customers with the month of their first purchase, and all of their purchases."""
    log = read_log().with_columns(month=pl.col("day").dt.month())
    first = pl.col("day").min().cast(pl.String).str.slice(0, 7).alias("first")
    people = log.group_by("customer", maintain_order=True).agg(first)
    bought = log.select("customer", "month", "cds", "spent")
    tables = {"purchases": {"key": "customer", "most": 20, "columns": ("month", "cds", "spent")}}
    bounds = {"purchases.month": [1, 12], "purchases.cds": [1, 40], "purchases.spent": [0, 500]}
    return "CDNOW", tables, {"size": 16_500, "bounds": bounds}, {"people": people, "purchases": bought}


def simulated() -> Shop:
    """People, purchases and what was in them, drawn by rules that a maker should find."""
    draw, people = np.random.default_rng(5), 6_000
    age = draw.integers(18, 80, people)
    region = draw.choice(["north", "south", "east", "west"], people, p=[0.4, 0.3, 0.2, 0.1])
    many = draw.poisson(np.where(age < 40, 4, 1.2) * np.where(region == "north", 1.5, 1))
    of = np.repeat(np.arange(people), many)
    web = draw.random(len(of)) < np.where(age[of] < 40, 0.8, 0.2)
    spent = np.exp(draw.normal(2.2 + age[of] / 250, 0.7)).round(2)
    line = np.repeat(np.arange(len(of)), 1 + draw.poisson(0.8, len(of)))
    sku = np.minimum(19, draw.geometric(0.15, len(line)) - 1 + age[of][line] // 20)
    names = np.array([f"P{number:05}" for number in draw.permutation(people)])
    tables = {
        "purchases": {"key": "customer", "id": "number", "most": 12, "columns": ("shop", "spent")},
        "items": {"key": "purchase", "of": "purchases", "most": 6, "columns": ("sku",)},
    }
    frames = {
        "people": pl.DataFrame({"customer": names, "age": age, "region": region}),
        "purchases": pl.DataFrame(
            {
                "number": np.arange(len(of)),
                "customer": names[of],
                "shop": np.where(web, "web", "town"),
                "spent": spent,
            }
        ),
        "items": pl.DataFrame({"purchase": line, "sku": np.array([f"sku {i:02}" for i in sku])}),
    }
    bounds = {"age": [18, 80], "purchases.spent": [0, 300]}
    categories = {"items.sku": [f"sku {i:02}" for i in range(20)]}
    return "simulated", tables, {"size": 4_200, "bounds": bounds, "categories": categories}, frames


def policy(shop: Shop, method: str, epsilon: float | None) -> dict[str, Any]:
    """The policy that makes a shop's tables."""
    name, tables, declared, frames = shop
    private = {"dp": {"budget": {"epsilon": 9, "delta": 1e-5}, "epsilon": epsilon, "delta": 1e-6, **declared}}
    written = {}
    for table, said in tables.items():
        kept = {key: value for key, value in said.items() if key != "most" or epsilon is not None}
        columns = dict.fromkeys(said["columns"], _USE)
        written[table] = {**kept, "source": {"path": "given"}, "columns": columns}
    return {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "given"}, "subject": "customer"},
        "columns": {column: _USE for column in frames["people"].columns if column != "customer"},
        "tables": written,
        "synthesis": {"method": method, "why": name, **(private if epsilon is not None else {})},
        "evidence": {"holdout": 0.3, "attacks": [{"membership": {"members": 4000}}], "utility": ["tables"]},
    }


def runs(shop: Shop, method: str, epsilon: float | None) -> Iterator[tuple[float, sf.Result]]:
    """Results with the CPU seconds of the whole way, each under a secret of its own."""
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            result = sf.run(
                policy(shop, method, epsilon),
                shop[3],
                output=Path(folder) / "out",
                project=Path(folder) / "keys",
            )
            yield time.process_time() - begin, result


def row(shop: Shop, method: str, epsilon: float | None) -> dict[str, Any]:
    """One row of the table."""
    seconds, passed, found = [], 0, []
    for second, result in runs(shop, method, epsilon):
        seconds.append(second)
        passed += result.passed
        every = (*result.findings, *result.kept)
        found.append({each.metric: each for each in every if each.target == "release"})

    def mean(metric: str, side: str = "value") -> float:
        return float(np.mean([getattr(each[metric], side) for each in found]))

    told: dict[str, Any] = {
        "shop": shop[0],
        "method": method,
        "epsilon": "none" if epsilon is None else epsilon,
        "passed": f"{passed} of {RUNS}",
    }
    for metric in FIGURES:
        told |= {
            metric.partition(".")[2]: mean(metric),
            f"{metric.partition('.')[2]} floor": mean(metric, "control"),
        }
    told |= {metric: mean(metric) for metric in RISKS}
    return {**told, "cpu_run": round(float(np.median(seconds)), 1)}


def main() -> int:
    """1 if what a network makes hangs together no better than columns that have nothing in common."""
    rows = [row(shop, *maker) for shop in (cdnow(), simulated()) for maker in MAKERS]
    keep("synthesis_tables", rows, "whole runs of a policy with several tables; floors: people held out")
    across = {(each["shop"], each["method"], each["epsilon"]): each["across_tv"] for each in rows}
    shops = {each["shop"] for each in rows}
    return int(
        any(across[shop, "autoregressive", "none"] >= across[shop, "independent", "none"] for shop in shops)
    )


if __name__ == "__main__":
    sys.exit(main())
