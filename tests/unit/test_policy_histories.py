"""The section on histories: what it fills in, and what it refuses with a clear word."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import sfumato as sf
from histories_support import shoppers
from sfumato.contracts import PERSON
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import PolicyError
from sfumato.gate import BEYOND_FLOOR, MADE_FLOOR, PRIVATE_FLOOR, RETOLD_FLOOR, floors
from sfumato.policy.checks import measured_metrics
from sfumato.policy.load import policy_from
from sfumato.policy.model import Policy

HISTORY: dict[str, Any] = {
    "time": "day",
    "items": "sku",
    "amounts": ["spend"],
    "statics": ["home"],
    "window": ["2025-01-01", "2025-12-31"],
}
DP: dict[str, Any] = {
    "budget": {"epsilon": 5.0, "delta": 1e-5},
    "epsilon": 2.0,
    "delta": 1e-6,
    "size": 2000,
    "bounds": {"spend": [0, 60]},
    "categories": {"sku": [f"sku {i}" for i in range(8)], "home": ["north", "south"]},
}


PARTS = ("day", "sku", "spend", "home")


def policy(history: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    synthesis: dict[str, Any] = {
        "method": "ngram",
        "history": HISTORY | (history or {}),
        "why": "to try models on",
        **changes.pop("synthesis", {}),
    }
    told = {
        "sfumato": 1,
        "dataset": {"name": "shop", "source": {"path": "log.csv"}, "subject": "customer"},
        "columns": {name: {"role": "quasi-identifier", "why": "use"} for name in PARTS},
        "synthesis": {name: value for name, value in synthesis.items() if value is not None},
        "evidence": {"holdout": 0.4},
    }  # fmt: skip
    return told | changes


def without(section: str, *names: str) -> dict[str, Any]:
    told = policy()
    return told | {section: {name: value for name, value in told[section].items() if name not in names}}


def test_what_is_not_said_is_what_histories_are_measured_by() -> None:
    found = policy_from(policy())
    assert found.columns["customer"].done == "keep"
    assert found.evidence is not None
    assert [part.name for part in found.evidence.utility] == ["histories", "distributions", "learning"]
    assert {"retelling.excess", "copies.excess", "histories.length_ks"} <= measured_metrics(found)
    asked = found.synthesis
    assert asked is not None
    assert asked.by == "ngram"
    by_default = (
        policy(synthesis={"method": None}),
        policy({"longest": 9}, synthesis={"method": None, "dp": DP}),
    )
    assert [policy_from(one).synthesis.by for one in by_default] == ["events", "ngram"]  # type: ignore[union-attr]


def test_a_policy_is_the_same_when_it_comes_back_from_custody() -> None:
    import datetime as dt

    window = [dt.date(2025, 1, 1), dt.datetime(2025, 12, 31, 0, 0)]
    found = policy_from(policy({"window": window}))
    written = found.model_dump(mode="json")
    assert Policy.model_validate(written) == found
    assert canonical_json(Policy.model_validate(written).model_dump(mode="json")) == canonical_json(written)


def test_the_floor_is_on_retellings_too_and_no_policy_goes_below() -> None:
    assert floors(policy_from(policy())) == (*MADE_FLOOR, *RETOLD_FLOOR, *BEYOND_FLOOR)
    private = policy_from(policy({"longest": 9}, synthesis={"dp": DP}))
    assert floors(private) == (*PRIVATE_FLOOR, *MADE_FLOOR, *RETOLD_FLOOR)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no subject": (without("dataset", "subject"), "name under dataset.subject"),
    "a synthesizer of rows": (policy(synthesis={"method": "copula"}), "copula makes rows"),
    "histories without the section": (policy(synthesis={"history": None}), "ngram makes histories"),
    "so many rows": (policy(synthesis={"rows": 5}), "history.people says how many"),
    "constraints": (policy(synthesis={"constraints": ["spend > 0"]}), "for single rows"),
    "balance": (policy(synthesis={"balance": {"home": "even"}}), "for single rows"),
    "a target": (
        policy(dataset={"name": "a", "source": {"path": "a.csv"}, "subject": "customer", "target": "sku"}),
        "it is foretold who comes again",
    ),
    "named twice": (policy({"items": ["sku", "spend"]}), '"spend" is named twice'),
    "the subject as an item": (policy({"items": ["sku", "customer"]}), "says whose an event is"),
    "a dropped part": (without("columns", "sku"), '"sku" is part of the history and does not leave'),
    "a column with no place": (policy({"statics": []}), '"home" leaves and is no part of the history'),
    "the subject dropped": (
        policy(columns=policy()["columns"] | {
            "customer": {"role": "direct-identifier", "action": "drop", "why": "x"},
        }),
        "leave its action out",
    ),
    "no window": (policy({"window": None}), "window"),
    "half a window of dates": (policy({"window": ["2025-01-01", 5]}), "both ends are dates"),
    "the longest without noise": (policy({"longest": 5}), "is for differential privacy"),
    "nothing declared": (policy(synthesis={"dp": DP}), "history.longest and dp.size"),
    "no bounds": (policy({"longest": 5}, synthesis={"dp": DP | {"bounds": {}}}), 'the bounds of "spend"'),
    "no values": (
        policy({"longest": 5}, synthesis={"dp": DP | {"categories": {"home": ["north"]}}}),
        'declare the values of "sku"',
    ),
    "no values of the person": (
        policy({"longest": 5}, synthesis={"dp": DP | {"categories": {"sku": ["sku 1"]}}}),
        'declare "home"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_is_refused_with_a_clear_word(kind: str) -> None:
    written, words = WRONG[kind]
    with pytest.raises(PolicyError) as caught:
        policy_from(written)
    assert words in str(caught.value)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return shoppers(60, 0).with_columns(pl.format("c-{}", PERSON).alias("customer")).drop(PERSON)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ({"time": "when"}, 'history "when" is not a column'),
        ({"items": ["article"]}, 'history "article" is not a column'),
        ({"time": "sku", "items": ["day"]}, '"sku" is text, and times are dates'),
        ({"items": [], "amounts": ["spend", "sku"]}, '"sku" is text, and amounts are numbers'),
        ({"window": [0, 364]}, "write two dates"),
        ({"window": ["2025-12-31", "2025-01-01"]}, "the earlier first"),
        ({"window": ["January", "December"]}, "write two dates"),
        ({"time": "spend", "amounts": [], "items": ["sku", "day"]}, "two numbers for numbers"),
    ],
)
def test_what_does_not_fit_the_log_is_told_with_its_place(
    history: dict[str, Any], words: str, log: pl.DataFrame
) -> None:
    written = policy(history)
    named = HISTORY | {"items": ["sku"]} | history
    written["synthesis"]["history"] = named
    parts = {named["time"], *named["items"], *named["amounts"], *named["statics"]}
    written["columns"] = {name: {"role": "quasi-identifier", "why": "use"} for name in sorted(parts)}
    with pytest.raises(PolicyError) as caught:
        sf.plan(written, log)
    assert words in str(caught.value)
