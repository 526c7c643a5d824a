"""The search on the demo's survey: what its best policy gains on the hand-written one, on people set aside.

The aims are the verb's own: people of a register who are found, what a model learns of the target, and the
error of associations between columns; what the demo's gate asks must hold. Of what a model learns the
hand-written policy keeps all within noise, so that little can be told to keep more. Everything else that the
demo's evidence measures is counted, and what is worse is named. ``SFUMATO_TUNE_TRIALS`` says how many
policies are tried (16). Keys are new in every run, and with them the people of the search, so figures
differ from run to run within their intervals.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sfumato as sf
from benchmarks.report import keep
from sfumato.demos.alcohol import prepare

TRIALS = 16
SPACE = {"confirm": {"contenders": 5}}


def main() -> int:
    """1 if the best policy is not beyond noise of less risk and of more use."""
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
    rest = winner.confirmed.elsewhere
    told = Counter(one.word for one in rest)
    worse = [f"{one.metric} {one.given:.3g} to {one.value:.3g}" for one in rest if one.word == "worse"]
    words = ", ".join(winner.differs) or "the policy as it is"
    standing = found.standing or "no better one was found"
    others = f"of {len(rest)} other figures {told['better']} better, worse: {', '.join(worse) or 'none'}"
    note = f"alcohol, {trials} trials, on people set aside; best: {words}; {standing}; {others}"
    keep("tune", rows, note)
    return int(found.standing != "less risk and more use")


if __name__ == "__main__":
    raise SystemExit(main())
