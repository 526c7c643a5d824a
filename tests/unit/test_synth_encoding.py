"""Columns of every kind as codes and back, the protection of what few people have, and what is charged."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp import mechanisms
from sfumato.dp.budget import Budget
from sfumato.dp.events import to_json
from sfumato.synth.encoding.bins import Cells, binned
from sfumato.synth.encoding.columns import Numbers, Values
from sfumato.synth.encoding.encoder import Encoder
from sfumato.synth.encoding.private import Declared
from sfumato.synth.encoding.scales import Scale

DAY = dt.date(2020, 1, 1)
NOON = dt.datetime(2020, 1, 1, 12)
ROWS = 900


def everything(rows: int = ROWS) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    days = draw.integers(0, 700, rows).tolist()
    town = draw.choice(["a", "b", "ß", ""], rows)
    return pl.DataFrame(
        {
            "whole": draw.poisson(40, rows),
            "small": pl.Series(draw.integers(0, 3, rows), dtype=pl.UInt8),
            "number": draw.normal(size=rows),
            "price": draw.gamma(2, 10, rows).round(2),
            "single": pl.Series(draw.normal(size=rows).round(1), dtype=pl.Float32),
            "money": pl.Series([Decimal(int(d)) / 100 for d in days], dtype=pl.Decimal(10, 2)),
            "spiked": np.where(draw.random(rows) < 0.8, 0, draw.integers(1, 10**6, rows)),
            "text": town,
            "kind": pl.Series(town, dtype=pl.Categorical),
            "enum": pl.Series(draw.choice(["x", "y"], rows), dtype=pl.Enum(["y", "x", "z"])),
            "yes": draw.random(rows) < 0.5,
            "day": [DAY + dt.timedelta(d) for d in days],
            "minute": [NOON + dt.timedelta(minutes=d) for d in days],
            "zoned": pl.Series([NOON] * rows).dt.replace_time_zone("Europe/Berlin").dt.cast_time_unit("ns"),
            "time": [(NOON + dt.timedelta(minutes=d)).time() for d in days],
            "lasted": [dt.timedelta(hours=d) for d in days],
            "same": ["s"] * rows,
            "gone": pl.Series([None] * rows, dtype=pl.Null),
            "lost": pl.Series([None] * rows, dtype=pl.Float64),
        }
    ).with_columns(holes=pl.when(pl.int_range(rows) % 3 == 0).then("whole"))


def again(table: pl.DataFrame, **how: Any) -> tuple[Encoder, pl.DataFrame]:
    encoder = Encoder.fit(table, **how)
    made = encoder.decode(encoder.encode(table).codes, np.random.default_rng(1))
    return encoder, made


def test_every_type_comes_back_as_it_was() -> None:
    table = everything()
    encoder, made = again(table)
    assert made.schema == table.schema
    assert [field.column for field in encoder.fields] == table.columns
    for name in ("small", "text", "kind", "enum", "yes", "zoned", "same", "gone", "lost"):
        assert made[name].equals(table[name]), name
    assert made["holes"].is_null().equals(table["holes"].is_null())


def test_a_value_that_was_drawn_has_the_code_that_it_was_drawn_for() -> None:
    table = everything()
    encoder, made = again(table)
    np.testing.assert_array_equal(encoder.encode(made).codes, encoder.encode(table).codes)


def test_values_look_like_those_of_the_column() -> None:
    made = again(everything())[1]
    assert (made["price"] == made["price"].round(2)).all()
    assert (made["single"] == made["single"].round(1)).all()
    assert (made["minute"].dt.second() == 0).all()
    assert (made["lasted"].dt.total_minutes() % 60 == 0).all()
    assert 0.75 < (made["spiked"] == 0).mean() < 0.85


def test_an_encoder_is_json() -> None:
    table = everything()
    encoder = Encoder.fit(table, target="yes")
    document = json.loads(canonical_json(encoder.document()))
    other = Encoder.restored(document)
    codes = encoder.encode(table)
    np.testing.assert_array_equal(other.encode(table).codes, codes.codes)
    one, two = (each.decode(codes.codes, np.random.default_rng(2)) for each in (encoder, other))
    assert one.equals(two)
    assert other.encode(table).target == codes.target == table.columns.index("yes")


def test_codes_of_numbers_ascend_and_hold_alike_many() -> None:
    values = np.random.default_rng(5).normal(size=6400)
    encoder = Encoder.fit(pl.DataFrame({"n": values}))
    codes = encoder.encode(pl.DataFrame({"n": np.sort(values)})).codes[:, 0]
    assert np.all(np.diff(codes) >= 0)
    counts = np.bincount(codes)
    assert 60 <= len(counts) <= 68
    assert counts.min() > 80
    assert counts.max() < 120


def test_a_spike_has_its_own_code_and_its_tail_is_fine() -> None:
    draw = np.random.default_rng(6)
    values = np.where(draw.random(20_000) < 0.92, 0, draw.integers(100, 10**5, 20_000))
    encoder = Encoder.fit(pl.DataFrame({"n": values}))
    codes = encoder.encode(pl.DataFrame({"n": values})).codes[:, 0]
    assert np.all((codes == 0) == (values == 0))
    assert encoder.fields[0].size > 50


@pytest.mark.parametrize("rare", ["merge", "keep"])
def test_what_few_people_have_does_not_come_out(rare: str) -> None:
    names = ["common"] * 500 + ["other"] * 300 + [f"name {i}" for i in range(60)] + ["nine"] * 9
    ages = [30] * 400 + list(range(20, 67)) * 10 + [0] * 5 + [7] * 4
    table = pl.DataFrame({"name": names[:868], "age": (ages + [122] * 9)[-868:]})
    made = pl.concat([again(table, rare=rare)[1] for _ in range(3)])
    kept = {"name 3", "nine"} & set(made["name"].to_list())
    assert bool(kept) == (rare == "keep")
    extreme = set(made["age"].to_list()) & {0, 7, 122}
    assert (extreme == {0, 7, 122}) if rare == "keep" else (extreme <= {7})
    assert made["name"].null_count() == 0


def test_rare_values_can_be_kept_in_one_column() -> None:
    table = pl.DataFrame({"a": ["x"] * 50 + ["y"], "b": ["x"] * 50 + ["y"]})
    made = again(table, rare={"b": "keep"})[1]
    assert (made["a"] == "x").all()
    assert made["b"].to_list() == table["b"].to_list()


def test_where_nothing_is_common_all_is_missing() -> None:
    table = pl.DataFrame({"key": [f"k{i}" for i in range(400)], "few": [1.5, *[None] * 399]})
    encoder, made = again(table)
    assert made["key"].null_count() == made["few"].null_count() == 400
    assert encoder.facts is not None
    assert [fact["rare"] for fact in encoder.facts["columns"]] == ["about 400", "fewer than 10"]
    assert again(pl.DataFrame({"x": [3]}))[1]["x"].to_list() == [None]
    assert again(pl.DataFrame({"x": [3]}), rare="keep")[1]["x"].to_list() == [3]


def test_few_missing_values_are_coded_as_a_common_one() -> None:
    encoder, made = again(pl.DataFrame({"a": ["x"] * 50 + [None] * 3, "n": [1] * 50 + [None] * 3}))
    assert [field.missing for field in encoder.fields] == [None, None]
    assert made.null_count().row(0) == (0, 0)


def test_what_is_no_number_is_missing() -> None:
    table = pl.DataFrame({"n": [1.0, 2.0, float("nan"), float("inf")] * 30})
    made = again(table)[1]
    assert made["n"].null_count() == 60
    assert set(made["n"].drop_nulls().to_list()) == {1.0, 2.0}


def test_values_never_seen_have_a_code() -> None:
    table = everything()
    encoder = Encoder.fit(table)
    other = table.with_columns(
        text=pl.lit("new"), whole=pl.lit(-5), number=pl.lit(1e9), same=pl.lit(None, dtype=pl.String)
    )
    codes = encoder.encode(other).codes
    assert codes.min() >= 0
    assert np.all(codes.max(axis=0) < [field.size for field in encoder.fields])


def test_ten_thousand_categories_are_one_field() -> None:
    names = [f"c{i:05d}" for i in range(10_000)] * 10
    encoder, made = again(pl.DataFrame({"c": names}))
    assert encoder.fields[0].size == 10_000
    assert made["c"].to_list() == names


@pytest.mark.parametrize(
    "values",
    [pl.Series([[1]]), pl.Series([{"a": 1}]), pl.Series([b"x"]), pl.Series([object()])],
    ids=["list", "struct", "binary", "object"],
)
def test_what_cannot_be_coded_is_refused(values: pl.Series) -> None:
    with pytest.raises(InputError) as error:
        Encoder.fit(values.alias("odd").to_frame())
    assert error.value.code == "column-values"


def test_nothing_to_learn_from_is_refused() -> None:
    for table, target in ((everything().clear(), None), (pl.DataFrame(), None), (everything(), "nowhere")):
        with pytest.raises(InputError):
            Encoder.fit(table, target=target)


def test_huge_numbers_stand() -> None:
    table = pl.DataFrame(
        {
            "f": [1e308, -1e308, 5e-324, 0.0] * 20,
            "i": [2**63 - 1, -(2**63), 0, 1] * 20,
            "u": pl.Series([2**64 - 1, 0, 1, 2] * 20, dtype=pl.UInt64),
        }
    )
    made = again(table)[1]
    assert made.schema == table.schema
    assert set(made["i"].to_list()) == {2**61, -(2**61), 0, 1}
    assert set(made["f"].to_list()) == {4e307, -4e307, 5e-324, 0.0}


def test_pieces_hold_ten_people_and_end_at_nobodys_value() -> None:
    values = np.sort(np.random.default_rng(8).normal(size=1000))
    cells = Cells(values, values, np.ones(1000), np.zeros(1000, dtype=bool))
    found = binned(cells, 20, 50, 10)
    assert found.weight.min() >= 10
    table = pl.DataFrame({"n": values})
    coding = Encoder.fit(table).columns[0]
    assert isinstance(coding, Numbers)
    ends = np.concatenate([coding.bins.starts, coding.bins.low, coding.bins.high])
    assert not np.isin(ends, values).any()


BOUNDS = {
    "whole": (0, 100),
    "small": (0, 2),
    "number": (-5, 5),
    "price": (0, 100),
    "single": (-5, 5),
    "money": (Decimal(0), Decimal(7)),
    "spiked": (0, 10**6),
    "day": (DAY, dt.date(2022, 1, 1)),
    "minute": (NOON, dt.datetime(2020, 1, 2)),
    "zoned": ("2020-01-01", "2021-01-01"),
    "time": (dt.time(0), dt.time(23, 59)),
    "lasted": (dt.timedelta(0), dt.timedelta(30)),
    "lost": (0, 1),
    "holes": (0, 100),
}
TEXTS = {"text": ["a", "b", "ß", ""], "kind": ["a", "b", "ß", ""], "same": ["s"], "small": [0, 1, 2]}


def privately(table: pl.DataFrame, declared: Declared, noise: float = 0.05, **how: Any) -> Encoder:
    return Encoder.fit_private(table, declared, Budget(1e9, 0.5), noise=noise, delta=1e-6, **how)


@pytest.mark.parametrize(
    "declared", [Declared(), Declared({n: b for n, b in BOUNDS.items() if n != "small"}, TEXTS)]
)
def test_types_stay_under_privacy(declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    # One column in ten thousand has its bounds widened by noise; none may be here.
    monkeypatch.setattr("sfumato.synth.encoding.private._WIDENED", 1e-9)
    table = everything()
    encoder = privately(table, declared)
    coded = encoder.encode(table)
    made = encoder.decode(coded.codes, np.random.default_rng(1))
    assert made.schema == table.schema
    for name in ("text", "kind", "enum", "yes", "same", "small"):
        assert made[name].equals(table[name]), name
    assert abs(made["whole"].mean() - table["whole"].mean()) < 2
    assert made["holes"].null_count() == table["holes"].null_count()
    assert encoder.facts is not None
    assert ("whole" in encoder.facts["declared"]["learned"]) == (not declared.bounds)
    document = json.loads(canonical_json(encoder.document()))
    np.testing.assert_array_equal(Encoder.restored(document).encode(table).codes, coded.codes)


@pytest.mark.parametrize(
    "dtype, most",
    [(pl.Decimal(10, 2), Decimal("99999999.99")), (pl.UInt8(), 255), (pl.Date(), dt.date(9999, 12, 31))],
)
def test_a_stretch_learned_with_noise_ends_where_the_type_does(dtype: pl.DataType, most: Any) -> None:
    made = Scale.public(dtype).values(np.array([2**60]), np.zeros(1, dtype=bool), "n")
    assert made.to_list() == [most]
    assert made.dtype == dtype


def test_noise_rarely_widens_the_bounds_it_learns() -> None:
    table = pl.DataFrame({f"n{i}": np.arange(1000) % 4 for i in range(200)})
    for noise in (0.05, 3.0):
        encoder = privately(table, Declared(), noise)
        highest = [int(c.bins.high[-1]) for c in encoder.columns if isinstance(c, Numbers)]
        # One in ten thousand is wider: four of 200 have odds of one in 10^8, and one in twenty would show.
        assert len(highest) == 200
        assert sum(high > 3 for high in highest) < 4


def test_the_cost_follows_from_the_schema_alone() -> None:
    table = everything()
    budget = Budget(100.0, 1e-4)
    encoder = Encoder.fit_private(table, Declared(), budget, noise=2.0, delta=1e-6)
    assert len(encoder.fields) == table.width
    event = Encoder.event(table.clear().schema, Declared(), noise=2.0, delta=1e-6)
    entry = budget._account().spends[0]
    assert entry.event == to_json(event)


def test_a_refusal_comes_before_anything_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*args: Any) -> Any:
        raise AssertionError

    for name in ("gaussian", "laplace", "keep_large"):
        monkeypatch.setattr(mechanisms, name, drawn)
    with pytest.raises(RefusedError):
        Encoder.fit_private(everything(), Declared(), Budget(0.1, 1e-6), noise=0.1, delta=1e-7)


def test_no_value_but_through_noise_reaches_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    # With noise that takes no heed of what it is added to, tables with nothing in common give one encoder.
    def blind(values: Any, scale: float) -> Any:
        return np.random.default_rng(len(values)).integers(0, 2**34, len(values))

    monkeypatch.setattr(mechanisms, "gaussian", blind)
    monkeypatch.setattr(mechanisms, "keep_large", lambda *_: (np.zeros(0, dtype=np.int64),) * 2)
    one, other = everything(), everything(50).reverse().with_columns(whole=pl.lit(10**9, dtype=pl.Int64))
    documents = [privately(table, Declared(BOUNDS)).document() for table in (one, other)]
    assert canonical_json(documents[0]) == canonical_json(documents[1])


def test_without_a_share_everything_is_declared() -> None:
    table = pl.DataFrame({"n": [1.5, 2.5] * 50, "c": ["a", "b"] * 50})
    declared = Declared({"n": (0, 10)}, {"c": ["a", "b"]})
    event = Encoder.event(table.schema, declared, noise=np.inf, delta=0.0)
    assert type(event).__name__ == "NoOpDpEvent"
    encoder = Encoder.fit_private(table, declared, Budget(1.0, 1e-6), noise=np.inf, delta=0.0)
    assert encoder.fields[0].missing is not None
    with pytest.raises(InputError, match="nothing is declared"):
        Encoder.fit_private(table, Declared(), Budget(1.0, 1e-6), noise=np.inf, delta=0.0)


@pytest.mark.parametrize(
    "declared",
    [
        Declared({"nowhere": (0, 1)}),
        Declared({"whole": (1,)}),
        Declared({"whole": (3, 2)}),
        Declared({"whole": ("a", "b")}),
        Declared({"text": (0, 1)}),
        Declared({}, {"text": []}),
        Declared({}, {"text": ["a", "a"]}),
        Declared({}, {"small": ["a"]}),
        Declared({}, {"day": [DAY]}),
        Declared({}, {}, {"text": 2}),
    ],
    ids=str,
)
def test_what_cannot_be_declared_is_refused(declared: Declared) -> None:
    with pytest.raises(InputError):
        Encoder.event(everything().schema, declared, noise=1.0, delta=1e-6)


def test_a_column_of_which_nothing_rises_above_the_noise_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.synth.encoding.private._WIDENED", 1e-9)
    table = pl.DataFrame({"n": [5], "c": ["x"]})
    encoder = Encoder.fit_private(table, Declared(), Budget(1e9, 0.5), noise=50.0, delta=1e-9)
    assert [type(column) for column in encoder.columns] == [Values, Values]
    assert encoder.decode(np.zeros((3, 2), dtype=np.int32), np.random.default_rng(0)).null_count().row(0) == (
        3,
        3,
    )
