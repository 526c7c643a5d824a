"""Synthetic images: what a classifier learns from them, and how near they lie to those they were made from.

Digits: scikit-learn's 1,797 of 8 x 8 pixels, 1,437 to learn from and 360 held out (a stratified split, seed
1), delta 1e-4. X-rays: PneumoniaMNIST's 4,708 to learn from and 524 held out (``pneumoniamnist`` in the
folder that SFUMATO_BENCH_DATA names), delta 1e-5; the unit is the image, for the set has no patient ids and
some patients have several, on both sides of the split.

As many images are made as there were to learn from. The judge is the evidence that any made images get
(:mod:`sfumato.evidence.images`): a linear classifier on scattering features. One run each. The bandwidth and
the weights of the kernel's features were tried on digits of another split, which shares most of its images
with this one, and looked at once on the X-rays: the figures flatter it by as much. Steps, widths and views
of the others are what a core does in a minute or two, and were not searched.

Published, on other data: on MNIST (60,000 images of 28 x 28) at epsilon 10 and delta 1e-5 a CNN taught by
images of DPDM, a diffusion model of GPUs, is right on .981, and the best before it had .832 (Dockhorn et al.
2023, arXiv 2210.09929, abstract). Forty times as many images: not like with like.

Names of methods as arguments (``python -m benchmarks.synthesis.images kernel cvae``) leave the others out.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.dp.images import digits, split, xrays
from benchmarks.report import data_folder, keep
from sfumato.dp.budget import Budget
from sfumato.evidence.images.judging import judge_images
from sfumato.evidence.images.pictures import Pictures
from sfumato.synth.images import METHODS, fit

EPSILONS = (None, 10.0, 3.0, 1.0)
#: Those that the private runs on X-rays of one core can do in minutes.
QUICK = ("kernel",)
_KEY = bytes(32)


@dataclass(frozen=True)
class Task:
    """Images to learn from and others held out."""

    name: str
    images: NDArray[Any]
    labels: NDArray[np.int64]
    held: NDArray[Any]
    held_labels: NDArray[np.int64]
    levels: tuple[float, float]
    size: int
    delta: float

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.labels.max()) + 1


def tasks() -> list[Task]:
    """Digits, and X-rays where they are."""
    images, labels = digits()
    train, test = split(labels, 1)
    found = [
        Task("digits", images[train], labels[train], images[test], labels[test], (0.0, 16.0), 1437, 1e-4)
    ]
    folder = data_folder()
    if folder is not None and (folder / "pneumoniamnist").is_dir():
        found.append(Task("xrays", *xrays(folder), (0.0, 255.0), 4700, 1e-5))
    return found


def judged(task: Task, method: str, epsilon: float | None) -> dict[str, Any]:
    """One row of the table."""
    private: dict[str, Any] = {}
    if epsilon is not None:
        budget = Budget(epsilon, task.delta)
        private = {"budget": budget, "epsilon": epsilon, "delta": task.delta, "size": task.size}
    start = time.process_time()
    model = fit(
        task.images, task.labels, method=method, classes=task.classes, levels=task.levels, key=1, **private
    )
    trained = time.process_time()
    made = model.sample(len(task.labels), key=2)
    sampled = time.process_time()
    findings = judge_images(
        Pictures.of_levels(*made, levels=task.levels),
        Pictures.of_levels(task.images, task.labels, levels=task.levels),
        Pictures.of_levels(task.held, task.held_labels, levels=task.levels),
        key=_KEY,
        classes=task.classes,
    )
    told = {(one.metric.removeprefix("images."), one.target): one for one in findings}
    accuracy, area = told["classifier_accuracy", "release"], told["classifier_auc", "release"]
    copies, memorized = told["copies", "pixels"], told["memorized", "pixels"]
    distance = told["distance", "features"]
    return {
        "data": task.name,
        "method": method,
        "epsilon": "none" if epsilon is None else epsilon,
        "accuracy": accuracy.value,
        "by_real": accuracy.before,
        "guess": accuracy.baseline,
        "auc": area.value,
        "auc_low": area.low,
        "auc_by_real": area.before,
        "mmd2": distance.value,
        "mmd2_floor": distance.control,
        "variety": told["variety", "release"].value,
        "balance": told["class_balance", "release"].value,
        "copies": copies.value,
        "copies_real": copies.control,
        "nearer": memorized.value,
        "members_auc": told["members_auc", "pixels"].value,
        "cpu_train": round(trained - start, 1),
        "cpu_sample": round(sampled - trained, 2),
    }


def main(names: list[str] | None = None) -> int:
    """1 if a classifier taught by images of the kernel is no better than guessing at some epsilon."""
    chosen = names or list(METHODS)
    rows = [
        judged(task, method, epsilon)
        for task in tasks()
        for method in chosen
        for epsilon in EPSILONS
        if task.name == "digits" or epsilon is None or method in QUICK
    ]
    keep(
        "synthesis_images",
        rows,
        "classifier taught by made images, tested on real ones held out; 'by_real' taught by real ones",
    )
    kernel = [row for row in rows if row["method"] == "kernel"]
    return int(any(row["auc_low"] is None or row["auc_low"] <= 0.5 for row in kernel))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
