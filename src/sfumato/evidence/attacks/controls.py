"""People who are not in the release: enough of them, and really none of those who are.

A control that shares people with the original makes every attack look harmless, for what is found of the
control is held against what is found of the original. Whether it does is seen from rows that are the same
in every column: strangers have a twin in the original as often as its own people have another one there.
"""

from __future__ import annotations

import polars as pl

from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Finding
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Report, design_note

#: Of controls of strangers one in ten thousand is refused by mistake.
_LEVEL = 1 - 2e-4
#: A smaller share of shared people hides no more than itself.
_MATTERS = 0.005

#: Shares closer than this are the same, added up in another order.
TIE = 1e-9

OVERLAP = (
    "the control shares rows with the original beyond what chance gives, so it is not of people left out"
)
NOBODY = "nobody's row is in the release"
NO_GROUPS = "no groups are named to compare"
NO_CONTROL = "nobody was held out to compare with"
SAMPLE_ONLY = "of a sample of a larger release, in which people are fewer and easier to tell apart; "
NO_EVIDENCE = "the attack is weaker than {}, which is no evidence that there is no risk; "


def overlaps(comparison: Comparison) -> bool:
    """Do more people of the control have a twin in the original than its own people have another one?"""
    original, control = comparison.original, comparison.control
    columns = [column for column in original.columns if column in control.columns]
    if not original.height or not control.height or not columns:
        return False
    both = pl.concat([original.select(columns), control.select(columns)], how="vertical_relaxed")
    inside = pl.Series("__sfumato_inside__", [1], dtype=pl.Int64).new_from_index(0, original.height)
    inside = inside.append(pl.Series([0], dtype=pl.Int64).new_from_index(0, control.height))
    same = both.with_columns(inside.alias("__sfumato_inside__")).select(
        pl.col("__sfumato_inside__").sum().over(columns)
    )
    twins = same.to_series().to_numpy()
    own = float((twins[: original.height] > 1).mean())
    theirs = float((twins[original.height :] > 0).mean())
    found = newcombe(wilson(theirs, control.height, _LEVEL), wilson(own, original.height, _LEVEL))
    return found.low > _MATTERS


def circumstances(comparison: Comparison) -> str:
    """On whom an attack ran, and whether they are only a sample of a larger release."""
    rows = int(comparison.count(comparison.released.columns[:1])[COUNT].sum())
    return (SAMPLE_ONLY if rows > comparison.kept.sum() else "") + design_note(comparison)


def without_control(
    report: Report, metric: str, overlap: bool, *, target: str = "release", n: int = 0, assumes: str = ""
) -> Finding:
    """What stands for a figure that needs people left out where there are none, or not only such."""
    if overlap:
        return report.silent(metric, "error", OVERLAP, target=target, n=n, assumes=assumes)
    return report.silent(metric, "not-measured", NO_CONTROL, target=target, n=n, assumes=assumes)


def badness(finding: Finding) -> float:
    """What the worse of two findings has more of; one without a figure is the worst."""
    return 2.0 if finding.high is None else finding.high
