"""Several rows a person, by each method: k people, not k rows, from the policy to the rows as written."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_several_rows import LINKED, PROMISE, WHO, K, loans, policy, wholes

import sfumato as sf
from sfumato.classes.table import ClassTable
from sfumato.pipeline.methods import microaggregation as by_microaggregation
from sfumato.pipeline.methods import partition as by_partition
from sfumato.pipeline.methods import people as methods_people
from sfumato.pipeline.snapshot import UNIT

pytestmark = pytest.mark.usefixtures("bare_documents")

METHODS: dict[str, dict[str, Any]] = {
    "partition": {"method": "partition"},
    "free": {"method": "partition", "labels": "free"},
    "microaggregation": {"method": "microaggregation"},
    "cells": {"method": "cells"},
}
ALPHA = 0.9
TOLD = {"on": "reason"}
SENSITIVE: dict[str, dict[str, Any]] = {
    "l": TOLD | {"model": "l-diversity", "l": 2},
    "t": TOLD | {"model": "t-closeness", "t": 0.3},
    "alpha": TOLD | {"model": "alpha-k", "alpha": ALPHA, "k": K},
}


def released(tmp_path: Path, written: dict[str, Any], rows: pl.DataFrame | None = None) -> Any:
    table = loans() if rows is None else rows
    return sf.run(written, table, output=tmp_path / "out", project=tmp_path / "keys")


def whose(tmp_path: Path) -> pl.DataFrame:
    """Each person's tuples with their labels, by the mapping that custody keeps."""
    mapping = sf.mapping(tmp_path / "out", project=tmp_path / "keys")
    assert mapping["label of age"].null_count() == 0
    return mapping


@pytest.mark.parametrize("method", METHODS)
def test_a_class_has_k_people_where_rows_are_not_linked(tmp_path: Path, method: str) -> None:
    found = released(tmp_path, policy(WHO, PROMISE | METHODS[method]))
    assert found.passed, found.decision
    assert "customer" not in found.data.columns
    assert found.data.height == loans().height
    people = whose(tmp_path).group_by("label of age", "label of town").agg(pl.col(UNIT).n_unique())
    assert people[UNIT].min() >= K
    assert found.plan.anonymity.smallest_class == people[UNIT].min()
    assert found.plan.anonymity.classes == people.height
    assert found.plan.anonymity.unit == "person"
    shown = found.data.select(pl.col("age", "town").cast(pl.String)).unique()
    assert shown.height == people.height
    (worst,) = [f for f in found.findings if f.metric == "risk.worst_class"]
    assert worst.value == pytest.approx(1 / people[UNIT].min())


@pytest.mark.parametrize("method", METHODS)
def test_k_people_share_all_of_their_rows_where_these_are_linked(tmp_path: Path, method: str) -> None:
    found = released(tmp_path, policy(LINKED, PROMISE | METHODS[method]))
    assert found.passed, found.decision
    sizes = wholes(found.data.with_columns(pl.col("age").cast(pl.String)))
    assert min(sizes.values()) >= K
    assert found.plan.anonymity.smallest_class == min(sizes.values())
    assert found.plan.anonymity.classes == len(sizes)
    assert found.plan.anonymity.unit == "whole person"
    source = Counter(loans().group_by("customer").len()["len"].to_list())
    assert Counter(found.data.group_by("customer").len()["len"].to_list()) == source


@pytest.mark.parametrize("method", ["partition", "microaggregation"])
def test_whoever_has_too_many_rows_leaves_or_is_refused(tmp_path: Path, method: str) -> None:
    often = pl.DataFrame({"customer": ["C99999"] * 9, "age": [30] * 9, "town": ["north"] * 9})
    rows = pl.concat([loans(), often.with_columns(pl.lit("car").alias("reason")).cast(dict(loans().schema))])
    (tmp_path / "a").mkdir()
    found = released(tmp_path / "a", policy(LINKED, PROMISE | METHODS[method]), rows)
    assert found.plan.anonymity.suppressed_rows == 9
    assert found.data.height == loans().height
    strict = PROMISE | METHODS[method] | {"suppression": 0.0}
    with pytest.raises(sf.InputError, match=r"who have as many rows.*anonymity-impossible"):
        released(tmp_path, policy(LINKED, strict), rows)


@pytest.mark.parametrize(
    ("method", "model"), [("partition", "t"), ("free", "l"), ("microaggregation", "t"), ("cells", "alpha")]
)
def test_sensitive_values_are_counted_in_people(tmp_path: Path, method: str, model: str) -> None:
    asked = PROMISE | METHODS[method] | {"models": [*PROMISE["models"], SENSITIVE[model]]}
    found = released(tmp_path, policy(WHO, asked))
    assert found.passed, found.decision
    people = whose(tmp_path)
    overall = Counter(people.select("reason", UNIT).unique()["reason"].to_list())
    for _, one in people.group_by("label of age", "label of town"):
        had = Counter(one.select("reason", UNIT).unique()["reason"].to_list())
        many = one[UNIT].n_unique()
        assert many >= K
        if model == "l":
            assert len(had) >= 2
        elif model == "alpha":
            assert max(had.values()) <= ALPHA * many + 1e-9
        else:
            shares = (abs(had[v] / had.total() - overall[v] / overall.total()) for v in overall)
            assert sum(shares) / 2 <= 0.3 + 1e-9


@pytest.mark.parametrize("method", ["partition"])
def test_no_value_is_had_by_nearly_everybody_of_a_linked_class(tmp_path: Path, method: str) -> None:
    asked = PROMISE | METHODS[method] | {"models": [*PROMISE["models"], SENSITIVE["alpha"]]}
    found = released(tmp_path, policy(LINKED, asked))
    assert found.passed, found.decision
    rows: dict[str, Counter[Any]] = defaultdict(Counter)
    values: dict[str, set[str]] = defaultdict(set)
    for who, age, town, reason in found.data.select("customer", "age", "town", "reason").iter_rows():
        rows[who][(age, town)] += 1
        values[who].add(reason)
    classes: dict[Any, list[str]] = defaultdict(list)
    for who, whole in rows.items():
        classes[frozenset(whole.items())].append(who)
    for people in classes.values():
        had = Counter(value for who in people for value in values[who])
        assert max(had.values()) <= ALPHA * len(people) + 1e-9


@pytest.mark.parametrize("method", ["partition"])
def test_the_same_policy_and_key_give_the_same_rows(tmp_path: Path, method: str) -> None:
    written = policy(LINKED, PROMISE | METHODS[method])
    (tmp_path / "b").mkdir()
    first = released(tmp_path, written).data
    assert first.equals(sf.run(written, loans(), output=tmp_path / "b", project=tmp_path / "keys").data)


@pytest.mark.parametrize("method", METHODS)
def test_rows_taken_for_people_do_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The broken twin: a search that counts rows, and believes itself, fails on the rows as written."""
    monkeypatch.setattr(methods_people, "_of_people", lambda *given: given[3](given[2]))
    everything = pl.Series([True]), ClassTable(np.array([K]))
    monkeypatch.setattr(by_partition, "holding_people", lambda *_: everything)
    monkeypatch.setattr(by_microaggregation, "holding_people", lambda *_: everything)
    often = pl.concat([loans(40)] * 3)
    with pytest.raises(sf.InputError, match="recheck-failed"):
        released(tmp_path, policy(WHO, PROMISE | METHODS[method]), often)


@pytest.mark.parametrize("method", ["partition"])
def test_the_evidence_is_measured_on_people(tmp_path: Path, method: str) -> None:
    evidence = {"holdout": 0.2, "attacks": ["linkage"], "utility": ["distributions"]}
    found = released(tmp_path, policy(WHO, PROMISE | METHODS[method], evidence=evidence))
    (linkage,) = [f for f in found.findings if (f.metric, f.target) == ("linkage.success", "release")]
    assert linkage.status == "measured"
    assert linkage.n <= 600 * 0.9
