"""Run the benchmarks: ``python -m benchmarks [NAME ...]``; all of them without a name."""

from __future__ import annotations

import sys

from benchmarks import (
    anchors,
    cells,
    composition,
    knowing_attacks,
    linkage,
    local,
    membership,
    microaggregation,
    models,
    scale,
    splits,
    suda,
    tune,
    utility,
    wp216,
)

ALL = {
    "anchors": anchors.main,
    "linkage": linkage.main,
    "local": local.main,
    "splits": splits.main,
    "models": models.main,
    "microaggregation": microaggregation.main,
    "cells": cells.main,
    "composition": composition.main,
    "membership": membership.main,
    "scale": scale.main,
    "wp216": wp216.main,
    "suda": suda.main,
    "utility": utility.main,
    "knowing_attacks": knowing_attacks.main,
    "tune": tune.main,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks in turn; 1 if any of them found a wrong figure."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    return max(ALL[name]() for name in names or ALL)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
