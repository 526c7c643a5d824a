"""Kinds that need no fitting, on known values; what is said of parameters and files that cannot be used."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.hierarchies.build import build
from sfumato.hierarchies.ladder import Ladder
from sfumato.hierarchies.postcode import COUNTRIES, SMALL_ZIP3
from sfumato.hierarchies.trees import tree_of

SECRET = "ZZSECRETZZ"
GRADES = ["none", "primary", "secondary", "bachelor", "master"]


def kind(name: str, folder: Path = Path(), **params: Any) -> Any:
    return build({"kind": name, **params}, folder)


def labels(hierarchy: Any, values: list[Any], level: int, dtype: Any = None) -> list[Any]:
    return hierarchy.labels(pl.Series("x", values, dtype=dtype), level).to_list()


def built(hierarchy: Any, values: list[Any]) -> Ladder:
    return Ladder.build(hierarchy, pl.Series("x", values), pl.Series(range(len(values)), dtype=pl.UInt32))


# order


def test_neighbours_grouped_by_sizes() -> None:
    grades = kind("order", values=GRADES, sizes=[2, 4])
    assert grades.height == 4
    assert labels(grades, [*GRADES, None, "?"], 1) == [
        "none - primary", "none - primary",
        "secondary - bachelor", "secondary - bachelor",
        "master", None, None,
    ]  # fmt: skip
    assert labels(grades, ["none", "bachelor", "master"], 2) == ["none - bachelor"] * 2 + ["master"]
    assert labels(grades, ["none", None, "?"], 3) == ["*"] * 3
    # Five grades and the missing value are leaves.
    assert built(grades, ["none", "master"]).shares[1].tolist() == [2 / 6, 1 / 6]
    assert grades.centers(pl.Series(GRADES), 1) is None


def test_neighbours_grouped_by_names() -> None:
    low, high = (
        {"low": GRADES[:2], "some": GRADES[2:3], "high": GRADES[3:]},
        {"no": ["low", "some"], "yes": ["high"]},
    )
    grades = kind("order", values=GRADES, groups=[low, high])
    assert labels(grades, GRADES, 1) == ["low", "low", "some", "high", "high"]
    assert labels(grades, GRADES, 2) == ["no", "no", "no", "yes", "yes"]
    # As the pipeline keeps a specification: its keys sorted.
    kept = json.loads(canonical_json({"kind": "order", "values": GRADES, "groups": [low, high]}))
    assert labels(build(kept, Path()), GRADES, 1) == labels(grades, GRADES, 1)


def test_ordered_numbers_have_centers() -> None:
    marks = kind("order", values=["1", "2", "3", "4", "10"], sizes=[2])
    values = pl.Series("x", [1, 3, 10, 7, None])
    assert marks.centers(values, 1).to_list() == [1.5, 3.5, 10, None, None]
    assert marks.centers(values, 0).to_list() == [1, 3, 10, 7, None]
    assert marks.centers(values, 2) is None


def test_a_value_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 distinct value\(s\) .* data row 2") as caught:
        built(kind("order", values=GRADES, sizes=[2]), ["none", SECRET])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"values": ["a", "b", "a"], "sizes": [2]}, "a value twice"),
        ({"values": ["a"], "sizes": [2]}, "at least 2"),
        ({"values": ["a", "b"]}, "either sizes or groups"),
        ({"values": ["a", "b"], "sizes": [2], "groups": [{"x": ["a", "b"]}]}, "either sizes or groups"),
        ({"values": ["a", "b"], "sizes": [1]}, "greater than or equal to 2"),
        ({"values": list("abcdef"), "sizes": [2, 3]}, "2 does not divide size 3"),
        ({"values": list("abcdef"), "sizes": [2, 2]}, "2 does not divide size 2"),
        ({"values": ["a", "b", "a - b"], "sizes": [2]}, "the same label"),
        ({"values": list("abc"), "groups": [{"x": ["a", "c"], "y": ["b"]}]}, "are no neighbours"),
        ({"values": list("abc"), "groups": [{"x": ["a", "b"], "y": ["b", "c"]}]}, "do not have every"),
        ({"values": list("abc"), "groups": [{"x": ["a", "b"]}]}, "level 1 do not have every"),
        ({"values": list("ab"), "groups": [{"x": ["a", "b"]}, {"y": ["z"]}]}, "level 2 do not have every"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_used(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind("order", **params)


# mask


def test_characters_hidden_from_either_end() -> None:
    codes = ["SW1A 1AA", "M1 1AA", "x", "", None]
    assert labels(kind("mask", hide=[3, 5]), codes, 1) == ["SW1A ***", "M1 ***", "*", "", None]
    assert labels(kind("mask", hide=[3, 5]), codes, 2) == ["SW1*****", "M*****", "*", "", None]
    assert labels(kind("mask", hide=[3], side="start"), codes, 1) == ["***A 1AA", "***1AA", "*", "", None]
    assert labels(kind("mask", hide=[2]), [90210, None], 1) == ["902**", None]
    assert labels(kind("mask", hide=[2]), ["é€ab"], 1) == ["é€**"]
    with pytest.raises(ValidationError, match="hide must grow"):
        kind("mask", hide=[2, 2])


# dates


def test_dates_by_all_units() -> None:
    days = [dt.date(2021, 1, 1), dt.date(2019, 7, 1), dt.date(3, 6, 30), None]
    for unit, expected in {
        "day": ["2021-01-01", "2019-07-01", "0003-06-30", None],
        "week": ["2020-W53", "2019-W27", "0003-W27", None],
        "half-year": ["2021-H1", "2019-H2", "0003-H1", None],
        "5-years": ["2020-2024", "2015-2019", "0-4", None],
    }.items():
        assert labels(kind("dates", levels=[unit]), days, 1) == expected
    assert labels(kind("dates", levels=["day"]), [dt.datetime(2021, 5, 6, 23, 59)], 1) == ["2021-05-06"]


def test_centers_of_all_units_are_their_first_days() -> None:
    day = pl.Series([dt.date(2019, 9, 12)])
    units = {"half-year": 2019.5, "5-years": 2015, "day": 2019 + 254 / 366, "week": 2019 + 251 / 366}
    for unit, center in units.items():
        assert kind("dates", levels=[unit]).centers(day, 1).to_list() == [pytest.approx(center)]


@pytest.mark.parametrize("above", ["month", "quarter", "half-year", "year", "5-years", "decade"])
def test_weeks_do_not_nest_in_anything_larger(above: str) -> None:
    with pytest.raises(ValidationError, match=f"weeks do not nest in a {above}"):
        kind("dates", levels=["day", "week", above])
    with pytest.raises(ValidationError, match="levels must grow"):
        kind("dates", levels=[above, "week"])
    assert kind("dates", levels=["day", "week"]).height == 4


# postcode


def test_zip_codes_with_the_population_rule() -> None:
    codes = ["02139", "90210-1234", " 902101234 ", "03601", "89001", "8900", "x", "", None]
    zips = kind("postcode", country="US")
    assert labels(zips, codes, 1) == ["02139", "90210", "90210", "03601", "89001", None, None, None, None]
    assert labels(zips, codes, 2) == ["021", "902", "902", "000", "000", None, None, None, None]
    assert labels(zips, codes, 3) == ["0", "9", "9", "000", "000", None, None, None, None]
    assert labels(zips, codes, 4) == ["*"] * 9
    assert labels(zips, ["٠٣٦٠١"], 2) == [None]


def test_zip_codes_that_were_read_as_numbers_get_their_zeros_back() -> None:
    codes = [2139, 501, 902101234, 21391234, 3601, -5, 10**10, None]
    assert labels(kind("postcode", country="US", areas=["zip5", "zip3"]), codes, 1) == [
        "02139", "00501", "90210", "02139", "03601", None, None, None,
    ]  # fmt: skip
    assert labels(kind("postcode", country="US", areas=["zip3"]), codes, 1)[:5] == [
        "021",
        "005",
        "902",
        "021",
        "000",
    ]


def test_every_small_area_of_two_censuses_becomes_000_and_no_other() -> None:
    assert len(SMALL_ZIP3) == 23
    every = [f"{n:03}" for n in range(1000)]
    found = labels(kind("postcode", country="US", areas=["zip3"]), [f"{zip3}44" for zip3 in every], 1)
    assert {zip3 for zip3, label in zip(every, found, strict=True) if label != zip3} == SMALL_ZIP3
    assert {label for zip3, label in zip(every, found, strict=True) if zip3 in SMALL_ZIP3} == {"000"}


def test_the_people_of_another_census(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("\ufeffzip;people;x\n036;20001;\n02139;19999;\n02140;2;\n101;20000;\n")
    zips = kind("postcode", tmp_path, country="US", areas=["zip3"], path="p.csv", separator=";")
    # 20,000 is small; what the file does not have is small too.
    assert labels(zips, ["03601", "02199", "10101", "90210"], 1) == ["036", "021", "000", "000"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("036,20001\n", "no columns zip and people"),
        ("", "no columns zip and people"),
        (f"zip,people\n036,5\n{SECRET},5\n", "line 3 has no area"),
        ("zip,people\n36,5\n", "line 2 has no area"),
        (f"zip,people\n036,{SECRET}\n", "line 2 has no number of people"),
        ("zip,people\n036\n", "line 2 has no number of people"),
        (b"zip,people\n\xff", "UnicodeDecodeError"),
    ],
)
def test_a_population_file_that_cannot_be_used(tmp_path: Path, content: str | bytes, words: str) -> None:
    (tmp_path / "p.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=words) as caught:
        kind("postcode", tmp_path, country="US", path="p.csv")
    assert (caught.value.code, SECRET in str(caught.value)) == ("hierarchy-invalid", False)
    with pytest.raises(InputError, match="cannot be read"):
        kind("postcode", tmp_path, country="US", path="nope.csv")


@pytest.mark.parametrize(
    ("country", "codes", "areas"),
    [
        ("GB", ["SW1A 1AA", "m11aa", "M11 1AA", "M1", "1AA"], [
            ["SW1A 1", "M1 1", "M11 1", "M1", None],
            ["SW1A", "M1", "M11", "M1", None],
            ["SW", "M", "M", "M", None],
        ]),
        ("CA", ["K1A 0B1", "k1a-0b1", "K1A", "K1"], [["K1A", "K1A", "K1A", None], ["K", "K", "K", None]]),
        ("DE", ["01067", "1067"], [["010", None], ["01", None], ["0", None]]),
        ("FR", ["75001", "97110", "20090"], [["75", "971", "20"]]),
        ("NL", ["1012 ab", "1012"], [["1012", "1012"], ["10", "10"]]),
        ("AT", ["1010"], [["10"], ["1"]]),
        ("CH", ["3011"], [["30"], ["3"]]),
    ],
)  # fmt: skip
def test_postcodes_of_other_countries(country: str, codes: list[str], areas: list[list[str]]) -> None:
    postcodes = kind("postcode", country=country)
    assert [labels(postcodes, codes, level) for level in range(1, postcodes.height - 1)] == areas


def test_postcodes_that_cannot_be_meant() -> None:
    with pytest.raises(ValidationError, match="areas of US are, in this order: zip5, zip3, zip1"):
        kind("postcode", country="US", areas=["zip1", "zip3"])
    with pytest.raises(ValidationError, match="areas of GB"):
        kind("postcode", country="GB", areas=["zip3"])
    with pytest.raises(ValidationError, match="path is for the US"):
        kind("postcode", country="DE", path="p.csv")
    with pytest.raises(ValidationError, match="country"):
        kind("postcode", country="XX")
    with pytest.raises(InputError, match="are text, and the column has other values"):
        labels(kind("postcode", country="GB"), [123], 1)
    with pytest.raises(InputError, match="text or whole numbers"):
        labels(kind("postcode", country="DE"), [1.5], 1)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(COUNTRIES)), st.data())
def test_areas_of_every_country_nest(country: str, data: st.DataObject) -> None:
    """For every text that its pattern takes, and texts that it does not; each way of writing it alike."""
    pattern = COUNTRIES[country].code.replace("()", "")
    codes = data.draw(
        st.lists(st.from_regex(pattern, fullmatch=True) | st.text(max_size=4), max_size=30, unique=True)
    )
    postcodes = kind("postcode", country=country)
    built(postcodes, [*codes, None])
    shouted = [f" {code[:2]}- {code[2:]}".upper() for code in codes]
    for level in range(1, postcodes.height):
        assert labels(postcodes, shouted, level, pl.String) == labels(postcodes, codes, level, pl.String)


# coordinates


def test_places_as_cells() -> None:
    # Known cells: h3geo.org, "latLngToCell" and "cellToParent".
    cells = kind("coordinates", resolutions=[9, 5, 0])
    places = [
        "37.775938728915946, -122.41795063018799",
        "37.775938728915946;-122.41795063018799",
        "8928308280fffff",
    ]
    assert labels(cells, places, 1) == ["8928308280fffff"] * 3
    assert labels(cells, places, 2) == ["85283083fffffff"] * 3
    assert labels(cells, places, 3) == ["8029fffffffffff"] * 3
    assert labels(cells, ["8029fffffffffff", "08928308280FFFFF"], 2) == ["8029fffffffffff", "85283083fffffff"]
    assert labels(cells, [0x8928308280FFFFF, 3, -1, None], 2) == ["85283083fffffff", None, None, None]


def test_what_is_no_place_has_no_label() -> None:
    wrong = [
        "91, 0",
        "0, 181",
        "47,37;8,54",
        "47.3",
        "nowhere",
        "",
        "NaN, 1",
        "1e1, 2",
        "8928308280fffffff",
        "0x8928308280fff",
        "٤٧, ٨",
        None,
    ]
    cells = kind("coordinates", resolutions=[9])
    assert labels(cells, wrong, 1) == [None] * len(wrong)
    assert labels(cells, wrong, 2) == ["*"] * len(wrong)
    with pytest.raises(InputError, match="needs text or cells"):
        labels(cells, [47.3], 1)
    with pytest.raises(ValidationError, match="resolutions must fall"):
        kind("coordinates", resolutions=[5, 9])
    with pytest.raises(ValidationError, match="less than or equal to 15"):
        kind("coordinates", resolutions=[16])


# taxonomy

PAIRS = "food,\nfruit,food\napple,fruit\npear,fruit\nbread,food\nrye,bread\ndark rye,rye\n"
TEXT = "food\n  fruit\n    apple\n    pear\n\n  bread\n    rye\n      dark rye\n"
TREE = {"fruit": ["apple", "pear"], "bread": {"rye": ["dark rye"]}}


def taxonomy(folder: Path, content: str | bytes, **params: Any) -> Any:
    (folder / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return kind("taxonomy", folder, path="t.csv", **params)


@pytest.mark.parametrize("form", ["pairs", "indented", "tree"])
def test_an_uneven_tree_is_cut_at_one_depth_after_the_other(tmp_path: Path, form: str) -> None:
    foods = {
        "pairs": lambda: taxonomy(tmp_path, PAIRS),
        "indented": lambda: taxonomy(tmp_path, TEXT, form="indented"),
        "tree": lambda: kind("taxonomy", tree=TREE),
    }[form]()
    values = ["apple", "pear", "dark rye", None]
    assert foods.height == 4
    assert labels(foods, values, 1) == ["apple", "pear", "rye", None]
    assert labels(foods, values, 2) == ["fruit", "fruit", "bread", None]
    assert labels(foods, values, 3) == ["*"] * 4
    assert set(foods.domain()) == {*values}
    assert built(foods, values).shares[2].tolist() == [2 / 4, 2 / 4, 1 / 4, 1 / 4]


def test_values_that_are_branches(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="have no row in the hierarchy"):
        built(taxonomy(tmp_path, PAIRS), ["fruit"])
    foods = taxonomy(tmp_path, PAIRS, branches=True)
    assert labels(foods, ["fruit", "rye", "food", "?"], 1) == ["fruit", "rye", "*", None]
    assert labels(foods, ["fruit", "rye", "food", "?"], 2) == ["fruit", "bread", "*", None]
    assert built(foods, ["fruit", "apple", "food"]).height == 4


def test_a_tree_of_one_depth_is_the_value_or_nothing() -> None:
    flat = kind("taxonomy", tree={"a": None, "b": None})
    assert flat.height == 2
    assert labels(flat, ["a", None], 1) == ["*", "*"]


def test_names_may_stand_in_any_order_and_quoted(tmp_path: Path) -> None:
    foods = taxonomy(tmp_path, '"a, b";x\nx;y\nz;y\n', separator=";")
    assert labels(foods, ["a, b", "z"], 1) == ["x", "z"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it has no two names"),
        ("a,\n", "it has no two names"),
        (f"{SECRET},a\n\nb,a,c\n", "line 3 has 3 cells"),
        (f"{SECRET},a\n,a\n", "line 2 has no child"),
        (f"{SECRET},a\nb,a\n{SECRET},b\n", "lines 1 and 3 give a name two parents"),
        (f"x,a\n{SECRET},b\nb,c\nc,{SECRET}\n", "lines 2, 3, 4 go round in a circle"),
        (f"{SECRET},{SECRET}\n", "lines 1 go round in a circle"),
        (f"below,{SECRET}\n{SECRET},b\nb,{SECRET}\n", "lines 2, 3 go round in a circle"),
        (f"child,parent\nx,{SECRET}\ny,{SECRET}\n", "lines 1, 2 begin trees of their own"),
        ("".join(f"c{n},r{n}\n" for n in range(8)), "lines 1, 2, 3, 4, 5, 3 more begin trees of their own"),
        ("".join(f"n{n + 1},n{n}\n" for n in range(150)), "deeper than 100 levels"),
        (b"\xff,a\n", "UnicodeDecodeError"),
        ('"a,b\n', "cannot be read"),
    ],
)
def test_pairs_that_are_no_tree(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        taxonomy(tmp_path, content)
    assert caught.value.code == "hierarchy-invalid"
    assert caught.value.where == "taxonomy file t.csv"
    assert caught.value.remedy
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\n", "it has no two names"),
        (f"a\n  {SECRET}\n  b\n    {SECRET}\n", "lines 2 and 4 have the same name"),
        ("a\n    b\n  c\n", "line 3 is indented as no line above it"),
        ("a\n  b\n\tc\n", "line 3 is indented as no line above it"),
        ("  a\nb\n", "line 2 is indented as no line above it"),
        ("".join(" " * n + f"n{n}\n" for n in range(150)), "deeper than 100 levels"),
    ],
)
def test_indented_text_that_is_no_tree(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        taxonomy(tmp_path, content, form="indented")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, "it has no two names"),
        ({"a": {"x": None}, "b": ["x"]}, "entries 2 and 4 have the same name"),
        ({"a": [1]}, "put names in quotes"),
        ({"a": "b"}, "neither a mapping nor a list"),
    ],
)
def test_a_mapping_that_is_no_tree(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind("taxonomy", tree=tree)


def test_a_mapping_that_is_nested_without_end() -> None:
    deep: Any = None
    for n in range(150):
        deep = {f"n{n}": deep}
    with pytest.raises(ValidationError, match="deeper than 100 levels"):
        kind("taxonomy", tree=deep)


def test_one_source_of_a_tree_and_a_file_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="either path or tree"):
        kind("taxonomy")
    with pytest.raises(ValidationError, match="either path or tree"):
        kind("taxonomy", path="x", tree=TREE)
    for params in ({"path": "nope"}, {"path": "."}, {"path": "a\0b"}):
        with pytest.raises(InputError, match="cannot be read"):
            kind("taxonomy", tmp_path, **params)
    with pytest.raises(InputError, match="LookupError"):
        taxonomy(tmp_path, PAIRS, encoding="klingon")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_ladders_of_random_trees_nest_and_say_where_a_name_is(
    tmp_path_factory: Any, draws: list[int]
) -> None:
    """Name n has a parent among those before it; the three forms give the same labels."""
    parent = {n: draw % n for n, draw in enumerate(draws, 1)}
    folder = tmp_path_factory.mktemp("trees")
    pairs = taxonomy(folder, "".join(f"{child},{above}\n" for child, above in parent.items()), branches=True)

    def below(n: int) -> dict[str, Any]:
        return {str(child): below(child) for child, above in parent.items() if above == n}

    def lines(n: int, depth: int) -> str:
        inner = "".join(lines(child, depth + 1) for child, above in parent.items() if above == n)
        return "\t" * depth + f"{n}\n{inner}"

    mapping = kind("taxonomy", tree={"0": below(0)}, branches=True)
    text = taxonomy(folder, lines(0, 0), form="indented", branches=True)
    names = [str(n) for n in range(len(draws) + 1)]
    ladder = built(pairs, names)
    for level in range(1, pairs.height):
        found = ladder.labels[level].to_list()
        assert found == labels(mapping, names, level) == labels(text, names, level)
        for name, label in zip(names, found, strict=True):
            above = [int(name)]
            while above[-1]:
                above.append(parent[above[-1]])
            # The label is the name itself or one above it, no deeper than the cut.
            depth = len(above) - 1
            cut = pairs.height - 1 - level
            assert label == ("*" if not min(depth, cut) else str(above[max(0, depth - cut)]))


def test_a_tree_from_python_may_have_names_that_are_numbers() -> None:
    assert tree_of({1: {2: None, 3: None}}) == {"1": (), "2": ("2",), "3": ("3",)}
