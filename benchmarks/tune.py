"""The search on the demo's survey: what its best policy gains on the hand-written one, on people set aside.

Risk is the share of people of a register who are found, use the error of associations between columns; that
a model learns as much as the demo's gate asks must hold. What a model learns (``learning.skill_ratio``) is no
axis here: the hand-written policy keeps all of it within noise, so that nothing can be told to keep more.
``SFUMATO_TUNE_TRIALS`` says how many policies are tried (24). Keys are new in every run, and with them the
people of the search, so figures differ from run to run within their intervals.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import sfumato as sf
from benchmarks.report import keep
from sfumato.demos.alcohol import prepare

TRIALS = 24
SPACE = {
    "minimize": ["linkage.success", "correlations.error"],
    "confirm": {"splits": 6, "contenders": 5, "policies": 2},
}


def main() -> int:
    """1 if the best policy is not beyond noise better in both."""
    trials = int(os.environ.get("SFUMATO_TUNE_TRIALS", TRIALS))
    with tempfile.TemporaryDirectory() as folder:
        policy = prepare(Path(folder))
        begun = time.process_time()
        found = sf.tune(policy, trials=trials, space=SPACE)
        spent = time.process_time() - begun
    winner, own = found.winner, found.own
    if winner is None or winner.confirmed is None or own is None:
        keep(
            "tune",
            [{"best": "none", "why": "; ".join(found.missing), "CPU s": spent}],
            f"alcohol, {trials} trials",
        )
        return 1
    gains = dict(zip(found.aims.aims, winner.confirmed.gains, strict=True))
    rows: list[dict[str, Any]] = []
    for aim, gain in gains.items():
        given, best = (
            next(one for one in figures if (one.metric, one.target) == (aim.metric, aim.target))
            for figures in (own.figures, winner.confirmed.figures)
        )
        rows.append(
            {
                "figure": aim.metric,
                "given": given.value,
                "best": best.value,
                "gain": gain.value,
                "low": gain.low,
                "high": gain.high,
                "gain in search": gain.searched,
                "beyond noise": gain.word,
                "held up": gain.held_up,
                "CPU s": spent,
            }
        )
    words = ", ".join(winner.differs) or "the policy as it is"
    keep("tune", rows, f"alcohol, {trials} trials, on people set aside; best: {words}")
    return int(any(gain.word != "better" for gain in gains.values()))


if __name__ == "__main__":
    raise SystemExit(main())
