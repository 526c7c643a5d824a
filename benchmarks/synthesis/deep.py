"""The variational autoencoder and the adversarial synthesizer on Adult, beside others."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from benchmarks.report import data_folder, keep
from benchmarks.synthesis.evaluator import Adult, Judged

SEEDS = range(5)
DELTA = 1e-5
#: Measured on the same evaluator, one seed each: CPU seconds, seconds for 10,000 rows, figures.
ANCHORS = {
    "ctgan TVAE, 100 epochs": (86, 0.07, Judged(0.162, 0.270, 0.879, 0.993)),
    "ctgan CTGAN, 15 epochs": (86, 0.24, Judged(0.153, 0.260, 0.703, 1.0)),
    "prototype VAE": (30, 0.14, Judged(0.0361, 0.0683, 0.8818, 0.852)),
    "prototype GAN": (72, 0.25, Judged(0.0556, 0.127, 0.811, 0.988)),
    "AIM, epsilon 1": (54, 0.08, Judged(0.0124, 0.0439, 0.8615, 0.863)),
}
#: The most CPU seconds, the most two-way distance and the least AUC; none is set for differential privacy.
TARGETS = {
    ("vae", None): (60, 0.065, 0.885),
    ("gan", None): (150, 0.09, 0.85),
    ("vae", 1.0): None,
    ("gan", 1.0): None,
}


def main() -> int:
    """A row for each synthesizer and epsilon, mean over the seeds; 1 if a target is missed."""
    if data_folder() is None:
        print("SFUMATO_BENCH_DATA names no folder", file=sys.stderr)
        return 1
    rows = [_row(name, [(seconds, drawn, judged)]) for name, (seconds, drawn, judged) in ANCHORS.items()]
    missed = False
    for (name, epsilon), target in TARGETS.items():
        row = _row(
            name if epsilon is None else f"{name}, epsilon {epsilon:g}",
            [measured(name, seed, epsilon) for seed in SEEDS],
        )
        rows.append(row)
        if target is not None:
            most, distance, least = target
            missed |= row["CPU s"] > most or row["TV2"] > distance or row["AUC"] < least
    keep("synthesis_deep", rows, f"Adult, {len(SEEDS)} seeds (anchors one), delta {DELTA:g}")
    return int(missed)


def measured(name: str, seed: int, epsilon: float | None) -> tuple[float, float, Judged]:
    """CPU seconds of learning, of 10,000 rows, and the figures. Fields are taken as public."""
    from sfumato.dp.accounting import noise_for
    from sfumato.dp.budget import Budget
    from sfumato.dp.prepaid import reserve
    from sfumato.synth import SYNTHESIZERS
    from sfumato.synth.coded import Private
    from sfumato.synth.encoding.encoder import Encoder

    adult = Adult.read(seed)
    encoder = Encoder.fit(adult.train, target="income")
    coded, size = encoder.encode(adult.train), adult.train.height
    kind: Any = SYNTHESIZERS.resolve(name)
    synthesizer, private = kind(kind.Params()), None
    if epsilon is not None:
        noise = noise_for(lambda some: synthesizer.event(coded.fields, size, some), epsilon, DELTA)
        events = [synthesizer.event(coded.fields, size, noise)]
        prepaid = reserve(Budget(epsilon, DELTA), events, delta=DELTA, place="synthesis")
        private = Private(prepaid, noise, DELTA, size)
    begin = time.process_time()
    model = synthesizer.fit(coded, seed.to_bytes(32, "big"), private)
    learned = time.process_time() - begin
    random = np.random.default_rng(seed)
    begin = time.process_time()
    model.sample(10_000, random, {})
    drawn = time.process_time() - begin
    return learned, drawn, adult.judge(encoder.decode(model.sample(size, random, {}), random), seed)


def _row(name: str, runs: list[tuple[float, float, Judged]]) -> dict[str, Any]:
    found = {
        "run": name,
        "CPU s": float(np.mean([run[0] for run in runs])),
        "s per 10k rows": float(np.mean([run[1] for run in runs])),
    }
    for head, figure in (("TV1", "tv1"), ("TV2", "tv2"), ("AUC", "auc"), ("real vs synthetic", "told")):
        found[head] = float(np.mean([getattr(run[2], figure) for run in runs]))
    return found


if __name__ == "__main__":
    sys.exit(main())
