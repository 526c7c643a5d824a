"""Laws and forms as data: nothing is said that is not known, and a changed file changes the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import release_example as example
from sfumato.core.errors import InputError
from sfumato.core.values import ColumnProfile, Detection, Finding, Inventory, Role
from sfumato.project import Project
from sfumato.release.account import Account, public_detections, public_plan
from sfumato.release.dossier import dossier_html
from sfumato.release.facts import PATHS, Column, Facts, facts, is_path
from sfumato.release.law import Item, Law, Provision, Selector, law_of, read_laws
from sfumato.release.statements import COLUMN_VERDICTS, Statement, matching, selected, statements
from sfumato.release.words import ACTIONS
from sfumato.transforms import TRANSFORMS

CLAIMS = re.compile(
    r"\b(anonymous|anonymised|anonymized|safe|private|compliant|guaranteed?)\b", re.IGNORECASE
)
#: What every file must have.
HEAD: dict[str, Any] = {
    "id": "test",
    "place": "law",
    "title": "A law",
    "reference": "R",
    "version": "V",
    "dated": "2026-01-01",
    "source": "S",
}
WRITTEN = """
id: house
place: law
title: The rules of the house
reference: House rules
version: second edition
dated: "2026-10-01"
source: the shelf
terms: {years: seven}
provisions:
  - id: one
    name: Rule 1
    asks: for an owner, for {terms.years} years.
    shows:
      - say: "It is {dataset.owner} that answers."
        ask: Who answers?
"""


def one(*items: dict[str, Any], known: Facts, findings: tuple[Finding, ...] = (), **more: Any) -> Statement:
    """A file with one provision, filled in."""
    head = {key: more.pop(key) for key in list(more) if key in Law.model_fields}
    law = Law.model_validate(
        {**HEAD, "provisions": [{"id": "p", "name": "P", "shows": items, **more}], **head}
    )
    (made,) = statements([law], "law", known, findings)
    return made


def known(**words: str) -> Facts:
    return Facts({path.replace("__", "."): said for path, said in words.items()}, ())


# The files ------------------------------------------------------------------------------------


def test_every_packaged_file_has_its_version_date_and_source() -> None:
    laws = read_laws()
    assert {law.id for law in laws} >= {
        "gdpr", "wp216", "ai-act", "hipaa", "sp-800-188", "sp-800-226", "iso-20889", "risk",
        "dpia", "fria", "expert-review", "datasheet", "notice",
    }  # fmt: skip
    for law in laws:
        assert law.version
        assert law.source
        assert re.fullmatch(r"[0-9a-f]{64}", law.digest)
        assert law.provisions


def test_the_provisions_that_were_asked_for_are_there() -> None:
    names = {law.id: {provision.id for provision in law.provisions} for law in read_laws()}
    assert names["hipaa"] >= {*"abcdefghijklmnopqr", "b-1"}
    assert names["ai-act"] >= {*(f"art-10-2-{letter}" for letter in "abcdefgh"), "art-10-3", "art-10-4"}
    assert names["gdpr"] >= {"art-4-5", "art-25", "art-30", "art-32", "art-35"}
    assert names["dpia"] == set("abcd")
    assert names["fria"] == set("abcdef")
    assert names["wp216"] == {"singling-out", "linkability", "inference"}


def test_no_packaged_file_claims_anything() -> None:
    for law in read_laws():
        said = law.model_dump_json(exclude={"digest"})
        assert not [word for word in CLAIMS.findall(said) if word], law.id


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"- a\n- b\n", "not a mapping"),
        (WRITTEN.replace("dataset.owner", "dataset.colour").encode(), '"dataset.colour"'),
        (WRITTEN.replace("terms.years", "terms.months").encode(), '"terms.months"'),
        (WRITTEN.replace("place: law", "place: nowhere").encode(), "place"),
        (WRITTEN.replace("say:", "run:").encode(), "run"),
        (WRITTEN.replace("2026-10-01", "yesterday").encode(), "dated"),
        (WRITTEN.replace("      - say", "      - when: {}\n      - say").encode(), "needs one of"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        law_of(content, "house.yaml")
    assert caught.value.code == "law-invalid"
    assert caught.value.where == "house.yaml"
    assert said in caught.value.what


def test_two_provisions_may_not_share_an_anchor() -> None:
    provision = Provision(id="p", name="P")
    with pytest.raises(ValueError, match="same id"):
        Law.model_validate({**HEAD, "provisions": [provision, provision]})


def test_the_house_s_file_takes_the_place_of_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(WRITTEN.replace("id: house", "id: gdpr"))
    (tmp_path / "other.yaml").write_text(WRITTEN)
    laws = {law.id: law for law in read_laws(tmp_path)}
    assert laws["gdpr"].title == laws["house"].title == "The rules of the house"
    assert len(laws) == len(read_laws()) + 1
    assert read_laws(tmp_path / "missing") == read_laws()


def test_a_changed_file_changes_the_page(tmp_path: Path) -> None:
    def page() -> str:
        return dossier_html(example.account(laws=read_laws(tmp_path)), {}).decode()

    assert "The rules of the house" not in page()
    (tmp_path / "house.yaml").write_text(WRITTEN)
    first = page()
    assert "The rules of the house" in first
    assert "It is Institute of Examples that answers." in first
    assert "for seven years" in first
    (tmp_path / "house.yaml").write_text(WRITTEN.replace("seven", "eight"))
    second = page()
    assert "for eight years" in second
    assert "for seven years" not in second


def test_the_house_s_files_lie_in_the_project_s_folder(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    (project.folder / "law").mkdir()
    (project.folder / "law" / "house.yaml").write_text(WRITTEN)
    assert "The rules of the house" in example.build(tmp_path / "o", project).dossier.read_text()


def test_nothing_leaves_under_a_law_that_cannot_be_read(tmp_path: Path) -> None:
    project = Project.open(tmp_path / "p")
    (project.folder / "law").mkdir()
    (project.folder / "law" / "bad.yaml").write_text("id: 1")
    with pytest.raises(InputError, match="valid string"):
        example.build(tmp_path / "out", project)
    assert not (tmp_path / "out" / "release").exists()


# What is known --------------------------------------------------------------------------------


def test_facts_have_every_path_and_no_other() -> None:
    words = facts(example.account()).words
    assert set(PATHS) <= set(words)
    assert all(is_path(path) for path in words)


def test_what_the_policy_does_not_say_is_not_known() -> None:
    bare = facts(
        example.account(dataset={"name": "d", "source": {"path": "p.csv"}}, context={}, approvals=[])
    )
    for path in ("owner", "purpose", "recipients", "origin", "description", "licence", "population"):
        assert bare[f"dataset.{path}"] == ""
    assert bare["context.attackers"] == bare["approvals"] == bare["inventory"] == ""


def test_no_packaged_file_makes_up_an_owner_or_a_purpose() -> None:
    bare = example.account(
        dataset={"name": "d", "source": {"path": "p.csv"}}, context={}, approvals=[], evidence=None
    )
    full = example.account()
    for place in ("recipients", "law", "assessments", "review", "datasheet", "notice"):
        asked = {
            told: sum(made.questions for made in statements(who.laws, place, facts(who), who.findings))
            for told, who in (("bare", bare), ("full", full))
        }
        assert asked["bare"] >= asked["full"] > 0, place
    (gdpr,) = [law for law in bare.laws if law.id == "gdpr"]
    (made,) = statements([gdpr], "law", facts(bare), bare.findings)
    questions = [question for answer in made.answers for question in answer.asked]
    assert "For what purpose do the recipients get the data?" in questions
    assert "Institute" not in str(made.answers)


def test_a_column_generalized_to_nothing_is_gone_and_one_left_alone_is_kept() -> None:
    asked = example.policy()
    plan = public_plan(example.plan(asked))
    plan["columns"][2] |= {"level": 2, "height": 3}
    plan["columns"][3] |= {"level": 0, "height": 5}
    told = facts(Account(**{**vars(example.account()), "plan": plan})).columns
    region, age = told[2], told[3]
    assert (region.gone, age.gone) == (True, False)
    assert age.action == "keep"
    assert region.name not in facts(Account(**{**vars(example.account()), "plan": plan}))["columns.released"]


# The grammar ----------------------------------------------------------------------------------


def test_a_sentence_is_said_if_it_is_known_and_else_asked() -> None:
    item = {"say": "By {dataset.owner}.", "ask": "By whom?"}
    (told,) = one(item, known=known(dataset__owner="us")).answers
    assert (told.said, told.asked) == (("By us.",), ())
    (told,) = one(item, known=known()).answers
    assert (told.said, told.asked) == ((), ("By whom?",))


def test_a_value_with_braces_stays_a_value() -> None:
    (told,) = one({"say": "By {dataset.owner}."}, known=known(dataset__owner="{dataset.purpose}")).answers
    assert told.said == ("By {dataset.purpose}.",)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"context.release": "public"}, True),
        ({"context.release": ["internal", "public"]}, True),
        ({"context.release": "partner"}, False),
        ({"dataset.owner": False}, True),
        ({"dataset.owner": True}, False),
        ({"context.release": "public", "dataset.owner": True}, False),
        ({}, True),
    ],
)
def test_conditions(when: dict[str, Any], said: bool) -> None:
    (told,) = one({"when": when, "say": "yes"}, known=known(context__release="public")).answers
    assert bool(told.said) is said


def test_columns_are_told_with_what_was_done_and_their_absence_leaves_the_question() -> None:
    columns = (
        Column("homePhone", "direct-identifier", False, "drop", "dropped", ("phone",), gone=True),
        Column("mail", "direct-identifier", False, "keep", "released as it is", ("email",)),
    )
    item = {"columns": {"detected": ["phone"]}, "say": "{columns} or {names}", "none": "No.", "ask": "Any?"}
    (told,) = one(item, known=Facts({}, columns)).answers
    assert (told.said, told.asked) == (("homePhone (dropped) or homePhone",), ())
    (told,) = one(item, known=Facts({}, columns[1:])).answers
    assert (told.said, told.asked) == (("No.",), ("Any?",))
    assert selected(Selector(named=("phone",)), columns) == [columns[0]]
    assert selected(Selector(detected=("email",), named=("phone",)), columns) == list(columns)
    assert selected(Selector(role=(Role.DIRECT_IDENTIFIER,), action=("keep",)), columns) == [columns[1]]
    assert selected(Selector(sensitive=True), columns) == []
    assert selected(Selector(released=True), columns) == [columns[1]]
    assert selected(Selector(released=False), columns) == [columns[0]]


def test_findings_are_told_and_linked_and_their_absence_is_said() -> None:
    found = tuple(example.findings())
    item = {"findings": ["linkage.*"], "say": "Measured:", "none": "Not measured."}
    (told,) = one(item, known=known(), findings=found).answers
    assert told.said[0] == "Measured:"
    assert {finding.metric for claim in told.said for finding in claim.rests} == {
        "linkage.excess",
        "linkage.success",
    }
    (told,) = one(item, known=known()).answers
    assert told.said == ("Not measured.",)


def test_a_figure_in_a_sentence_is_linked_to_its_finding() -> None:
    who = example.account()
    (told,) = one(
        {"say": "At most {finding.risk.worst_class}."}, known=facts(who), findings=who.findings
    ).answers
    (claim,) = told.said
    assert claim == "At most 20.0\N{NO-BREAK SPACE}%."
    assert [finding.metric for finding in claim.rests] == ["risk.worst_class"]


def test_a_metric_speaks_by_its_whole_or_its_worst_part() -> None:
    parts = [
        example.finding("a.b", value, target=target)
        for value, target in ((0.2, "age"), (0.3, "job"), (0.9, "white=0"))
    ]
    whole = example.finding("a.b", 0.1)
    silent = example.finding("a.b", None, status="not-measured", note="of job: too many")
    assert matching(["a.*"], [*parts, whole]) == [whole]
    assert matching(["a.*"], [*parts, silent]) == [parts[1], silent]
    assert matching(["a.*"], parts[2:]) == [parts[2]]
    assert matching(["a.*"], [silent]) == [silent]
    assert matching(["a.b", "a.*"], [whole]) == [whole]


def test_a_law_that_does_not_apply_says_so_and_asks_nothing() -> None:
    made = one(
        {"ask": "What?"}, known=known(), applies={"differential-privacy": True}, otherwise="No such claim."
    )
    assert (made.applies, made.about, made.questions) == (False, "No such claim.", 0)


def test_an_optional_provision_with_nothing_to_say_is_left_out() -> None:
    item = {"columns": {"action": ["round"]}, "say": "{columns}"}
    assert one(item, known=known(), optional=True).answers == ()
    assert len(one(item, known=known()).answers) == 1


def test_some_files_are_told_for_each_recipient() -> None:
    law = Law.model_validate(
        {
            **HEAD,
            "each": "recipient",
            "provisions": [{"id": "p", "name": "P", "shows": [{"say": "To {recipient}."}]}],
        }
    )
    made = statements([law], "law", known(), (), ["a", "b"])
    assert [each.answers[0].said for each in made] == [("To a.",), ("To b.",)]
    assert len({each.id for each in made}) == 2
    (alone,) = statements([law], "law", known(), ())
    assert alone.answers[0].said == ()


def test_an_item_tells_of_columns_or_of_findings() -> None:
    with pytest.raises(ValueError, match="not of both"):
        Item(columns=Selector(), findings=("a.b",), say="x")


def test_every_action_has_its_words_and_its_name_in_the_standard() -> None:
    assert set(TRANSFORMS) <= set(ACTIONS)
    (law,) = [law for law in read_laws() if law.id == "iso-20889"]
    named = {
        action
        for provision in law.provisions
        for item in provision.shows
        if item.columns is not None
        for action in item.columns.action
    }
    assert set(TRANSFORMS) - {"keep"} <= named


# HIPAA, WP216 ---------------------------------------------------------------------------------


def profile(name: str, *kinds: str) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        dtype="text",
        missing=0,
        distinct=10,
        role=Role.DIRECT_IDENTIFIER,
        why="",
        detections=tuple(Detection(kind=kind, evidence="7 of 8", share=0.875) for kind in kinds),
        distinction=1.0,
        separation=1.0,
        unique=1.0,
    )


def hipaa(who: Account) -> dict[str, str]:
    (law,) = [law for law in who.laws if law.id == "hipaa"]
    (made,) = statements([law], "law", facts(who), who.findings)
    return {answer.provision.id: answer.verdict for answer in made.answers}


def test_each_identifier_has_the_status_that_inventory_and_plan_give() -> None:
    columns = {
        "who": {"role": "direct-identifier", "why": "w"},
        "mail": {"role": "direct-identifier", "action": {"do": "pseudonymize", "domain": "d"}, "why": "w"},
        "site": {"role": "insensitive", "why": "w"},
        "born": {"role": "insensitive", "action": {"do": "truncate-date", "to": "year"}, "why": "w"},
    }
    inventory = Inventory(
        rows=10,
        examined=10,
        target=None,
        columns=(
            profile("who", "person-name"),
            profile("mail", "email"),
            profile("site", "url"),
            profile("born", "date-of-birth"),
        ),
    )
    status = hipaa(example.account(inventory=inventory, columns=columns))
    assert status["a"] == "dropped"
    assert status["f"] == "still there as a keyed pseudonym"
    assert status["n"] == "still there"
    assert status["c"] == "still there, changed"
    assert status["d"] == status["o"] == "none found"
    assert status["k"] == status["p"] == "not looked for"
    assert set(status.values()) <= {*COLUMN_VERDICTS, ""}


def test_where_nobody_looked_nothing_is_said_to_be_missing() -> None:
    status = hipaa(example.account(columns={"x": {"role": "insensitive", "why": "w"}}))
    assert {status[letter] for letter in "abcdefghijklmnopqr"} == {"not looked for"}


def test_detections_are_told_without_counts_shares_or_evidence() -> None:
    inventory = Inventory(rows=10, examined=10, target=None, columns=(profile("c", "email", "url"),))
    assert public_detections(inventory) == {"c": ("email", "url")}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], "not measured"),
        ([example.finding("singling_out.excess", None, status="no-power")], "not measured"),
        ([example.finding("risk.unique", 0.3, unit="share")], "a measured risk remains"),
        (
            [example.finding("risk.unique", 0.0, low=0.0, high=0.01, unit="share", before=0.6)],
            "no leak found",
        ),
        ([example.finding("risk.unique", 0.0, unit="share")], "tried, and little learned"),
    ],
)
def test_a_criterion_of_wp216_has_the_verdict_of_its_findings(found: list[Finding], verdict: str) -> None:
    who = example.account(found)
    (law,) = [law for law in who.laws if law.id == "wp216"]
    (made,) = statements([law], "law", facts(who), who.findings)
    verdicts = {answer.provision.id: answer.verdict for answer in made.answers}
    assert verdicts["singling-out"] == verdict
    assert verdicts["inference"] == "not measured"
    (inference,) = [answer for answer in made.answers if answer.provision.id == "inference"]
    assert any("not measured" in claim for claim in inference.said)


def test_the_example_and_the_paths_of_the_documentation_are_right() -> None:
    text = (Path(__file__).parents[2] / "docs/explanation/law.md").read_text()
    (example_file,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    law = law_of(example_file.encode(), "law.md")
    (made,) = statements([law], "law", facts(who := example.account()), who.findings)
    assert made.answers[0].said == ("The owner is Institute of Examples.",)
    told = text[text.index("The paths:") :].split("\n\n")[0]
    for path in PATHS:
        head, _, tail = path.partition(".")
        assert f"`{path}`" in told or (f"`{head}." in told and f"`.{tail}`" in told), path
    for field in ("place", "applies", "each", "terms", "verdict", "optional", "when", "say", "ask", "none"):
        assert f"`{field}" in text
    assert all(f"| `{law.id}`" in text or f"`{law.id}`" in text for law in read_laws())
