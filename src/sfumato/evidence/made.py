"""Made rows: what a release means whose rows are nobody's.

Made rows are laid beside people in a drawn order, so that all figures of columns and of what goes together
are worked out as for any release. Figures of a person's own row are not measured: there is none. What people
who were held out would have in the place of the made rows stands beside the figures of utility as control,
for no generator can be asked to be nearer to the people who taught it than others of their kind are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.core.disclosure import round_count
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding

ROWWISE = "the rows are made and nobody's, and the figure is about people's own rows"
FLOOR = "control: about {} people held out, in the place of the made rows"


def rowwise(kind: Any) -> frozenset[str]:
    """The metrics of a probe that are about people's own rows; all of one that does not say."""
    told: frozenset[str] = getattr(kind, "rowwise", frozenset(kind.metrics))
    return told


def laid_beside(rows: pl.DataFrame, people: int, key: bytes) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Made rows beside so many people, in a drawn order, and where there is a row.

    Of more rows a sample without repeats is taken; of fewer the last people have rows of missing values.

    >>> laid, kept = laid_beside(pl.DataFrame({"a": [1, 2]}), 3, bytes(32))
    >>> laid["a"].null_count(), kept.tolist()
    (1, [True, True, False])
    """
    drawn = generator(key).permutation(rows.height)[:people]
    laid = rows[drawn]
    return pl.concat([laid, laid.clear(people - laid.height)]), np.arange(people) < laid.height


def fresh(comparison: Comparison) -> Comparison | None:
    """The same comparison with people held out in the place of the made rows; None if there are none."""
    if not comparison.control.height:
        return None
    people = comparison.describe(comparison.control).select(comparison.released.columns)
    laid, kept = laid_beside(people, comparison.original.height, derive(comparison.key, "fresh"))
    logs, tables = comparison.logs, comparison.tables
    return replace(
        comparison,
        released=laid,
        kept=kept,
        count=lambda columns: people.group_by(columns).len(COUNT),
        logs=None if logs is None else replace(logs, made=logs.others),
        tables=None if tables is None else replace(tables, made=tables.others),
    )


def beside(findings: Sequence[Finding], floor: Sequence[Finding], people: int) -> list[Finding]:
    """Findings with the same figures of people held out as control.

    Args:
        people: how many were held out.
    """
    values = {(finding.metric, finding.target): finding.value for finding in floor}
    words = FLOOR.format(round_count(people))
    found = []
    for finding in findings:
        control = values.get((finding.metric, finding.target))
        if finding.status == "measured" and control is not None:
            note = f"{finding.note}; {words}" if finding.note else words
            finding = finding.model_copy(update={"control": control, "note": note})
        found.append(finding)
    return found
