"""The section on further tables: what it fills in, and what it refuses with a clear word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sfumato as sf
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import PolicyError
from sfumato.gate import BEYOND_RELATED, MADE_FLOOR, PRIVATE_FLOOR, RELATED_FLOOR, floors
from sfumato.policy.checks import measured_metrics
from sfumato.policy.load import load_policy, policy_from
from sfumato.policy.model import Policy

USE: dict[str, Any] = {"role": "quasi-identifier", "why": "use"}
TABLES: dict[str, Any] = {
    "purchases": {
        "source": {"path": "purchases.csv"},
        "key": "customer",
        "id": "number",
        "columns": {"spent": USE, "shop": USE},
    },
    "items": {"source": {"path": "items.csv"}, "key": "purchase", "of": "purchases", "columns": {"sku": USE}},
}
DP: dict[str, Any] = {
    "budget": {"epsilon": 5.0, "delta": 1e-5},
    "epsilon": 2.0,
    "delta": 1e-6,
    "size": 2000,
}


def policy(tables: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    synthesis = {"method": "copula", "why": "to train on", **changes.pop("synthesis", {})}
    told = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "people.csv"}, "subject": "id"},
        "columns": {"age": USE},
        "tables": TABLES if tables is None else tables,
        "synthesis": synthesis,
        "evidence": {"holdout": 0.4},
    }
    return told | changes


def changed(name: str, **changes: Any) -> dict[str, Any]:
    table = {key: value for key, value in (TABLES[name] | changes).items() if value is not None}
    return TABLES | {name: table}


def private(**most: int) -> dict[str, Any]:
    return {name: table | {"most": most[name]} for name, table in TABLES.items()}


def test_what_is_not_said_is_what_tables_are_measured_by() -> None:
    found = policy_from(policy())
    assert found.columns["id"].done == "keep"
    assert {name: column.done for name, column in found.decided.items()} == {
        "id": "keep",
        "age": "keep",
        "purchases.spent": "keep",
        "purchases.shop": "keep",
        "items.sku": "keep",
    }
    assert found.evidence is not None
    assert found.evidence.utility[0].name == "tables"
    assert {"relations.rows_excess", "copies.excess", "tables.across_tv"} <= measured_metrics(found)


def test_a_policy_is_the_same_when_it_comes_back_from_custody() -> None:
    found = policy_from(policy())
    written = found.model_dump(mode="json")
    back = Policy.model_validate(json.loads(canonical_json(written)))
    assert back == found
    # Kept with sorted keys, and parents first all the same.
    assert list(back.tables) == list(found.tables) == ["purchases", "items"]
    assert canonical_json(Policy.model_validate(written).model_dump(mode="json")) == canonical_json(written)


def test_the_floor_is_on_what_hangs_on_people_too(tmp_path: Path) -> None:
    assert floors(policy_from(policy())) == (*MADE_FLOOR, *RELATED_FLOOR, *BEYOND_RELATED)
    bounded = policy_from(policy(private(purchases=9, items=4), synthesis={"dp": DP, "method": "aim"}))
    assert floors(bounded) == (*PRIVATE_FLOOR, *MADE_FLOOR, *RELATED_FLOOR)
    looser = policy(gate=[{"metric": "relations.rows_excess", "at_most": 0.5}])
    with pytest.raises(PolicyError, match="asks less"):
        _refuse(looser, tmp_path)


def _refuse(written: dict[str, Any], project: Path) -> None:
    people = pl.DataFrame({"id": range(40), "age": range(40)})
    bought = pl.DataFrame({"number": range(40), "customer": range(40), "spent": 1.5, "shop": "a"})
    items = pl.DataFrame({"purchase": range(40), "sku": "b"})
    tables = {"people": people, "purchases": bought, "items": items}
    problems = sf.check(written, tables, project=project)
    if problems:
        raise PolicyError(problems)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (policy() | {"synthesis": None}, "leave only if they are made anew"),
        (policy(dataset={"name": "people", "source": {"path": "p.csv"}}), "dataset.subject"),
        (policy(columns={"id": USE | {"action": "drop"}}), "leave its action out"),
        (policy(changed("purchases", columns={"customer": USE})), "only names rows"),
        (policy(changed("purchases", id="customer")), "cannot name both"),
        (policy(changed("items", of="purchase")), "no other table with an id"),
        (policy(changed("purchases", id=None)), "no other table with an id"),
        (policy(changed("purchases", of="items") | {"items": TABLES["items"] | {"id": "n"}}), "each other"),
        (policy({"People": TABLES["purchases"]}), "two tables would be files"),
        (policy({"a/b": TABLES["purchases"]}), "pattern|match"),
        (policy(changed("items", columns={})), "every column is dropped"),
        (policy(columns={"items.sku": USE}), "stands for two columns"),
        (policy(changed("items", most=3)), "for differential privacy"),
        (policy(synthesis={"dp": DP, "method": "aim"}), "say how many rows hang on one"),
        (policy(synthesis={"text": ["note"], "method": "language-model"}), "text is for one table"),
        (policy(synthesis={"constraints": ["age >= 0"]}), "constraints is for one table"),
        (policy(synthesis={"balance": {"age": "even"}}), "balance is for one table"),
        (policy(synthesis={"method": "ngram"}), "say under history"),
        (
            policy(synthesis={"method": "ngram", "history": {"time": "age", "window": [0, 1]}}),
            "histories and images have none",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(written: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        policy_from(written)


def test_a_column_that_a_table_has_not_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        """sfumato: 1
dataset: {name: people, source: {path: people.csv}, subject: id}
columns:
  age: {role: quasi-identifier, why: use}
tables:
  purchases:
    source: {path: purchases.csv}
    key: custumer
    columns:
      spend: {role: quasi-identifier, why: use}
      shop: {role: insensitive, why: use}
synthesis: {method: copula, why: to train on}
evidence: {holdout: 0.4}
"""
    )
    pl.DataFrame({"id": range(400), "age": [20 + i % 50 for i in range(400)]}).write_csv(
        tmp_path / "people.csv"
    )
    bought = pl.DataFrame({"customer": range(400), "spent": [i / 8 for i in range(400)], "shop": "a"})
    bought.write_csv(tmp_path / "purchases.csv")
    told = [(problem.where.rsplit(":")[-1], problem.what) for problem in sf.check(path)]
    assert told == [
        ("10", 'column "spend" is not a column of the source of purchases'),
        ("8", 'key "custumer" is not a column of the source of purchases'),
    ]
    path.write_text(
        path.read_text()
        .replace("custumer", "customer")
        .replace("spend: {role: quasi-identifier", "spent: {role: insensitive")
    )
    (problem,) = sf.check(path)
    assert problem.where.endswith(":10")
    assert '"purchases.spent" is called insensitive' in problem.what
    approved = path.read_text() + "approvals: [{by: A. Person, what: column purchases.spent, why: agreed}]\n"
    path.write_text(approved)
    assert not sf.check(path)
    assert load_policy(path).policy.approved("column purchases.spent")


def test_a_typo_in_a_table_is_told_with_the_nearest_key() -> None:
    with pytest.raises(PolicyError, match='did you mean "columns"'):
        policy_from(policy({"purchases": {"source": {"path": "p.csv"}, "key": "c", "colums": {"a": USE}}}))
