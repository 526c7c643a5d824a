"""Run the benchmarks: ``python -m benchmarks [NAME ...]``; all of them without a name."""

from __future__ import annotations

import sys

from benchmarks import (
    anchors,
    both_releases,
    cells,
    composition,
    knowing_attacks,
    linkage,
    local,
    membership,
    microaggregation,
    models,
    people,
    scale,
    shadows,
    splits,
    suda,
    tune,
    utility,
    wp216,
)
from benchmarks.dp import accounting as dp_accounting
from benchmarks.dp import audits as dp_audits
from benchmarks.dp import drawings as dp_drawings
from benchmarks.dp import images as dp_images
from benchmarks.dp import queries as dp_queries
from benchmarks.dp import training as dp_training
from benchmarks.synthesis import autoregressive as synthesis_autoregressive
from benchmarks.synthesis import deep as synthesis_deep
from benchmarks.synthesis import images as synthesis_images
from benchmarks.synthesis import language as synthesis_language
from benchmarks.synthesis import marginals as synthesis_marginals
from benchmarks.synthesis import peers as synthesis_peers
from benchmarks.synthesis import sequences as synthesis_sequences
from benchmarks.synthesis import tables as synthesis_tables
from benchmarks.synthesis import wide as synthesis_wide

ALL = {
    "anchors": anchors.main,
    "linkage": linkage.main,
    "local": local.main,
    "splits": splits.main,
    "models": models.main,
    "people": people.main,
    "microaggregation": microaggregation.main,
    "cells": cells.main,
    "composition": composition.main,
    "both_releases": both_releases.main,
    "membership": membership.main,
    "scale": scale.main,
    "shadows": shadows.main,
    "wp216": wp216.main,
    "suda": suda.main,
    "utility": utility.main,
    "knowing_attacks": knowing_attacks.main,
    "tune": tune.main,
    "dp_accounting": dp_accounting.main,
    "dp_audits": dp_audits.main,
    "dp_drawings": dp_drawings.main,
    "dp_images": dp_images.main,
    "dp_queries": dp_queries.main,
    "dp_training": dp_training.main,
    "synthesis_autoregressive": synthesis_autoregressive.main,
    "synthesis_deep": synthesis_deep.main,
    "synthesis_language": synthesis_language.main,
    "synthesis_sequences": synthesis_sequences.main,
    "synthesis_images": synthesis_images.main,
    "synthesis_marginals": synthesis_marginals.main,
    "synthesis_peers": synthesis_peers.main,
    "synthesis_wide": synthesis_wide.main,
    "synthesis_tables": synthesis_tables.main,
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
