"""Sources as they come: damaged, mislabelled, empty, huge. Each gets one clear error or is read right."""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SECRET, Answer, Ask, files_in, people

Bytes = bytes | str
Files = dict[str, Bytes]

TABLE = people(60).encode()
ROWS = "".join(f"{SECRET}{i},{i % 7}\n" for i in range(50))


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def inspect(ask: Ask, folder: Path, *arguments: object) -> Answer:
    """An inspection that leaves the folder as it was."""
    before = files_in(folder)
    answer = ask("inspect", *arguments, "--json", cwd=folder)
    assert files_in(folder) == before
    if answer.code:
        assert answer.out == ""
        assert len(answer.err.strip().splitlines()) <= 2
    return answer


#: What a text file holds, and the words of its error: file, line or column, and what to do.
BAD_TEXT: dict[str, tuple[str, Bytes, tuple[str, ...]]] = {
    "empty": ("a.csv", "", ("a.csv: no header line", "source-empty")),
    "blank lines alone": ("a.csv", "\n\n", ("a.csv: no header line",)),
    "header only": ("a.csv", "a,b\n", ("a.csv: there are columns but no rows", "source-empty")),
    "all missing": ("a.csv", "a,b\n" + ",\n" * 100, ("a.csv", "source-empty")),
    "a name twice": (
        "a.csv",
        "a,b,a\n1,2,3\n",
        ('a.csv: the column name "a" occurs twice', "source-columns"),
    ),
    "no name": ("a.csv", "a,,c\n1,2,3\n", ("a.csv: column 2 has no name", "source-columns")),
    "a reserved name": ("a.csv", "__sfumato_row__,b\n1,2\n", ('"__sfumato_row__" is reserved', "rename")),
    "a row too long": (
        "a.csv",
        f"a,b\n1,2\n{SECRET},2,3\n",
        ("a.csv: line 3 has 3 cells and the header has 2", "separator"),
    ),
    "a row too short": (
        "a.csv",
        f"a,b,c\n1,2,3\n{SECRET},2\n1,2,3\n",
        ("a.csv: line 3 has 2 cells and the header has 3",),
    ),
    "cut off in a row": ("a.csv", f"a,b,c\n1,2,3\n{SECRET}", ("a.csv: line 3 has 1 cells", "cut off")),
    "a row too long far down": (
        "a.csv",
        "a,b\n" + "x,y\n" * 5000 + f"{SECRET},2,3\n",
        ("a.csv: line 5002 has 3 cells",),
    ),
    "another separator": (
        "a.csv",
        "a;b;c\n" + ROWS.replace(",", ";"),
        ('";"', "separator", "source-columns"),
    ),
    "broken UTF-8": (
        "a.csv",
        b"a,b\n1,2\n" + SECRET.encode() + b"\xff\xfa,3\n",
        ("a.csv: line 3 is not valid utf-8", "encoding: latin-1", "source-encoding"),
    ),
    "broken UTF-8 far down": (
        "a.csv",
        b"a,b\n" + b"1,2\n" * 5000 + b"\xff\xfa,3\n",
        ("a.csv: line 5002 is not valid utf-8",),
    ),
    "broken UTF-8 in the header": ("a.csv", b"a,\xff\n1,2\n", ("a.csv: line 1 is not valid utf-8",)),
    "UTF-16": ("a.csv", ("a,b\n" + ROWS).encode("utf-16"), ("a.csv: line 1 looks like UTF-16", "to UTF-8")),
    "UTF-16 without a mark": ("a.csv", ("a,b\n" + ROWS).encode("utf-16-le"), ("looks like UTF-16",)),
    "CR alone": ("a.csv", "a,b\r1,2\r3,4\r", ("a.csv", "carriage returns alone", "LF or CRLF")),
    "a quote never closed": ("a.csv", f'a,b\n1,2\n"{SECRET},3\n1,2\n', ("a.csv: a quoted cell", "at line")),
    "cut off in quotes": ("a.csv", f'a,b\n1,2\n1,"{SECRET}', ("a.csv: a quoted cell is never closed",)),
    "text after a quote": ("a.csv", f'a,b\n1,2\n"{SECRET}"x,3\n', ("goes on after its quote", "line 3")),
    "cut off gzip": ("a.csv.gz", gzip.compress(TABLE)[:-300], ("a.csv.gz: cannot be read", "cut short")),
    "no gzip at all": ("a.csv.gz", TABLE, ("a.csv.gz: cannot be read as csv", "damaged")),
    "no zstd at all": ("a.csv.zst", TABLE, ("a.csv.zst: cannot be read as csv",)),
    "empty ndjson": ("a.ndjson", "", ("a.ndjson: no rows", "source-empty")),
    "a bad line": (
        "a.ndjson",
        '{"a":1}\n{"a":"' + SECRET + '"\n{"a":3}\n',
        ("a.ndjson: line 2 is not one JSON object",),
    ),
    "no JSON": ("a.ndjson", '{"a":1}\n' + ROWS, ("a.ndjson: line 2 is not one JSON object",)),
    "a JSON list": ("a.jsonl", '[{"a":1},\n{"a":2}]\n', ("a.jsonl: line 1 is not one JSON object",)),
    "ndjson, broken UTF-8": ("a.ndjson", b'{"a":"\xff\xfe"}\n', ("a.ndjson: line 1 is not valid utf-8",)),
    "nested ndjson": ("a.ndjson", '{"a":{"x":"' + SECRET + '"}}\n', ("column a", "nested", "column-values")),
    "nothing that is known": ("a.xlsx", TABLE, ('a.xlsx: the ending ".xlsx" tells no format', "csv")),
    "no ending": ("people", TABLE, ("people: a name without an ending", "format: csv")),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_a_bad_text_file_gets_one_clear_error(ask: Ask, tmp_path: Path, case: str) -> None:
    name, content, words = BAD_TEXT[case]
    write(tmp_path, {name: content})
    inspect(ask, tmp_path, name).refuses(*words)


def damaged(folder: Path) -> None:
    pl.read_csv(TABLE).write_parquet(folder / "a.parquet")
    content = bytearray((folder / "a.parquet").read_bytes())
    for at in range(60, 900):
        content[at] ^= 0x5A
    (folder / "a.parquet").write_bytes(content)


def cut_short(folder: Path) -> None:
    pl.read_csv(TABLE).write_parquet(folder / "a.parquet")
    (folder / "a.parquet").write_bytes((folder / "a.parquet").read_bytes()[:-100])


def parquet(*names: str, column: object = (1, 2)) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        pq.write_table(pa.table([pa.array(column)] * len(names), names=list(names)), folder / "a.parquet")

    return make


BAD_PARQUET: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "damaged": (damaged, ("a.parquet: cannot be read as parquet", "damaged")),
    "cut short": (cut_short, ("a.parquet: cannot be read as parquet",)),
    "text": (lambda folder: write(folder, {"a.parquet": TABLE}), ("a.parquet: cannot be read as parquet",)),
    "empty": (lambda folder: write(folder, {"a.parquet": ""}), ("a.parquet",)),
    "no rows": (parquet("a", column=pa.array([], pa.int64())), ("a.parquet: there are columns but no rows",)),
    "no columns": (parquet(), ("a.parquet: no columns",)),
    "lists": (parquet("a", column=[[1], [2]]), ("column a", "nested")),
    "structs": (parquet("a", column=[{"x": SECRET}]), ("column a", "nested")),
    "binary": (parquet("a", column=[SECRET.encode()]), ("column a", "nested or binary")),
    "a name twice": (parquet("a", "a"), ('a.parquet: the column name "a" occurs twice',)),
    "no name": (parquet("a", ""), ("a.parquet: column 2 has no name",)),
    "a reserved name": (parquet("a", "__sfumato_row__"), ('"__sfumato_row__" is reserved',)),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_a_bad_parquet_file_gets_one_clear_error(ask: Ask, tmp_path: Path, case: str) -> None:
    make, words = BAD_PARQUET[case]
    make(tmp_path)
    inspect(ask, tmp_path, "a.parquet").refuses(*words)


BAD_PLACES: dict[str, tuple[Files, str, tuple[str, ...]]] = {
    "missing": ({}, "nope.csv", ("nope.csv: no such file", "source-missing", "relative to")),
    "a pattern without a match": ({"a.csv": TABLE}, "b*.csv", ("b*.csv: no such file, and no file matches",)),
    "no pattern": ({"a.csv": TABLE}, "[a-z.csv", ("[a-z.csv: no such file",)),
    "a folder of nothing": ({"d/x.txt": "x"}, "d", ("d: the folder has no file of a known format",)),
    "a mixed folder": (
        {"d/a.csv": TABLE, "d/b.ndjson": '{"a":1}\n'},
        "d",
        ("d: files of several formats: csv, ndjson",),
    ),
    "other columns": ({"d/a.csv": "a,b\n1,2\n", "d/b.csv": "a,c\n1,2\n"}, "d", ("b.csv: columns differ",)),
    "another order": ({"d/a.csv": "a,b\n1,2\n", "d/b.csv": "b,a\n1,2\n"}, "d", ("b.csv: columns differ",)),
    "other keys": (
        {"d/a.ndjson": '{"a":1,"b":2}\n', "d/b.ndjson": '{"a":1,"c":2}\n'},
        "d",
        ("b.ndjson: columns differ from those of a.ndjson",),
    ),
    "a bad file among good ones": (
        {"d/a.csv": "a,b\n1,2\n", "d/b.csv": "a,b\n1,2,3\n"},
        "d/*.csv",
        ("b.csv: line 2 has 3 cells",),
    ),
}


@pytest.mark.parametrize("case", BAD_PLACES)
def test_a_bad_place_gets_one_clear_error(ask: Ask, tmp_path: Path, case: str) -> None:
    files, place, words = BAD_PLACES[case]
    write(tmp_path, files)
    inspect(ask, tmp_path, place).refuses(*words)


def test_files_of_one_source_have_one_type_for_each_column(ask: Ask, tmp_path: Path) -> None:
    pl.DataFrame({"a": [1], "b": [2]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"a": [SECRET], "b": [2]}).write_parquet(tmp_path / "b.parquet")
    answer = inspect(ask, tmp_path, "*.parquet")
    answer.refuses("b.parquet, column a: the column is of another type than in a.parquet")


def test_a_pipe_is_no_source(ask: Ask, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    inspect(ask, tmp_path, "a.csv").refuses("a.csv: it is a pipe or a device", "write it to a file")


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--separator", "ab", "one ASCII character"),
        ("--separator", "", "one ASCII character"),
        ("--separator", "é", "one ASCII character"),
        ("--separator", '"', "no quote"),
        ("--encoding", "klingon", "utf-8, latin-1, cp1252"),
        ("--target", "agee", 'did you mean "age"?'),
        ("--subject", "agee", 'did you mean "age"?'),
    ],
)
def test_an_option_that_cannot_be_meant(ask: Ask, tmp_path: Path, option: str, value: str, word: str) -> None:
    write(tmp_path, {"a.csv": TABLE})
    inspect(ask, tmp_path, "a.csv", option, value).refuses(word)


def columns(answer: Answer) -> dict[str, str]:
    return {column["name"]: column["dtype"] for column in answer.passes().json["columns"]}


def test_files_that_look_odd_and_are_read_right(ask: Ask, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "one.csv": f"a,b\n{SECRET},1\n",
            "null.csv": "a,b\n" + "".join(f",{i % 5}\n" for i in range(100)),
            "constant.csv": "a,b\n" + "1,x\n" * 100,
            "latin.csv": "größe,n\n".encode("latin-1") + "Zürich,3\n".encode("latin-1") * 20,
            "mark.csv": b"\xef\xbb\xbfage,b\n" + b"1,2\n" * 30,
            "windows.csv": "a,b\r\n1,2\r\n3,4\r\n",
            "quoted.csv": 'a,"b\nc"\n"x\ny",2\n"say ""z""",3\n',
            "blank.csv": "a,b\n1,2\n\n3,4\n\n\n",
            "nul.csv": b"a,b\n1,2\nx\0y,3\n",
            "semi.csv": "a;b\n1;2,5\n",
            "good.csv.gz": gzip.compress(TABLE),
            "good.csv.zst": pa.compress(TABLE, codec="zstd", asbytes=True),
            "codes.csv": "zip,id,n,odd\n" + "00123,12345678901234567890,9223372036854775807,1e999\n" * 9,
            "float.csv": "a,b\n" + "1e308,0.5\n-1e308,7\n1e-320,-0\n" * 9,
            "date.csv": "d,e\n" + "0001-01-01,2023-02-30\n9999-12-31,0000-00-00\n" * 9,
            "one.ndjson": '{"a":1}\n\n{"a":2.5}\n{"b":null}\n',
        },
    )
    assert columns(inspect(ask, tmp_path, "one.csv")) == {"a": "text", "b": "integer"}
    assert columns(inspect(ask, tmp_path, "null.csv")) == {"a": "empty", "b": "integer"}
    assert columns(inspect(ask, tmp_path, "constant.csv")) == {"a": "integer", "b": "text"}
    assert columns(inspect(ask, tmp_path, "latin.csv", "--encoding", "latin-1")) == {
        "größe": "text",
        "n": "integer",
    }
    assert columns(inspect(ask, tmp_path, "mark.csv")) == {"age": "integer", "b": "integer"}
    assert columns(inspect(ask, tmp_path, "windows.csv")) == {"a": "integer", "b": "integer"}
    assert columns(inspect(ask, tmp_path, "quoted.csv")) == {"a": "text", "b\nc": "integer"}
    assert columns(inspect(ask, tmp_path, "semi.csv", "--separator", ";")) == {"a": "integer", "b": "text"}
    assert columns(inspect(ask, tmp_path, "nul.csv")) == {"a": "text", "b": "integer"}
    assert inspect(ask, tmp_path, "blank.csv").passes().json["rows"] == 2
    assert inspect(ask, tmp_path, "good.csv.gz").passes().json["rows"] == 60
    assert inspect(ask, tmp_path, "good.csv.zst").passes().json["rows"] == 60
    codes = {"zip": "text", "id": "text", "n": "integer", "odd": "text"}
    assert columns(inspect(ask, tmp_path, "codes.csv")) == codes
    assert columns(inspect(ask, tmp_path, "float.csv")) == {"a": "number", "b": "number"}
    assert columns(inspect(ask, tmp_path, "date.csv")) == {"d": "date", "e": "text"}
    assert columns(inspect(ask, tmp_path, "one.ndjson")) == {"a": "number", "b": "empty"}


def test_a_table_that_is_wide_or_has_a_million_values_is_inspected_in_time(ask: Ask, tmp_path: Path) -> None:
    draw = random.Random(0)
    wide = pl.DataFrame({f"c{i}": [draw.randint(0, 9) for _ in range(300)] for i in range(300)})
    wide.write_csv(tmp_path / "wide.csv")
    many = pl.DataFrame({"a": pl.int_range(1_000_000, eager=True)}).with_columns(
        (pl.lit(SECRET) + pl.col("a").cast(pl.String)).alias("name"), (pl.col("a") % 97).alias("b")
    )
    many.write_parquet(tmp_path / "many.parquet")
    assert len(columns(inspect(ask, tmp_path, "wide.csv"))) == 300
    assert inspect(ask, tmp_path, "many.parquet").passes().json["rows"] == 1_000_000


#: A quote, an emoji, blanks, an equals sign, markup, an escape sequence, a line end, a turn of direction.
NAMES = (
    'a "q"',
    "😀",
    "with space",
    "x=y",
    "[bold]red[/bold]",
    "\x1b[31mred",
    "line\nbreak",
    "\u202ertl",
    "\x9b2J",
)


def test_names_of_columns_reach_the_terminal_as_words(ask: Ask, tmp_path: Path) -> None:
    table = pl.DataFrame({name: [i % (3 + at) for i in range(60)] for at, name in enumerate(NAMES)})
    table.write_csv(tmp_path / "a.csv")
    shown = ask("inspect", "a.csv", "-o", "policy.yaml", cwd=tmp_path, COLUMNS="200").passes().out
    for name in ('a "q"', "😀", "with space", "x=y", "[bold]red[/bold]", "\\x1b[31mred", "line\\nbreak"):
        assert name in shown
    document = inspect(ask, tmp_path, "a.csv").passes()
    assert [column["name"] for column in document.json["columns"]] == list(NAMES)
    missing = inspect(ask, tmp_path, "a.csv", "--target", "\x1b[2J").refuses("\\x1b[2J")
    checked = ask("check", "policy.yaml", cwd=tmp_path).passes()
    for text in (shown, document.out, missing.err, checked.out):
        assert not {"\x1b", "\u202e", "\x9b"} & set(text)


def test_every_name_survives_to_the_release(ask: Ask, tmp_path: Path) -> None:
    """Also those that the house has for columns of its own tables."""
    names = [*NAMES[3:6], "len", "value", "label", "count", "code", "share"]
    draw = random.Random(7)
    table = pl.DataFrame({name: [draw.randint(0, 1) for _ in range(400)] for name in names})
    table.write_csv(tmp_path / "a.csv")
    ask("inspect", "a.csv", "-o", "policy.yaml", cwd=tmp_path).passes()
    draft = (tmp_path / "policy.yaml").read_text()
    for form, header, end in (("csv", csv_header, "evidence"), ("parquet", parquet_header, "gate")):
        kept = draft.split(f"\n{end}:")[0]
        (tmp_path / f"{form}.yaml").write_text(f"{kept}\nrelease: {{format: {form}}}\n")
        # In a project of its own each: two releases of so few people give more away than one.
        project = ("--project", f"{form}-keys")
        answer = ask("run", f"{form}.yaml", "-o", form, *project, "--json", cwd=tmp_path).passes()
        assert list(answer.json["anonymity"]["levels"]) == names
        (data,) = (tmp_path / form / "release" / "data").iterdir()
        assert header(data) == names


def parquet_header(path: Path) -> list[str]:
    return pl.read_parquet(path).columns


def csv_header(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file))


#: Tables with hardly anything in them, and the exit codes that a run of their drafts may have.
POOR = {
    "one row": ("a,b,t\nx,1,0\n", 2),
    "an empty target": ("a,b,t\n" + "".join(f"{i % 3},{i % 5},\n" for i in range(120)), 1),
    "a target of one class": ("a,b,t\n" + "".join(f"{i % 3},,1\n" for i in range(120)), 1),
    "one column": ("t\n" + "".join(f"{i % 3 or ''}\n" for i in range(120)), 1),
}


@pytest.mark.parametrize("case", POOR)
def test_tables_of_hardly_anything_come_to_a_decision_or_one_error(
    ask: Ask, tmp_path: Path, case: str
) -> None:
    """Drafted, checked and run with all the evidence there is; the gate says no, for nothing was shown."""
    table, code = POOR[case]
    write(tmp_path, {"a.csv": table})
    ask("inspect", "a.csv", "-o", "policy.yaml", "--target", "t", cwd=tmp_path).passes()
    ask("check", "policy.yaml", cwd=tmp_path).passes()
    answer = ask("run", "policy.yaml", "-o", "out", "--json", cwd=tmp_path)
    assert answer.code == code, answer.err
    if code == 2:
        answer.refuses("anonymity-impossible")
        assert files_in(tmp_path) == ["a.csv", "policy.yaml"]
    else:
        assert answer.err == ""
        assert answer.json["decision"]["passed"] is False


def test_the_draft_never_replaces_the_source_or_what_is_there(ask: Ask, tmp_path: Path) -> None:
    write(tmp_path, {"a.csv": TABLE, "policy.yaml": "mine"})
    ask("inspect", "a.csv", "-o", "a.csv", "--force", cwd=tmp_path).refuses("it is the source")
    ask("inspect", "a.csv", "-o", "policy.yaml", cwd=tmp_path).refuses("policy.yaml", "--force")
    ask("inspect", "a.csv", "-o", "no/policy.yaml", cwd=tmp_path).refuses(
        "no/policy.yaml", "check the folder"
    )
    ask("inspect", "a.csv", "-o", ".", "--force", cwd=tmp_path).refuses(".: it is a folder")
    assert files_in(tmp_path) == ["a.csv", "policy.yaml"]
    assert (tmp_path / "a.csv").read_bytes() == TABLE
    assert (tmp_path / "policy.yaml").read_text() == "mine"
