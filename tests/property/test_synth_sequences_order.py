"""Whatever the log, made histories are in order and inside the window."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.synth.sequences import fit
from sfumato.synth.sequences.counting import GRID, scaled

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(-50, 10**6),
        st.sampled_from(["a", "b", "c", None]),
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_made_histories_are_in_order(
    events: list[tuple[int, int, str | None, float | None]], seed: int
) -> None:
    schema = {"who": pl.Int64, "at": pl.Int64, "item": pl.String, "paid": pl.Float64}
    log = pl.DataFrame(events, schema=schema, orient="row")
    taught = fit(log, subject="who", time="at", model="ngram", least=1)
    made = taught.sample(40, key=seed.to_bytes(32, "big"))
    assert made.schema == schema | {"who": pl.String}
    assert made["who"].n_unique() == 40
    assert (made.select(pl.col("at").diff().over("who")).drop_nulls().to_series() >= 0).all()
    assert made["at"].is_between(log["at"].min(), log["at"].max()).all()
    # Coded and decoded, a real log keeps its times' order too.
    again = taught.coding.encode(log)
    assert (np.diff(again.times)[np.diff(np.repeat(np.arange(again.people), again.lengths)) == 0] >= 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=200),
    st.floats(0.1, 20),
)
@settings(max_examples=60, deadline=None)
def test_a_persons_counts_are_bounded(pairs: list[tuple[int, int]], clip: float) -> None:
    of, cells = (np.array(one, dtype=np.int64) for one in zip(*pairs, strict=True))
    everybody = scaled(cells, of, 10, clip)
    for person in np.unique(of):
        rest = scaled(cells[of != person], of[of != person], 10, clip)
        assert np.linalg.norm((everybody - rest).astype(float)) <= GRID
