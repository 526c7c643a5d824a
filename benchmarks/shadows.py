"""Who is in a release: an attacker who makes such releases beside one who compares densities.

Adult with all 15 columns (``adult_full/`` in the folder that SFUMATO_BENCH_DATA names): 6,000 people in the
release, 9,000 held out. Methods whose answer is known (5 % exact copies among fresh people, fresh people),
one that leaks in a way that no exact match shows (a third of each row's cells are another person's), and a
copula. Figures are the share of members recognized at 1 % and at 0.1 % false alarms; CPU seconds hold the
making of 8 shadow releases.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.membership import comparison
from benchmarks.report import data_folder, keep
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.membership import Membership
from sfumato.evidence.attacks.shadow_membership import ShadowMembership

PEOPLE, HELD_OUT, SHADOWS = 6_000, 9_000, 8
COPIED, SWAPPED = 0.05, 5
#: What somebody who recognizes the copies and guesses otherwise reaches at 1 % false alarms.
EXPECTED = COPIED + 0.01 * (1 - COPIED)

Method = Callable[[pl.DataFrame, bytes], pl.DataFrame]


def methods(fresh: pl.DataFrame) -> dict[str, Method]:
    """How rows are made of those who teach, and of people of whom nobody is asked."""

    def copies(share: float) -> Method:
        def make(taught: pl.DataFrame, key: bytes) -> pl.DataFrame:
            draw, many = generator(key), round(share * taught.height)
            others = fresh[draw.integers(0, fresh.height, taught.height - many)]
            return pl.concat([taught[draw.permutation(taught.height)[:many]], others])

        return make

    def swapped(taught: pl.DataFrame, key: bytes) -> pl.DataFrame:
        draw = generator(key)
        cells = draw.random((taught.height, taught.width)).argsort(axis=1) < SWAPPED
        return pl.DataFrame(
            [
                taught[name].zip_with(pl.Series(~cells[:, j]), taught[name][draw.permutation(taught.height)])
                for j, name in enumerate(taught.columns)
            ]
        )

    def copula(taught: pl.DataFrame, key: bytes) -> pl.DataFrame:
        from sfumato.synth.fitting import fit

        made: pl.DataFrame = fit(taught, "copula", key=key).sample(taught.height, key=key)
        return made

    return {"5 % copied": copies(COPIED), "fresh": copies(0.0), "cells swapped": swapped, "copula": copula}


def game(method: Method, members: pl.DataFrame, control: pl.DataFrame) -> Comparison:
    """A release made by a method, which the attacker has too."""

    def of(rows: pl.DataFrame, key: bytes) -> Comparison:
        made = method(rows, key)
        return replace(
            comparison(rows, made, rows.clear()),
            made=True,
            key=key,
            count=lambda columns: made.group_by(columns).len(COUNT),
        )

    return replace(of(members, bytes([1]) * 32), control=control, remake=of)


def main() -> int:
    """Print both attackers; 1 if copies are missed, or somebody is found among fresh people."""
    folder = data_folder()
    if folder is None or not (folder / "adult_full").is_dir():
        print("SFUMATO_BENCH_DATA names no folder with adult_full", file=sys.stderr)
        return 0
    rows, found = [], {}
    for name, given in _games(folder / "adult_full").items():
        shadows = ShadowMembership.Params(shadows=SHADOWS)
        for attacker, metric, attack in (
            ("density", "membership", partial(Membership().run, given, Membership.Params())),
            ("shadows", "shadow_membership", partial(ShadowMembership().run, given, shadows)),
        ):
            start = time.process_time()
            findings = attack()
            seconds = time.process_time() - start
            found[name] = _one(findings, f"{metric}.tpr_at_1")
            rows.append({"release": name, "attacker": attacker, **_row(findings, metric), "CPU s": seconds})
    keep("shadows", rows, f"{PEOPLE} people of Adult, {HELD_OUT} held out, {SHADOWS} shadow releases")
    copied, fresh = found["5 % copied"], found["fresh"]
    assert copied.low is not None
    assert copied.high is not None
    assert fresh.low is not None
    return int(not copied.low <= EXPECTED <= copied.high or fresh.low > 0.01)


def _games(folder: Path) -> dict[str, Comparison]:
    adult = pl.read_csv(folder / "adult.csv.gz").drop("split").unique(maintain_order=True)
    adult = adult[np.random.default_rng(0).permutation(adult.height)]
    members, control = adult[:PEOPLE], adult[PEOPLE : PEOPLE + HELD_OUT]
    every = methods(adult[PEOPLE + HELD_OUT :])
    return {name: game(method, members, control) for name, method in every.items()}


def _row(findings: list[Finding], metric: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ("tpr_at_1", "tpr_at_01", "auc"):
        one = _one(findings, f"{metric}.{name}")
        row |= {name: one.value if one.value is not None else one.status}
        if name == "tpr_at_1":
            row |= {"low": one.low, "high": one.high}
    return row


def _one(findings: list[Finding], metric: str) -> Finding:
    return next(one for one in findings if one.metric == metric and one.target == "release")


if __name__ == "__main__":
    raise SystemExit(main())
