"""The bits, the covers and the trees of splits against plain sets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.anonymity.partition import split_retries
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, certainty_penalty
from sfumato.anonymity.partition.split_covers import costs, ones
from sfumato.anonymity.partition.split_cuts import EVENNESS, cut, propose
from sfumato.anonymity.partition.split_leaves import _Leaves
from sfumato.anonymity.partition.split_moves import improve, part
from sfumato.anonymity.partition.split_space import Bits, Space
from sfumato.anonymity.partition.split_tree import AXIS, BEGIN, END, MIDDLE, Grower, numbers
from sfumato.anonymity.partition.split_work import Work
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.contracts import PrivacyModel
from sfumato.hierarchies.ladder import Ladder

#: Numbers of values on either side of a word, and of what is left of one.
WIDTHS = (1, 2, 5, 31, 33, 63, 64, 65, 100, 128, 200)


def set_axis(width: int) -> Axis:
    return Axis(ladder(width), True)


def number_axis(width: int) -> Axis:
    return Axis(ladder(width), True, np.arange(width, dtype=float) ** 2)


def ladder(width: int) -> Ladder:
    return Ladder.fixed(pl.Series("v", range(width)))


@st.composite
def problems(
    draw, most: int = 30, models: tuple[PrivacyModel, ...] = (), narrow: int = 200
) -> tuple[Problem, Work]:
    """A few sets and one column of numbers; few values of each are used, anywhere in the set."""
    widths = draw(st.lists(st.sampled_from([w for w in WIDTHS if w <= narrow]), min_size=1, max_size=5))
    axes = [*map(set_axis, widths), number_axis(6)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, most))
    rows = []
    for axis in axes:
        values = len(axis.ladder.values)
        rows.append(rng.choice(rng.integers(0, values, 5), n))
    kept = np.unique(np.array(rows), axis=1)
    counts = rng.integers(1, 4, kept.shape[1])
    codes = rng.integers(0, 3, kept.shape[1])
    sensitive = Sensitive(codes, np.bincount(codes, counts, 3).astype(np.int64))
    k = KAnonymity(KAnonymity.Params(k=2))
    asked = Problem(axes, kept.astype(np.int64), Units(counts, {"s": sensitive}), [k, *models])
    return asked, Work.of(asked, asked.units, np.arange(len(counts)), None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_bits_say_which_values_of_which_axis(widths: list[int], seed: int) -> None:
    space = Space.of([*map(set_axis, widths), number_axis(3)], np.ones(len(widths) + 1))
    bits = Bits.of(space)
    rng = np.random.default_rng(seed)
    points = np.stack([rng.integers(0, w, 20) for w in [*widths, 3]], axis=1).astype(np.int32)
    marks = bits.marks(space, points)
    union = np.bitwise_or.reduce(marks, axis=0)
    taken: set[tuple[int, int]] = set()
    words: set[int] = set()
    for j, width in enumerate(widths):
        if width > 64:
            mine = set(range(bits.firsts[j], bits.ends[j]))
            assert min(mine) >= bits.narrow and not mine & words
            assert len(mine) & (len(mine) - 1) == 0 and 64 * len(mine) >= min(width, 1024)
            words |= mine
            continue
        field = {(int(bits.firsts[j]), b) for b in range(64) if int(bits.fields[j]) >> b & 1}
        assert len(field) == width and not field & taken
        taken |= field
        seen = int(union[bits.firsts[j]] & bits.fields[j]) >> int(bits.shifts[j])
        assert {v for v in range(width) if seen >> v & 1} == set(points[:, j].tolist())
        assert ones(union[bits.firsts[j]] & bits.fields[j]) == len(set(points[:, j].tolist()))
    assert {word for word, _ in taken} == set(range(bits.narrow))


def test_bits_of_a_word_that_is_full() -> None:
    assert ones(np.uint64(2**64 - 1)) == 64
    assert ones(np.uint64(0)) == 0


@settings(max_examples=100, deadline=None)
@given(problems(), st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_costs_are_those_of_the_labels(asked: tuple[Problem, Work], focus: float, seed: int) -> None:
    """Against the penalty as it is measured, and the target's purity by counting."""
    problem, work = asked
    n = len(work.points)
    rng = np.random.default_rng(seed)
    classes = np.sort(rng.integers(0, 3, n))
    _, begins, classes = np.unique(classes, return_index=True, return_inverse=True)
    ends = np.append(begins[1:], n)
    hits = rng.integers(0, 4, (n, 3)).astype(float)
    space = work.space
    axes = tuple(map(np.flatnonzero, (space.narrow, space.wide, ~(space.narrow | space.wide))))
    found = costs(
        work.arrays, work.bits.arrays, axes, work.points, work.bits.marks(space, work.points), work.counts,
        hits, focus, np.arange(n, dtype=np.int32), begins, ends,
    )  # fmt: skip
    loss = certainty_penalty(problem, Assignment.whole(classes[work.point], problem.units.counts))
    people = np.bincount(classes, work.counts)
    pure = sum((hits[classes == c].sum(axis=0) ** 2).sum() / people[c] for c in range(len(begins)))
    assert found.sum() == pytest.approx(loss * people.sum() - focus * pure, abs=1e-9)


def brute_cuts(problem: Problem, work: Work, barred: int) -> dict[frozenset[frozenset[int]], float]:
    """The score of every cut that gains anything, by its two sides, from plain sets of values."""
    points, counts, n = work.points, work.counts, len(work.points)

    def price(members: frozenset[int]) -> float:
        chosen = sorted(members)
        spent = 0.0
        for j, axis in enumerate(problem.axes):
            values = {int(points[p, j]) for p in chosen}
            if axis.numbers is None:
                spent += (len(values) - 1) / max(1, len(axis.ladder.values) - 1)
            else:
                spent += (max(values) ** 2 - min(values) ** 2) / 25
        return float(counts[chosen].sum()) * spent / len(problem.axes)

    everybody = frozenset(range(n))
    whole, found = price(everybody), {}
    rows = float(counts.sum())
    for j, axis in enumerate(problem.axes):
        if j == barred:
            continue
        size: dict[int, int] = {}
        for p in range(n):
            size[int(points[p, j])] = size.get(int(points[p, j]), 0) + int(counts[p])
        values = sorted(size) if axis.numbers is not None else sorted(size, key=lambda v: (-size[v], v))
        sides = [set(values[:i]) for i in range(1, len(values))]
        sides += [{v} for v in values[1:-1]] if axis.numbers is None else []
        for side in sides:
            left = frozenset(p for p in range(n) if int(points[p, j]) in side)
            here = float(sum(int(counts[p]) for p in left))
            if min(here, rows - here) < 2:
                continue
            gain = whole - price(left) - price(everybody - left)
            if gain > 1e-12 * rows:
                even = rows * np.log(rows) - here * np.log(here) - (rows - here) * np.log(rows - here)
                found[frozenset({left, everybody - left})] = gain * even**EVENNESS
    return found


@settings(max_examples=80, deadline=None)
@given(problems(most=14, narrow=128), st.booleans())
def test_all_cuts_are_those_of_plain_sets(asked: tuple[Problem, Work], bar: bool) -> None:
    problem, work = asked
    n = len(work.points)
    grower = Grower.of(work, np.zeros((n, 0)), 0.0)
    barred = 0 if bar else -1
    # Wide sets tell values apart by six bits and the word: they are exact up to 1,024 values.
    expected = brute_cuts(problem, work, barred)
    found, firsts = [], {}
    for last in (1, 500):
        sides, axes = np.zeros((last, n), dtype=bool), np.full((last, 1), -1)
        number = propose(
            work.arrays, work.bits.arrays, work.points, grower.marks, work.counts, grower.hits, 0.0,
            grower.order(), grower.lines, np.array([0]), np.array([n]), 2, 0, last, np.array([barred]),
            sides, axes,
        )[0]  # fmt: skip
        found = [
            frozenset({frozenset(np.flatnonzero(s).tolist()), frozenset(np.flatnonzero(~s).tolist())})
            for s in sides[: min(last, number)]
        ]
        firsts[last] = found[:1]
        assert barred == -1 or not (axes[: min(last, number)] == barred).any()
    assert set(found) == set(expected)
    scores = [expected[each] for each in found]
    assert all(a >= b - 1e-9 for a, b in pairwise(scores))
    if scores:
        assert expected[firsts[1][0]] == pytest.approx(scores[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_a_cut_keeps_every_line_in_its_order(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(n), rng.permutation(n)]).astype(np.int32)
    left = rng.random(n) < 0.5
    before = order.copy()
    (middle,) = cut(order, np.array([0]), np.array([n]), left)
    for was, now in zip(before.tolist(), order.tolist(), strict=True):
        assert now == [p for p in was if left[p]] + [p for p in was if not left[p]]
    assert middle == left.sum()


@settings(max_examples=80, deadline=None)
@given(problems(), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_moves_keep_of_classes_is_what_they_cover(
    asked: tuple[Problem, Work], strict: bool, seed: int
) -> None:
    """Sizes and losses after moves that were counted as they went, against the penalty measured anew."""
    problem, work = asked
    if problem.units.rows < 6:
        return
    rng = np.random.default_rng(seed)
    member = rng.integers(0, 2, len(work.points))
    if len(set(member.tolist())) < 2 or np.bincount(member, work.counts).min() < 2:
        return
    leaves = _Leaves.of(work, member, strict)
    for turn in range(2):
        args = leaves.form, leaves.pieces, leaves.classes
        leaves.check(*part(*args, leaves.used, 2, not strict, leaves.moves))
        order = leaves.lined_up(turn)
        leaves.check(*improve(*args, order, leaves.used, 2, 2, not strict, leaves.careful, leaves.moves))
    found = leaves.assignment()
    sizes, means = leaves.classes[1], leaves.classes[2]
    filled = sizes > 0
    assert sorted(sizes[filled].tolist()) == sorted(found.table(problem.units).sizes.tolist())
    paid = float((sizes[filled] * means[filled]).sum())
    assert paid == pytest.approx(certainty_penalty(problem, found) * problem.units.rows, abs=1e-9)


LOCAL = (
    LDiversity(LDiversity.Params(on="s", l=2)),
    TCloseness(TCloseness.Params(on="s", t=0.3)),
)


def holds_whole(problem: Problem) -> bool:
    one = Assignment.whole(np.zeros(len(problem.units.counts), dtype=np.int64), problem.units.counts)
    return bool(holding(problem.models, one.table(problem.units)).all())


def spent(problem: Problem, work: Work, order: np.ndarray, tree: np.ndarray) -> float:
    classes = numbers(order[0], tree[tree[:, AXIS] < 0, BEGIN])
    found = Assignment.whole(classes[work.point], problem.units.counts)
    assert holding(problem.models, found.table(problem.units)).all()
    return certainty_penalty(problem, found)


def check_tree(grower: Grower, order: np.ndarray, tree: np.ndarray) -> None:
    """Classes lie side by side, each cut's parts are in the tree, and every line has the same points."""
    n = len(grower.work.points)
    leaves = tree[tree[:, AXIS] < 0]
    leaves = leaves[np.argsort(leaves[:, BEGIN])]
    assert leaves[:, BEGIN].tolist() == [0, *leaves[:-1, END].tolist()]
    assert leaves[-1, END] == n
    nodes = {(int(b), int(e)) for b, e in tree[:, :2]}
    assert len(nodes) == len(tree)
    parted = tree[tree[:, AXIS] >= 0]
    for begin, end, middle, _ in parted.tolist():
        assert {(begin, middle), (middle, end)} <= nodes
    for begin, end in nodes:
        assert len({frozenset(line[begin:end].tolist()) for line in order}) == 1


@settings(max_examples=60, deadline=None)
@given(problems(most=40, models=LOCAL[:1]) | problems(most=40, models=LOCAL))
def test_cutting_again_never_costs_and_leaves_a_tree(asked: tuple[Problem, Work]) -> None:
    problem, work = asked
    if not holds_whole(problem):
        return
    grower = Grower.of(work, np.zeros((len(work.points), 0)), 0.0)
    order = grower.order()
    tree = grower.grown(order, np.array([0]), np.array([len(work.points)]), np.array([-1]))
    check_tree(grower, order, tree)
    first = spent(problem, work, order, tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split_retries, "_CROWD", 0)
        tree = split_retries.retried(grower, order, tree)
    check_tree(grower, order, tree)
    assert (tree[tree[:, AXIS] >= 0][:, MIDDLE] > tree[tree[:, AXIS] >= 0][:, BEGIN]).all()
    assert spent(problem, work, order, tree) <= first + 1e-12


def test_cutting_again_gets_out_of_dead_ends() -> None:
    """Where one sensitive value follows two columns, cuts on them leave classes that no cut parts."""
    before = after = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = rng.integers(0, [[8], [8], [6], [40]], (4, 3000))
        codes = np.where(rng.random(3000) < 0.7, (rows[0] // 4 + rows[1] // 4) % 2, rng.integers(0, 4, 3000))
        axes = [set_axis(8), set_axis(8), set_axis(6), number_axis(40)]
        counts = np.ones(3000, dtype=np.int64)
        sensitive = Sensitive(codes, np.bincount(codes, counts, 4).astype(np.int64))
        models = [KAnonymity(KAnonymity.Params(k=3)), TCloseness(TCloseness.Params(on="s", t=0.3))]
        problem = Problem(axes, rows, Units(counts, {"s": sensitive}), models)
        work = Work.of(problem, problem.units, np.arange(3000), None)
        grower = Grower.of(work, np.zeros((len(work.points), 0)), 0.0)
        order = grower.order()
        tree = grower.grown(order, np.array([0]), np.array([len(work.points)]), np.array([-1]))
        before += spent(problem, work, order, tree)
        after += spent(problem, work, order, split_retries.retried(grower, order, tree))
    assert after < 0.97 * before
