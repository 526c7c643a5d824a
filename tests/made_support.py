"""Made rows whose leak is known: generators in a few lines, from harmless to mere copiers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from evidence_support import made
from sfumato.contracts import Comparison

#: From people who teach it, others of their kind, and a draw: as many rows as there are others.
Maker = Callable[[pl.DataFrame, pl.DataFrame, np.random.Generator], pl.DataFrame]


def crowd(rows: int, draw: np.random.Generator) -> pl.DataFrame:
    """People of numbers and categories that hang together; hardly two are alike."""
    kind = draw.integers(0, 4, rows)
    pay = np.exp(draw.normal(7 + kind / 3, 0.5, rows))
    return pl.DataFrame(
        {
            "age": kind * 12 + draw.integers(18, 50, rows),
            "pay": np.round(pay, 0),
            "weight": draw.normal(60 + 5 * kind, 12, rows).round(1),
            "hours": draw.choice([20, 35, 40, 40, 40, 45], rows),
            "town": draw.choice([f"t{i}" for i in range(30)], rows, p=np.arange(30, 0, -1) / 465),
            "work": pl.Series(draw.integers(0, 3, rows) + kind).cast(pl.String),
            "home": draw.choice(["rent", "own"], rows),
            "rich": (np.log(pay) + draw.normal(0, 0.4, rows) > 7.6).astype(np.int64),
        }
    )


def fresh(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """People of the same kind: what the best generator makes."""
    del taught, draw
    return others


def bootstrap(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """The people themselves, drawn with repeats."""
    return taught[draw.integers(0, taught.height, others.height)]


def copier(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """The people themselves, once each."""
    return taught[draw.permutation(taught.height)[: others.height]]


def copying(share: float) -> Maker:
    """Fresh rows, and this share of exact copies."""

    def make(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
        copies = copier(taught, others[: round(share * others.height)], draw)
        return pl.concat([others[copies.height :], copies])

    return make


def trifling(share: float) -> Maker:
    """As :func:`copying`, but no copy is exact: one number of each is moved a little."""

    def make(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
        copies = copier(taught, others[: round(share * others.height)], draw)
        return pl.concat([others[copies.height :], copies.with_columns(pl.col("pay") + 0.5)])

    return make


def jittered(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """Every person with a little noise on the numbers."""
    people = copier(taught, others, draw)
    return people.with_columns(
        age=people["age"] + pl.Series(draw.integers(-1, 2, people.height)),
        pay=people["pay"] * np.exp(draw.normal(0, 0.01, people.height)),
        weight=people["weight"] + pl.Series(draw.normal(0, 0.3, people.height)),
    )


def overfitted(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """People of whom three cells in ten are somebody else's."""
    people, strange = bootstrap(taught, others, draw), independent(taught, others, draw)
    return pl.DataFrame(
        [
            strange[name].zip_with(pl.Series(draw.random(people.height) < 0.3), people[name])
            for name in people.columns
        ]
    )


def independent(taught: pl.DataFrame, others: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """Every column right, and nothing goes with anything."""
    return pl.DataFrame(
        [taught[name].gather(draw.integers(0, taught.height, others.height)) for name in taught.columns]
    )


def comparison(make: Maker, people: int, control: int, seed: int, rows: int | None = None) -> Comparison:
    """Made rows, by default as many as people who taught their generator, and people held out."""
    draw = np.random.default_rng(seed)
    taught, held_out, others = (crowd(size, draw) for size in (people, control, rows or people))
    return made(
        taught,
        make(taught, others, draw),
        control=held_out,
        target="rich",
        key=seed.to_bytes(32, "big"),
        groups=("home",),
    )
