"""How a release could leak, what it is still good for, and for whom it got worse: one probe a file."""

from typing import Any

from sfumato.core.errors import InputError
from sfumato.core.registry import Registry

ATTACKS = Registry(
    "attack",
    {
        "uniqueness": "sfumato.evidence.attacks.uniqueness:Uniqueness",
        "linkage": "sfumato.evidence.attacks.linkage:Linkage",
    },
)

UTILITY = Registry(
    "utility measure",
    {
        "distributions": "sfumato.evidence.utility.distributions:Distributions",
        "correlations": "sfumato.evidence.utility.correlations:Correlations",
        "learning": "sfumato.evidence.utility.learning:Learning",
    },
)

FAIRNESS = Registry(
    "fairness measure",
    {
        "fairness": "sfumato.evidence.fairness:Fairness",
    },
)

TABLES = (ATTACKS, UTILITY, FAIRNESS)


def probe(name: str) -> Any:
    """The probe class behind a name, in whichever table it stands.

    Raises:
        InputError: ``unknown-name``, with the nearest known name of all three tables.
    """
    for table in TABLES:
        if name in tuple(table):
            return table.resolve(name)
    if ":" not in name:
        return Registry("probe", {known: "" for table in TABLES for known in table}).resolve(name)
    for table in TABLES[:-1]:
        try:
            return table.resolve(name)
        except InputError:
            continue
    return TABLES[-1].resolve(name)
