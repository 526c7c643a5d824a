"""Which columns an attacker knows: the inventory decides, and a policy cannot talk it round."""

from __future__ import annotations

import polars as pl
import pytest

from evidence_support import compare, profile, step
from sfumato.core.values import Role
from sfumato.evidence.columns import attack_columns, direct_identifiers, factual_columns, pseudonyms

DIRECT, QUASI, PLAIN = Role.DIRECT_IDENTIFIER, Role.QUASI_IDENTIFIER, Role.INSENSITIVE
FRAME = pl.DataFrame({"a": [1, 2], "b": [3, 4]})


def known(found: Role, steps: list = (), **more: object) -> bool:
    comparison = compare(
        FRAME, profiles={"a": profile("a", found), "b": profile("b", PLAIN)}, steps=steps, **more
    )
    assert "b" not in attack_columns(comparison)
    return "a" in attack_columns(comparison)


@pytest.mark.parametrize(
    ("found", "decided", "expected"),
    [
        (QUASI, {"role": QUASI}, True),
        (QUASI, {"role": PLAIN}, True),
        (QUASI, {"role": PLAIN, "approved": True}, False),
        (PLAIN, {"role": QUASI}, True),
        (PLAIN, {"role": PLAIN}, False),
        (DIRECT, {"role": PLAIN}, True),
        (DIRECT, {"role": DIRECT, "action": "keep"}, True),
        (DIRECT, {"role": DIRECT, "action": "mask"}, True),
        (DIRECT, {"role": DIRECT, "action": "pseudonymize"}, False),
        (QUASI, {"role": DIRECT, "action": "pseudonymize"}, True),
        (QUASI, {"role": DIRECT, "action": "pseudonymize", "approved": True}, False),
        (PLAIN, {"role": DIRECT, "action": "pseudonymize"}, False),
        (QUASI, {"role": PLAIN, "sensitive": True}, False),
        (QUASI, {"role": PLAIN, "sensitive": True, "known_to": ("neighbour",)}, True),
        (PLAIN, {"role": PLAIN, "sensitive": True, "known_to": ("neighbour",)}, True),
        (PLAIN, {"role": QUASI, "sensitive": True}, True),
    ],
)
def test_who_knows_a_column(found: Role, decided: dict, expected: bool) -> None:
    assert known(found, [step("a", **decided)]) is expected


def test_without_a_step_the_inventory_decides() -> None:
    assert known(QUASI)
    assert not known(PLAIN)


def test_a_column_the_inventory_never_saw_is_known() -> None:
    comparison = compare(FRAME)
    seen = comparison.inventory.model_copy(update={"columns": (profile("b", PLAIN),)})
    assert attack_columns(compare(FRAME).__class__(**{**comparison.__dict__, "inventory": seen})) == ("a",)


def test_what_an_attacker_of_the_context_knows_is_known() -> None:
    context = {"attackers": [{"knows": ["a"], "motive": "curiosity"}, {"knows": ["not released"]}]}
    assert known(PLAIN, [step("a", PLAIN, sensitive=True)], context=context)


def test_a_pseudonym_is_not_known_even_if_named() -> None:
    context = {"attackers": [{"knows": ["a"]}]}
    assert not known(DIRECT, [step("a", DIRECT, action="pseudonymize")], context=context)


def test_columns_that_do_not_leave_are_not_attacked() -> None:
    comparison = compare(FRAME, released=FRAME.select("b"))
    assert attack_columns(comparison) == ("b",)


def test_the_all_knowing_attacker_knows_everything_but_pseudonyms() -> None:
    comparison = compare(
        FRAME, profiles={"a": profile("a", DIRECT)}, steps=[step("a", DIRECT, action="pseudonymize")]
    )
    assert pseudonyms(comparison) == ("a",)
    assert factual_columns(comparison) == ("b",)
    assert direct_identifiers(comparison) == {"a"}
