"""Checks of a policy against its source: what only a look at the data can tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sfumato.core.errors import Problem
from sfumato.core.values import Inventory
from sfumato.inventory import take_inventory
from sfumato.policy.checks import check_policy, measured_metrics, undecided, unknown_columns
from sfumato.policy.load import LoadedPolicy, policy_from
from sfumato.policy.model import Policy

TABLE = pl.DataFrame(
    {
        "mail": [f"p{i}@example.org" for i in range(120)],
        "age": [20 + i % 60 for i in range(120)],
        "born": pl.Series([f"19{50 + i % 40}-0{1 + i % 9}-1{i % 9}" for i in range(120)]).str.to_date(),
        "married": [i % 2 for i in range(120)],
        "nothing": pl.Series([None] * 120, dtype=pl.String),
    }
)
DROP = {"role": "direct-identifier", "why": "x"}
QUASI = {"role": "quasi-identifier", "why": "x"}
COLUMNS: dict[str, Any] = {
    "mail": DROP,
    "age": {**QUASI, "hierarchy": {"kind": "intervals", "widths": [10]}},
    "born": {**QUASI, "action": {"do": "truncate-date", "to": "year"}},
    "married": QUASI,
    "nothing": {"role": "insensitive", "why": "x"},
}


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return take_inventory(TABLE, target="married")


def policy(columns: Mapping[str, Any] | None = None, **sections: Any) -> Policy:
    written = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "people.csv"}},
        "columns": {**COLUMNS, **(columns or {})},
        "anonymity": {"models": [{"model": "k-anonymity", "k": 5}]},
        **sections,
    }
    return policy_from({name: section for name, section in written.items() if section is not None})


def problems(
    inventory: Inventory, columns: Mapping[str, Any] | None = None, **sections: Any
) -> list[Problem]:
    loaded = LoadedPolicy(policy(columns, **sections), Path("policy.yaml"), {})
    return list(check_policy(loaded, TABLE.columns, inventory))


def test_a_policy_that_fits_has_no_problems(inventory: Inventory) -> None:
    assert problems(inventory) == []


def test_columns_that_nobody_decided_about() -> None:
    assert undecided(policy(), [*TABLE.columns, "new"]) == ("new",)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"dataset": {"name": "p", "source": {"path": "p.csv"}, "target": "maried"}}, 'target "maried"'),
        ({"dataset": {"name": "p", "source": {"path": "p.csv"}, "subject": "mial"}}, 'subject "mial"'),
        ({"dataset": {"name": "p", "source": {"path": "p.csv"}, "key": "mial"}}, 'key "mial"'),
        ({"context": {"attackers": [{"knows": ["age", "bron"]}]}}, 'attackers.knows "bron"'),
        ({"evidence": {"fairness": {"groups": ["maried"]}}}, 'fairness.groups "maried"'),
    ],
)
def test_names_of_no_column_get_the_nearest_one(section: dict[str, Any], named: str) -> None:
    loaded = LoadedPolicy(policy(**section), Path("policy.yaml"), {})
    (problem,) = unknown_columns(loaded, TABLE.columns)
    assert problem.what == f"{named} is not a column of the source"
    assert problem.remedy.startswith("did you mean")


def test_a_column_that_the_source_has_not(inventory: Inventory) -> None:
    (problem,) = problems(inventory, {"aeg": QUASI})
    assert (problem.what, problem.remedy) == (
        'column "aeg" is not a column of the source',
        'did you mean "age"?',
    )


def test_a_hint_does_not_list_hundreds_of_columns() -> None:
    loaded = LoadedPolicy(policy({"zzz": QUASI}), Path("policy.yaml"), {})
    (problem,) = unknown_columns(loaded, [*COLUMNS, *(f"c{i}" for i in range(300))])
    assert problem.remedy.endswith("and 285 more")


def test_an_identifying_column_called_insensitive_takes_a_name(inventory: Inventory) -> None:
    laxer = {"age": {"role": "insensitive", "why": "x"}}
    (problem,) = problems(inventory, laxer)
    assert "called insensitive, and the inventory finds it a quasi-identifier" in problem.what
    approval = {"by": "R. Quist", "what": "column age", "why": "x"}
    assert problems(inventory, laxer, approvals=[approval]) == []
    assert problems(inventory, laxer, approvals=[{**approval, "what": "gate age"}]) == [problem]
    assert problems(inventory, {"age": {**laxer["age"], "action": "drop"}}) == []


def test_a_stricter_role_than_the_inventorys_is_nobodys_business(inventory: Inventory) -> None:
    assert problems(inventory, {"nothing": QUASI, "age": {**DROP, "action": "drop"}}) == []


def test_a_direct_identifier_that_would_leave_as_it_is(inventory: Inventory) -> None:
    kept = {"mail": {**DROP, "action": "keep"}}
    (problem,) = problems(inventory, kept)
    assert "would leave as it is" in problem.what
    assert problems(inventory, kept, approvals=[{"by": "x", "what": "column mail", "why": "x"}]) == []
    assert problems(inventory, {"mail": {**DROP, "action": {"do": "pseudonymize", "domain": "d"}}}) == []


@pytest.mark.parametrize(
    ("name", "action", "words"),
    [
        ("age", {"do": "truncate-date", "to": "year"}, 'age: the action "truncate-date" needs dates'),
        ("mail", {"do": "round", "to": 5}, 'mail: the action "round" needs numbers'),
        ("born", {"do": "top-bottom-code", "top": 5}, "needs numbers"),
        ("nothing", {"do": "round", "to": 5}, "needs numbers"),
    ],
)
def test_actions_that_a_columns_type_does_not_take(
    inventory: Inventory, name: str, action: dict[str, Any], words: str
) -> None:
    column = {key: part for key, part in COLUMNS[name].items() if key != "hierarchy"}
    found = problems(inventory, {name: {**column, "action": action}})
    assert words in found[0].what
    assert found[0].remedy


def test_levels_must_be_chosen_by_somebody_and_be_there(inventory: Inventory) -> None:
    fixed = {
        "age": {**COLUMNS["age"], "action": {"do": "generalize", "level": 2}},
        "married": {**QUASI, "action": {"do": "generalize", "level": 1}},
    }
    assert problems(inventory, fixed, anonymity=None) == []
    (problem,) = problems(inventory, {"married": fixed["married"]}, anonymity=None)
    assert "no anonymity section chooses one" in problem.what
    for name, height in (("age", 3), ("married", 2)):
        too_high = {**fixed[name], "action": {"do": "generalize", "level": height}}
        (problem,) = problems(inventory, {**fixed, name: too_high}, anonymity=None)
        assert f"has levels 0 to {height - 1}" in problem.what


def test_a_hierarchy_that_cannot_be_built(inventory: Inventory) -> None:
    (problem,) = problems(inventory, {"married": {**QUASI, "hierarchy": {"kind": "file", "path": "no.csv"}}})
    assert problem.what.startswith("hierarchy file no.csv: it cannot be read")


def test_a_model_s_hierarchy_that_cannot_be_built(inventory: Inventory) -> None:
    tree = {"distance": "hierarchical", "hierarchy": {"kind": "file", "path": "no.csv"}}
    models = [{"model": "t-closeness", "on": "ill", "t": 0.2, **tree}]
    found = [problem.what for problem in problems(inventory, anonymity={"models": models})]
    assert any(what.startswith("hierarchy file no.csv: it cannot be read") for what in found)


def test_an_anonymity_section_with_nothing_to_be_anonymous_on(inventory: Inventory) -> None:
    columns = {name: {**DROP, "action": "drop"} for name in ("age", "born", "married")}
    (problem,) = problems(inventory, columns)
    assert "nothing to be anonymous on" in problem.what


def test_thresholds_on_what_is_measured(inventory: Inventory) -> None:
    threshold = {"metric": "linkage.exces", "at_most": 0.1}
    (problem,) = problems(inventory, gate=[threshold])
    assert 'reports "linkage.exces"' in problem.what
    asked = {"attacks": ["linkage"], "utility": []}
    (problem,) = problems(inventory, gate=[threshold], evidence=asked)
    assert problem.remedy == 'did you mean "linkage.excess"?'
    assert problems(inventory, gate=[{**threshold, "metric": "linkage.excess"}], evidence=asked) == []
    assert "risk.worst_class" in measured_metrics(policy())
    assert not any(metric.startswith("linkage.") for metric in measured_metrics(policy()))


def test_nothing_is_learned_of_a_target_that_does_not_leave(inventory: Inventory) -> None:
    dataset = {"name": "p", "source": {"path": "p.csv"}, "target": "married"}
    evidence = {"utility": ["learning"]}
    dropped = {"married": {**QUASI, "action": "drop"}}
    found = problems(inventory, dropped, dataset=dataset, evidence=evidence)
    assert [problem.what for problem in found if "does not leave" in problem.what]
    assert problems(inventory, dataset=dataset, evidence=evidence) == []
