"""Complementary suppression over all published counts at once: nothing small may be worked out from the rest.

Within one table one withheld cell takes another with it (:mod:`sfumato.core.disclosure`). But tables share
their margins: those tested are positive or negative, crossed groups add up to the groups of each column, the
suppressed of all groups to those of the plan. So what is about to be published is read as an attacker would
(:mod:`sfumato.evidence.attacks.reconstruction`), and while some count of few people is known better than by
the rounding of one figure, figures are withheld that it was worked out from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sfumato.core.disclosure import publish
from sfumato.core.values import Finding
from sfumato.evidence.attacks.reconstruction import (
    Constraint,
    Name,
    counted_by,
    dossier,
    tightened,
)

#: Passes over the figures; each withholds some, so that far fewer are needed.
_MOST = 100
#: A plan that says nothing of how many people there are.
_SILENT: Mapping[str, Any] = {"holdout_rows": None, "anonymity": None}


def complemented(
    exact: Sequence[Finding], published: Sequence[Finding], plan: Mapping[str, Any]
) -> list[Finding]:
    """Published findings, with more of them withheld where they tell of few people together.

    Args:
        exact: the same findings before the filter, in the same order.
        plan: as it is published.
    """
    found = list(published)
    if tightened(_read(found, plan)).contradicts:
        # The plan counts all rows, and the findings the people of a sample of them, or people and not rows.
        plan = _SILENT
    for _ in range(_MOST):
        constraints = _read(found, plan)
        known = tightened(constraints)
        small = () if known.contradicts else known.small()
        gone = {at for name in small if (at := _telling(name, exact, found, constraints)) is not None}
        if not gone:
            break
        for at in gone:
            found[at] = publish(exact[at].model_copy(update={"n": 0}))
    return found


def _read(found: Sequence[Finding], plan: Mapping[str, Any]) -> list[Constraint]:
    return dossier({"findings": [finding.model_dump(mode="json") for finding in found]}, plan)


def _telling(
    name: Name,
    exact: Sequence[Finding],
    found: Sequence[Finding],
    constraints: Sequence[Constraint],
) -> int | None:
    """The figure to withhold for a count: its own, else of those beside it one that is of fewest people."""
    beside = {other for each in constraints if name in each.weights for other in each.weights}
    for names in ({name}, {other for other in beside if other[1] == name[1]}, beside):
        shown = [
            i
            for i, finding in enumerate(found)
            if finding.value is not None and names & counted_by(finding.metric, finding.target)
        ]
        if shown:
            return min(shown, key=lambda i: (exact[i].n, i))
    return None
