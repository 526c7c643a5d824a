"""What several releases give away together, against brute force and known answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.values import Finding
from sfumato.evidence.attacks.composition import Column, Joint, compose
from sfumato.evidence.attacks.composition_classes import ABSENT, disclosed, joint_classes, subtracted
from sfumato.gate import COMPOSED, decide, loosened
from sfumato.pipeline.composing import People, number
from sfumato.policy.load import policy_from
from sfumato.policy.model import Policy
from sfumato.project import Project
from sfumato.project.ledger import Made

Releases = tuple[list[list[int]], list[list[int]]]


@st.composite
def releases(draw: st.DrawFn) -> Releases:
    people, many = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    classes = [draw(st.lists(st.integers(-1, 3), min_size=people, max_size=people)) for _ in range(many)]
    values = draw(st.lists(st.integers(0, 3), min_size=people, max_size=people))
    changed = draw(st.lists(st.booleans(), min_size=people, max_size=people))
    later = [value + 1 if change else value for value, change in zip(values, changed, strict=True)]
    return classes, [values, *[later] * (many - 1)]


def arrays(lists: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(part, dtype=np.int64) for part in lists]


def by_hand(classes: list[list[int]], values: list[list[int]]) -> list[bool]:
    """Everybody's candidates, one by one."""
    people, found = range(len(classes[0])), []
    for person in people:
        there = [t for t in range(len(classes)) if classes[t][person] != ABSENT]
        seen = [{values[t][u] for u in people if classes[t][u] == classes[t][person]} for t in there]
        everybody = {
            tuple(values[t][u] for t in there) for u in people if all(classes[t][u] != ABSENT for t in there)
        }
        candidates = [row for row in everybody if all(v in s for v, s in zip(row, seen, strict=True))]
        found.append(any(len({row[i] for row in candidates}) == 1 for i in range(len(there))))
    return found


@settings(deadline=None)
@given(releases())
def test_disclosed_is_what_all_candidates_agree_on(given_releases: Releases) -> None:
    classes, values = given_releases
    assert disclosed(arrays(classes), arrays(values)).tolist() == by_hand(classes, values)


@settings(deadline=None)
@given(releases())
def test_another_release_only_adds(given_releases: Releases) -> None:
    """Whom one release gives away both give away, and joint classes are never larger than one's own."""
    classes, values = arrays(given_releases[0]), arrays(given_releases[1])
    same = [values[0]] * len(classes)
    alone = disclosed(classes[:1], same[:1])
    assert (disclosed(classes, same) | ~alone).all()
    numbers, sizes = joint_classes(classes)
    assert (sizes[numbers] <= np.bincount(classes[0] - ABSENT)[classes[0] - ABSENT]).all()


def test_the_intersection_of_two_classes_tells_what_neither_does() -> None:
    """Ganta et al.'s example: three values in each of the patient's classes, and one of them in both."""
    first, second = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 0, 0])
    values = np.array([7, 1, 2, 3, 4])
    assert not disclosed([first], [values])[0]
    assert not disclosed([second], [values])[0]
    assert disclosed([first, second], [values, values])[0]


def brute_subtraction(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> list[bool]:
    """Parts by spreading from person to person, differences by counting."""
    part = list(range(len(first)))
    for _ in part:
        for a in range(len(part)):
            for b in range(len(part)):
                if (first[a] == first[b] != ABSENT) or (second[a] == second[b] != ABSENT):
                    part[a] = part[b] = min(part[a], part[b])
    found = []
    for person in range(len(first)):
        inside = [u for u in range(len(first)) if part[u] == part[person]]
        went = [u for u in inside if first[u] != ABSENT and second[u] == ABSENT]
        came = [u for u in inside if first[u] == ABSENT and second[u] != ABSENT]
        gone = went if person in went else came if person in came else []
        others = came if person in went else went
        here, there = {values[u] for u in gone}, {values[u] for u in others}
        found.append(bool(gone) and len(here) == 1 and not here & there)
    return found


@settings(deadline=None)
@given(releases())
def test_subtraction_tells_of_those_who_came_or_went(given_releases: Releases) -> None:
    classes, values = arrays(given_releases[0]), arrays(given_releases[1])
    first, second = classes[0], classes[-1]
    known = (first != ABSENT) | (second != ABSENT)
    first, second, value = first[known], second[known], values[0][known]
    if len(value):
        found = subtracted(first, second, value, value)
        assert found.tolist() == brute_subtraction(first, second, value)


def test_counts_that_differ_by_one() -> None:
    """Six people before, five after, and the one who went was the only one with the value."""
    first, second = np.zeros(6, np.int64), np.array([0, 0, 0, 0, 0, -1])
    value = np.array([0, 1, 0, 1, 0, 2])
    assert subtracted(first, second, value, value).tolist() == [False] * 5 + [True]
    # Broken twin: who is in both is never told by a subtraction.
    assert not subtracted(first, first, value, value).any()


def figures(found: list[Finding]) -> dict[tuple[str, str], Finding]:
    return {(finding.metric, finding.target): finding for finding in found}


def test_a_release_with_itself_is_one_release() -> None:
    classes = np.repeat(np.arange(20), 5)
    values = np.tile(np.arange(5), 20)
    column = Column((0, 1), (values, values))
    found = figures(compose(Joint((classes, classes), 5, {"s": column}), "one"))
    assert found["composition.worst_class", "release"].value == 0.2
    assert found["composition.below_k", "release"].value == 0
    assert found["composition.disclosed", "s"].value == 0
    assert found["composition.differenced", "release"].status == "no-power"
    assert ("composition.subtracted", "s") not in found


def test_a_coarser_release_adds_nothing_and_a_crossing_one_does() -> None:
    fine = np.repeat(np.arange(20), 5)
    coarse, crossing = fine // 4, np.tile(np.arange(5), 20)
    nested = figures(compose(Joint((fine, coarse), 5), "nested"))
    crossed = figures(compose(Joint((fine, crossing), 5), "crossing"))
    assert nested["composition.worst_class", "release"].value == 0.2
    assert crossed["composition.worst_class", "release"].value == 1
    assert crossed["composition.below_k", "release"].value == 1
    assert crossed["composition.below_k", "release"].baseline == 0
    assert crossed["composition.success", "release"].value == 1


def test_who_is_missing_counts_as_a_class() -> None:
    first = np.repeat(np.arange(4), 5)
    second = first.copy()
    second[0] = ABSENT
    found = figures(compose(Joint((first, second), 5), "one went"))
    assert found["composition.worst_class", "release"].value == 1
    assert found["composition.differenced", "release"].value == 1
    assert found["composition.below_k", "release"].value == pytest.approx(4 / 19)


def test_others_altogether_are_no_composition() -> None:
    first = np.r_[np.zeros(5, np.int64), np.full(6, ABSENT)]
    second = np.r_[np.full(5, ABSENT), np.zeros(6, np.int64)]
    found = figures(compose(Joint((first, second), 5), "others"))
    assert found["composition.worst_class", "release"].value == 0.2
    assert found["composition.below_k", "release"].status == "no-power"


@pytest.mark.parametrize("people", [0, 1])
def test_nobody_and_one_person(people: int) -> None:
    classes, values = np.zeros(people, np.int64), np.zeros(people, np.int64)
    found = compose(Joint((classes, classes), 5, {"s": Column((0, 1), (values, values))}), "few")
    assert all(finding.value is not None or finding.status == "no-power" for finding in found)


# --- finding people again ---------------------------------------------------------------------------


def people(spaces: dict[str, str], **columns: list[int]) -> People:
    table = pl.DataFrame({name: pl.Series(ids, dtype=pl.UInt64) for name, ids in columns.items()})
    return People(spaces, (), (), {}, None, 5, table)


def test_people_are_found_by_any_space_that_releases_share() -> None:
    this = people({"source": "row", "key": "unit"}, row=[0, 1, 2], unit=[50, 51, 52])
    by_row = people({"source": "row"}, row=[2, 7])
    by_key = people({"other": "row", "key": "unit"}, row=[0, 1], unit=[51, 99])
    nowhere = people({"third": "row"}, row=[0, 1])
    through = people({"other": "row"}, row=[1])
    found = number([this, nowhere, through, by_row, by_key])
    assert found[1] is None
    assert [None if who is None else who.tolist() for who in found] == [[0, 1, 2], None, [4], [2, 3], [1, 4]]


def test_what_is_kept_comes_back() -> None:
    kept = People(
        {"s": "row"}, ("s",), ("age",), {"ill": "[]"}, {"models": []}, 7, pl.DataFrame({"row": [1, 2]})
    )
    again = People.from_parquet(kept.to_parquet())
    assert again is not None
    assert again.table.equals(kept.table)
    assert {**vars(again), "table": None} == {**vars(kept), "table": None}
    assert json.loads(json.dumps(again.promised)) == {"models": []}


def test_people_are_kept_sealed_and_for_their_owner_alone(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "keys")
    one, two = (Made(dataset=d, policy_digest="p", source_commitment=d) for d in ("one", "two"))
    assert project.people.of(one) is None
    project.people.keep(one, b"who is who", ["space"])
    (kept,) = (tmp_path / "keys" / "people").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert b"who is who" not in kept.read_bytes()
    assert project.people.of(one) == b"who is who"
    # Kept, but it never left: nothing to be joined with.
    assert project.people.earlier(two, ["space"]) == ()
    project.record(**one.model_dump(), time="t", manifest_digest=None, passed=True)
    assert project.people.earlier(two, ["space"]) == (one,)
    assert project.people.earlier(two, ["another"]) == ()
    assert project.people.earlier(one, ["space"]) == ()


# --- the gate ---------------------------------------------------------------------------------------


def asking(**more: object) -> Policy:
    return policy_from(
        {
            "sfumato": 1,
            "dataset": {"name": "d", "source": {"path": "x.csv"}},
            "columns": {"a": {"role": "insensitive", "why": "w"}},
            **more,
        }
    )


def low(metric: str, value: float | None, **more: object) -> Finding:
    fields = {"unit": "probability", "goal": "low", "n": 1000, "source": "s"} | more
    return Finding(metric=metric, value=value, low=value, high=value, **fields)


RISK = low("risk.worst_class", 0.2)
FINE = [RISK, low("composition.worst_class", 0.2), low("composition.joined_broken", 0.0, unit="share")]
NAMED = {"by": "N. N.", "what": "gate composition.worst_class", "why": "the first never left the house"}


def test_the_first_release_has_nothing_to_compose_with() -> None:
    assert decide(asking(), [RISK]).passed
    assert decide(asking(gate=[{"metric": "composition.worst_class", "at_most": 0.1}]), [RISK]).passed


def test_with_earlier_releases_a_composition_must_be_measured_and_low() -> None:
    assert not decide(asking(), [RISK], 1).passed
    assert decide(asking(), FINE, 1).passed
    assert not decide(asking(), [RISK, low("composition.worst_class", 0.25), FINE[2]], 1).passed
    unknown = low("composition.worst_class", None, status="not-measured", n=0)
    assert not decide(asking(), [RISK, unknown, FINE[2]], 1).passed
    assert not decide(asking(), [*FINE[:2], low("composition.joined_broken", 0.01)], 1).passed


def test_a_named_person_may_answer_for_what_nobody_can_measure() -> None:
    unknown = low("composition.worst_class", None, status="not-measured", n=0)
    assert decide(asking(approvals=[NAMED]), [RISK, unknown, FINE[2]], 1).passed
    wrong = NAMED | {"what": "gate risk.worst_class"}
    assert not decide(asking(approvals=[wrong]), [RISK, unknown, FINE[2]], 1).passed


def test_a_looser_threshold_holds_only_with_a_name_and_is_then_asked_for() -> None:
    loose = [{"metric": "composition.worst_class", "at_most": 0.5, "least_n": 1}]
    half, whole = ([RISK, low("composition.worst_class", value), FINE[2]] for value in (0.5, 1.0))
    assert loosened(asking(gate=loose), COMPOSED[0]) is not None
    assert not decide(asking(gate=loose), half, 1).passed
    assert decide(asking(gate=loose, approvals=[NAMED]), half, 1).passed
    assert not decide(asking(gate=loose, approvals=[NAMED]), whole, 1).passed


def test_a_policy_may_ask_more_of_a_composition() -> None:
    tight = [{"metric": "composition.disclosed", "at_most": 0.01, "target": "illness"}]
    assert not decide(asking(gate=tight), FINE, 1).passed
    assert decide(asking(gate=tight), [*FINE, low("composition.disclosed", 0.0, target="illness")], 1).passed
