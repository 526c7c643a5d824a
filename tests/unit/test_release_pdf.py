"""The dossier on paper: all that the page says, nothing else, and the same bytes every time."""

from __future__ import annotations

import hashlib
import html
import io
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdf
import pytest
import typst

import release_example as example
from sfumato.core.errors import InputError
from sfumato.project import Project
from sfumato.release.assemble import Release
from sfumato.release.charts import Mark, draw
from sfumato.release.pdf import dossier_pdf
from sfumato.release.pdf.html import parse
from sfumato.release.pdf.outline import outline
from sfumato.release.verify import verify

TIME = "2026-05-04T03:02:01Z"
FURNITURE = re.compile(r"^(\d+ of \d+|.*release dossier)$", re.MULTILINE)


class Seen(HTMLParser):
    """The texts of a page that a reader of its printed form sees, by the rules of its style sheet."""

    UNSEEN = frozenset({"unseen", "skip", "meter", "narrow", "pairs-wide"})
    SKIPPED = frozenset({"head", "style", "nav", "title"})
    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden: list[bool] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        classes = set((given.get("class") or "").split())
        unseen = tag in self.SKIPPED or classes & self.UNSEEN
        unheard = given.get("aria-hidden") == "true" and "legend" not in classes
        if tag not in self.VOID:
            self.hidden.append(bool(unseen or unheard or (self.hidden and self.hidden[-1])))

    def handle_endtag(self, tag: str) -> None:
        self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self.hidden[-1:] != [True]:
            self.said.append(data)


def squashed(text: str) -> str:
    """Text without what lines and pages do to it."""
    return re.sub(r"[\s\xad]+", "", unicodedata.normalize("NFKC", text))


def text_of(content: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return squashed("\n".join(FURNITURE.sub("", page.extract_text()) for page in pages))


def page(body: str, title: str = "a survey") -> bytes:
    head = f'<header class="mast"><h1>{html.escape(title)}</h1></header>'
    return (
        f'<!doctype html><html lang="en"><head></head><body>{head}<main>{body}</main></body></html>'.encode()
    )


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Release]:
    folder = tmp_path_factory.mktemp("pdf")
    project = Project.open(folder / ".sfumato")
    return {passed: example.build(folder / str(passed), project, passed=passed) for passed in (True, False)}


@pytest.fixture(scope="module")
def content(releases: dict[bool, Release]) -> bytes:
    return (releases[True].folder / "dossier.pdf").read_bytes()


@pytest.fixture(scope="module")
def reader(content: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(content))


@pytest.mark.parametrize("passed", [True, False])
def test_it_says_all_that_the_page_says(releases: dict[bool, Release], passed: bool) -> None:
    release = releases[passed]
    printed = text_of((release.folder / "dossier.pdf").read_bytes())
    said = Seen(release.dossier.read_text()).said
    assert len(said) > 300
    furniture = [text for text in said if FURNITURE.fullmatch(text.strip())]
    assert {text for text in said if squashed(text) not in printed} <= set(furniture)
    assert ("Thegaterefused:nodataleft" in printed) is not passed


def test_a_text_that_is_not_on_the_page_is_missed() -> None:
    printed = text_of(dossier_pdf(page("<h2>One</h2><p>said</p>"), TIME))
    assert squashed("said") in printed
    assert squashed("unsaid") not in printed


def test_the_same_page_gives_the_same_bytes(releases: dict[bool, Release], content: bytes) -> None:
    dossier = releases[True].dossier
    time = verify(releases[True].folder).time
    assert time is not None
    assert dossier_pdf(dossier.read_bytes(), time) == content
    code = (
        "import hashlib, pathlib, sys; from sfumato.release.pdf import dossier_pdf; "
        "made = dossier_pdf(pathlib.Path(sys.argv[1]).read_bytes(), sys.argv[2]); "
        "print(hashlib.sha256(made).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, dossier, time],
        capture_output=True,
        text=True,
        check=True,
        cwd=dossier.parent,
        env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert done.stdout.strip() == hashlib.sha256(content).hexdigest()


def test_the_time_is_the_releases_own() -> None:
    early = dossier_pdf(page("<h2>One</h2>"), "1999-12-31T23:59:58Z")
    found = pypdf.PdfReader(io.BytesIO(early)).metadata
    assert found is not None
    assert found["/CreationDate"] == found["/ModDate"] == "D:19991231235958Z"


def objects(reader: pypdf.PdfReader) -> list[dict[str, Any]]:
    """Every dictionary of the file, those of its streams too."""
    size = int(reader.trailer["/Size"])
    return [found for number in range(1, size) if isinstance(found := reader.get_object(number), dict)]


def test_it_says_which_standards_it_follows(reader: pypdf.PdfReader) -> None:
    root = reader.trailer["/Root"]
    told = root["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in told
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in told
    assert "<pdfuaid:part>1</pdfuaid:part>" in told
    assert root["/MarkInfo"]["/Marked"] is not None
    assert root["/Lang"].startswith("en")
    assert root["/ViewerPreferences"]["/DisplayDocTitle"].value is True
    assert root["/OutputIntents"][0]["/S"] == "/GTS_PDFA1"
    assert not reader.is_encrypted
    assert "/ID" in reader.trailer


def test_nothing_in_it_is_forbidden_in_an_archive(reader: pypdf.PdfReader) -> None:
    actions = {"/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/Sound", "/Movie"}
    for found in objects(reader):
        assert not {"/JS", "/AA", "/EmbeddedFile", "/EF", "/OPI", "/PS"} & set(found)
        assert found.get("/S") not in actions
        assert found.get("/Filter") not in ("/LZWDecode", "/Crypt")
    fonts = [found for found in objects(reader) if found.get("/Type") == "/FontDescriptor"]
    assert fonts
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font) for font in fonts)
    whole = [found for found in objects(reader) if found.get("/Subtype") == "/Type0"]
    assert all("/ToUnicode" in font for font in whole)


def test_every_picture_has_its_words(releases: dict[bool, Release], reader: pypdf.PdfReader) -> None:
    figures = [found for found in objects(reader) if found.get("/S") == "/Figure"]
    told = {figure["/Alt"] for figure in figures}
    assert any(text.startswith("Attacks: before and after") for text in told)
    assert len(told) == len(figures) > 1


def test_nothing_of_the_house_is_in_it(reader: pypdf.PdfReader, content: bytes) -> None:
    plain = [content, *(found.get_data() for found in objects(reader) if hasattr(found, "get_data"))]
    for secret in (*example.SECRETS, str(Path.home()), str(Path.cwd()), "/tmp/"):
        # What is short is in some bytes of a font or of a packed stream by chance.
        assert len(secret) < 8 or not any(secret.encode() in part for part in plain)
        assert secret not in text_of(content)
    assert set(reader.metadata or {}) <= {"/Title", "/Subject", "/Creator", "/CreationDate", "/ModDate"}


def test_bookmarks_are_the_headings(releases: dict[bool, Release], reader: pypdf.PdfReader) -> None:
    marks = [mark.title for mark in reader.outline if not isinstance(mark, list)]
    heads = re.findall(r"<h2 id=\"h-[^>]*>(.*?)</h2>", releases[True].dossier.read_text())
    assert marks == [html.unescape(head) for head in heads]
    places = [
        reader.get_destination_page_number(mark) for mark in reader.outline if not isinstance(mark, list)
    ]
    assert places == sorted(places)


def test_links_within_lead_somewhere(reader: pypdf.PdfReader) -> None:
    links = [found for found in objects(reader) if found.get("/Subtype") == "/Link"]
    assert len(links) > 10
    assert all("/Dest" in link or link["/A"]["/S"] in ("/GoTo", "/URI") for link in links)


ODD = [
    '#import "x": *',
    '#panic("no")',
    "$ a_b^2 $",
    "*bold* _em_ `raw` ```",
    "@ref <label> [x]",
    "\\ // /* */ \\u{41}",
    "= Head",
    "- item",
    "/ term: x",
    "<script>alert(1)</script> &amp; &lt;",
    "\"quoted\" 'single'",
    "a~b--c...d",
    "https://example.org/x?y=1&z",
    "sys.inputs.dossier",
]


@pytest.mark.parametrize("name", ODD)
def test_names_are_text_and_never_code(name: str) -> None:
    shown = html.escape(name)
    body = (
        f"<h2>{shown}</h2><p>{shown}</p><table><tbody><tr><th><code>{shown}</code></th></tr></tbody></table>"
    )
    printed = text_of(dossier_pdf(page(body, title=name), TIME))
    # In the title, the contents, the heading, the paragraph and the cell.
    assert printed.count(squashed(name)) >= 5


@pytest.mark.parametrize("name", ["Имя", "όνομα", "ŝŭ ẞ ß", "šířka", "ﬁ ½ ∑ ≤", "שם"])
def test_scripts_that_the_fonts_have_are_set(name: str) -> None:
    printed = text_of(dossier_pdf(page(f"<h2>One</h2><p><code>{name}</code> <b>{name}</b></p>"), TIME))
    assert "U+" not in printed
    assert printed.count(squashed(name)) == 2


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("年齢", ["[U+5E74]", "[U+9F62]"]),
        ("한국", ["[U+D55C]", "[U+AD6D]"]),
        ("\U0001f600", ["[U+1F600]"]),
        ("\ue000", ["[U+E000]"]),
        ("a\ufeffb", ["[U+FEFF]"]),
        ("a\ufffeb", ["\\ufffe"]),
        ("a\u202eb", ["\\u202e"]),
        ("a\x07b", ["\\x07"]),
    ],
)
def test_characters_without_a_glyph_do_not_vanish(name: str, numbers: list[str]) -> None:
    chart = draw([Mark("plain", 0.5)], name="c", title=f"All of {name}", percent=True).replace("plain", name)
    body = f"<h2>{name}</h2><p>{name} <code>{name}</code></p><figure>{chart}</figure>"
    printed = text_of(dossier_pdf(page(body), TIME))
    for number in numbers:
        assert printed.count(number) >= 4
    if numbers[0].startswith("["):
        assert squashed("dossier.html has them as they are") in printed


def test_many_characters_without_a_glyph_are_all_found() -> None:
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 700)))
    printed = text_of(dossier_pdf(page(f"<h2>One</h2><p>{many}</p>"), TIME))
    assert printed.count("[U+") >= 700


def test_a_long_table_repeats_its_head() -> None:
    rows = "".join(f"<tr><th>row {number}</th><td>{number * 7919}</td></tr>" for number in range(300))
    head = "<thead><tr><th>Name of it</th><th>Figure</th></tr></thead>"
    made = dossier_pdf(page(f"<h2>One</h2><table>{head}<tbody>{rows}</tbody></table>"), TIME)
    pages = pypdf.PdfReader(io.BytesIO(made)).pages
    assert len(pages) > 4
    assert all("Name of it" in found.extract_text() for found in pages)
    assert f"{299 * 7919}" in pages[-1].extract_text()
    assert f"{len(pages)} of {len(pages)}" in pages[-1].extract_text()


def test_long_words_break_and_stay_on_the_page() -> None:
    word = "Donaudampfschifffahrt" * 20
    cells = f"<th>{word}</th><td><code>{'ab12' * 60}</code></td><td>{word}</td>"
    made = dossier_pdf(page(f"<h2>{word}</h2><table><tbody><tr>{cells}</tr></tbody></table>"), TIME)
    reader = pypdf.PdfReader(io.BytesIO(made))
    lines = [line for found in reader.pages for line in found.extract_text().splitlines()]
    assert max(map(len, lines)) < 160
    assert text_of(made).count(word) >= 3


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<p></p>",
        "<section id='x'></section>",
        "<ul></ul><dl></dl><table></table><figure></figure>",
        "<table><caption>alone</caption></table>",
        "<ul><li></li></ul>",
        "<h4>deep first</h4>",
        "<div class='pairs'></div>",
        "<a href='#nowhere'>to nowhere</a> <a href='javascript:x'>x</a> <a href='#'>x</a>",
        "<h2 id='x'>twice</h2><h2 id='x'>twice</h2><a href='#x'>which</a>",
    ],
)
def test_empty_and_odd_parts_are_set(body: str) -> None:
    assert dossier_pdf(page(body), TIME).startswith(b"%PDF-1.7")


def test_a_chart_of_many_rows_is_cut_between_them() -> None:
    marks = [Mark(f"attack number {number}", number / 50) for number in range(40)]
    chart = draw(marks, name="c", title="Forty attacks", percent=True)
    made = dossier_pdf(page(f"<h2>One</h2><figure>{chart}<figcaption>All.</figcaption></figure>"), TIME)
    reader = pypdf.PdfReader(io.BytesIO(made))
    told = sorted(found["/Alt"] for found in objects(reader) if found.get("/S") == "/Figure")
    assert told == [f"Forty attacks, part {part} of 3" for part in (1, 2, 3)]
    assert len(reader.pages) > 1


def test_the_page_becomes_runs_of_text() -> None:
    body = "<p> One  <b>two</b>\n three<span class='aside'>four</span> </p>"
    made = [block for block in outline(parse(page(body).decode())) if block["kind"] == "paragraph"]
    assert [run["text"] for run in made[0]["runs"]] == ["One ", "two", " three", "", "four"]
    assert made[0]["runs"][1]["bold"] is True
    assert made[0]["runs"][3]["line"] is True
    assert made[0]["runs"][4]["look"] == "aside"


def test_cells_that_span_others_are_kept() -> None:
    body = "<table><tr><td colspan='2'>a</td></tr><tr><td rowspan='x'>b</td><td>c</td></tr></table>"
    (table,) = [block for block in outline(parse(page(body).decode())) if block["kind"] == "table"]
    assert table["widths"] == [0, 0]
    assert table["groups"][0][0]["cells"][0]["across"] == 2


@pytest.mark.parametrize(
    "broken",
    [
        *(page(part) for part in ("<p>", "</p>", "<p><b></p></b>", "<svg></svg>", "<body></body>")),
        *(b"", b"text", b"\xff", b"<html><body></body></html>"),
    ],
)
def test_a_page_that_is_not_ours_is_refused(broken: bytes) -> None:
    with pytest.raises(InputError, match="cannot be set as PDF") as refused:
        dossier_pdf(broken, TIME)
    assert refused.value.code == "output-failed"


class PanicException(BaseException):
    """What a panic in compiled code looks like."""


@pytest.mark.parametrize("failure", [RuntimeError("strange"), PanicException("panicked")])
def test_a_release_without_its_pdf_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise failure

    monkeypatch.setattr(typst, "compile", fail)
    with pytest.raises(InputError) as refused:
        example.build(tmp_path / "out", Project.open(tmp_path / "p"))
    assert refused.value.code == "output-failed"
    assert refused.value.where == "dossier.pdf"
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_is_no_failure_of_the_typesetter(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(typst, "compile", stop)
    with pytest.raises(KeyboardInterrupt):
        dossier_pdf(page("<p>x</p>"), TIME)


def test_the_manifest_signs_it(tmp_path: Path) -> None:
    release = example.build(tmp_path / "out", Project.open(tmp_path / "p")).folder
    assert verify(release).intact
    path = release / "dossier.pdf"
    path.write_bytes(path.read_bytes() + b"\n")
    assert verify(release).problems == ("'dossier.pdf' has been changed",)
    path.unlink()
    assert verify(release).problems == ("'dossier.pdf' is missing",)
