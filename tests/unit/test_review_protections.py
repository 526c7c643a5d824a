"""Protections that a small slip would silently turn off, each held by the least that notices the slip."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import sfumato as sf
from sfumato.anonymity import MEASURES
from sfumato.anonymity.lattice import Problem, Solution, search
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.recoding import FullDomain
from sfumato.classes.table import FIRST, ClassTable, TupleTable, Units
from sfumato.contracts import COUNT
from sfumato.core.canonical import commitment
from sfumato.core.disclosure import LEAST, WITHHELD, publish, publish_all
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, draws
from sfumato.core.values import Finding
from sfumato.evidence.attacks.uniqueness import REPORT
from sfumato.evidence.report import Figure
from sfumato.hierarchies import HIERARCHIES
from sfumato.hierarchies.ladder import Ladder
from sfumato.inventory import take_inventory
from sfumato.release.residual import residual
from sfumato.release.writer import Outgoing
from sfumato.transforms import TRANSFORMS


def test_what_is_derived_and_drawn_hangs_on_the_key() -> None:
    one, other = derive(bytes(32), "a"), derive(bytes([1] * 32), "a")
    rows = np.arange(50, dtype=np.uint64)
    assert one != other
    assert (draws(one, rows) != draws(other, rows)).all()
    assert commitment(bytes(32), b"x") != commitment(bytes([1] * 32), b"x")


def test_draws_tell_the_largest_row_numbers_apart() -> None:
    rows = np.array([0, 1, 2**63, 2**64 - 1, 2**32], dtype=np.uint64)
    drawn = draws(derive(bytes(32), "a"), rows)
    assert len(set(drawn.tolist())) == len(rows)
    assert draws(derive(bytes(32), "a"), rows[::-1].copy())[::-1].tolist() == drawn.tolist()


def test_the_promise_counts_the_others() -> None:
    assert "at least 4 others" in KAnonymity(KAnonymity.Params(k=5)).explain()


def ladder(column: str, kind: str, values: Sequence[Any], **params: Any) -> Ladder:
    series = pl.Series(column, values)
    found = HIERARCHIES.resolve(kind)
    return Ladder.build(found(found.Params(**params), Path()), series, pl.Series(range(len(values))))


class _Even:
    """Classes of an even number of people: a model that a more general table may break."""

    summary: ClassVar[str] = ""
    monotone: ClassVar[bool] = False
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False
    on: str | None = None

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        return table.sizes % 2 == 0

    def explain(self) -> str:
        return ""


class _Four(_Even):
    """Classes of four people, no more and no fewer."""

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        return table.sizes == 4


def test_a_model_that_is_not_monotone_rules_out_nothing_below() -> None:
    """Neither the values nor the tops make classes of four; what lies between does."""
    numbers, letters = ladder("c", "intervals", [0, 1], widths=[2]), ladder("d", "suppress", ["x", "y"])
    positions = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])
    counts = np.array([1, 3, 1, 3])
    found = search(
        Problem([numbers, letters], positions, Units(counts), [_Four()], 0, MEASURES.resolve("loss"))
    )
    assert found.levels == (1, 0)
    assert found.suppressed == 0


class _Triple(_Even):
    """Classes of a multiple of three."""

    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False
    on: str | None = None

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        return table.sizes % 3 == 0


def test_every_model_must_hold_and_not_just_one() -> None:
    steps = ladder("c", "suppress", [0, 1, 2])
    counts = np.array([2, 3, 6])
    problem = Problem(
        [steps], np.array([[0, 1, 2]]), Units(counts), [_Even(), _Triple()], 5, MEASURES.resolve("loss")
    )
    for models in ([_Even(), _Triple()], [_Triple(), _Even()]):
        found = search(replace(problem, models=models))
        assert found.levels == (0,)
        assert found.kept.tolist() == [False, False, True]


def recoding() -> tuple[FullDomain, pl.DataFrame]:
    raw = pl.DataFrame({"age": [21, 22, 31, None], "town": ["a", "a", "b", "b"]})
    tuples = raw.with_columns(pl.Series(COUNT, [1, 1, 1, 1]), pl.Series(FIRST, [0, 1, 2, 3]))
    ages = ladder("age", "intervals", raw["age"].to_list(), widths=[10])
    towns = ladder("town", "suppress", ["a", "b"])
    figures = dict.fromkeys(("classes", "smallest_class", "suppressed", "lattice", "checked"), 0)
    scores = dict.fromkeys(("score", "raw_loss", "granularity"), 0.0)
    kept = np.array([True, True, False, False])
    solution = Solution(levels=(1, 0), kept=kept, **figures, **scores)
    return FullDomain.fit(TupleTable(("age", "town"), tuples), [ages, towns], solution), raw


def test_suppressed_rows_go_and_the_others_stay_with_their_labels() -> None:
    fitted, raw = recoding()
    labelled, kept = fitted.label(raw)
    assert labelled.filter(kept).to_dicts() == [{"age": "20-29", "town": "a"}] * 2


def test_missing_stays_apart_from_every_value() -> None:
    fitted, raw = recoding()
    assert fitted.label(raw)[1].to_list() == [True, True, False, False]
    assert fitted.label(raw)[0]["age"].to_list() == ["20-29", "20-29", "30-39", None]


@pytest.mark.parametrize("unseen", [{"age": 99, "town": "a"}, {"age": 31, "town": "a"}])
def test_people_that_the_snapshot_did_not_have_are_refused(unseen: dict[str, Any]) -> None:
    fitted, raw = recoding()
    with pytest.raises(InputError, match="snapshot"):
        fitted.label(pl.DataFrame([unseen], schema=raw.schema))


def test_a_value_that_the_snapshot_did_not_have_has_no_label() -> None:
    fitted, raw = recoding()
    with pytest.raises(InputError, match="snapshot"):
        fitted.label(pl.DataFrame([{"age": 99, "town": "b"}], schema=raw.schema))


@pytest.mark.parametrize("at", [1, 2])
def test_missing_has_a_code_of_its_own_at_every_level(at: int) -> None:
    """A null merged with a label would count people together whom the release tells apart."""
    ages = ladder("age", "intervals", [21, None, 31], widths=[10, 100])
    codes = ages.codes[at].tolist()
    assert codes[1] not in (codes[0], codes[2])


def labels(kind: str, values: Sequence[Any], level: int, **params: Any) -> list[str | None]:
    found = HIERARCHIES.resolve(kind)
    labelled: list[str | None] = found(found.Params(**params), Path()).labels(pl.Series("c", values), level)
    return list(labelled)


def test_interval_bounds_belong_to_the_upper_side() -> None:
    bounds = {"widths": [5], "from": 20, "to": 30}
    assert labels("intervals", [19, 20, 24, 25, 29, 30, None], 1, **bounds) == [
        *["< 20", "20-24", "20-24", "25-29", "25-29", ">= 30"],
        None,
    ]


def test_prefixes_keep_no_more_than_they_say() -> None:
    assert labels("prefix", ["12345", "12", None], 1, keep=[2]) == ["12*", "12", None]
    assert labels("prefix", ["12345", "12", None], 2, keep=[2]) == ["*", "*", "*"]


def test_dates_keep_no_more_than_their_unit() -> None:
    day = [dt.date(1984, 5, 17)]
    units = ["month", "quarter", "year", "decade"]
    found = [labels("dates", day, level, levels=units)[0] for level in range(1, 6)]
    assert found == ["1984-05", "1984-Q2", "1984", "1980s", "*"]


def test_the_top_covers_missing_people_too() -> None:
    assert labels("suppress", ["a", None], 1) == ["*", "*"]


def transformed(name: str, values: pl.Series, **params: Any) -> list[Any]:
    kind = TRANSFORMS.resolve(name)
    counted = values.alias("value").value_counts(name="count")
    state = kind().fit(counted, kind.Params(**params), bytes(32))
    return list(kind().apply(values.alias("c"), state, bytes(32)))


def test_masks_hide_what_is_too_short_to_hide_in() -> None:
    texts = pl.Series(["abcdefgh", "abcde", "abcd", "", None])
    found = transformed("mask", texts, keep_first=1, keep_last=1)
    assert found == ["a***h", "a***e", "***", "***", None]


def test_numbers_are_rounded_and_coded() -> None:
    assert transformed("round", pl.Series([12, 13, -3, None]), to=5) == [10, 15, -5, None]
    coded = transformed("top-bottom-code", pl.Series([1, 50, 99, None]), bottom=10, top=90)
    assert coded == [10, 50, 90, None]


@pytest.mark.parametrize(
    ("unit", "first"),
    [("month", (1984, 5)), ("quarter", (1984, 4)), ("year", (1984, 1)), ("decade", (1980, 1))],
)
def test_dates_are_truncated(unit: str, first: tuple[int, int]) -> None:
    assert transformed("truncate-date", pl.Series([dt.date(1984, 5, 17)]), to=unit) == [dt.date(*first, 1)]


def test_a_dropped_column_has_no_values_left() -> None:
    assert transformed("drop", pl.Series(["a", None])) == [None, None]


def test_a_figure_that_is_no_number_is_no_measured_finding() -> None:
    nothing = REPORT.measured("risk.unique", Figure(float("nan"), 0.0, 1.0), 100)
    assert (nothing.status, nothing.value) == ("no-power", None)


def finding(value: float | None, n: int, **more: Any) -> Finding:
    fields = {"metric": "m", "unit": "share", "goal": "low", "source": "s", "low": value, "high": value}
    return Finding(**{**fields, "value": value, "n": n, **more})


def test_what_stands_beside_a_figure_that_was_not_measured_is_filtered_too() -> None:
    silent = {"status": "no-power", "note": "too few", "low": None, "high": None}
    few = publish(finding(None, LEAST - 1, before=0.123, **silent))
    assert (few.before, few.note, few.status) == (None, "too few", "no-power")
    assert publish(finding(None, 1000, before=0.123, **silent)).before == 0.125


@pytest.mark.parametrize("field", ["value", "low", "high", "before", "baseline", "control"])
def test_a_withheld_finding_keeps_no_figure(field: str) -> None:
    every = dict.fromkeys(("low", "high", "before", "baseline", "control"), 0.5)
    assert getattr(publish(finding(0.5, LEAST - 1, **every)), field) is None


def test_a_group_too_small_to_be_measured_takes_the_smallest_other_with_it() -> None:
    silent = {"status": "no-power", "note": "too few", "low": None, "high": None}
    small, middle, large = publish_all(
        [
            finding(None, 4, target="g=a", **silent),
            finding(0.2, 50, target="g=b"),
            finding(0.3, 900, target="g=c"),
        ]
    )
    assert small.note == "too few"
    assert (middle.value, middle.note) == (None, WITHHELD)
    assert large.value == 0.3


def test_a_count_that_rounds_to_nobody_is_not_called_nobody() -> None:
    (words,) = residual([finding(0.0, 1000, metric="risk.unique", before=0.4)])
    assert "may be 2 people" in words


def test_a_target_that_outsiders_know_is_a_quasi_identifier() -> None:
    draw = np.random.default_rng(0)
    table = pl.DataFrame({"age": draw.integers(20, 60, 3000), "married": draw.integers(0, 2, 3000)})
    assert take_inventory(table, target="age").column("age").role == "quasi-identifier"
    assert take_inventory(table, target="married").column("married").role == "quasi-identifier"


def test_a_target_leaves_the_classes_only_where_the_policy_calls_it_sensitive(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pl.DataFrame({"age": draw.integers(20, 60, 3000), "married": draw.integers(0, 2, 3000)})
    columns = {
        "age": {"role": "quasi-identifier", "why": "w"},
        "married": {"role": "insensitive", "why": "w"},
    }
    policy = {
        "sfumato": 1,
        "dataset": {"name": "d", "source": {"path": "x.csv"}, "target": "married"},
        "columns": columns,
        "anonymity": {"models": [{"model": "k-anonymity", "k": 5}]},
    }
    (problem,) = sf.check(policy, table, project=tmp_path / "keys")
    assert "married" in problem.what
    columns["married"]["sensitive"] = True
    assert sf.check(policy, table, project=tmp_path / "keys") == ()


def test_a_copy_of_the_keys_beside_the_output_is_not_cleared_away(tmp_path: Path) -> None:
    for name in (".sfumato-backup", ".sfumato-staging-mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.json").write_text("{}")
    (tmp_path / ".sfumato-staging-stale" / "release").mkdir(parents=True)
    with Outgoing(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".sfumato-backup", ".sfumato-staging-mine"]
