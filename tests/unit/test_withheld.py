"""What the filter withholds so that nothing small can be worked out, on tables with crossed groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.disclosure import publish_all, round_count
from sfumato.core.values import Finding
from sfumato.evidence.attacks.reconstruction import (
    Constraint,
    Name,
    dossier,
    reconstruct,
    rounded,
    tightened,
    total,
)
from sfumato.release.withheld import complemented

EVERYBODY = 400


def shares(target: str, counts: dict[str, int], suppressed: tuple[int, int]) -> list[Finding]:
    """The figures of one group: who was suppressed, and the error rates of those tested."""
    people, positive, missed, taken = (counts[name] for name in ("tested", "positive", "missed", "taken"))
    selected = positive - missed + taken
    made = []
    for metric, n, counted in (
        ("fairness.suppressed", suppressed[0], suppressed[1]),
        ("fairness.selection", people, selected),
        ("fairness.fnr", positive, missed),
        ("fairness.fpr", people - positive, taken),
    ):
        if n:
            share = counted / n
            fields = {"metric": metric, "target": target, "unit": "share", "goal": "low", "source": "s"}
            made.append(Finding(**fields, n=n, value=share, low=share, high=share))
    return made


def crossed(seed: int) -> tuple[list[Finding], dict[str, Any], dict[Name, int]]:
    """A table of sex by age band with rare cells, every margin published; and the counts behind it."""
    draw = np.random.default_rng(seed)
    rows, columns = 2, int(draw.integers(2, 4))
    cells = draw.dirichlet(np.full(rows * columns, 0.7)).reshape(rows, columns)
    offered = draw.multinomial(2 * EVERYBODY, cells.ravel()).reshape(cells.shape)
    gone = draw.binomial(offered, 0.04)
    people = draw.multinomial(EVERYBODY, cells.ravel()).reshape(cells.shape)
    positive = draw.binomial(people, 0.3)
    kinds = {
        "tested": people,
        "positive": positive,
        "missed": draw.binomial(positive, 0.4),
        "taken": draw.binomial(people - positive, 0.2),
    }
    made: list[Finding] = []
    truth: dict[Name, int] = {}

    def group(target: str, at: Any) -> None:
        counts = {kind: int(table[at].sum()) for kind, table in kinds.items()}
        whole = int(offered[at].sum()), int(gone[at].sum())
        made.extend(shares(target, counts, whole))
        truth.update({(kind, target): count for kind, count in counts.items()})
        truth.update({("offered", target): whole[0], ("suppressed", target): whole[1]})

    for i in range(rows):
        group(f"sex={i}", np.s_[i, :])
        for j in range(columns):
            group(f"sex & age={i} & {j}", np.s_[i, j])
    for j in range(columns):
        group(f"age={j}", np.s_[:, j])
    suppressed = round_count(int(gone.sum()))
    plan = {"holdout_rows": EVERYBODY, "anonymity": {"rows": 2 * EVERYBODY, "suppressed_rows": suppressed}}
    return made, plan, truth


def read(found: Sequence[Finding], plan: dict[str, Any]) -> list[Constraint]:
    return dossier({"findings": [finding.model_dump(mode="json") for finding in found]}, plan)


def narrowed(found: Sequence[Finding], plan: dict[str, Any]) -> set[Name]:
    return set(tightened(read(found, plan)).small())


@pytest.mark.parametrize("seed", range(40))
def test_crossed_groups_with_their_margins_tell_of_nobody(seed: int) -> None:
    made, plan, truth = crossed(seed)
    found = complemented(made, publish_all(made), plan)
    result = tightened(read(found, plan))
    assert result.small() == ()
    for name, low, high in zip(result.names, result.low, result.high, strict=True):
        assert name not in truth or low <= truth[name] <= high


@pytest.mark.parametrize("seed", [0, 3])
def test_no_cleverer_reading_knows_a_small_count_exactly(seed: int) -> None:
    made, plan, truth = crossed(seed)
    result = reconstruct(read(complemented(made, publish_all(made), plan), plan))
    assert result.small(within=2) == ()
    for name, low, high in zip(result.names, result.low, result.high, strict=True):
        assert name not in truth or low <= truth[name] <= high


def test_without_it_the_margins_tell() -> None:
    """Broken twin: the filter table by table, as it was."""
    tables = [crossed(seed) for seed in range(40)]
    told = [narrowed(publish_all(made), plan) for made, plan, _ in tables]
    assert sum(map(len, told)) > 20


def test_most_figures_stay() -> None:
    before = after = 0
    for seed in range(40):
        made, plan, _ = crossed(seed)
        shown = publish_all(made)
        before += sum(finding.value is not None for finding in shown)
        after += sum(finding.value is not None for finding in complemented(made, shown, plan))
    assert after > 0.8 * before


def test_figures_of_many_people_are_left_alone() -> None:
    counts = {"tested": 300, "positive": 100, "missed": 30, "taken": 40}
    made = [f for g in "ab" for f in shares(f"group={g}", counts, (500, 50))]
    plan = {"holdout_rows": 600, "anonymity": {"rows": 1000, "suppressed_rows": 100}}
    shown = publish_all(made)
    assert tuple(complemented(made, shown, plan)) == shown


def test_a_sample_of_the_plans_people_is_still_protected() -> None:
    """Its figures do not add up to the plan's; those of its groups add up all the same."""
    made, plan, _ = crossed(1)
    larger = {"holdout_rows": 10**6, "anonymity": {"rows": 10**6, "suppressed_rows": 10**4}}
    shown = publish_all(made)
    assert tightened(read(shown, larger)).contradicts
    assert not tightened(read(shown, plan)).contradicts
    found = complemented(made, shown, larger)
    left, before = (sum(finding.value is not None for finding in each) for each in (found, shown))
    assert left > 0.5 * before
    silent = {"holdout_rows": None, "anonymity": None}
    assert narrowed(shown, silent)
    assert not narrowed(found, silent)


def test_nothing_published_is_nothing_withheld() -> None:
    assert complemented([], [], {"holdout_rows": None, "anonymity": None}) == []


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 12), min_size=4, max_size=4), st.booleans())
def test_quick_bounds_hold_and_are_never_narrower(counts: list[int], margins: bool) -> None:
    """On a table of two by two: the truth lies within them, and so do the bounds of all that is possible."""
    cells: list[Name] = [("n", str(i)) for i in range(4)]
    constraints = [rounded([cell], round_count(count)) for cell, count in zip(cells, counts, strict=True)]
    if margins:
        for i, (a, b) in enumerate([(0, 1), (2, 3), (0, 2), (1, 3)]):
            whole = ("n", f"margin {i}")
            constraints.append(total([cells[a], cells[b]], whole))
            constraints.append(rounded([whole], round_count(counts[a] + counts[b])))
    quick, best = tightened(constraints), reconstruct(constraints)
    assert quick.names == best.names
    assert (quick.low <= best.low).all()
    assert (quick.high >= best.high).all()
    for cell, count in zip(cells, counts, strict=True):
        low, high = quick.of(cell)
        assert low <= count <= high
