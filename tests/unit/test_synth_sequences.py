"""Synthetic histories: order, known chains, copies, what is kept of few, and what is refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.dp.budget import Budget
from sfumato.synth.sequences import Domain, SyntheticHistories, chances, fit, following
from sfumato.synth.sequences.counting import GRID, Part, Table, shares_of, steps
from sfumato.synth.sequences.histories import Coding
from sfumato.synth.sequences.memory import rows_of
from sfumato.synth.sequences.scales import Scale

SMALL = {"hidden": 8, "epochs": 1}
NAMES = {"subject": "who", "time": "day"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are hardly taught."""
    monkeypatch.setattr("sfumato.synth.sequences.events._LEAST_STEPS", 20)
    monkeypatch.setattr("sfumato.synth.sequences.events._TRIED", 64)


def chain(people: int = 400, seed: int = 0) -> pl.DataFrame:
    """People who go from a to b to c and back to a, nine times in ten, at gaps of 1 or 5 days."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        item, day = 0, int(random.integers(0, 5))
        while day < 60:
            rows.append((f"p{person}", day, "abc"[item], float(item + 1)))
            item = (item + 1) % 3 if random.random() < 0.9 else item
            day += 1 if random.random() < 0.5 else 5
            if random.random() < 0.1:
                break
    return pl.DataFrame(rows, schema=["who", "day", "item", "paid"], orient="row")


def transitions(log: pl.DataFrame) -> np.ndarray:
    log = log.filter(pl.col("item").is_in(["a", "b", "c"]))
    items = log["item"].replace_strict({"a": 0, "b": 1, "c": 2}, return_dtype=pl.Int64).to_numpy()
    later = np.flatnonzero(log["who"].to_numpy()[1:] == log["who"].to_numpy()[:-1])
    counts = np.zeros((3, 3))
    np.add.at(counts, (items[later], items[later + 1]), 1)
    return counts / counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("model", "params"), [("ngram", {}), ("events", {"hidden": 16, "epochs": 4, "learning_rate": 0.01})]
)
def test_a_known_chain_is_recovered(
    model: str, params: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.synth.sequences.events._LEAST_STEPS", 400)
    monkeypatch.setattr("sfumato.synth.sequences.events._TRIED", 512)
    log = chain()
    made = fit(log, **NAMES, model=model, params=params).sample(600)
    assert np.abs(transitions(made) - transitions(log)).max() < 0.08
    lengths, real = (one.group_by("who").len()["len"].mean() for one in (made, log))
    assert lengths == pytest.approx(real, rel=0.12)
    gaps = made.select(pl.col("day").diff().over("who")).drop_nulls().to_series()
    assert set(gaps.unique()) == {1, 5}
    assert (gaps == 1).mean() == pytest.approx(0.5, abs=0.06)
    # An item has one price here, and a chain of fields keeps that.
    assert (
        made.select(
            (pl.col("paid") == pl.col("item").replace_strict({"a": 1.0, "b": 2.0, "c": 3.0})).mean()
        ).item()
        > 0.97
    )


def test_the_same_key_makes_the_same(quick: None) -> None:
    log = chain(60)
    first, again = (fit(log, **NAMES, params=SMALL, key=bytes(32)) for _ in range(2))
    assert first.sample(30).equals(again.sample(30))
    assert not first.sample(30, key=bytes([1] * 32)).equals(first.sample(30))


@pytest.mark.parametrize("model", ["events", "ngram"])
def test_what_is_saved_makes_the_same_and_is_no_pickle(model: str, tmp_path: Path, quick: None) -> None:
    taught = fit(chain(60), **NAMES, statics=["paid"], model=model, params=SMALL if model == "events" else {})
    taught.save(tmp_path / "model.safetensors")
    assert SyntheticHistories.load(tmp_path / "model.safetensors").sample(20).equals(taught.sample(20))
    assert b"pickle" not in (tmp_path / "model.safetensors").read_bytes()
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o077 == 0
    (tmp_path / "other").write_bytes(b"\x02" + bytes(7) + b"{}")
    for name in ("other", "none"):
        with pytest.raises(InputError):
            SyntheticHistories.load(tmp_path / name)


@pytest.mark.parametrize("model", ["events", "ngram"])
@pytest.mark.parametrize(
    "log",
    [
        pl.DataFrame({"who": [1], "day": [3], "item": ["a"], "paid": [2.5]}),
        pl.DataFrame({"who": [1, 1], "day": [3, 3], "item": ["a", None], "paid": [None, 2.5]}),
        pl.DataFrame({"who": [1, 2], "day": [datetime.date(2020, 1, 1)] * 2, "paid": [None, None]}),
        pl.DataFrame({"who": ["x", "y", None], "day": [1.25, None, 2.0], "flag": [True, False, None]}),
        pl.DataFrame({"who": [1, 2, 2], "day": [0, 0, 0]}),
        pl.DataFrame(
            {"who": [1, 1], "day": [datetime.datetime(2020, 1, 1, 5), datetime.datetime(2020, 1, 2, 4)]}
        ).with_columns(pl.col("day").dt.replace_time_zone("Europe/Berlin")),
    ],
    ids=["one", "missing", "all missing", "floats", "no fields", "zones"],
)
def test_few_and_missing_things_work(model: str, log: pl.DataFrame, quick: None) -> None:
    params = SMALL if model == "events" else {}
    made = fit(log, **NAMES, model=model, params=params, least=1).sample(5)
    assert made["who"].n_unique() == 5
    assert made.drop("who").schema == log.drop("who").schema or log.schema.get("paid") == pl.Null
    assert made["day"].min() >= log["day"].min()
    assert made["day"].max() <= log["day"].max()


def test_what_few_people_have_is_kept_nowhere() -> None:
    log = chain(200)
    strange = pl.DataFrame(
        {"who": ["p0", "p1"], "day": [7, 9], "item": ["a secret thing", "b"], "paid": [1.0, 9e6]}
    )
    taught = fit(pl.concat([log, strange]), **NAMES, model="ngram")
    made = taught.sample(3000)
    assert set(made["item"].unique()) <= {"a", "b", "c", "(rare)"}
    assert made["paid"].max() <= 3
    arrays, said = taught.coding.state()
    assert "secret" not in repr(said)
    assert all(np.abs(array).max() < 1e6 for array in arrays.values())


def test_no_history_is_longer_than_ten_people_reach() -> None:
    long = pl.DataFrame({"who": ["p0"] * 500, "day": [3] * 500, "item": ["a"] * 500, "paid": [1.0] * 500})
    log = pl.concat([chain(100), long])
    reached = sorted(log.group_by("who").len()["len"])[-10]
    assert fit(log, **NAMES, model="ngram").sample(2000).group_by("who").len()["len"].max() <= reached


def test_batches_are_the_sample_and_whole_people() -> None:
    taught = fit(chain(50), **NAMES, model="ngram")
    pieces = list(taught.batches(9000))
    assert [piece["who"].n_unique() for piece in pieces] == [8192, 808]
    assert pl.concat(pieces).equals(taught.sample(9000))


@pytest.mark.parametrize(
    ("log", "terms", "code"),
    [
        (chain(20), {"subject": "wo"}, "unknown-name"),
        (chain(20), {"time": "item"}, "column-values"),
        (chain(20), {"window": (70, 80)}, "source-empty"),
        (chain(20), {"window": (9, 3)}, "usage"),
        (chain(20).clear(), {}, "source-empty"),
        (chain(5), {}, "usage"),
        (chain(20).with_columns(other=pl.lit(datetime.date(2020, 1, 1))), {}, "column-values"),
        (chain(20), {"epsilon": 1.0}, "usage"),
        (chain(20), {"budget": Budget(1.0, 1e-5, unit="subject"), "epsilon": 1.0, "delta": 1e-5}, "usage"),
    ],
)
def test_what_cannot_be_meant_is_refused(log: pl.DataFrame, terms: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as refused:
        fit(log, **(NAMES | {"model": "ngram"} | terms))  # type: ignore[arg-type]
    assert refused.value.code == code
    assert "p1" not in str(refused.value)


def test_a_gap_that_was_not_seen_to_its_end_counts_as_longer() -> None:
    # Half of the people come back after 10 days. Who came at 95 could not be seen to.
    rows = []
    for person in range(4000):
        begin = 0 if person % 2 else 95
        rows.append((person, begin))
        if begin == 0 and person % 4 == 1:
            rows.append((person, 10))
    log = pl.DataFrame(rows, schema=["who", "day"], orient="row")
    made = fit(log, **NAMES, model="ngram", window=(0, 100)).sample(4000)
    first = made.group_by("who").agg(pl.col("day").min(), pl.len())
    assert first.filter(pl.col("day") == 0)["len"].gt(1).mean() == pytest.approx(0.5, abs=0.08)


def test_a_scale_codes_what_it_draws() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([np.round(random.lognormal(3, 1, 3000), 2), np.full(500, 14.99), [np.nan] * 9])
    scale = Scale.fit("x", "Float64", values, np.arange(len(values)), least=10, bins=32)
    codes = np.repeat(np.arange(scale.size, dtype=np.int32), 400)
    drawn = scale.draw(codes, random)
    assert (scale.encode(drawn) == codes).all()
    assert np.array_equal(np.round(drawn, 2), drawn, equal_nan=True)
    beyond = scale.beyond(np.array([-1.0, 14.99, 1e9]))
    assert beyond[0].min() == 1
    assert beyond[2].max() == 0
    assert 0 < beyond[1].sum() < len(scale.starts)


DOMAIN = Domain((0, 60), values={"item": ["a", "b", "c"]}, bounds={"paid": (0, 10)}, longest=40)


def private(log: pl.DataFrame, budget: Budget, model: str = "ngram", **terms: object) -> SyntheticHistories:
    terms = {"epsilon": 2.0, "delta": 1e-5, "size": 400, "domain": DOMAIN} | terms
    return fit(log, **NAMES, model=model, budget=budget, **terms)  # type: ignore[arg-type]


def test_under_privacy_what_is_charged_is_what_was_asked() -> None:
    budget = Budget(2.0, 1e-5, unit="subject")
    taught = private(chain(), budget)
    (entry,) = budget.statement().entries
    assert taught.cost is not None
    assert 1.9 < taught.cost.epsilon <= 2.0
    assert taught.cost.event.count("Gaussian noise") == 2
    assert entry.place == "histories"
    assert taught.facts["noise"] > 0
    assert np.abs(transitions(taught.sample(800)) - transitions(chain())).max() < 0.35


def test_under_privacy_nothing_undeclared_reaches_the_model() -> None:
    log = chain()
    strange = pl.DataFrame({"who": ["p0"], "day": [7], "item": ["a secret thing"], "paid": [9e6]})
    coding = private(log, Budget(2.0, 1e-5, unit="subject")).coding
    other = private(pl.concat([log, strange]), Budget(2.0, 1e-5, unit="subject")).coding
    assert repr(coding.state()) == repr(other.state())
    # Fields whose domain is not declared are refused before anything is charged.
    budget = Budget(2.0, 1e-5, unit="subject")
    with pytest.raises(InputError, match="nothing is declared"):
        private(log, budget, domain=Domain((0, 60), values={}, bounds={"paid": (0, 10)}))
    assert not budget.statement().entries
    with pytest.raises(InputError, match="a history is a person's"):
        private(log, Budget(2.0, 1e-5))


def test_the_network_learns_privately_through_the_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato.synth.sequences import events

    monkeypatch.setattr(events, "_PRIVATE_STEPS", 2)
    monkeypatch.setattr(events, "_PEOPLE", 16)
    monkeypatch.setattr(events, "_TRIED", 64)
    budget = Budget(2.0, 1e-5, unit="subject")
    taught = private(chain(60), budget, model="events", params=SMALL, size=60)
    (entry,) = budget.statement().entries
    # One spend for the teaching and for how long histories are; both were drawn, and nothing else.
    assert entry.place == "histories"
    assert "sampled" in entry.event
    assert taught.cost is not None
    assert taught.cost.event.count("Gaussian noise") == 2
    assert taught.cost.epsilon <= 2
    assert taught.sample(5)["who"].n_unique() == 5


@pytest.mark.parametrize("clip", [0.5, 4.0])
def test_one_customer_moves_the_counts_by_no_more_than_declared(clip: float) -> None:
    log = chain(30)
    coding = Coding.fit(log, **NAMES, domain=DOMAIN, declared_bins=128)

    def tables(rows: pl.DataFrame) -> list[dict[str, Part]]:
        histories = coding.encode(rows)
        each = rows_of(coding, histories)
        single = following.single(coding, histories, each, clip)
        # Groups follow from noisy counts: they are the same whoever is in them.
        blank = {name: Table(np.ones(part.shape), 1.0) for name, part in single.items()}
        group = following.grouped(coding, blank)
        return [single, following.pairs(coding, histories, each, group, 1, clip)]

    for place, everybody in enumerate(tables(log)):
        assert sum(share**2 for share in shares_of(everybody).values()) <= 1
        largest = 0.0
        for person in log["who"].unique():
            rest = tables(log.filter(pl.col("who") != person))[place]
            moved = (steps(everybody) - steps(rest)).astype(float)
            largest = max(largest, float(np.linalg.norm(moved)))
        assert 0.5 * GRID < largest <= GRID


def test_noise_alone_has_no_pattern_and_a_pattern_stays() -> None:
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    noise = Table(1000 + 20 * random.standard_normal((12, 10)), 20.0)
    flat = chances.by_row(noise, shares)
    assert np.abs(flat - 0.1).max() < 0.003
    ramp = np.outer(np.linspace(-1, 1, 12), np.linspace(-1, 1, 10)) * 300
    kept = chances.denoised(Table(noise.counts + ramp, 20.0), shares)
    assert np.abs(kept - 1000 - ramp).mean() < 0.7 * np.abs(noise.counts - 1000).mean()
    assert np.array_equal(chances.denoised(Table(ramp, 0.0), shares), ramp)


def test_groups_are_neighbours_or_frequent() -> None:
    counts = np.array([[100.0, 1, 1, 1, 97, 50, 50, 200]])
    along = chances.groups(Table(counts, 0.0), 4, ordered=True)
    assert (np.diff(along) >= 0).all()
    assert along[-1] < 4
    alone = chances.groups(Table(counts, 0.0), 4, ordered=False)
    assert [int((alone == alone[code]).sum()) for code in (0, 4, 7, 1)] == [1, 1, 1, 5]
    assert len(set(chances.groups(Table(counts, 0.0), 8, ordered=False).tolist())) == 8
    # What does not stand out of the noise goes together.
    hidden = chances.groups(Table(counts, 20.0), 8, ordered=False)
    assert len({int(hidden[code]) for code in (1, 2, 3)}) == 1


def test_under_privacy_nobody_at_all_is_a_log_too() -> None:
    log = chain(3).with_columns(day=pl.lit(900))
    assert private(log, Budget(2.0, 1e-5, unit="subject")).sample(50)["who"].n_unique() == 50


@pytest.mark.parametrize("budgeted", [False, True])
def test_histories_are_as_long_as_people_s(budgeted: bool) -> None:
    log = chain(3000)
    if budgeted:
        made = private(log, Budget(2.0, 1e-5, unit="subject"), size=3000).sample(3000)
    else:
        made = fit(log, **NAMES, model="ngram").sample(3000)
    real, found = (np.sort(one.group_by("who").len()["len"].to_numpy()) for one in (log, made))
    at = np.arange(1, 60)
    apart = np.searchsorted(real, at, side="right") - np.searchsorted(found, at, side="right")
    assert np.abs(apart).max() / 3000 < 0.05


def test_a_log_of_very_many_items_is_counted_in_groups() -> None:
    random = np.random.default_rng(0)
    items = random.integers(0, 3000, 20_000)
    log = pl.DataFrame({"who": np.arange(20_000) // 4, "day": np.arange(20_000) % 4 * 3, "item": items})
    taught = fit(log, **NAMES, items=["item"], model="ngram", least=1)
    assert taught.facts["counts"] < 2_000_000
    assert taught.sample(3000)["item"].n_unique() > 2000
