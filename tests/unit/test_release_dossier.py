"""The dossier: one page, complete, that loads nothing, runs nothing and claims nothing unmeasured."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import release_example as example
from sfumato.core.disclosure import publish_count
from sfumato.core.values import Finding
from sfumato.project import Project
from sfumato.release.anchors import Anchors
from sfumato.release.assemble import Release
from sfumato.release.attackers import attackers
from sfumato.release.charts import COLOURS, Mark, draw, specification
from sfumato.release.croissant import croissant_json
from sfumato.release.documents import evidence_json, plan_json
from sfumato.release.dossier import dossier_html
from sfumato.release.facts import facts
from sfumato.release.papers import datasheet_md, notice_md
from sfumato.release.residual import families, residual

CLAIMS = re.compile(
    r"\b(anonymous|anonymised|anonymized|safe|private|compliant|guaranteed?)\b", re.IGNORECASE
)


class Page(HTMLParser):
    """The tags and the text of a page."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.balanced = True
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.balanced = self.balanced and bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Release]:
    folder = tmp_path_factory.mktemp("dossier")
    project = Project.open(folder / ".sfumato")
    return {passed: example.build(folder / str(passed), project, passed=passed) for passed in (True, False)}


@pytest.fixture(scope="module")
def page(releases: dict[bool, Release]) -> Page:
    return Page(releases[True].dossier.read_text())


@pytest.fixture(scope="module")
def refused(releases: dict[bool, Release]) -> Page:
    return Page(releases[False].dossier.read_text())


def test_it_is_well_formed(page: Page) -> None:
    assert page.balanced
    assert page.open == []
    names = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(names) == len(set(names))


def test_it_loads_nothing_and_runs_nothing(page: Page) -> None:
    assert not {"script", "link", "img", "iframe", "object", "form", "foreignobject"} & {
        tag for tag, _ in page.tags
    }
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_the_policy_allows_its_one_style_and_nothing_else(releases: dict[bool, Release]) -> None:
    text = releases[True].dossier.read_text()
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "url(" not in style
    assert "@import" not in style


def test_it_claims_nothing(page: Page, refused: Page) -> None:
    assert CLAIMS.findall(page.text) == []
    assert CLAIMS.findall(refused.text) == []
    assert CLAIMS.findall("these data are anonymous and safe") == ["anonymous", "safe"]


def test_every_link_on_the_page_goes_somewhere(page: Page, refused: Page) -> None:
    for told in (page, refused):
        there = {attributes["id"] for _, attributes in told.tags if attributes.get("id")}
        links = [attributes["href"] for attributes in told.named("a")]
        assert len(links) > 50
        assert {link[1:] for link in links if link} <= there


def items(text: str, section: str) -> list[str]:
    """The list items of a section's own lists, as they are written."""
    start = text.index(f'<section id="{section}"')
    return re.findall(r"<li>(.*?)</li>", text[start : text.index("</section>", start)], re.DOTALL)


@pytest.mark.parametrize("section", ["decision", "residual"])
def test_every_claim_points_to_what_it_rests_on(releases: dict[bool, Release], section: str) -> None:
    for release in releases.values():
        said = items(release.dossier.read_text(), section)
        assert said
        for sentence in said:
            assert 'class="rests" href="#' in sentence, sentence


def test_every_limit_and_every_threshold_points_to_its_finding(releases: dict[bool, Release]) -> None:
    text = releases[True].dossier.read_text()
    assert 'href="#finding-risk-journalist-release"' in items(text, "limits")[0]
    gate = text[text.index('<table class="gate">') :]
    gate = gate[: gate.index("</table>")]
    for metric in ("risk-worst-class", "linkage-excess", "learning-skill-ratio"):
        assert f'href="#finding-{metric}-release"' in gate


def test_a_finding_without_a_row_is_spoken_for_by_its_measure() -> None:
    many = [
        example.finding("fairness.fnr", number / 100, unit="share", target=f"g={number}", n=500)
        for number in range(30)
    ] + [example.finding("fairness.fnr", None, status="no-power", unit="share", target="g=x", n=50)]
    shown = [*many[20:30], many[30]]
    anchors = Anchors(many, shown)
    assert anchors[many[0]] == "more-fairness-fnr"
    assert anchors[many[29]] == "finding-fairness-fnr-g-29"
    told = Page(dossier_html(example.account(many), {}).decode())
    there = {attributes["id"] for _, attributes in told.tags if attributes.get("id")}
    assert {str(link["href"])[1:] for link in told.named("a")} <= there


def test_names_that_look_alike_have_anchors_of_their_own() -> None:
    alike = [example.finding("a.b", 0.1, target=target) for target in ("x y", "x-y", "X Y", "年齢", "…")]
    names = [Anchors(alike, alike)[finding] for finding in alike]
    assert len(set(names)) == len(alike)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


def test_a_table_of_few_people_shows_no_figure_of_theirs() -> None:
    asked = example.policy()
    plan = example.plan(asked)
    few = plan.anonymity.model_copy(  # type: ignore[union-attr]
        update={
            "rows": 8,
            "suppressed_rows": 3,
            "suppressed_share": 0.375,
            "classes": 2,
            "score": 0.31415,
            "granularity": 0.27183,
            "losses": {"age": 0.57722},
            "levels": {},
            "heights": {},
        }
    )
    plan = plan.model_copy(update={"rows": 9, "holdout_rows": 4, "anonymity": few})
    found = [
        example.finding("risk.unique", 3 / 7, unit="share", n=7, before=6 / 7, low=0.1, high=0.9),
        example.finding("linkage.success", 2 / 7, unit="share", n=7, before=5 / 7, baseline=1 / 7),
        example.finding("composition.below_k", 4.0, unit="people", n=8),
        example.finding("learning.auc", 0.8123, unit="auc", goal="high", n=9, before=0.8456),
        example.finding("fairness.fnr", 0.4444, unit="share", target="white=0", n=9),
        example.finding("fairness.fnr", 0.2345, unit="share", target="white=1", n=400),
    ]
    told = example.account(found, planned=plan, rows=publish_count(5))
    texts = {
        "dossier.html": Page(dossier_html(told, {}).decode()).text,
        "datasheet.md": datasheet_md(told).decode(),
        "notice.md": notice_md(told).decode(),
        "plan.json": plan_json(told).decode(),
        "evidence.json": evidence_json(told).decode(),
        "croissant.json": croissant_json(told, {}, {}).decode(),
    }
    for name, text in texts.items():
        digits = "42.9 85.7 28.6 71.4 14.3 44.4 23.7 23.8 37.5 0.429 0.286 0.444 0.812 0.846 0.314 0.577"
        for figure in digits.split():
            assert figure not in re.sub(r"[0-9a-f]{16,}", "", text), (name, figure)
        assert re.findall(r"\b[1-9] (?:people|rows|persons|classes)\b", text) == [], name
    assert "fewer than 10 rows read" in texts["dossier.html"]
    assert "fewer than 10 rows" in texts["datasheet.md"]
    counts = json.loads(texts["plan.json"])
    assert counts["rows"] is counts["holdout_rows"] is counts["anonymity"]["suppressed_rows"] is None


def test_the_search_for_figures_of_few_would_find_one() -> None:
    found = [example.finding("fairness.fnr", 0.2345, unit="share", target="white=1", n=10_000)]
    assert "23.4" in Page(dossier_html(example.account(found), {}).decode()).text


def test_law_assessments_and_review_are_there_and_ask(page: Page, refused: Page) -> None:
    for told in (page, refused):
        ids = [attributes["id"] for attributes in told.named("section")]
        assert ids[-5:] == ["recipients", "limits", "law", "assessments", "review", "verify"][-5:]
        for words in (
            "Regulation (EU) 2016/679",
            "Regulation (EU) 2024/1689",
            "45 CFR 164.514",
            "Opinion 05/2014",
            "Risk statement: a partner university",
            "Risk statement: a statistical office",
            "A person must answer: For how long",
            "C-413/23 P",
            "Somebody who draws on register of voters",
        ):
            assert words in told.text, words
    assert page.text.count("Answer:") >= 12


def test_nobody_s_recipient_is_made_up() -> None:
    told = example.account(dataset={"name": "bare", "source": {"path": "p.csv"}}, context={})
    text = Page(dossier_html(told, {}).decode()).text
    assert "A person must answer: Who receives the release?" in text
    assert "university" not in text


def test_approvals_come_before_the_decision(page: Page) -> None:
    order = [attributes["id"] for attributes in page.named("section")]
    assert order[:2] == ["approvals", "decision"]
    assert "Dr. Ada Example" in page.text


def test_without_approvals_the_decision_comes_first(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    made = example.build(tmp_path / "out", project, asked=example.policy(approvals=[]))
    assert Page(made.dossier.read_text()).named("section")[0]["id"] == "decision"


def test_it_tells_every_column_with_its_why(page: Page) -> None:
    for name, column in example.policy().columns.items():
        assert name in page.text
        assert column.why in page.text
    for words in ("known to neighbour", "level 2 of 4", "replaced by keyed pseudonyms", "rounded (to 5)"):
        assert words in page.text


def test_it_tells_what_a_privacy_officer_asks(page: Page) -> None:
    for words in (
        "research on employment",
        "a partner university, a statistical office",
        "Institute of Examples",
        "5-anonymity",
        "no other loses less",
        "register of voters",
        "No leak found by “Linkage: found beyond people not there”",
        "the policy names no population",
        "sfumato verify release --key signing-key.pub",
        "polars",
    ):
        assert words in page.text, words


def test_a_refusal_says_so_and_names_the_threshold(refused: Page) -> None:
    assert "The gate refused: no data left" in refused.text
    assert "not met" in refused.text
    assert "learning.skill_ratio" in refused.text
    assert "The gate let this release leave" not in refused.text


def test_it_can_be_read_by_ear_and_by_keyboard(page: Page) -> None:
    assert page.named("html")[0]["lang"] == "en"
    assert page.named("a")[0] == {"class": "skip", "href": "#main"}
    for table in range(len(page.named("table"))):
        assert len(page.named("caption")) > table
    assert all(head.get("scope") in ("col", "row") for head in page.named("th"))
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    regions = [attributes for attributes in page.named("div") if attributes.get("class") == "scroll"]
    assert all(region["tabindex"] == "0" and region["aria-labelledby"] for region in regions)
    for picture in page.named("svg"):
        assert picture.get("aria-hidden") == "true" or picture.get("role") == "img" or "viewbox" in picture
    charts = [picture for picture in page.named("svg") if "chart" in (picture.get("class") or "")]
    assert charts
    assert all(chart["role"] == "img" and chart["aria-labelledby"] for chart in charts)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_words_and_marks_have_enough_contrast(releases: dict[bool, Release]) -> None:
    text = releases[True].dossier.read_text()
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    for block in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name in ("ink", "soft-ink", "after"):
            for under in ("paper", "sheet", "tint"):
                assert contrast(colours[name], colours[under]) >= 4.5, (name, under)
        for name in ("good", "bad", "notice"):
            assert contrast(colours[name], colours[f"{name}-tint"]) >= 4.5
        for name in ("before", "control", "baseline", "limit"):
            assert contrast(colours[name], colours["sheet"]) >= 3.0


MARKS = [
    Mark("Risk <of> all & some", 0.2, before=1.0, limit=0.2),
    Mark("Other", 0.01, 0.0, 0.02, baseline=0.001),
]


def test_a_chart_is_inline_and_takes_the_page_colours() -> None:
    drawn = draw(MARKS, name="c", title="What it shows", percent=True)
    assert drawn.count("<svg") == drawn.count("</svg>") == 2
    assert "Risk &lt;of&gt; all &amp; some" in drawn
    assert 'style="' not in drawn
    assert not re.findall(r"#[0-9a-f]{6}", drawn)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert {variable for variable in COLOURS.values() if f"var({variable})" in drawn} >= {
        "--after",
        "--before",
    }


def test_a_chart_embeds_aggregates_only() -> None:
    specified = specification(MARKS, percent=True, validate=True)
    (values,) = specified["datasets"].values()
    assert len(values) == len(MARKS)
    assert all(set(row) == {*Mark.__dataclass_fields__, "row"} for row in values)


@pytest.mark.parametrize(
    "marks",
    [
        [],
        [Mark("zero", 0.0)],
        [Mark("below", -0.3, -0.4, -0.2)],
        [Mark("huge", 1e9)],
        [Mark("年齢" * 80, 0.5)],
    ],
)
def test_odd_figures_still_make_a_chart(marks: list[Mark]) -> None:
    drawn = draw(marks, name="c", title="t", percent=False)
    assert bool(drawn) == bool(marks)
    assert "NaN" not in drawn


def attack(value: float, low: float, **more: float) -> list[Finding]:
    return [example.finding("linkage.success", value, low=low, high=value + 0.01, unit="share", **more)]


def test_residual_risk_in_three_cases() -> None:
    (nothing,) = residual(attack(0.011, 0.008, before=0.6, baseline=0.0, control=0.012))
    (unshown,) = residual(attack(0.011, 0.008, control=0.012))
    (remains,) = residual(attack(0.31, 0.28, before=0.6, control=0.012))
    assert nothing.startswith("No leak found by")
    assert "which finds 60.0" in nothing
    (weak,) = residual(attack(0.011, 0.008, before=0.02, control=0.012))
    assert "no more than 2.0" in weak
    assert "this says little" in unshown
    assert "remains, against 1.2" in remains
    assert "No leak" not in remains


def test_an_unknown_risk_is_not_told_as_utility() -> None:
    groups = families(
        [
            example.finding("novel.success", 0.3, unit="share"),
            example.finding("novel.score", 0.3, unit="distance"),
            example.finding("learning.auc", 0.7, unit="auc", goal="high"),
        ]
    )
    assert [found.metric for found in groups["attacks"]] == ["novel.success"]
    assert [found.metric for found in groups["utility"]] == ["novel.score"]
    assert [found.metric for found in groups["learning"]] == ["learning.auc"]


def test_many_findings_of_one_metric_show_the_worst(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    many = [
        example.finding("distributions.tv", number / 100, unit="distance", target=f"column-{number:02d}")
        for number in range(30)
    ]
    text = Page(example.build(tmp_path / "out", project, findings=many).dossier.read_text()).text
    assert "18 more of this measure" in text
    assert "column-29" in text
    assert "column-00" not in text


def test_attackers_of_the_policy_come_first_and_get_what_was_measured() -> None:
    told = example.account()
    named, *others = attackers(told.policy["context"], facts(told), told.findings)
    assert named.who == "Somebody who draws on register of voters"
    assert (named.knows, named.motive) == ("age and region", "curiosity")
    assert "age and region: recoded or counted" in named.controls
    metrics = {finding.metric for figure in named.figures for finding in figure.rests}
    assert metrics == {"risk.worst_class", "risk.marketer", "linkage.success", "linkage.excess"}
    assert len(others) == 4
    assert all(other.figures == () for other in others)


def test_an_attacker_who_knows_nothing_that_leaves_gets_nothing() -> None:
    told = example.account(context={"attackers": [{"knows": ["name"]}]})
    named, *_ = attackers(told.policy["context"], facts(told), told.findings)
    assert named.figures == ("Nothing that they know is released.",)
    assert named.controls == "name: not released"
    page = Page(dossier_html(told, {}).decode())
    assert "With which motive would they look?" in page.text


def test_the_attack_that_adds_most_is_in_the_summary() -> None:
    more = example.finding("singling_out.excess", 0.4, low=0.37, high=0.43, before=0.8, unit="difference")
    told = Page(dossier_html(example.account([*example.findings(), more]), {}).decode())
    assert "The attack that adds most: Singling out: beyond people not there: 40.0" in told.text
    assert "The attack that adds most" not in Page(dossier_html(example.account([]), {}).decode()).text
