"""Audits: how much one run proves, what repeated runs catch, and DP-SGD on Adult from the final model alone.

Papers: Steinke, Nasr & Jagielski 2023 (one run); Annamalai & De Cristofaro 2024, arXiv 2405.14106 (black-box,
worst-case initial parameters: 7.21 at a claimed epsilon of 10, on 1,000 records of MNIST).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.report import data_folder, keep
from sfumato.evidence.audits.choosing import choose
from sfumato.evidence.audits.game import Claim
from sfumato.evidence.audits.onerun import (
    Guesses,
    coins,
    epsilon_lower,
    gaussian_epsilon,
    gaussian_mu,
)
from sfumato.evidence.audits.own import house
from sfumato.evidence.intervals import clopper_pearson

DELTA = 1e-5
#: What the papers found: (setting, epsilon).
ANCHORS = {1000: 1.45, 10_000: 2.20}
PAPER = 7.21


def published_p_value(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """Theorem 5.2 of Steinke et al. term by term, as a loop: the peer."""
    right = 1 / (1 + np.exp(-epsilon))
    alpha = running = 0.0
    for i in range(1, v + 1):
        running += binom.pmf(v - i, r, right)
        alpha = max(alpha, running / i)
    return float(min(1.0, binom.sf(v - 1, r, right) + 2 * delta * m * alpha))


def published_bound(m: int, r: int, v: int, delta: float) -> float:
    """The largest epsilon that theorem 5.2 refutes, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if published_p_value(m, r, v, middle, delta) <= 0.05 else (low, middle)
    return low


def seconds(run: Any, times: int) -> float:
    """CPU seconds of one call, the median of several."""
    taken = []
    for _ in range(times):
        begin = time.process_time()
        run()
        taken.append(time.process_time() - begin)
    return float(np.median(taken))


def one_run() -> list[dict[str, Any]]:
    """Orthogonal canaries in one run of a Gaussian mechanism."""
    draw = np.random.default_rng(0)
    rows = []
    for claimed, share, m, r in (
        (4.0, 1.0, 1000, 100),
        (4.0, 1.0, 10_000, 200),
        (1.0, 1.0, 1000, 100),
        (1.0, 0.5, 1000, 100),
        (1.0, 0.25, 1000, 100),
    ):
        mu = gaussian_mu(claimed, DELTA)
        curve = [(e, _delta(mu, e)) for e in np.linspace(0, 1.5 * claimed + 1, 20)]
        claim = Claim(claimed, DELTA, curve)
        found = []
        for _ in range(100):
            inside = coins(m, draw)
            found.append(Guesses.of(inside + draw.normal(0, share / mu, m), inside, r, draw))
        loops = {one.right: published_bound(m, r, one.right, DELTA) for one in found}
        median = sorted(found, key=lambda one: one.right)[50]
        rows.append(
            {
                "claimed": claimed,
                "noise": share,
                "m": m,
                "r": r,
                "bound": float(np.mean([one.epsilon_lower(DELTA) for one in found])),
                "theorem 5.2": float(np.mean([loops[one.right] for one in found])),
                "anchor": ANCHORS.get(m, 0.0) if claimed == 4 else float("nan"),
                "if Gaussian": float(np.mean([one.gaussian_estimate(DELTA) for one in found])),
                "caught by point": float(np.mean([one.epsilon_lower(DELTA) > claimed for one in found])),
                "caught by curve": float(np.mean([claim.refuted(one, 0.95) for one in found])),
                "ms": 1e3 * seconds(lambda one=median: one.epsilon_lower(DELTA), 20),
                "ms, loop": 1e3
                * seconds(lambda one=median: published_bound(one.canaries, one.made, one.right, DELTA), 3),
            }
        )
    m = 1000
    rights = np.arange(101)
    rows[0]["ms a bound, 101 at once"] = 1e3 * seconds(lambda: epsilon_lower(m, 100, rights, DELTA), 5) / 101
    for row in rows[1:]:
        row["ms a bound, 101 at once"] = float("nan")
    return rows


def _delta(mu: float, epsilon: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def mechanisms() -> list[dict[str, Any]]:
    """The house's mechanisms and their broken twins, 10,000 runs each."""
    rows = []
    for name in ("gaussian", "laplace", "choice", "threshold"):
        for share in (1.0, 0.5, 0.25):
            begin = time.process_time()
            audit = house(name, epsilon=1.0, delta=DELTA, runs=10_000, trials=0, quieter=share)
            rows.append(
                {
                    "mechanism": name,
                    "claimed": 1.0,
                    "noise": share,
                    "bound": audit.epsilon_lower,
                    "violation": audit.violated,
                    "CPU s": time.process_time() - begin,
                }
            )
    return rows


def adult(folder: Path, people: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Some people of Adult as numbers: categories one-hot, numbers over fixed ranges, a constant."""
    table = pl.read_csv(folder / "adult_full" / "adult.csv.gz").sample(people, seed=0, shuffle=True)
    ranges = {"age": 100.0, "education_num": 16.0, "hours_per_week": 100.0}
    words = ("workclass", "education", "marital_status", "occupation", "relationship", "race", "sex")
    parts = [np.ones((people, 1), dtype=np.float32)]
    for column in table.columns:
        name = column.replace("-", "_")
        if name in ranges:
            parts.append((table[column].cast(pl.Float32).to_numpy() / ranges[name])[:, None])
        elif name in words:
            parts.append(table.select(column).to_dummies().to_numpy().astype(np.float32))
    features = np.hstack(parts).astype(np.float32)
    target = next(
        column for column in table.columns if column in ("income", "salary", "salary-class", "class")
    )
    labels = table[target].cast(pl.String).str.contains(">").to_numpy().astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True), labels


def trained(
    inside: NDArray[np.bool_],
    rows: tuple[NDArray[np.float32], NDArray[np.float32]],
    canary: tuple[NDArray[np.float32], float],
    start: NDArray[np.float32],
    noise: float,
    steps: int,
    draw: np.random.Generator,
) -> NDArray[np.float64]:
    """The canary's loss on the final models of many trainings at once: full batches, logistic loss."""
    features, labels = rows
    clip, runs = 0.5, len(inside)
    norms = np.linalg.norm(features, axis=1)
    own, wanted = canary
    weights = np.tile(start, (runs, 1)).astype(np.float32)
    stride = 4.0 / steps
    for _ in range(steps):
        wrong = _expit(features @ weights.T) - labels[:, None]
        np.clip(wrong, -clip / norms[:, None], clip / norms[:, None], out=wrong)
        total = wrong.T @ features
        missed = _expit(weights @ own) - wanted
        bound = clip / np.linalg.norm(own)
        total += (inside * np.clip(missed, -bound, bound))[:, None] * own
        total += draw.normal(0, noise * clip, total.shape).astype(np.float32)
        weights -= stride * total
    return np.logaddexp(0, np.where(wanted, -1, 1) * (weights @ own)).astype(np.float64)


def _expit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), dtype=np.float32)


def fitted(features: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights without noise from other people: initial parameters at which gradients are small."""
    weights = np.zeros(features.shape[1], dtype=np.float32)
    for _ in range(2000):
        weights -= 4.0 * features.T @ (_expit(features @ weights) - labels) / len(labels)
    return weights


def end_to_end(folder: Path) -> list[dict[str, Any]]:
    """DP-SGD on Adult at a claimed epsilon of 10, audited by the canary's loss on the final model."""
    from dp_accounting import GaussianDpEvent, SelfComposedDpEvent

    from sfumato.dp.accounting import noise_for

    claimed, steps = 10.0, 30
    noise = noise_for(lambda sigma: SelfComposedDpEvent(GaussianDpEvent(sigma), steps), claimed, DELTA)
    features, labels = adult(folder, 1000)
    rows, others = (features[:500], labels[:500]), (features[500:], labels[500:])
    wide = tuple((np.hstack([part[0], np.zeros((500, 1), np.float32)]), part[1]) for part in (rows, others))
    axis = np.zeros(wide[0][0].shape[1], dtype=np.float32)
    axis[-1] = 4.0
    person = wide[0][0][0] * 4.0
    worst = fitted(*wide[1])
    found = []
    for what, canary, start, runs in (
        ("a row with an own category, trained before", (axis, 1.0), worst, 20_000),
        ("a row with an own category, from zero", (axis, 1.0), np.zeros_like(worst), 20_000),
        ("a person with a wrong label, trained before", (person, 1.0 - float(wide[0][1][0])), worst, 20_000),
        (
            "a person with a wrong label, from zero",
            (person, 1.0 - float(wide[0][1][0])),
            np.zeros_like(worst),
            20_000,
        ),
    ):
        begin = time.process_time()
        draw = np.random.default_rng(1)
        inside = coins(runs, draw)
        losses = np.concatenate(
            [
                trained(part, wide[0], canary, start, noise, steps, draw)
                for part in np.array_split(inside, runs // 500)
            ]
        )
        half = runs // 2
        event = choose(-losses[:half, None], inside[:half], DELTA, draw)
        guesses = event.guesses(-losses[half:, None], inside[half:], draw)
        found.append(
            {
                "canary, initial parameters": what,
                "claimed": claimed,
                "runs": runs,
                "bound": guesses.epsilon_lower(DELTA),
                "Clopper-Pearson": _two_shares(losses, inside, half),
                "if Gaussian": _if_gaussian(losses, inside, half),
                "paper, if Gaussian": PAPER,
                "CPU s": time.process_time() - begin,
            }
        )
    return found


def _shares(losses: NDArray[np.float64], inside: NDArray[np.bool_], at: float) -> tuple[int, int, int, int]:
    low = losses <= at
    return int((low & inside).sum()), int(inside.sum()), int((low & ~inside).sum()), int((~inside).sum())


def _two_shares(losses: NDArray[np.float64], inside: NDArray[np.bool_], half: int) -> float:
    """The usual bound: thresholds chosen on one half, an interval for each of two shares on the other."""

    def bound(at: float, part: slice) -> float:
        hits, members, alarms, others = _shares(losses[part], inside[part], at)
        low, high = clopper_pearson(hits, members).low, clopper_pearson(alarms, others).high
        below, above = (
            clopper_pearson(members - hits, members).high,
            clopper_pearson(others - alarms, others).low,
        )
        pairs = ((low, high), (above, below))
        return max(float(np.log((one - DELTA) / other)) if one > DELTA else 0.0 for one, other in pairs)

    levels = np.quantile(losses[:half], np.linspace(0.001, 0.999, 200))
    best = max(levels, key=lambda at: bound(at, slice(0, half)))
    return max(0.0, bound(best, slice(half, None)))


def _if_gaussian(losses: NDArray[np.float64], inside: NDArray[np.bool_], half: int) -> float:
    """Nasr et al. 2023: mu from intervals of both error rates, and its epsilon: an estimate."""
    from scipy.special import ndtri

    def mu(at: float, part: slice) -> float:
        hits, members, alarms, others = _shares(losses[part], inside[part], at)
        return float(ndtri(clopper_pearson(hits, members).low) - ndtri(clopper_pearson(alarms, others).high))

    levels = np.quantile(losses[:half], np.linspace(0.01, 0.99, 99))
    best = max(levels, key=lambda at: mu(at, slice(0, half)))
    return gaussian_epsilon(max(0.0, mu(best, slice(half, None))), DELTA)


def main() -> int:
    """All tables; 1 if a claim that holds was called violated, or the one-run figures miss their anchors."""
    found = one_run()
    keep("dp_audits_one_run", found, "orthogonal canaries of a Gaussian, mean bounds at 95 %, delta 1e-5")
    runs = mechanisms()
    keep(
        "dp_audits_mechanisms",
        runs,
        "the house's mechanisms at claimed epsilon 1 and their twins with less noise",
    )
    folder = data_folder()
    if folder is not None:
        keep(
            "dp_audits_adult", end_to_end(folder), "DP-SGD on Adult (500 people, 30 full batches), black-box"
        )
    near = all(row["bound"] > 0.95 * row["anchor"] for row in found[:2])
    fast = found[0]["ms"] < 3.0
    return 0 if near and fast else 1


if __name__ == "__main__":
    raise SystemExit(main())
