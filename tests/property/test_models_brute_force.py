"""Every privacy model against a naive reading of its definition, in dictionaries and fractions."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb, exp, factorial, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from model_support import CASES, EXAMPLES, ON, class_table, crowds, few, matrices
from sfumato.anonymity import MODELS
from sfumato.anonymity.holding import holding
from sfumato.classes import spread
from sfumato.classes.population import smallest_sample, unique_share


def exactly(number: float) -> Fraction:
    """The decimal as a policy writes it."""
    return Fraction(str(number))


def common_label(one: int, other: int) -> int:
    """The level of the first common label in the tree of the tests: itself, pairs, all."""
    return 0 if one == other else 1 if one // 2 == other // 2 else 2


def moved(q: list[Fraction], p: list[Fraction], distance: str) -> float:
    """The earth mover's distance as the transport that it is."""
    m = len(p)
    apart = {
        "equal": lambda i, j: float(i != j),
        "ordered": lambda i, j: abs(i - j) / max(1, m - 1),
        "hierarchical": lambda i, j: common_label(i, j) / 2,
    }[distance]
    cost = [apart(i, j) for i in range(m) for j in range(m)]
    rows = np.kron(np.eye(m), np.ones(m))
    columns = np.kron(np.ones(m), np.eye(m))
    supply = np.array([float(share) for share in (*q, *p)])
    return float(linprog(cost, A_eq=np.vstack([rows, columns]), b_eq=supply).fun)


def naive(name: str, params: dict, people: Counter, overall: Counter, outside: int) -> bool:
    """Whether one class holds; ``people`` and ``overall`` count values, those of nobody left out."""
    size, most = sum(people.values()), sorted(people.values(), reverse=True)
    everybody = sum(overall.values())
    q = {value: Fraction(count, size) for value, count in people.items()}
    p = {value: Fraction(count, everybody) for value, count in overall.items()}
    if name == "k-anonymity":
        return size >= params["k"]
    if name == "highest-risk":
        return size > 0 and Fraction(1, size) <= exactly(params["at_most"])
    if name == "k-map":
        if "estimated" not in params:
            return size + outside >= params["k"]
        return size >= fewest(params["k"], params["estimated"]["fraction"], 0.01)
    if name == "delta-presence":
        low, high = exactly(params["low"]), exactly(params["high"])
        return low * (size + outside) <= size <= high * (size + outside)
    if name == "alpha-k":
        return size >= params["k"] and most[0] <= exactly(params["alpha"]) * size
    if name == "p-sensitive":
        return size >= params["k"] and len(people) >= params["p"]
    if name == "l-diversity":
        kind, rank = params.get("kind", "distinct"), params["l"]
        if kind == "distinct":
            return len(people) >= rank
        if kind == "recursive":
            return size > 0 and most[0] < params["c"] * sum(most[rank - 1 :])
        if kind == "entropy":
            return size > 0 and -sum(float(share) * log(share) for share in q.values()) >= log(rank) - 1e-9
        estimate = log(size) - sum(n * grassberger(n) for n in most) / size if size else 0
        return size > 0 and min(estimate, log(len(people))) >= log(rank) - 1e-9
    if not size:
        return name != "delta-disclosure" or params.get("absent") == "ignored" or not overall
    if name == "t-closeness":
        shares = [[part.get(value, Fraction(0)) for value in range(5)] for part in (q, p)]
        return moved(*shares, params.get("distance", "equal")) <= params["t"] + 1e-7
    if name == "delta-disclosure":
        if params.get("absent", "fail") == "fail" and set(people) != set(overall):
            return False
        return max(abs(log(q[v] / p[v])) for v in people) < params["delta"] - 1e-9
    assert name == "beta-likeness"
    gains = {v: (q[v] - p[v]) / p[v] for v in people}
    enhanced = not params.get("enhanced") or all(
        gain <= 0 or float(gain) <= -log(p[v]) + 1e-9 for v, gain in gains.items()
    )
    return enhanced and max(gains.values()) <= exactly(params["beta"])


def grassberger(n: int) -> float:
    """G(n) as a series: ln-like, from -gamma - ln 2 in steps of two over odd numbers."""
    return -np.euler_gamma - log(2) + sum(2 / (2 * j + 1) for j in range(n // 2))


def fewest(k: int, fraction: float, significance: float) -> int:
    """The estimated k-map's threshold by adding up Poisson probabilities."""
    mean = fraction * k
    for size in range(1, k):
        below = sum(mean**x * exp(-mean) / factorial(x) for x in range(1, size))
        if 1 - below / (1 - exp(-mean)) <= significance:
            return size
    return k


def verdicts(name: str, params: dict, matrix: list[list[int]], outside: list[int]) -> list[bool]:
    overall = Counter()
    classes = [Counter({v: n for v, n in enumerate(row) if n}) for row in matrix]
    for people in classes:
        overall.update(people)
    return [
        naive(name, params, people, overall, beside) for people, beside in zip(classes, outside, strict=True)
    ]


#: The ordered distance depends on how many values a table has a place for; its transport is tested below.
NAIVE = [
    (name, params)
    for name, params in CASES
    if not MODELS.resolve(name).whole and params.get("distance") != "ordered"
]


def ours(name: str, params: dict, matrix: list[list[int]], outside: list[int]) -> list[bool]:
    kind = MODELS.resolve(name)
    return kind(kind.Params(**params)).holds(class_table(matrix, outside=outside)).tolist()


@few
@pytest.mark.parametrize(("name", "params"), NAIVE)
@given(crowd=crowds())
def test_a_model_is_its_definition(name: str, params: dict, crowd) -> None:
    assert ours(name, params, *crowd) == verdicts(name, params, *crowd)


#: Parameters off by a little; the comparison above must tell them from the right ones.
TWINS = {
    "k-anonymity": {"k": 2},
    "k-map": {"k": 7},
    "l-diversity": {"l": 3},
    "t-closeness": {"t": 0.25},
    "delta-disclosure": {"delta": 0.7},
    "beta-likeness": {"beta": 0.9},
    "delta-presence": {"low": 0.3},
    "alpha-k": {"alpha": 0.5},
    "p-sensitive": {"p": 3},
    "highest-risk": {"at_most": 0.34},
}


@pytest.mark.parametrize("name", TWINS)
def test_a_model_off_by_a_little_is_caught(name: str) -> None:
    params = EXAMPLES[name][0]
    draw = np.random.default_rng(0)
    crowd = draw.integers(0, 4, (200, 3)).tolist(), draw.integers(0, 9, 200).tolist()
    right = verdicts(name, params, *crowd)
    assert ours(name, params, *crowd) == right
    assert ours(name, params | TWINS[name], *crowd) != right


@few
@given(matrix=matrices(classes=3))
@pytest.mark.parametrize("distance", ["equal", "ordered", "hierarchical"])
def test_distances_are_the_least_transport(distance: str, matrix: list[list[int]]) -> None:
    found = getattr(spread, f"{distance}_distance")(class_table(matrix).sensitive[ON])
    overall = np.sum(matrix, axis=0)
    for row, ours in zip(matrix, found, strict=True):
        if sum(row):
            q = [Fraction(n, sum(row)) for n in row]
            p = [Fraction(int(n), int(overall.sum())) for n in overall]
            assert ours == pytest.approx(moved(q, p, distance), abs=1e-7)
        else:
            assert ours == 0


def most_that_may_stay(sizes: list[int], fine) -> int:
    """The most people in any choice of classes that is fine."""
    return max(
        sum(chosen)
        for count in range(len(sizes) + 1)
        for chosen in combinations(sizes, count)
        if fine(list(chosen))
    )


@few
@given(sizes=st.lists(st.integers(1, 6), max_size=9), percent=st.integers(1, 99))
def test_no_choice_of_classes_loses_fewer_people(sizes: list[int], percent: int) -> None:
    bound = Fraction(percent, 100)
    fine = {
        "average-risk": lambda chosen: len(chosen) <= bound * sum(chosen),
        "sample-uniqueness": lambda chosen: chosen.count(1) <= bound * sum(chosen),
    }
    table = class_table([[size] for size in sizes] or [[0]])
    for name, rule in fine.items():
        kind = MODELS.resolve(name)
        kept = table.sizes[holding([kind(kind.Params(at_most=percent / 100))], table)]
        assert rule([int(size) for size in kept if size])
        assert kept.sum() == most_that_may_stay(sizes, rule)


@few
@given(
    alone=st.integers(0, 60),
    larger=st.lists(st.integers(2, 9), max_size=40),
    model=st.sampled_from(["dankar", "pitman", "zayatz", "snb"]),
    fraction=st.sampled_from([0.05, 0.3, 1.0]),
)
def test_population_uniqueness_takes_classes_of_one_until_it_holds(alone, larger, model, fraction) -> None:
    kind = MODELS.resolve("population-uniqueness")
    asked = kind(kind.Params(at_most=0.02, fraction=fraction, estimator=model))
    table = class_table([[1]] * alone + [[size] for size in larger] or [[0]])
    verdict = holding([asked], table)
    assert verdict[table.sizes != 1].all()
    kept = table.sizes[verdict]
    if (kept == 1).any():
        assert unique_share(kept, fraction, model) <= 0.02 + 1e-9
    if not verdict.all():
        # One fewer gone, and it would not hold or not be known to.
        share = unique_share(np.append(kept, 1), fraction, model)
        assert share is None or share > 0.02


@few
@given(k=st.integers(2, 40), percent=st.integers(1, 100))
def test_the_estimated_k_map_rejects_too_few_as_seldom_as_it_says(k: int, percent: int) -> None:
    fraction = percent / 100
    enough = smallest_sample(k, fraction, 0.05)
    assert 2 <= enough <= k
    if enough < k and fraction < 1:
        # The truth: each of k - 1 is drawn by itself, and a class that nobody is drawn of is not seen.
        chance = [comb(k - 1, x) * fraction**x * (1 - fraction) ** (k - 1 - x) for x in range(k)]
        assert sum(chance[enough:]) / sum(chance[1:]) <= 0.05
