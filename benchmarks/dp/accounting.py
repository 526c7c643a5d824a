"""What events cost against the known figures, and the time of it (CPU seconds, median of five)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from dp_accounting import dp_event as dp

from benchmarks.report import keep
from sfumato.dp import accounting
from sfumato.dp.accounting import least_epsilon, noise_for
from sfumato.dp.budget import Budget
from sfumato.dp.divergences import divergences
from sfumato.dp.events import DiscreteGaussianDpEvent, StatedDpEvent


def training(noise: float = 1.0, sampled: float = 0.04, steps: int = 500) -> dp.DpEvent:
    """The event of a training by DP-SGD."""
    return dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(sampled, dp.GaussianDpEvent(noise)), steps)


MANY = dp.ComposedDpEvent(
    [*(dp.GaussianDpEvent(200.0 + i) for i in range(1000)), *[StatedDpEvent(0.001)] * 1000]
)
#: name, event, delta, relation, and the figure that is known.
KNOWN: tuple[tuple[str, dp.DpEvent, float, Any, float | None], ...] = (
    ("training, PLD", training(), 1e-5, "add-remove", 5.879),
    ("training, PLD", training(), 1e-5, "replace-one", 9.324),
    ("Gaussian 3.73, analytic", dp.GaussianDpEvent(3.7306), 1e-5, "add-remove", 1.0),
    ("Laplace 2", dp.LaplaceDpEvent(2.0), 0.0, "replace-one", 1.0),
    ("discrete Gaussian, sigma 100", DiscreteGaussianDpEvent(100.0, 10), 1e-6, "add-remove", None),
    ("5000 steps", training(0.7, 0.01, 5000), 1e-5, "add-remove", None),
    ("20,000 steps", training(2.5, 0.005, 20_000), 1e-5, "add-remove", None),
    (
        "1000 Gaussians, 1000 epsilons",
        MANY,
        1e-6,
        "add-remove",
        None,
    ),
)


def main() -> int:
    """Compute, compare with what is known, and time; 1 if a figure is not the known one."""
    rows, wrong = [], 0
    for name, event, delta, relation, known in KNOWN:
        epsilon, method = least_epsilon(event, delta, relation)
        wrong += known is not None and abs(epsilon - known) > 1e-3
        took = seconds(lambda e=event, d=delta, r=relation: least_epsilon(e, d, r))
        rows.append(row(name, relation, method, epsilon, known, took))
    renyi = divergences(training(), "add-remove")
    assert renyi is not None
    by_rdp = renyi.epsilon(1e-5)
    wrong += abs(by_rdp - 6.516) > 1e-3
    took = seconds(lambda: divergences(training(), "add-remove"))
    rows.append(row("training, RDP", "add-remove", "rdp", by_rdp, 6.516, took))
    rows.append(row("training, gdp (no bound)", "add-remove", "never", None, 5.268, None))
    noise = noise_for(training, 3.0, 1e-5)
    took = seconds(lambda: noise_for(training, 3.0, 1e-5))
    rows.append(row(f"noise for epsilon 3: {noise:.4f}", "add-remove", "pld", 3.0, 3.0, took))
    rows.append(row("a spend in memory", "add-remove", "rdp", None, None, spending()))
    keep("dp_accounting", rows, "epsilon of events, the known figure beside; CPU seconds")
    return int(bool(wrong))


def row(name: str, relation: str, method: str, *figures: float | None) -> dict[str, Any]:
    """One line of the table; a dash where there is no figure."""
    shown = ["-" if figure is None else figure for figure in figures]
    return {
        "event": name,
        "relation": relation,
        "method": method,
        **dict(zip(("epsilon", "known", "seconds"), shown, strict=True)),
    }


def seconds(work: Callable[[], object]) -> float:
    """The median CPU time of five runs, what was computed before forgotten."""
    took = []
    for _ in range(5):
        accounting._epsilon.cache_clear()
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return statistics.median(took)


def spending(count: int = 200) -> float:
    """The CPU time of one spend, of many in one budget."""
    budget = Budget(10.0, 1e-6)
    start = time.process_time()
    for _ in range(count):
        budget.spend(dp.GaussianDpEvent(400.0), place="count")
    return (time.process_time() - start) / count


if __name__ == "__main__":
    raise SystemExit(main())
