"""Which released columns an attacker knows of a person, and which are only keyed stand-ins.

The choice rests on the inventory and the released table, so that a policy cannot call a column
harmless and thereby leave it out of the attack; it takes a named approval to do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sfumato.contracts import Comparison
from sfumato.core.values import Inventory, Role, Step

#: The action whose output nobody outside can compute from what they know of a person.
PSEUDONYMIZE = "pseudonymize"


def attack_columns(comparison: Comparison) -> tuple[str, ...]:
    """The released columns that an attacker may know, in the release's order.

    A column is known if the inventory or the plan finds it identifying, if an attacker of the policy's
    context knows it, or if it is sensitive and the plan says who knows it. A sensitive column that the
    plan itself does not call identifying is otherwise unknown. Where a named person approved the
    policy's role, that role stands instead of the inventory's. Pseudonyms of direct identifiers are
    never known; a direct identifier released in any other way is.
    """
    return known_columns(
        comparison.released.columns, comparison.inventory, comparison.plan.steps, comparison.context
    )


def known_columns(
    released: Sequence[str],
    inventory: Inventory,
    steps: Sequence[Step],
    context: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """:func:`attack_columns` before there is a release: what a recoding has to protect.

    Args:
        released: the columns that leave, in their order.
    """
    by_name = {step.column: step for step in steps}
    named = _named_by_attackers(context)
    return tuple(
        column
        for column in released
        if not _is_pseudonym(column, by_name.get(column), inventory)
        and (column in named or _is_known(column, by_name.get(column), inventory))
    )


def pseudonyms(comparison: Comparison) -> tuple[str, ...]:
    """The released columns that are pseudonyms of direct identifiers.

    A quasi-identifier is no less identifying under a pseudonym: a keyed name for each of nine regions
    is a region. So the inventory's word counts for what it finds identifying, unless approved.
    """
    return tuple(
        column
        for column in comparison.released.columns
        if _is_pseudonym(column, _step(comparison, column), comparison.inventory)
    )


def _is_pseudonym(column: str, step: Step | None, inventory: Inventory) -> bool:
    if step is None or step.action != PSEUDONYMIZE:
        return False
    role = _inventory_role(inventory, column)
    if step.approved or role is Role.INSENSITIVE:
        role = step.role
    return role is Role.DIRECT_IDENTIFIER


def factual_columns(comparison: Comparison) -> tuple[str, ...]:
    """Every released column that says something of a person: all but pseudonyms."""
    hidden = pseudonyms(comparison)
    return tuple(column for column in comparison.released.columns if column not in hidden)


def secret_columns(comparison: Comparison) -> tuple[str, ...]:
    """Released columns that the inventory or the plan calls sensitive, else the target."""
    sensitive = {profile.name for profile in comparison.inventory.columns if profile.sensitive}
    sensitive |= {step.column for step in comparison.plan.steps if step.sensitive}
    facts = factual_columns(comparison)
    found = tuple(name for name in facts if name in sensitive)
    return found or tuple(name for name in facts if name == comparison.inventory.target)


def direct_identifiers(comparison: Comparison) -> frozenset[str]:
    """Columns of the original that the inventory or the plan calls direct identifiers."""
    names = {column for column in comparison.original.columns if _is_direct(comparison, column)}
    return frozenset(names)


def _is_direct(comparison: Comparison, column: str) -> bool:
    step = _step(comparison, column)
    if step is not None and (step.approved or step.role is Role.DIRECT_IDENTIFIER):
        return step.role is Role.DIRECT_IDENTIFIER
    return _inventory_role(comparison.inventory, column) is Role.DIRECT_IDENTIFIER


def _is_known(column: str, step: Step | None, inventory: Inventory) -> bool:
    found = _inventory_role(inventory, column) is not Role.INSENSITIVE
    if step is None:
        return found
    if step.role is not Role.INSENSITIVE or step.known_to:
        return True
    return found and not step.sensitive and not step.approved


def _named_by_attackers(context: Mapping[str, Any] | None) -> frozenset[str]:
    attackers = (context or {}).get("attackers") or ()
    return frozenset(str(column) for attacker in attackers for column in attacker.get("knows", ()))


def _step(comparison: Comparison, column: str) -> Step | None:
    try:
        return comparison.plan.step(column)
    except KeyError:
        return None


def _inventory_role(inventory: Inventory, column: str) -> Role:
    """The inventory's role; a column that the inventory never saw counts as identifying."""
    try:
        return inventory.column(column).role
    except KeyError:
        return Role.QUASI_IDENTIFIER
