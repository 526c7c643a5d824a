"""Bounds of counts from published aggregates: by brute force, on known examples, and on our own dossier."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sfumato as sf
from sfumato.core.disclosure import publish_all, round_count
from sfumato.core.values import Finding
from sfumato.evidence.attacks.reconstruction import (
    Constraint,
    Name,
    Reconstruction,
    dossier,
    mean,
    reconstruct,
    rounded,
    total,
)

CELLS: list[Name] = [("a",), ("b",), ("c",)]


def exact(counts: list[Name], published: int) -> Constraint:
    return rounded(counts, published, base=1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 8), min_size=3, max_size=3), st.sampled_from([1, 3, 5]), st.booleans())
def test_bounds_are_those_of_all_consistent_tables(counts: list[int], base: int, margin: bool) -> None:
    def to_base(count: int) -> int:
        return math.floor((count + base / 2) / base) * base

    constraints = [rounded([cell], to_base(count), base) for cell, count in zip(CELLS, counts, strict=True)]
    if margin:
        constraints.append(exact(CELLS, sum(counts)))
    found = reconstruct(constraints)
    consistent = [
        table
        for table in itertools.product(range(15), repeat=3)
        if all(to_base(new) == to_base(old) for new, old in zip(table, counts, strict=True))
        and (not margin or sum(table) == sum(counts))
    ]
    for number, cell in enumerate(CELLS):
        values = [table[number] for table in consistent]
        assert found.of(cell) == (min(values), max(values))


def test_one_withheld_cell_comes_back_and_two_do_not() -> None:
    """Why complementary suppression is there."""
    one = reconstruct([exact([CELLS[0]], 20), exact([CELLS[1]], 30), exact(CELLS, 53)])
    assert one.of(("c",)) == (3, 3)
    assert one.determined == 1
    assert one.small() == (("c",),)
    two = reconstruct([exact([CELLS[0]], 20), exact(CELLS, 53)])
    assert two.of(("c",)) == (0, 33)
    assert two.small() == ()


def test_rounding_hides_what_a_margin_would_give_away() -> None:
    found = reconstruct([rounded([CELLS[0]], 20), rounded([CELLS[1]], 30), rounded(CELLS, 55)])
    assert found.of(("c",)) == (0, 11)
    assert found.small() == ()


def test_a_mean_and_a_count_determine_the_people() -> None:
    """After Garfinkel, Abowd & Martindale: three people of 8, 18 and 24, 30 or 36 with a mean age of 30."""
    ages: dict[Name, float] = {("8",): 8, ("18",): 18, ("24",): 24, ("36",): 36, ("66",): 66}
    found = reconstruct(
        [exact(list(ages), 3), *mean(ages, 30.0, 0.5), exact([("8",), ("18",)], 1), exact([("66",)], 0)]
    )
    assert found.of(("18",)) == (1, 1)
    assert found.of(("36",)) == (2, 2)
    assert found.determined == 1


def test_what_nothing_bounds_is_unbounded() -> None:
    found = reconstruct([Constraint({("a",): 1.0}, 2.0, math.inf), total([("b",)], ("a",))])
    assert found.of(("b",)) == (2, math.inf)


def test_figures_that_contradict_each_other_are_no_table() -> None:
    with pytest.raises(ValueError, match="no data satisfy"):
        reconstruct([exact([("a",)], 3), exact([("a",)], 4)])


def test_nothing_published_tells_nothing() -> None:
    assert reconstruct([]).names == ()


# --- our own dossier --------------------------------------------------------------------------------

GROUPS = {"a": (140, 60), "b": (42, 17), "c": (14, 5), "d": (12, 9), "e": (7, 2)}


def findings() -> list[Finding]:
    """The fairness figures of groups of people and positives, all measured, as the probe makes them."""
    made = []
    for group, (people, positives) in GROUPS.items():
        for metric, n, counted in (
            ("fairness.selection", people, people // 3),
            ("fairness.fnr", positives, positives // 3),
            ("fairness.fpr", people - positives, people // 3 - positives + positives // 3),
        ):
            share = max(0, counted) / n
            made.append(
                Finding(
                    metric=metric,
                    target=f"group={group}",
                    value=share,
                    low=share,
                    high=share,
                    unit="share",
                    goal="low",
                    n=n,
                    source="fairness",
                )
            )
    return made


def read(published: tuple[Finding, ...]) -> Reconstruction:
    everybody = sum(people for people, _ in GROUPS.values())
    plan = {"holdout_rows": round_count(everybody), "anonymity": None}
    return reconstruct(dossier({"findings": [f.model_dump(mode="json") for f in published]}, plan))


def test_the_truth_lies_within_the_bounds() -> None:
    found = read(publish_all([f for f in findings() if f.metric != "fairness.fpr"]))
    for group, (people, positives) in GROUPS.items():
        for kind, truth in (("tested", people), ("positive", positives), ("negative", people - positives)):
            low, high = found.of((kind, f"group={group}"))
            assert low <= truth <= high


def test_withheld_figures_leave_small_counts_as_wide_as_rounding_does() -> None:
    found = read(publish_all([f for f in findings() if f.metric != "fairness.fpr"]))
    assert found.small() == ()


def test_a_count_of_few_that_is_published_all_the_same_is_found() -> None:
    """Broken twin: the filter without its first rule."""
    published = [f.model_copy(update={"n": round_count(f.n)}) for f in findings()]
    shown = [f.model_copy(update={"value": None, "status": "no-power"}) for f in published]
    assert read(tuple(shown)).small()


def random_figures(draw: np.random.Generator) -> tuple[list[Finding], dict[Name, int], int]:
    """The figures of a table of groups, some of them rare, and the counts behind them."""
    groups = int(draw.integers(2, 6))
    shares = draw.dirichlet(np.full(groups, 0.4))
    offered, tested = draw.multinomial(700, shares), draw.multinomial(180, shares)
    gone = draw.binomial(offered, np.where(offered > 100, 0.03, 0.3))
    positive = draw.binomial(tested, 0.35)
    missed, taken = draw.binomial(positive, 0.4), draw.binomial(tested - positive, 0.3)
    made: list[Finding] = []
    truth: dict[Name, int] = {}
    for g in range(groups):
        target = f"group={g}"
        for metric, kind, n, counted in (
            ("fairness.suppressed", "offered", offered[g], gone[g]),
            ("risk.at_risk", "released", offered[g] - gone[g], 0),
            ("fairness.selection", "tested", tested[g], positive[g] - missed[g] + taken[g]),
            ("fairness.fnr", "positive", positive[g], missed[g]),
            ("fairness.fpr", "negative", tested[g] - positive[g], taken[g]),
        ):
            truth[kind, target] = int(n)
            if n:
                share = float(counted / n)
                fields = {"metric": metric, "target": target, "unit": "share", "goal": "low", "source": "s"}
                made.append(Finding(**fields, n=int(n), value=share, low=share, high=share))
        truth["suppressed", target] = int(gone[g])
    return made, truth, int(gone.sum())


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_and_no_small_count_is_known_exactly(seed: int) -> None:
    made, truth, gone = random_figures(np.random.default_rng(seed))
    published = [finding.model_dump(mode="json") for finding in publish_all(made)]
    anonymity = {"rows": 700, "suppressed_rows": round_count(gone)}
    found = reconstruct(dossier({"findings": published}, {"holdout_rows": 180, "anonymity": anonymity}))
    for name, low, high in zip(found.names, found.low, found.high, strict=True):
        assert name not in truth or low <= truth[name] <= high
    assert found.small(within=2) == ()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The published evidence and plan of a release with rare groups."""
    place, draw, n = tmp_path_factory.mktemp("dossier"), np.random.default_rng(3), 900
    age = draw.integers(20, 80, n)
    table = pl.DataFrame(
        {
            "age": age,
            "group": draw.choice(list("abcd"), n, p=[0.85, 0.09, 0.04, 0.02]),
            "income": (draw.random(n) < 0.2 + 0.3 * (age > 50)).astype(np.int64),
        }
    )
    ladder = {"kind": "intervals", "widths": [10, 20, 60], "from": 20, "to": 80}
    policy = {
        "sfumato": 1,
        "dataset": {"name": "d", "source": {"path": "unused.csv"}, "target": "income"},
        "columns": {
            "age": {"role": "quasi-identifier", "hierarchy": ladder, "why": "known"},
            "group": {"role": "quasi-identifier", "why": "known"},
            "income": {"role": "insensitive", "sensitive": True, "why": "to be learned"},
        },
        "anonymity": {"models": [{"model": "k-anonymity", "k": 5}], "suppression": 0.05},
        "evidence": {"attacks": [], "utility": [], "fairness": {"groups": ["group"]}},
    }
    with pytest.MonkeyPatch.context() as patch:
        # The same people are held out whenever this runs.
        patch.setattr("sfumato.project.keys.secrets.token_bytes", bytes)
        release = sf.run(policy, table, output=place / "out", project=place / "keys").folder
    assert release is not None
    return json.loads((release / "evidence.json").read_text()), json.loads(
        (release / "plan.json").read_text()
    )


def test_our_own_dossier_reconstructs_no_small_count(evidence: tuple[dict[str, Any], dict[str, Any]]) -> None:
    result = reconstruct(dossier(*evidence))
    assert ("tested", "group=d") in result.names
    assert result.small(within=2) == ()


def test_the_attack_on_the_dossier_reads_what_is_there(
    evidence: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """It knows large groups to within the rounding, so that it knows no small one means something."""
    low, high = reconstruct(dossier(*evidence)).of(("offered", "group=a"))
    assert 0 < low <= high <= low + 4
