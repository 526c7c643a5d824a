"""Risks counted in a table of everybody, where a policy names one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.core.errors import SfumatoError

pytestmark = pytest.mark.usefixtures("quick_documents")

QUASI: dict[str, Any] = {"role": "quasi-identifier", "why": "known"}
COLUMNS = {
    "age": QUASI | {"hierarchy": {"kind": "intervals", "widths": [10], "from": 20, "to": 60}},
    "region": QUASI,
    "illness": {"role": "insensitive", "sensitive": True, "why": "told in confidence"},
}


def sample(rows: int = 1500) -> pl.DataFrame:
    draw = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "age": draw.integers(20, 60, rows),
            "region": draw.integers(0, 40, rows),
            "illness": draw.integers(0, 3, rows),
        }
    )


def release(folder: Path, people: pl.DataFrame, everybody: pl.DataFrame, **more: Any) -> Any:
    """A run whose population lies in a CSV file beside the policy."""
    everybody.write_csv(folder / "everybody.csv")
    people.write_csv(folder / "people.csv")
    table = {"path": "everybody.csv"}
    written = {
        "sfumato": 1,
        "dataset": {
            "name": "people",
            "source": {"path": "people.csv"},
            "population": {"table": table, **more},
        },
        "columns": COLUMNS,
        "anonymity": {"models": [{"model": "k-anonymity", "k": 5}], "suppression": 0.2},
    }
    (folder / "policy.yaml").write_text(json.dumps(written))  # JSON is YAML too
    return sf.run(folder / "policy.yaml", output=folder / "out", project=folder / "keys")


def risk(found: Any, metric: str) -> Any:
    (finding,) = [finding for finding in found.findings if finding.metric == metric]
    return finding


def smallest(frame: pl.DataFrame) -> int:
    """The smallest class of age bands of ten years and regions."""
    return int(frame.group_by(pl.col("age") // 10, "region").len()["len"].min())  # type: ignore[arg-type]


def test_everybody_three_times_is_a_third_of_the_risk(tmp_path: Path) -> None:
    people = sample()
    found = release(tmp_path, people, pl.concat([people.drop("illness")] * 3))
    worst, journalist = risk(found, "risk.worst_class"), risk(found, "risk.journalist")
    assert journalist.value == pytest.approx(worst.value / 3)
    assert journalist.before == pytest.approx(worst.before / 3)
    unique = risk(found, "risk.population_unique")
    assert (unique.value, unique.before) == (0, 0)
    assert "not in it" not in journalist.note


def test_a_count_column_stands_for_as_many_people(tmp_path: Path) -> None:
    people = sample()
    everybody = people.group_by("age", "region").len("number").with_columns(pl.col("number") * 4)
    found = release(tmp_path, people, everybody, count="number")
    assert risk(found, "risk.journalist").value == pytest.approx(risk(found, "risk.worst_class").value / 4)


def test_people_whom_the_table_lacks_count_as_there_and_are_told(tmp_path: Path) -> None:
    """A table that misses people must not make anybody look safer or rarer than the release itself does."""
    people = sample()
    found = release(tmp_path, people, people.drop("illness").filter(pl.col("region") > 19))
    assert risk(found, "risk.journalist").value == risk(found, "risk.worst_class").value
    assert "are not in it" in risk(found, "risk.journalist").note


def test_values_of_another_type_agree_with_nobody(tmp_path: Path) -> None:
    people = sample()
    everybody = pl.concat([people.drop("illness").cast({"age": pl.String})] * 2)
    odd = pl.DataFrame({"age": ["about 30"] * 50, "region": [1] * 50}, schema=everybody.schema)
    found = release(tmp_path, people, pl.concat([everybody, odd]))
    assert risk(found, "risk.journalist").value == pytest.approx(risk(found, "risk.worst_class").value / 2)


def test_values_of_another_type_are_not_missing_ones(tmp_path: Path) -> None:
    """Thousands of unreadable ages would otherwise hide the eight whose age is missing."""
    people = sample().with_columns(
        pl.when(pl.int_range(pl.len()) < 8).then(None).otherwise("age").alias("age"), region=pl.lit(1)
    )
    known = people.drop("illness").cast({"age": pl.String})
    odd = pl.DataFrame({"age": ["about 30"] * 5000, "region": [1] * 5000}, schema=known.schema)
    found = release(tmp_path, people, pl.concat([known, odd]))
    assert risk(found, "risk.journalist").value == 1 / 8


def test_nothing_of_where_the_table_lies_is_released(tmp_path: Path) -> None:
    people = sample()
    release(tmp_path, people, people.drop("illness"), source="register of residents")
    for path in (tmp_path / "out" / "release").rglob("*"):
        if path.is_file():
            assert b"everybody.csv" not in path.read_bytes()
    dossier = (tmp_path / "out" / "release" / "dossier.html").read_text()
    assert "counted in a table of everybody" in dossier
    assert "register of residents" in dossier


@pytest.mark.parametrize(
    ("everybody", "more", "words"),
    [
        (sample().drop("region", "illness"), {}, 'has no column "region"'),
        (sample().drop("illness"), {"count": "people"}, 'has no column "people"'),
        (sample().with_columns(pl.lit("many").alias("number")), {"count": "number"}, "no number of people"),
        (sample().with_columns(pl.lit(-1).alias("number")), {"count": "number"}, "no number of people"),
        (sample(), {"size": 9}, "say one of fraction, size and table"),
    ],
)
def test_what_is_wrong_with_it_is_said_and_nothing_is_written(
    tmp_path: Path, everybody: pl.DataFrame, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(SfumatoError, match=words):
        release(tmp_path, sample(), everybody, **more)
    assert not (tmp_path / "out" / "release").exists()
