"""Several rows a person: k people, not k rows, from the policy to the rows as written."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf

pytestmark = pytest.mark.usefixtures("bare_documents")

QUASI: dict[str, Any] = {"role": "quasi-identifier", "why": "neighbours know it"}
BANDS: dict[str, Any] = QUASI | {
    "hierarchy": {"kind": "intervals", "widths": [5, 10, 20, 40], "from": 20, "to": 60}
}
TOLD: dict[str, Any] = {"role": "insensitive", "sensitive": True, "why": "told in confidence"}
WHO: dict[str, Any] = {"role": "direct-identifier", "why": "the customer's number"}
LINKED = WHO | {"action": {"do": "pseudonymize", "domain": "customers"}}
APART = WHO | {"action": {"do": "pseudonymize", "domain": "customers", "each": "row"}}
K = 4
PROMISE = {"models": [{"model": "k-anonymity", "k": K}], "suppression": 0.3}
#: The floor asks for five; a named person answers for four.
FOUR = {
    "gate": [{"metric": "risk.worst_class", "at_most": 0.25, "least_n": 1}],
    "approvals": [
        {"by": "A. Officer", "what": "gate risk.worst_class", "why": "for the test"},
        {"by": "A. Officer", "what": "column reason", "why": "nobody else knows it"},
    ],
}


def loans(customers: int = 600) -> pl.DataFrame:
    """One to four loans of each customer; the town hardly changes, the age does."""
    draw = np.random.default_rng(11)
    each = draw.choice([1, 2, 4], customers, p=[0.5, 0.3, 0.2])
    who = np.repeat(np.arange(customers), each)
    first = np.repeat(draw.integers(20, 55, customers), each)
    town = np.repeat(draw.choice(["north", "east", "west"], customers, p=[0.5, 0.3, 0.2]), each)
    return pl.DataFrame(
        {
            "customer": [f"C{number:05d}" for number in who],
            "age": np.minimum(first + draw.integers(0, 3, len(who)), 59),
            "town": town,
            "reason": draw.choice(["car", "house", "other"], len(who)),
        }
    )


def policy(who: dict[str, Any] = WHO, anonymity: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "sfumato": 1,
        "dataset": {"name": "loans", "source": {"path": "loans.csv"}, "subject": "customer"},
        "columns": {"customer": who, "age": BANDS, "town": QUASI, "reason": TOLD},
        **({"anonymity": anonymity} if anonymity is not None else {"anonymity": PROMISE}),
        **FOUR,
        **more,
    }


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def running(written: dict[str, Any], table: pl.DataFrame | None = None) -> Any:
        rows = loans() if table is None else table
        return sf.run(written, rows, output=tmp_path / "out", project=tmp_path / "keys")

    return running


def relabelled(tmp_path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The source in the release's labels, by the mapping that custody keeps."""
    mapping = sf.mapping(tmp_path / "out", project=tmp_path / "keys")
    for (column,), pairs in mapping.group_by("column"):
        labels = dict(zip(pairs["value"], pairs["label"], strict=True))
        rows = rows.with_columns(pl.col(str(column)).cast(pl.String).replace_strict(labels))
    return rows


def test_a_class_has_k_people_where_rows_are_not_linked(run: Callable[..., Any], tmp_path: Path) -> None:
    found = run(policy())
    assert found.passed, found.decision
    assert "customer" not in found.data.columns
    labels = relabelled(tmp_path, loans()).with_columns(pl.col("age", "town").cast(pl.String))
    people = labels.group_by("age", "town").agg(pl.col("customer").n_unique().alias("people"), pl.len())
    left = found.data.with_columns(pl.col("age").cast(pl.String)).group_by("age", "town").len("left")
    both = left.join(people, on=["age", "town"], how="left")
    assert (both["left"] == both["len"]).all()
    assert both["people"].min() >= K
    assert found.plan.anonymity.smallest_class == both["people"].min()
    (worst,) = [f for f in found.findings if f.metric == "risk.worst_class"]
    assert worst.value == pytest.approx(1 / both["people"].min())
    # Rows would have been taken for people: some class that went has as many rows as are asked for.
    gone = people.join(left, on=["age", "town"], how="anti")
    assert gone.filter(pl.col("people") >= K).is_empty()


def wholes(rows: pl.DataFrame) -> Counter[Any]:
    """How many people have each whole set of rows, by dictionaries over what left."""
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    for who, age, town in rows.select("customer", "age", "town").iter_rows():
        found[who][(age, town)] += 1
    return Counter(frozenset(whole.items()) for whole in found.values())


@pytest.mark.parametrize("measure", ["loss", "entropy", "discernibility", "ambiguity"])
def test_k_people_share_all_of_their_rows_where_these_are_linked(
    run: Callable[..., Any], measure: str
) -> None:
    found = run(policy(LINKED, PROMISE | {"measure": measure, "suppression": 0.5}))
    assert found.passed, found.decision
    sizes = wholes(found.data)
    assert min(sizes.values()) >= K
    assert found.plan.anonymity.smallest_class == min(sizes.values())
    assert found.plan.anonymity.classes == len(sizes)
    # A person leaves wholly or not at all.
    source = Counter(loans().group_by("customer").len()["len"].to_list())
    left = Counter(found.data.group_by("customer").len()["len"].to_list())
    assert all(left[rows] <= source[rows] for rows in left)
    assert found.data.height == found.plan.anonymity.rows - found.plan.anonymity.suppressed_rows
    (worst,) = [f for f in found.findings if f.metric == "risk.worst_class"]
    assert worst.value == pytest.approx(1 / min(sizes.values()))
    assert "all of a person's rows" in worst.assumes


def test_each_row_may_have_a_pseudonym_of_its_own(run: Callable[..., Any]) -> None:
    apart = run(policy(APART))
    assert apart.passed
    assert apart.data["customer"].n_unique() == apart.data.height
    assert apart.data["customer"].null_count() == 0
    assert apart.plan.anonymity.levels == run(policy()).plan.anonymity.levels


def test_people_of_unlinked_rows_are_counted_without_a_recoding_too(run: Callable[..., Any]) -> None:
    """Fifty people with six rows of their own age each: everybody is alone in their class."""
    rows = pl.DataFrame({"customer": np.repeat(np.arange(50), 6), "age": np.repeat(np.arange(50), 6)})
    kept = {"customer": WHO, "age": QUASI | {"action": {"do": "keep"}}}
    written = policy() | {"columns": kept}
    del written["anonymity"], written["approvals"], written["gate"]
    found = run(written, rows)
    assert not found.passed
    (worst,) = [f for f in found.findings if f.metric == "risk.worst_class"]
    assert worst.value == 1


def test_evidence_rests_on_people(run: Callable[..., Any]) -> None:
    found = run(policy(evidence={"holdout": 0.2, "attacks": ["linkage"], "utility": ["distributions"]}))
    assert found.passed, found.decision
    (linkage,) = [f for f in found.findings if (f.metric, f.target) == ("linkage.success", "release")]
    assert linkage.n <= 600 * 0.9
    assert linkage.status == "measured"


DIVERSE = {
    "models": [*PROMISE["models"], {"model": "l-diversity", "on": "reason", "l": 2}],
    "suppression": 0.5,
}
SPREAD = {
    "models": [*PROMISE["models"], {"model": "alpha-k", "on": "reason", "alpha": 0.9, "k": K}],
    "suppression": 0.6,
}


def test_diversity_says_nothing_of_linked_rows(run: Callable[..., Any]) -> None:
    with pytest.raises(sf.InputError, match=r"everybody in it has.*subject-rows"):
        run(policy(LINKED, DIVERSE))
    assert run(policy(WHO, DIVERSE)).passed


def test_no_value_is_had_by_nearly_everybody_of_a_linked_class(run: Callable[..., Any]) -> None:
    found = run(policy(LINKED, SPREAD))
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
        assert max(had.values()) <= 0.9 * len(people) + 1e-9


def test_a_pseudonym_that_links_some_rows_only_is_refused(run: Callable[..., Any]) -> None:
    rows = loans().with_columns((pl.int_range(pl.len()) // 2).cast(pl.String).alias("account"))
    account = LINKED | {"why": "an account"}
    written = policy()
    written["columns"] = written["columns"] | {"account": account}
    with pytest.raises(sf.InputError, match=r"column account.*subject-rows"):
        run(written, rows)


def test_a_pseudonym_of_the_row_links_nothing(run: Callable[..., Any]) -> None:
    rows = loans().with_columns(pl.int_range(pl.len()).cast(pl.String).alias("contract"))
    written = policy()
    written["columns"] = written["columns"] | {"contract": LINKED | {"why": "a contract"}}
    assert run(written, rows).passed


def test_one_row_each_is_no_other_case(run: Callable[..., Any]) -> None:
    rows = loans().unique("customer", keep="first", maintain_order=True)
    found = run(policy(LINKED, PROMISE | {"method": "partition"}), rows)
    assert found.passed


def test_data_as_they_are_are_checked_by_people() -> None:
    """Four loans of one customer look like a class of four."""
    rows = pl.DataFrame(
        {"who": ["a"] * 4 + ["b", "c"], "town": ["n"] * 4 + ["s"] * 2, "ill": ["flu"] * 5 + ["cold"]}
    )
    assert sf.risk(rows, ["town"], ["ill"]).k == 2
    by_people = sf.risk(rows, ["town"], ["ill"], subject="who")
    assert (by_people.k, by_people.people, by_people.sample_unique) == (1, 3, pytest.approx(1 / 3))
    # Half of the people in the south have a cold, a third of all.
    assert by_people.exposures[0].t_equal == pytest.approx(1 / 3)
    once = rows.vstack(pl.DataFrame({"who": ["d"], "town": ["n"], "ill": ["flu"]}))
    assert sf.risk(once, ["town"], subject="who").k == 2
    assert sf.risk(once, ["town"], subject="who", linked=True).k == 1


def test_the_command_checks_people(ask: Any, tmp_path: Path) -> None:
    loans().write_csv(tmp_path / "loans.csv")
    plain = ask("risk", "loans.csv", "--quasi", "town", "--json", cwd=tmp_path)
    people = ask("risk", "loans.csv", "--quasi", "town", "--subject", "customer", "--json", cwd=tmp_path)
    linked = ask(
        "risk", "loans.csv", "--quasi", "town", "--subject", "customer", "--linked", "--json", cwd=tmp_path
    )
    found = [json.loads(answer.out) for answer in (plain, people, linked)]
    assert found[0]["people"] == loans().height
    assert found[1]["people"] == found[2]["people"] == 600
    assert found[1]["classes"] == 3 < found[2]["classes"]
