"""What a linkage attack found: figures from the claims on members and on strangers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.attacks.matching import Claims
from sfumato.evidence.attacks.people import surest_share
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Figure

#: The share of claims that the attacker is surest of, and the fewest that make a figure.
SUREST = 0.1
LEAST_CLAIMS = 20

#: Weights closer than this are the same evidence, added up in another order.
_SAME = 1e-8


@dataclass(frozen=True)
class Outcome:
    """The figures of one attack by metric (None without strangers), and how many they rest on."""

    figures: Mapping[str, Figure | None]
    members: int
    controls: int
    claims: int
    control: float | None

    @classmethod
    def of(
        cls,
        found: NDArray[np.float64],
        claims: Claims,
        apparent: NDArray[np.float64] | None,
        strangers: Claims | None,
    ) -> Outcome:
        """The outcome of an attack.

        Args:
            found: the chance that each member's claim is right, from :func:`hits`.
            claims: the claims on members.
            apparent: how far each stranger counts as found, from :func:`strangers_found`, or None.
            strangers: the claims on strangers, or None.
        """
        success = wilson(float(found.mean()), len(found))
        figures: dict[str, Figure | None] = {
            "linkage.success": success,
            "linkage.excess": None,
            "linkage.precision": None,
        }
        if apparent is None or strangers is None:
            return cls(figures, len(found), 0, 0, None)
        control = wilson(float(apparent.mean()), len(apparent))
        figures["linkage.excess"] = newcombe(success, control)
        right = np.concatenate([found, np.zeros(len(apparent))])
        surest = min(len(right), max(LEAST_CLAIMS, round(SUREST * len(right))))
        if surest >= LEAST_CLAIMS:
            share = surest_share(np.concatenate([claims.confidence, strangers.confidence]), right, surest)
            figures["linkage.precision"] = wilson(share, surest)
        return cls(figures, len(found), len(apparent), surest, control.value)


def hits(claims: Claims, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """The chance that each member's claim is right: 1 / rows where the own row is among the best.

    Args:
        own: the weight of each member with their own row.
    """
    return shared(own >= claims.weight - _SAME, claims.rows)


def strangers_found(
    found: NDArray[np.float64],
    claims: Claims,
    accepted: NDArray[np.bool_],
    strangers: Claims,
    taken_in: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """How far each stranger counts as found: 1 / rows of an accepted claim, as a member would be.

    Of the claims on members that the attacker accepts some are wrong; of the claims on strangers no
    larger part is held for a find.

    Args:
        found: the hits of members.
        accepted, taken_in: which claims on members and on strangers the attacker would stand by.
    """
    claimed = float(shared(accepted, claims.rows).sum())
    right = float(found[accepted].sum()) / claimed if claimed else 0.0
    return right * shared(taken_in, strangers.rows)


def shared(found: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 / rows where something was found, else 0."""
    return np.where(found, 1 / np.maximum(1, rows), 0.0)
