"""Minimal sample uniques against brute force and published scores, and what the probe says of them."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sfumato.evidence.attacks.suda as suda
from evidence_support import compare, local, one, people, profile, starred, suppress_small
from sfumato.contracts import COUNT, PERSON, ROW
from sfumato.core.values import Role
from sfumato.evidence.attacks.minimal_uniques import MinimalUniques, Owned, minimal_uniques, set_weight
from sfumato.evidence.attacks.people import SUREST
from sfumato.evidence.attacks.suda import NO_FRACTION, NOBODY, OVERLAP, Suda

TABLE = st.integers(1, 4).flatmap(
    lambda columns: st.lists(
        st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * columns), min_size=1, max_size=14
    )
)


def frame_of(rows: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={f"c{j}": pl.Int64 for j in range(len(rows[0]))}, orient="row")


def search(frame: pl.DataFrame, size: int = 3, **most: int) -> MinimalUniques:
    counted = frame.group_by(frame.columns).len(COUNT)
    return minimal_uniques(Owned.of(counted, frame.columns), size, **most)


def scores(frame: pl.DataFrame, size: int = 6) -> list[float]:
    """The score of each row."""
    found = search(frame, size)
    at = found.owned.classes.locate(frame)
    owners = found.owned.owners[at]
    return np.where(owners >= 0, found.scores[owners], 0.0).tolist()


def sets_of(found: MinimalUniques) -> dict[tuple, set[tuple[int, ...]]]:
    """The minimal sets of each tuple that has any."""
    tuples, sets = found.owned.classes.tuples.rows(), {}
    for person, bits in zip(found.persons, found.sets, strict=True):
        one_set = tuple(j for j in range(len(found.columns)) if bits >> j & 1)
        sets.setdefault(tuples[person], set()).add(one_set)
    return sets


def by_hand(rows: list[tuple], size: int) -> dict[tuple, set[tuple[int, ...]]]:
    sets: dict[tuple, set[tuple[int, ...]]] = {}
    for row in rows:
        mine: list[tuple[int, ...]] = []
        for k in range(1, size + 1):
            for chosen in combinations(range(len(row)), k):
                alone = sum(all(row[j] == other[j] for j in chosen) for other in rows) == 1
                if alone and not any(set(smaller) <= set(chosen) for smaller in mine):
                    mine.append(chosen)
        if mine:
            sets[row] = set(mine)
    return sets


@settings(max_examples=150, deadline=None)
@given(TABLE, st.integers(1, 4))
def test_the_sets_are_those_of_brute_force(rows: list[tuple], size: int) -> None:
    assert sets_of(search(frame_of(rows), size)) == by_hand(rows, size)


@settings(max_examples=100, deadline=None)
@given(TABLE, st.lists(st.integers(0, 5), min_size=14, max_size=14))
def test_the_sets_of_people_of_several_rows(rows: list[tuple], whose: list[int]) -> None:
    owners = whose[: len(rows)]
    frame = frame_of(rows).with_columns(pl.Series(PERSON, owners, dtype=pl.UInt64))
    columns = frame.columns[:-1]
    found = minimal_uniques(Owned.of_rows(frame, columns), 3)
    wanted = set()
    ids = sorted(set(owners))
    for person in ids:
        mine: list[tuple[int, ...]] = []
        for k in range(1, 4):
            for chosen in combinations(range(len(columns)), k):
                having = [{w for other, w in zip(rows, owners, strict=True)
                           if all(row[j] == other[j] for j in chosen)}
                          for row, w in zip(rows, owners, strict=True) if w == person]  # fmt: skip
                # A set is one of a person if some row of theirs is nobody else's in it; of a smaller
                # set another row may be, and then the larger says nothing more.
                if {person} in having and not any(set(smaller) <= set(chosen) for smaller in mine):
                    mine.append(chosen)
        wanted |= {(ids.index(person), sum(1 << j for j in chosen)) for chosen in mine}
    assert set(zip(found.persons.tolist(), found.sets.tolist(), strict=True)) == wanted


def test_the_weights_of_the_literature() -> None:
    # Elliot et al. 2005: (A - k)(A - k - 1)...(A - M).
    assert [set_weight(k, 3, 4) for k in (1, 2, 3)] == [6, 2, 1]
    assert set_weight(2, 2, 2) == 1


def test_scores_of_the_guideline_for_microdata() -> None:
    """The example of Benschop, Machingauta & Welch, *SDC for microdata: a practice guide*."""
    table = pl.DataFrame(
        {
            "residence": ["u", "u", "u", "u", "r", "u", "u", "u", "u", "u"],
            "gender": ["f", "f", "f", "m", "f", "m", "f", "m", "f", "f"],
            "education": ["si", "si", "pi", "sc", "sc", "sc", "pc", "ps", "si", "si"],
            "labor": ["e", "e", "n", "e", "u", "e", "n", "u", "n", "n"],
        }
    )
    assert scores(table) == [0, 0, 6, 0, 12, 0, 6, 10, 0, 0]


def test_scores_of_sdcmicro() -> None:
    """Known answers of sdcMicro 5.7's own tests for suda2."""
    table = pl.DataFrame(
        {
            "age": ["20s"] * 7 + ["60s"],
            "gender": ["m"] * 4 + ["f"] * 3 + ["m"],
            "income": ["50k+"] * 2 + ["50k-"] * 6,
            "education": ["h", "h", "h", "h", "u", "h", "m", "u"],
        }
    )
    assert scores(table)[4:] == [4, 2, 6, 8]
    small = pl.DataFrame({"a": [2, 1, 1], "b": [0, 3, 0], "c": [0, 6, 0]})
    assert search(small, 6).contributions.tolist() == [0.5, 0.375, 0.375]


def test_dis_scores_spread_the_files_own_chance() -> None:
    # Two people alone, a pair: 2 f / (2 f + 2 (1 - f)) is f; the same scores get the same chance.
    found = search(pl.DataFrame({"a": [1, 2, 3, 3]}))
    assert found.dis_scores(0.25)[found.scores > 0] == pytest.approx([0.25, 0.25])
    assert found.dis_scores(1.0).max() == 1.0
    uneven = search(pl.DataFrame({"a": [1, 2, 2, 3, 3], "b": [0, 0, 1, 1, 1]}))
    chances, marks = uneven.dis_scores(0.1), uneven.scores
    assert (
        np.argsort(chances[marks > 0], kind="stable") == np.argsort(marks[marks > 0], kind="stable")
    ).all()
    # sdcMicro's formula written out, for sets of all sizes.
    scored = marks[marks > 0]
    power = 1 + (8 - 2) / 20
    unique, pairs = 3, 2
    chance = unique * 0.1 / (unique * 0.1 + pairs * 0.9)
    by_formula = 1 / (1 + (unique / chance - unique) / (scored**power * (1 / scored**power).sum()))
    assert chances[marks > 0] == pytest.approx(by_formula)


def test_a_search_too_large_asks_for_smaller_sets() -> None:
    frame = people(200, 6, 6)
    whole, less = search(frame, 4), search(frame, 4, work=1500)
    assert (whole.size, less.size) == (4, 1)
    assert less.share(1) == whole.share(1)
    assert search(frame, 4, entries=0).size < 4
    assert search(frame, 4, work=10).size == 0


def risks(comparison, **params):
    return Suda().run(comparison, Suda.Params(**params))


def test_people_singled_out_by_one_two_and_three_columns() -> None:
    # One has a town of their own; one is the only man in the east; the others come in twos.
    frame = pl.DataFrame(
        {
            "town": ["x", "e", "e", "e", "w", "w", "w", "w"],
            "sex": ["f", "m", "f", "f", "m", "m", "f", "f"],
        }
    )
    found = risks(compare(frame, released=frame.with_columns(sex=pl.lit("*"))))
    assert one(found, "suda.special_uniques", "1 column").value == pytest.approx(1 / 8)
    assert one(found, "suda.special_uniques").value == pytest.approx(1 / 8)
    assert one(found, "suda.special_uniques").before == pytest.approx(2 / 8)
    assert one(found, "suda.special_uniques", "up to 2 columns").before == pytest.approx(2 / 8)
    assert one(found, "suda.set", "town").value == pytest.approx(1 / 8)
    assert one(found, "suda.contribution", "town").value == 1.0
    assert one(found, "suda.contribution", "sex").value == 0.0
    assert 0 < one(found, "suda.contribution", "sex").before < 1


def test_what_cannot_be_searched_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suda, "minimal_uniques", partial(minimal_uniques, work=10))
    assert {finding.status for finding in risks(compare(people(200, 6, 6)))} == {"not-measured"}


def test_findings_name_columns_and_no_values() -> None:
    frame = pl.DataFrame({"town": ["ZZSECRET", *"aabbccdd"], "age": [str(i) for i in range(9)]})
    for finding in risks(compare(frame, population=0.1)):
        assert "ZZSECRET" not in str(finding)


def test_twenty_alike_are_safer_than_two_and_these_than_raw() -> None:
    draw = np.random.default_rng(3)
    frame = pl.DataFrame({f"c{j}": draw.zipf(1.6, 3000) % 40 for j in range(4)})
    values = [
        one(risks(compare(frame, kept=suppress_small(frame, frame.columns, k))), "suda.score").value
        for k in (1, 2, 20)
    ]
    assert values[0] > values[1] == values[2] == 0.0
    shares = [one(risks(compare(frame)), "suda.special_uniques", target).value
              for target in ("1 column", "up to 2 columns", "up to 3 columns")]  # fmt: skip
    assert shares == sorted(shares)


def test_nobody_singled_out_is_no_contribution() -> None:
    found = risks(compare(people(100, 2, 3), starred, population=0.1))
    assert one(found, "suda.special_uniques").value == 0.0
    assert one(found, "suda.set").value == 0.0
    assert one(found, "suda.contribution").note == NOBODY
    assert one(found, "suda.dis_score").value == 0.0


def test_chances_need_a_sampling_fraction() -> None:
    assert one(risks(compare(people(100, 2, 9))), "suda.dis_score").note == NO_FRACTION
    known = [one(risks(compare(people(4000, 3, 12), population=p)), "suda.dis_score", SUREST).value
             for p in (0.01, 0.1, 0.5)]  # fmt: skip
    assert known == sorted(known)
    assert known[0] < known[2]


def test_sensitive_columns_nobody_knows_single_nobody_out() -> None:
    frame = pl.DataFrame({"q": [1] * 10, "x": range(10)})
    found = risks(compare(frame, profiles={"x": profile("x", Role.INSENSITIVE)}))
    assert one(found, "suda.special_uniques").value == 0.0


def test_single_people_go_to_custody_and_groups_are_compared() -> None:
    kept: dict[str, tuple] = {}
    draw = np.random.default_rng(0)
    rare = pl.DataFrame(
        {"g": ["a"] * 200 + ["b"] * 100, "x": [0] * 200 + draw.integers(0, 500, 100).tolist()}
    )
    given = compare(
        rare, groups=("g",), record=lambda metric, rows, risks: kept.update({metric: (rows, risks)})
    )
    found = risks(given)
    _, marks = kept["suda.score"]
    assert len(marks) == 300
    assert (marks[:200] == 0).all()
    assert one(found, "suda.special_uniques", "g=a").value == 0.0
    assert one(found, "suda.special_uniques", "g=b").value > 0.5
    assert one(found, "suda.disparity", "g").value > 0.5


def test_labels_that_overlap_are_told_apart_as_labels() -> None:
    frame = people(40, 2, 9)
    found = risks(local(frame, [i // 5 for i in range(40)]))
    assert one(found, "suda.special_uniques").value == 0.0
    assert OVERLAP in one(found, "suda.special_uniques").note


def test_rows_of_one_person_are_one_person() -> None:
    """Six rows of the same person look like six people to who counts rows."""
    frame = pl.DataFrame({"age": [1] * 6 + [2] * 6, "sex": [0] * 12})
    whose = np.array([7] * 6 + [8] * 3 + [9] * 3, dtype=np.uint64)

    def histories(columns):
        return frame.select(columns).with_columns(
            pl.Series(PERSON, whose), pl.Series(ROW, np.arange(12, dtype=np.uint32))
        )

    each = frame[[0, 6, 9]]
    given = compare(each, histories=histories, histories_original=histories, people=whose[[0, 6, 9]])
    assert one(risks(given), "suda.special_uniques").value == pytest.approx(1 / 3)
    assert one(risks(given), "suda.special_uniques").n == 3
