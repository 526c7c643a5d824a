"""How a release could leak, what it is still good for, and for whom it got worse: one probe a file."""

from typing import Any

from sfumato.core.errors import InputError
from sfumato.core.registry import Registry

ATTACKS = Registry(
    "attack",
    {
        "uniqueness": "sfumato.evidence.attacks.uniqueness:Uniqueness",
        "suda": "sfumato.evidence.attacks.suda:Suda",
        "trajectory": "sfumato.evidence.attacks.trajectory:Trajectory",
        "unicity": "sfumato.evidence.attacks.unicity:Unicity",
        "linkage": "sfumato.evidence.attacks.linkage:Linkage",
        "singling-out": "sfumato.evidence.attacks.singling_out:SinglingOut",
        "linkability": "sfumato.evidence.attacks.linkability:Linkability",
        "attribute-inference": "sfumato.evidence.attacks.attribute_inference:AttributeInference",
        "membership": "sfumato.evidence.attacks.membership:Membership",
        "shadow-membership": "sfumato.evidence.attacks.shadow_membership:ShadowMembership",
        "definetti": "sfumato.evidence.attacks.definetti:Definetti",
        "downcoding": "sfumato.evidence.attacks.downcoding:Downcoding",
        "minimality": "sfumato.evidence.attacks.minimality:Minimality",
        "copies": "sfumato.evidence.attacks.copies:Copies",
        "retelling": "sfumato.evidence.attacks.retelling:Retelling",
        "relations": "sfumato.evidence.attacks.relations:Relations",
        "outliers": "sfumato.evidence.attacks.outliers:Outliers",
    },
)

UTILITY = Registry(
    "utility measure",
    {
        "distributions": "sfumato.evidence.utility.distributions:Distributions",
        "correlations": "sfumato.evidence.utility.correlations:Correlations",
        "marginals": "sfumato.evidence.utility.marginals:Marginals",
        "tails": "sfumato.evidence.utility.tails:Tails",
        "propensity": "sfumato.evidence.utility.propensity:Propensity",
        "regression": "sfumato.evidence.utility.regression:Regression",
        "findings": "sfumato.evidence.utility.findings:Findings",
        "learning": "sfumato.evidence.utility.learning:Learning",
        "plausibility": "sfumato.evidence.utility.plausibility:Plausibility",
        "histories": "sfumato.evidence.utility.histories:Histories",
        "tables": "sfumato.evidence.utility.tables:RelatedTables",
    },
)

FAIRNESS = Registry(
    "fairness measure",
    {
        "fairness": "sfumato.evidence.fairness:Fairness",
    },
)

TABLES = (ATTACKS, UTILITY, FAIRNESS)

#: Figures that no threshold may rest on: they look good where people can be found, so nothing passes by them.
UNGATED = frozenset({"plausibility.closer_to_train"})


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
