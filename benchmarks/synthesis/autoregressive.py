"""The autoregressive synthesizer on Adult, without and with differential privacy, beside others."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from benchmarks.report import data_folder, keep
from benchmarks.synthesis.evaluator import Adult, Judged

SEEDS = range(5)
DELTA = 1e-5
#: Measured on the same evaluator by others' means, one seed each.
ANCHORS = {
    "prototype": (13.9, Judged(0.0168, 0.0327, 0.9134, 0.714)),
    "TabularARGN medium": (64, Judged(0.0223, 0.0447, 0.9088, 0.613)),
    "prototype, epsilon 1": (73, Judged(0.0202, 0.0562, 0.8887, 0.847)),
    "AIM, epsilon 1": (54, Judged(0.0124, 0.0439, 0.8615, 0.863)),
    "mbi MST, epsilon 1": (87, Judged(0.0087, 0.0491, 0.813, 0.798)),
    "prototype, epsilon 3": (74, Judged(0.0212, 0.0489, 0.8991, 0.777)),
    "AIM, epsilon 3": (58, Judged(0.0093, 0.0317, 0.855, 0.830)),
    "TabularARGN, epsilon 3": (104, Judged(0.0816, 0.152, 0.850, 0.940)),
}
#: The most CPU seconds and total variations, and the least AUC.
TARGETS: dict[float | None, tuple[float, float, float, float]] = {
    None: (30, 0.017, 0.033, 0.915),
    1.0: (75, 1.0, 1.0, 0.885),
    3.0: (75, 1.0, 1.0, 0.90),
}


def main() -> int:
    """A row for each epsilon, mean over the seeds; 1 if a figure is missed."""
    if data_folder() is None:
        print("SFUMATO_BENCH_DATA names no folder", file=sys.stderr)
        return 1
    rows = [_row(name, seconds, None, [judged]) for name, (seconds, judged) in ANCHORS.items()]
    missed = 0
    for epsilon, target in TARGETS.items():
        runs = [measured(seed, epsilon) for seed in SEEDS]
        name = "ours" if epsilon is None else f"ours, epsilon {epsilon:g}"
        learned, drawn = (float(np.mean([run[at] for run in runs])) for at in (0, 1))
        row = _row(name, learned, drawn, [run[2] for run in runs])
        rows.append(row)
        missed += not (
            row["CPU s"] <= target[0]
            and row["TV1"] <= target[1]
            and row["TV2"] <= target[2]
            and row["AUC"] >= target[3]
        )
    keep("synthesis_autoregressive", rows, f"Adult, {len(SEEDS)} seeds (anchors one), delta {DELTA:g}")
    return int(missed > 0)


def measured(seed: int, epsilon: float | None) -> tuple[float, float, Judged]:
    """CPU seconds of learning, of 10,000 rows, and the figures. Fields are taken as public."""
    from sfumato.dp.accounting import noise_for
    from sfumato.dp.budget import Budget
    from sfumato.dp.prepaid import reserve
    from sfumato.synth.autoregressive import Autoregressive, AutoregressiveParams
    from sfumato.synth.coded import Private
    from sfumato.synth.encoding.encoder import Encoder

    adult = Adult.read(seed)
    encoder = Encoder.fit(adult.train, target="income")
    coded = encoder.encode(adult.train)
    synthesizer, private, size = (
        Autoregressive(AutoregressiveParams.model_validate({})),
        None,
        adult.train.height,
    )
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
    table = encoder.decode(model.sample(size, random, {}), random)
    return learned, drawn, adult.judge(table, seed)


def _row(name: str, seconds: float, drawn: float | None, judged: list[Judged]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "run": name,
        "CPU s": seconds,
        "s per 10k rows": "" if drawn is None else round(drawn, 3),
    }
    for head, figure in (("TV1", "tv1"), ("TV2", "tv2"), ("AUC", "auc"), ("real vs synthetic", "told")):
        said[head] = float(np.mean([getattr(one, figure) for one in judged]))
    return said


if __name__ == "__main__":
    sys.exit(main())
