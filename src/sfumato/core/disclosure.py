"""The one filter that every published figure passes, because reports leak too.

Three rules, after the threshold, rounding and complementary-suppression rules of official statistics
(Hundepool et al., *Statistical Disclosure Control*, 2012, ch. 5):

1. a figure about fewer than :data:`LEAST` people is withheld;
2. counts of people are rounded to :data:`BASE`, and shares are recomputed from rounded counts, so
   that neither a count nor the difference of two publications gives one person away;
3. where one cell of a table is withheld, the smallest of the others is withheld too, or its
   neighbour's subtraction from the total would bring it back.

Figures are never minima or maxima of people's values: no finding has such a unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sfumato.core.values import Finding

LEAST = 10
BASE = 5

#: Baselines below this may be rounded to nothing, which they are not.
_SLIGHT = 0.01

_FIGURES = ("value", "low", "high", "before", "baseline", "control")

WITHHELD = "withheld: it rests on fewer than 10 people"


def round_count(count: float) -> int:
    """A count rounded to the nearest multiple of :data:`BASE`, halves up.

    >>> [round_count(n) for n in (0, 2, 3, 12, 13)]
    [0, 0, 5, 10, 15]
    """
    return int((count + BASE / 2) // BASE) * BASE


def publish_count(count: int) -> int | None:
    """A count of people or rows as it may be published, None where it is of fewer than :data:`LEAST`.

    >>> [publish_count(n) for n in (9822, 12, 9, 0)]
    [9820, 10, None, None]
    """
    return round_count(count) if count >= LEAST else None


def round_share(share: float, n: int) -> float:
    """The share of ``n`` people, recomputed from rounded counts and kept within 0..1.

    >>> round_share(0.1234, 1000)
    0.125
    """
    people = round_count(n)
    return min(1.0, max(0.0, round(round_count(share * n) / people, 6))) if people else 0.0


def publish(finding: Finding) -> Finding:
    """The finding as it may be published.

    A withheld finding keeps its name and status, and its note says so; its figures are gone. One that
    was not measured keeps its own note, and what stands beside it is treated alike. A proven one tells of
    no people, and is published as it is.
    """
    if finding.status == "proven":
        return finding
    measured = finding.status == "measured"
    if finding.n < LEAST:
        gone = dict.fromkeys(_FIGURES)
        # How many they are is withheld too: the counts of the other groups and the total would bound it.
        return finding.model_copy(update={**gone, "n": 0, "note": WITHHELD if measured else finding.note})
    figures = {
        name: None if (figure := getattr(finding, name)) is None else _rounded(finding, figure)
        for name in _FIGURES
    }
    if finding.baseline is not None and 0 < finding.baseline < _SLIGHT and not figures["baseline"]:
        # Blind guessing is no count of people; one digit of it does not give the rows away.
        figures["baseline"] = float(f"{finding.baseline:.1g}")
    return finding.model_copy(update={**figures, "n": round_count(finding.n)})


def _rounded(finding: Finding, figure: float) -> float:
    if finding.unit in ("people", "rows"):
        return round_count(figure)
    if finding.unit == "share":
        return round_share(figure, finding.n)
    if finding.unit == "difference":
        # One count of a group moves a difference by 1 / n: no finer than the rounding of that count.
        step = max(0.001, BASE / finding.n)
        return round(round(figure / step) * step, 3)
    if finding.unit == "quantity":
        # A figure on the scale of its column, on which .0004 may be much.
        return float(f"{figure:.4g}")
    return round(figure, 3)


def publish_all(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """:func:`publish` on each, then rule 3 within each family of group findings.

    Findings of one metric whose targets are groups of one variable (``white=0``, ``white=1``) make
    a table: if exactly one of them is about too few people, whether it was measured or not, the one
    shown with the fewest people goes with it.
    """
    findings = list(findings)
    published = [publish(finding) for finding in findings]
    for members in _families(findings).values():
        hidden = [i for i in members if findings[i].n < LEAST]
        shown = [i for i in members if published[i].value is not None]
        if len(hidden) == 1 and shown:
            least = min(shown, key=lambda i: (findings[i].n, i))
            published[least] = publish(findings[least].model_copy(update={"n": 0}))
    return tuple(published)


def _families(findings: Sequence[Finding]) -> Mapping[tuple[str, str], list[int]]:
    families: dict[tuple[str, str], list[int]] = {}
    for i, finding in enumerate(findings):
        variable, equals, _ = finding.target.partition("=")
        if equals:
            families.setdefault((finding.metric, variable), []).append(i)
    return families
