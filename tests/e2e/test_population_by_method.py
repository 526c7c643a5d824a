"""People of the population counted behind labels that overlap, from the policy to the rows as written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.pipeline.methods import partition as by_partition

pytestmark = pytest.mark.usefixtures("bare_documents")

QUASI: dict[str, Any] = {"role": "quasi-identifier", "why": "known"}
COLUMNS = {
    "age": QUASI | {"hierarchy": {"kind": "intervals", "widths": [5, 10, 20], "from": 20, "to": 60}},
    "region": QUASI,
    "illness": {"role": "insensitive", "sensitive": True, "why": "told in confidence"},
}
KNOWN = ["age", "region"]
#: The floor is about people in the release, of whom k-map promises nothing.
LOOSE: dict[str, Any] = {
    "gate": [{"metric": "risk.worst_class", "at_most": 1, "least_n": 1}],
    "approvals": [{"by": "A. Officer", "what": "gate risk.worst_class", "why": "k-map is what is asked for"}],
}


def everybody(people: int = 3000) -> pl.DataFrame:
    draw = np.random.default_rng(8)
    region = draw.choice(list("nesw"), people, p=[0.5, 0.3, 0.15, 0.05])
    return pl.DataFrame({"age": draw.integers(20, 60, people), "region": region})


def sample() -> pl.DataFrame:
    draw = np.random.default_rng(9)
    return everybody().head(400).with_columns(pl.Series("illness", draw.integers(0, 3, 400)))


def released(tmp_path: Path, models: list[dict[str, Any]], **anonymity: Any) -> Any:
    everybody().write_csv(tmp_path / "everybody.csv")
    sample().write_csv(tmp_path / "people.csv")
    written = {
        "sfumato": 1,
        "dataset": {
            "name": "people",
            "source": {"path": "people.csv"},
            "population": {"table": {"path": "everybody.csv"}},
        },
        "columns": COLUMNS,
        "anonymity": {"models": models, **anonymity},
        **LOOSE,
    }
    (tmp_path / "policy.yaml").write_text(json.dumps(written))
    return sf.run(tmp_path / "policy.yaml", output=tmp_path / "out", project=tmp_path / "keys")


def fits(labels: tuple[str, ...], person: tuple[int, str]) -> bool:
    age, region = labels
    low, _, high = age.partition("-")
    old = age == "*" or int(low) <= person[0] <= int(high or low)
    return old and (region == "*" or person[1] in region.strip("{}").split(", "))


def behind(labels: tuple[str, ...]) -> int:
    return sum(fits(labels, person) for person in everybody().rows())


def shown(found: Any) -> Counter[tuple[str, ...]]:
    return Counter(found.data.select(pl.col(KNOWN).cast(pl.String)).rows())


LABELLED: dict[str, dict[str, Any]] = {
    "partition": {"method": "partition"},
    "free": {"method": "partition", "labels": "free"},
    "cells": {"method": "cells"},
}


@pytest.mark.parametrize("method", LABELLED)
def test_k_people_of_the_population_fit_every_row(tmp_path: Path, method: str) -> None:
    found = released(tmp_path, [{"model": "k-map", "k": 30}], **LABELLED[method])
    assert found.passed, found.decision
    labels = shown(found)
    assert sum(labels.values()) == 400
    assert len(labels) > 20
    assert min(behind(one) for one in labels) >= 30
    # Fewer of them in the release: the population hides them.
    assert min(labels.values()) < 30


@pytest.mark.parametrize("method", ["partition"])
def test_both_are_kept_of_a_sample(tmp_path: Path, method: str) -> None:
    models = [
        {"model": "k-anonymity", "k": 5},
        {"model": "k-map", "k": 60},
        {"model": "l-diversity", "on": "illness", "l": 2},
    ]
    found = released(tmp_path, models, **LABELLED[method])
    assert found.passed, found.decision
    labels = shown(found)
    assert min(labels.values()) >= 5
    assert min(behind(one) for one in labels) >= 60


@pytest.mark.parametrize("method", ["cells"])
def test_nobody_of_the_population_is_too_surely_there(tmp_path: Path, method: str) -> None:
    found = released(tmp_path, [{"model": "delta-presence", "high": 0.25}], **LABELLED[method])
    labels = shown(found)
    assert len(labels) > 2
    share = {one: number / behind(one) for one, number in labels.items()}
    for person in everybody().unique().rows():
        assert sum(part for one, part in share.items() if fits(one, person)) <= 0.25 + 1e-9


def test_a_mean_fits_nobody_in_particular(tmp_path: Path) -> None:
    with pytest.raises(sf.SfumatoError, match="a mean fits nobody"):
        released(tmp_path, [{"model": "k-map", "k": 30}], method="microaggregation")


def test_classes_that_count_the_wrong_people_do_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken twin: everybody is let be as they are, which few of the population fit."""

    def as_they_are(_: Any, problem: Problem, __: Any) -> Assignment:
        return Assignment.whole(np.arange(len(problem.units.counts)), problem.units.counts)

    monkeypatch.setattr(by_partition, "in_population", as_they_are)
    with pytest.raises(sf.InputError, match="recheck-failed"):
        released(tmp_path, [{"model": "k-map", "k": 30}], method="partition")
