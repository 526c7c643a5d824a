"""Models that microaggregation and cells keep, several sensitive columns at once, and samples."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.engines.local import LocalEngine

pytestmark = pytest.mark.usefixtures("bare_documents")

QUASI: dict[str, Any] = {"role": "quasi-identifier", "why": "known"}
TOLD: dict[str, Any] = {"role": "insensitive", "sensitive": True, "why": "told in confidence"}
BANDS = {"hierarchy": {"kind": "intervals", "widths": [5, 10, 20], "from": 20, "to": 60}}
COLUMNS: dict[str, Any] = {
    "age": QUASI | BANDS,
    "region": QUASI,
    "illness": TOLD,
    "income": TOLD,
    "creed": TOLD,
}
KNOWN = ["age", "region"]
ILLNESSES = ["none", "flu", "asthma", "cancer"]
TREE = {"kind": "order", "values": ILLNESSES, "sizes": [2]}
K = {"model": "k-anonymity", "k": 5}


def people(rows: int = 800) -> pl.DataFrame:
    draw = np.random.default_rng(5)
    age = draw.integers(20, 60, rows)
    return pl.DataFrame(
        {
            "age": age,
            "region": draw.choice(list("nesw"), rows, p=[0.5, 0.3, 0.15, 0.05]),
            "illness": draw.choice(ILLNESSES, rows, p=[0.5, 0.25, 0.15, 0.1]),
            "income": (age * 700 + draw.integers(0, 20_000, rows)) // 5000,
            "creed": draw.choice(["a", "b"], rows, p=[0.6, 0.4]),
        }
    )


def written(models: list[dict[str, Any]] | None, **more: Any) -> dict[str, Any]:
    approved = [
        {"by": "A. Officer", "what": f"column {name}", "why": "nobody else knows it"}
        for name in ("illness", "income", "creed")
    ]
    policy: dict[str, Any] = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "in memory"}},
        "columns": more.pop("columns", COLUMNS),
        "approvals": approved + more.pop("approvals", []),
    }
    for key in ("sampling", "evidence", "gate"):
        if key in more:
            policy[key] = more.pop(key)
    if models is not None:
        policy["anonymity"] = {"models": models, **more}
    return policy


def released(tmp_path: Path, models: list[dict[str, Any]] | None, **more: Any) -> Any:
    found = sf.run(written(models, **more), people(), output=tmp_path / "out", project=tmp_path / "keys")
    assert found.passed, found.decision
    return found


def classes(rows: pl.DataFrame, sensitive: str, known: list[str] | None = None) -> list[Counter[Any]]:
    """The values of a sensitive column in each class, by a dictionary."""
    found: dict[tuple[Any, ...], Counter[Any]] = {}
    for *by, value in rows.select(*(known or KNOWN), sensitive).iter_rows():
        found.setdefault(tuple(by), Counter())[value] += 1
    return list(found.values())


def overall(name: str) -> Counter[Any]:
    return Counter(people()[name].to_list())


def apart(one: Counter[Any], everybody: Counter[Any]) -> float:
    """Half the sum of differences of shares."""
    return sum(abs(one[v] / one.total() - everybody[v] / everybody.total()) for v in everybody) / 2


def apart_in_order(one: Counter[Any], everybody: Counter[Any]) -> float:
    run, total = 0.0, 0.0
    for value, _ in pairwise(sorted(everybody)):
        run += one[value] / one.total() - everybody[value] / everybody.total()
        total += abs(run)
    return total / (len(everybody) - 1)


def shannon(one: Counter[Any]) -> float:
    return -sum(n / one.total() * math.log(n / one.total()) for n in one.values())


def all_of(name: str, keeps: Any) -> Any:
    return lambda rows: all(keeps(one) for one in classes(rows, name))


PROMISES: dict[str, tuple[dict[str, Any], Any]] = {
    "distinct": (
        {"model": "l-diversity", "on": "illness", "l": 3},
        all_of("illness", lambda one: len(one) >= 3),
    ),
    "entropy": (
        {"model": "l-diversity", "on": "illness", "l": 1.9, "kind": "entropy"},
        all_of("illness", lambda one: shannon(one) >= math.log(1.9) - 1e-9),
    ),
    "recursive": (
        {"model": "l-diversity", "on": "illness", "l": 2, "kind": "recursive", "c": 2},
        all_of("illness", lambda one: max(one.values()) < 2 * (one.total() - max(one.values()))),
    ),
    "equal": (
        {"model": "t-closeness", "on": "illness", "t": 0.2},
        all_of("illness", lambda one: apart(one, overall("illness")) <= 0.2 + 1e-9),
    ),
    "ordered": (
        {"model": "t-closeness", "on": "income", "t": 0.1, "distance": "ordered"},
        all_of("income", lambda one: apart_in_order(one, overall("income")) <= 0.1 + 1e-9),
    ),
    "hierarchical": (
        {"model": "t-closeness", "on": "illness", "t": 0.2, "distance": "hierarchical", "hierarchy": TREE},
        # A value that moves within its pair goes half as far, so no class is nearer by the equal distance.
        all_of("illness", lambda one: apart(one, overall("illness")) <= 0.4 + 1e-9),
    ),
    "alpha": (
        {"model": "alpha-k", "on": "illness", "alpha": 0.7, "k": 4},
        all_of("illness", lambda one: max(one.values()) <= 0.7 * one.total()),
    ),
    "p": (
        {"model": "p-sensitive", "on": "illness", "p": 3, "k": 5},
        all_of("illness", lambda one: len(one) >= 3),
    ),
    "beta": (
        {"model": "beta-likeness", "on": "illness", "beta": 1.5},
        all_of(
            "illness",
            lambda one: all(
                one[v] / one.total() <= 2.5 * n / 800 + 1e-9 for v, n in overall("illness").items()
            ),
        ),
    ),
    "average": (
        {"model": "average-risk", "at_most": 0.05},
        lambda rows: len(classes(rows, "illness")) / rows.height <= 0.05,
    ),
}


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
@pytest.mark.parametrize("promise", PROMISES)
def test_the_rows_as_written_keep_the_promise(tmp_path: Path, method: str, promise: str) -> None:
    asked, keeps = PROMISES[promise]
    found = released(tmp_path, [K, asked], method=method)
    rows = found.data
    assert rows.height == people().height
    assert min(one.total() for one in classes(rows, "illness")) >= 5
    assert keeps(rows)
    assert not keeps(people()), "a promise that the original keeps tests nothing"
    assert found.plan.anonymity.classes == len(classes(rows, "illness"))
    assert found.plan.anonymity.classes > 1
    # Sensitive values stay as they are, and only move with their rows.
    assert Counter(rows["illness"].to_list()) == overall("illness")


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
def test_several_models_are_kept_at_once(tmp_path: Path, method: str) -> None:
    models = [K, PROMISES["ordered"][0], PROMISES["distinct"][0]]
    rows = released(tmp_path, models, method=method).data
    assert PROMISES["ordered"][1](rows)
    assert PROMISES["distinct"][1](rows)


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
def test_the_same_policy_and_key_give_the_same_rows(tmp_path: Path, method: str) -> None:
    models = [K, PROMISES["equal"][0]]
    first = released(tmp_path, models, method=method).data
    assert first.equals(released(tmp_path, models, method=method).data)


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"model": "k-map", "k": 1000}, "a mean fits nobody|anonymity-impossible"),
        ({"model": "delta-presence", "high": 0.5}, "a mean fits nobody|anonymity-impossible"),
        ({"model": "l-diversity", "on": "illness", "l": 5}, "anonymity-impossible"),
        ({"model": "alpha-k", "on": "illness", "alpha": 0.4, "k": 2}, "anonymity-impossible"),
        ({"model": "k-anonymity", "k": 801}, "anonymity-impossible"),
    ],
)
def test_a_model_that_a_method_cannot_keep_is_refused_in_words(
    tmp_path: Path, method: str, model: dict[str, Any], words: str
) -> None:
    policy = written([model], method=method)
    policy["dataset"]["population"] = {"table": {"path": "everybody.csv"}}
    people().write_csv(tmp_path / "everybody.csv")
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    with pytest.raises(sf.SfumatoError, match=words):
        sf.run(tmp_path / "policy.yaml", people(), output=tmp_path / "out", project=tmp_path / "keys")
    assert not (tmp_path / "out" / "release").exists()


@pytest.mark.parametrize("method", ["microaggregation", "cells"])
def test_rows_written_otherwise_than_fitted_are_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The broken twin: a class that lost its diversity on the way to the file is noticed in the file."""
    write = LocalEngine.write

    def leveling(self: LocalEngine, frame: pl.LazyFrame, *more: Any, **named: Any) -> Any:
        return write(self, frame.with_columns(illness=pl.lit("none")), *more, **named)

    monkeypatch.setattr(LocalEngine, "write", leveling)
    with pytest.raises(sf.InputError, match="recheck-failed"):
        released(tmp_path, [K, PROMISES["distinct"][0]], method=method)


DIVERSE = {"model": "l-diversity", "on": "illness", "l": 2}


@pytest.mark.parametrize("method", ["lattice", "partition", "microaggregation", "cells"])
def test_a_sensitive_column_stays_unknown_to_who_knows_another(tmp_path: Path, method: str) -> None:
    """In every class and for each creed in it, two illnesses occur; without being asked for they do not."""
    diverse = all_of("illness", lambda one: len(one) >= 2)

    def parts(rows: pl.DataFrame) -> list[Counter[Any]]:
        return classes(rows, "illness", [*KNOWN, "creed"])

    limit = 0.1 if method == "lattice" else 0.0
    (tmp_path / "plain").mkdir()
    plain = released(tmp_path / "plain", [K, DIVERSE], method=method, suppression=limit).data
    assert diverse(plain)
    assert min(map(len, parts(plain))) == 1
    (tmp_path / "known").mkdir()
    more = {"method": method, "suppression": limit, "others_known": ["creed", "illness"]}
    found = released(tmp_path / "known", [K, DIVERSE], **more)
    assert min(map(len, parts(found.data))) >= 2
    assert min(one.total() for one in classes(found.data, "illness")) >= 5
    assert found.plan.anonymity.classes > 1
    dossier = (tmp_path / "known" / "out" / "release" / "dossier.html").read_text()
    assert "also to somebody who knows creed of the person" in dossier


@pytest.mark.parametrize("method", ["lattice", "partition", "microaggregation", "cells"])
def test_each_of_two_columns_stays_unknown_to_who_knows_the_other(tmp_path: Path, method: str) -> None:
    models = [K, DIVERSE, {"model": "t-closeness", "on": "creed", "t": 0.45}]
    limit = 0.3 if method == "lattice" else 0.0
    found = released(tmp_path, models, method=method, others_known=True, suppression=limit)
    rows = found.data
    assert min(map(len, classes(rows, "illness", [*KNOWN, "creed"]))) >= 2
    told = classes(rows, "creed", [*KNOWN, "illness"])
    assert max(apart(one, overall("creed")) for one in told) <= 0.45 + 1e-9


def test_a_part_of_a_class_that_breaks_on_the_way_to_the_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken twin: the classes keep two illnesses, those of one creed in them do not."""
    write = LocalEngine.write

    def leveling(self: LocalEngine, frame: pl.LazyFrame, *more: Any, **named: Any) -> Any:
        illness = pl.when(pl.col("creed") == "b").then(pl.lit("flu")).otherwise(pl.col("illness"))
        return write(self, frame.with_columns(illness=illness), *more, **named)

    monkeypatch.setattr(LocalEngine, "write", leveling)
    large = K | {"k": 40}
    (tmp_path / "plain").mkdir()
    released(tmp_path / "plain", [large, DIVERSE], method="microaggregation")
    with pytest.raises(sf.InputError, match="also to somebody who knows creed"):
        released(tmp_path, [large, DIVERSE], method="microaggregation", others_known=["creed"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"others_known": True}, "no model is about a sensitive column beside which"),
        ({"others_known": ["illness"]}, "no model is about a sensitive column beside which"),
        ({"others_known": ["cred"]}, "is no released column"),
        ({"others_known": ["region", "creed"]}, "known to outsiders in any case"),
    ],
)
def test_others_that_cannot_be_known_are_told(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(sf.PolicyError, match=words):
        released(tmp_path, [K, DIVERSE], **asked)


def finding(found: Any, metric: str) -> Any:
    return next(one for one in found.findings if one.metric == metric)


def test_a_sample_is_released_and_nothing_of_the_others(tmp_path: Path) -> None:
    """Also without classes; every row is told apart here, so that each can be found again."""
    table = people().with_columns(pl.int_range(pl.len()).alias("income"))
    policy = written(None, sampling={"share": 0.4}, columns={"income": TOLD, "region": TOLD | {"why": "-"}})
    policy["approvals"] += [
        {"by": "A. Officer", "what": what, "why": "numbers of rows"}
        for what in ("column region", "gate risk.worst_class", "gate risk.unique_all_columns")
    ]
    found = sf.run(policy, table, output=tmp_path / "out", project=tmp_path / "keys")
    rows = found.data
    # Six standard deviations of a draw of 40 % of 800 people.
    assert abs(rows.height - 320) < 6 * math.sqrt(800 * 0.4 * 0.6)
    assert rows["income"].n_unique() == rows.height
    assert found.plan.rows == 800
    assert found.plan.holdout_rows == 800 - rows.height
    drawn = rows["income"].mean()
    assert isinstance(drawn, float)
    assert abs(drawn - 399.5) < 6 * 800 / math.sqrt(12 * rows.height)
    dossier = (tmp_path / "out" / "release" / "dossier.html").read_text()
    assert "a random sample of 40 % of the people" in dossier


def test_so_many_people_are_sampled_just_so_many(tmp_path: Path) -> None:
    found = released(tmp_path, [K], sampling={"people": 300}, suppression=0.1)
    assert found.plan.anonymity.rows == 300
    assert found.plan.holdout_rows == 500
    (tmp_path / "all").mkdir()
    found = released(tmp_path / "all", [K], sampling={"people": 10_000}, suppression=0.1)
    assert found.plan.anonymity.rows == 800


def test_a_person_is_wholly_in_the_sample_or_not_at_all(tmp_path: Path) -> None:
    """Rows of one person are drawn together."""
    one = people(400).with_columns(pl.int_range(pl.len()).alias("who"))
    table = pl.concat([one, one.with_columns(illness=pl.lit("flu"))])
    policy = written(None, sampling={"people": 100}, columns={"region": TOLD | {"why": "-"}})
    policy["dataset"] |= {"subject": "who"}
    policy["columns"]["who"] = {
        "role": "direct-identifier",
        "why": "joins",
        "action": {"do": "pseudonymize", "domain": "who"},
    }
    policy["approvals"] += [
        {"by": "A. Officer", "what": what, "why": "a test"}
        for what in ("column region", "gate risk.worst_class", "gate risk.unique_all_columns")
    ]
    rows = sf.run(policy, table, output=tmp_path / "out", project=tmp_path / "keys").data
    assert rows.height == 200
    assert rows["who"].n_unique() == 100


def test_the_fraction_counts_for_who_does_not_know_who_is_in_the_sample_and_for_nobody_else(
    tmp_path: Path,
) -> None:
    risks = {}
    for name, more in {
        "all": {},
        "some": {"sampling": {"share": 0.25}},
    }.items():
        (tmp_path / name).mkdir()
        found = released(tmp_path / name, [K], suppression=0.1, **more)
        risks[name] = {metric: finding(found, metric) for metric in ("risk.worst_class", "risk.journalist")}
        smallest = found.plan.anonymity.smallest_class
        # Whoever knows that a person is in the release looks among those who are in it.
        assert risks[name]["risk.worst_class"].value == 1 / smallest
    assert risks["all"]["risk.journalist"].status == "not-measured"
    some = risks["some"]["risk.journalist"]
    assert some.status == "measured"
    assert some.value < risks["some"]["risk.worst_class"].value / 2


def test_a_sample_of_a_known_population_is_a_smaller_part_of_it(tmp_path: Path) -> None:
    found = {}
    for name, more in {"all": {}, "some": {"sampling": {"share": 0.5}}}.items():
        (tmp_path / name).mkdir()
        policy = written([K], suppression=0.1, **more)
        policy["dataset"]["population"] = {"fraction": 0.5}
        done = sf.run(policy, people(), output=tmp_path / name / "out", project=tmp_path / "keys")
        found[name] = finding(done, "risk.journalist").value * done.plan.anonymity.smallest_class
    assert found["some"] < 0.8 * found["all"]


def test_who_is_not_sampled_is_the_evidence_of_people_who_are_not_there(tmp_path: Path) -> None:
    """No twin is needed, and nobody else is held out."""
    evidence = {"holdout": 0.2, "attacks": ["linkage"], "utility": []}
    found = released(tmp_path, [K], suppression=0.1, sampling={"share": 0.5}, evidence=evidence)
    assert abs(found.plan.holdout_rows - 400) < 6 * math.sqrt(200)
    assert finding(found, "linkage.success").control is not None
    (tmp_path / "more").mkdir()
    found = released(tmp_path / "more", [K], suppression=0.1, sampling={"share": 0.9}, evidence=evidence)
    assert abs(found.plan.holdout_rows - 160) < 6 * math.sqrt(128)


@pytest.mark.parametrize("asked", [{}, {"share": 0.5, "people": 3}, {"share": 1}, {"people": 0}])
def test_what_is_no_sample_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(sf.PolicyError, match=r"share|people"):
        released(tmp_path, [K], sampling=asked)


def test_a_sample_of_too_few_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sf.InputError, match="anonymity-impossible"):
        released(tmp_path, [K], sampling={"people": 4})
