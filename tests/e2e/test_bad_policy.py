"""Policies as people write them: each mistake is told with file, line and what to do, and nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import POLICY, Answer, Ask, changed, files_in, people

KEEP_NAME = ("role: direct-identifier, action: {do: drop}", "role: insensitive")
INTERVALS = "{kind: intervals, widths: [10, 20, 40], to: 120}"
REGION = "region: {role: quasi-identifier"
K = "model: k-anonymity, k: 5"
ROUND = "{do: round, to: 20000}"


def check(ask: Ask, survey: Path, policy: str | bytes) -> Answer:
    """``check`` of a policy, which writes nothing and says the same as a document."""
    (survey / "policy.yaml").write_bytes(policy.encode() if isinstance(policy, str) else policy)
    before = files_in(survey)
    answer = ask("check", "policy.yaml", "--json", cwd=survey)
    assert files_in(survey) == before
    if not answer.out:
        return answer
    document = json.loads(answer.out)
    assert bool(document["problems"]) == (answer.code == 2)
    told = "\n".join(" | ".join((p["where"], p["what"], p["remedy"])) for p in document["problems"])
    return Answer(answer.code, told, answer.err)


UNREADABLE: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("policy.yaml:1", "begins with sfumato: 1")),
    "a comment": ("# nothing\n", ("policy.yaml:1", "begins with sfumato: 1")),
    "a list": ("- a\n", ("policy.yaml:1", "a policy is a mapping")),
    "a word": ("x", ("a policy is a mapping",)),
    "no YAML": ("a: b: c\n", ("policy.yaml:1", "not valid YAML: mapping values")),
    "not closed": ("a: [1,\n b", ("policy.yaml:2", "not valid YAML")),
    "a tab": ("sfumato: 1\n\tdataset: 2\n", ("policy.yaml:2", "not valid YAML", "indentation")),
    "not text": (b"\xff\xfe\x00", ("policy.yaml", "not UTF-8")),
    "a control character": ("sfumato: 1\nx: \x07\n", ("policy.yaml:2", "not valid YAML")),
    "two documents": ("sfumato: 1\n---\nsfumato: 1\n", ("policy.yaml:2", "another document")),
    "a key twice": (POLICY + "sfumato: 1\n", ("policy.yaml:14", 'twice the key "sfumato"')),
    "a key twice inside": (
        changed("  name: people", "  name: people\n  name: b"),
        ("policy.yaml:4", 'twice the key "name"'),
    ),
    "an alias of nothing": ("a: *b\n", ("policy.yaml:1", "undefined alias")),
    "an object of Python": (
        'sfumato: !!python/object/apply:os.system ["id"]\n',
        ("policy.yaml:1", "must be 1"),
    ),
    "a billion laughs": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        ("policy.yaml", "larger than any policy"),
    ),
    "an alias of itself": ("a: &a [*a]\n", ("policy.yaml",)),
    "nested without end": ("[" * 800, ("policy.yaml", "nested too deep")),
    "another version": (changed("sfumato: 1", "sfumato: 2"), ("policy.yaml:1", "sfumato: must be 1")),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_policy(ask: Ask, survey: Path, case: str) -> None:
    text, words = UNREADABLE[case]
    check(ask, survey, text).refuses(*words)


#: A passage of the policy, what stands there instead, and what is said of it.
WRONG: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown section": ("anonymity: {", "anonimity: {", ("policy.yaml:13", 'did you mean "anonymity"?')),
    "unknown key": ("dataset:\n", "dataset:\n  targte: age\n", ("policy.yaml:3", 'did you mean "target"?')),
    "unknown key in a flow": (
        "{path: people.csv}",
        '{path: people.csv, seperator: ","}',
        ("policy.yaml:4 | dataset.source.seperator", 'did you mean "separator"?'),
    ),
    "unknown key of a column": (
        "why: not needed}",
        "whi: not needed}",
        ("policy.yaml:6", "columns.name.why: is missing", 'did you mean "why"?'),
    ),
    "unknown key of a model": (K, "model: k-anonymity, kk: 5", ("policy.yaml:13", 'did you mean "k"?')),
    "unknown key of a hierarchy": ("to: 120", "too: 120", ("policy.yaml:8", 'did you mean "to"?')),
    "unknown key of an action": (ROUND, "{do: round, t: 5}", ("policy.yaml:10", "columns.income.action.to")),
    "unknown action": ("do: pseudonymize", "do: pseudonimize", ("policy.yaml:7", '"pseudonymize"?')),
    "unknown hierarchy": ("kind: intervals", "kind: interval", ("policy.yaml:8", '"intervals"?')),
    "unknown model": ("k-anonymity", "k-anonimity", ("policy.yaml:13", '"k-anonymity"?')),
    "unknown measure": ("suppression: 0.05", "measure: los", ("policy.yaml:13", '"loss"?')),
    "unknown method": ("method: lattice", "method: mondrian", ("policy.yaml:13", "must be 'lattice'")),
    "unknown role": ("email: {role: direct", "email: {role: dirct", ("policy.yaml:7", "'direct-identifier'")),
    "a part that is not installed": ("do: pseudonymize", 'do: "acme:hide"', ("policy.yaml:7", '"acme"')),
    "text for a list": ("widths: [10, 20, 40]", "widths: 10", ("policy.yaml:8", "widths: must be a list")),
    "text for a mapping": ("{path: people.csv}", "people.csv", ("policy.yaml:4", "must be a mapping")),
    "text for a number": ("suppression: 0.05", "suppression: 5%", ("suppression: must be a number",)),
    "number for a text": ("why: not needed", "why: 5", ("policy.yaml:6", "must be text")),
    "number for a truth": (
        REGION,
        "region: {sensitive: 7, role: quasi-identifier",
        ("columns.region.sensitive: must be true or false",),
    ),
    "nan": ("suppression: 0.05", "suppression: .nan", ("suppression: must be a finite number",)),
    "suppression out of range": ("suppression: 0.05", "suppression: 1.5", ("policy.yaml:13", "equal to 1")),
    "k of one": (K, "model: k-anonymity, k: 1", ("models.0.k: must be greater than or equal to 2",)),
    "no model": ("[{model: k-anonymity, k: 5}]", "[]", ("models: needs at least 1 item",)),
    "widths that do not divide": ("[10, 20, 40]", "[10, 25]", ("width 10 does not divide width 25",)),
    "a range that does not divide": ("to: 120", "to: 90", ("a multiple of the widest interval (40)",)),
    "levels that do not grow": ("levels: [year]", "levels: [year, month]", ("levels must grow",)),
    "a name of no use": (
        "name: people\n",
        'name: "a survey!"\n',
        ("policy.yaml:3", "dataset.name: must match"),
    ),
    "a separator of two": ("{path: people.csv}", '{path: people.csv, separator: ";;"}', ("one ASCII",)),
    "a hierarchy inside the action": (
        ROUND,
        "{do: generalize, level: 1, folder: /etc}",
        ("policy.yaml:10", "the hierarchy stands beside it"),
    ),
    "a hierarchy for nothing": (
        "income: {role: quasi-identifier, action",
        "income: {role: quasi-identifier, hierarchy: {kind: suppress}, action",
        ("policy.yaml:10", "a hierarchy is for the action generalize"),
    ),
    "unknown column": ("  region:", "  regoin:", ('"regoin" is not a column', 'did you mean "region"?')),
    "unknown target": ("dataset:\n", "dataset:\n  target: hird\n", ("policy.yaml:3", '"hired"?')),
    "unknown subject": ("dataset:\n", "dataset:\n  subject: nam\n", ("policy.yaml:3", '"name"?')),
    "unknown key column": ("dataset:\n", "dataset:\n  key: emial\n", ("policy.yaml:3", '"email"?')),
    "unknown knowledge": (
        "dataset:\n",
        "context: {attackers: [{knows: [aeg]}]}\ndataset:\n",
        ("policy.yaml:2", 'did you mean "age"?'),
    ),
    "unknown group": (
        "dataset:\n",
        "evidence: {fairness: {groups: [regoin]}}\ndataset:\n",
        ("policy.yaml:2", 'fairness.groups "regoin"', '"region"?'),
    ),
    "unknown probe": (
        "dataset:\n",
        "evidence: {attacks: [linkge]}\ndataset:\n",
        ("policy.yaml:2", '"linkage"?'),
    ),
    "unknown metric": (
        "dataset:\n",
        "gate: [{metric: risk.worst_clas, at_most: 0.1}]\ndataset:\n",
        ("policy.yaml:2", 'did you mean "risk.worst_class"?'),
    ),
    "no bound": ("dataset:\n", "gate: [{metric: risk.unique}]\ndataset:\n", ("either at_most or at_least",)),
    "a looser floor": (
        "dataset:\n",
        "gate: [{metric: risk.worst_class, at_most: 0.5}]\ndataset:\n",
        ("policy.yaml:2", "asks less than the floor", "approved"),
    ),
    "a missing source": ("people.csv", "peple.csv", ("peple.csv: no such file", "source-missing")),
    "no levels": (
        "anonymity: {method: lattice, models: [{model: k-anonymity, k: 5}], suppression: 0.05}\n",
        "",
        ("policy.yaml:8", "no anonymity section chooses one"),
    ),
    "a level too high": (ROUND, "{do: generalize, level: 9}", ("policy.yaml:10", "has levels 0 to 1")),
    "dates of no dates": (ROUND, "{do: truncate-date, to: month}", ("policy.yaml:10", "needs dates")),
    "numbers of no numbers": (
        "action: {do: pseudonymize, domain: person}",
        "action: {do: round, to: 5}",
        ("policy.yaml:7", "needs numbers"),
    ),
    "a missing hierarchy": (
        REGION,
        f"{REGION}, hierarchy: {{kind: file, path: no.csv}}",
        ("policy.yaml:9", "hierarchy file no.csv", "cannot be read"),
    ),
    "a path of no file system": (
        REGION,
        f'{REGION}, hierarchy: {{kind: file, path: "a\\0b"}}',
        ("policy.yaml:9", "cannot be read"),
    ),
    "an identifier kept": (*KEEP_NAME, ("policy.yaml:6", "is called insensitive", "approvals")),
    "an identifier kept as such": (
        "role: direct-identifier, action: {do: drop}",
        "role: direct-identifier, action: keep",
        ("policy.yaml:6", "would leave as it is"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_its_line(ask: Ask, survey: Path, case: str) -> None:
    old, new, words = WRONG[case]
    check(ask, survey, changed(old, new)).refuses(*words)


def test_all_problems_are_told_at_once(ask: Ask, survey: Path) -> None:
    policy = changed("to: 120", "too: 120", changed("do: drop}, why", "do: drop}, whi"))
    policy = changed("suppression: 0.05", "suppression: 5", policy)
    answer = check(ask, survey, policy).refuses("policy.yaml:6", "policy.yaml:13")
    assert len(answer.out.splitlines()) >= 3


#: A hierarchy file for the regions and what is said of it; row numbers, never values.
HIERARCHIES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("h.csv", "it is empty")),
    "ragged": ("S;*\nN;*\nE;*\nW\n", ("h.csv", "row 4 has 1 cells and row 1 has 2")),
    "contradictory": (
        "S;a;*\nS;b;*\nN;a;*\nE;b;*\nW;b;*\n",
        ("row 2 gives the value of row 1 other labels",),
    ),
    "not nesting": ("S;a;*\nN;a;*\nE;b;*\nW;b;x\n", ("levels 1 and 2 do not nest", "rows 3 and 4")),
    "of one column": ("S,a\nN,a\n", ("h.csv", "one column only", "separator")),
    "not UTF-8": (b"\xff;*\n", ("h.csv", "cannot be read (UnicodeDecodeError)")),
    "not covering": ("S;*\nN;*\nE;*\n", ("column region: 1 distinct value(s)", "data row", "add them")),
    "with blanks": ("S;*\nN;*\nE;*\n W;*\n", ("column region", "only by blanks at the ends")),
}


@pytest.mark.parametrize("case", HIERARCHIES)
def test_a_hierarchy_that_cannot_be_used(ask: Ask, survey: Path, case: str) -> None:
    content, words = HIERARCHIES[case]
    (survey / "h.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    policy = changed(REGION, f"{REGION}, hierarchy: {{kind: file, path: h.csv}}")
    (survey / "policy.yaml").write_text(policy)
    ask("run", "policy.yaml", "-o", "out", cwd=survey).refuses(*words)
    assert not (survey / "out").exists()


#: What shows only when the policy is fitted.
UNFIT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "k beyond the table": (K, "model: k-anonymity, k: 5000", ("anonymity-impossible", "lower k")),
    "all suppressed": (
        "k: 5}], suppression: 0.05",
        "k: 5000}], suppression: 1",
        ("every row is suppressed", "anonymity-impossible"),
    ),
    "dates of numbers": (
        INTERVALS,
        "{kind: dates, levels: [year]}",
        ("column age", "needs dates", "column-values"),
    ),
    "numbers of dates": ("{kind: dates, levels: [year]}", INTERVALS, ("column joined", "needs numbers")),
    "too few people with several rows": (
        "dataset:\n",
        "dataset:\n  subject: region\n",
        ("anonymity-impossible", "allow more suppression"),
    ),
    "a key that is none": ("dataset:\n", "dataset:\n  key: region\n", ("dataset.key", "every row apart")),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_fitted_leaves_nothing(ask: Ask, survey: Path, case: str) -> None:
    old, new, words = UNFIT[case]
    (survey / "policy.yaml").write_text(changed(old, new))
    before = files_in(survey)
    ask("run", "policy.yaml", "-o", "out", "--json", cwd=survey).refuses(*words)
    assert files_in(survey) == before


def test_seven_million_nodes_are_few_where_most_levels_say_the_same(ask: Ask, survey: Path) -> None:
    keep = ", ".join(str(length) for length in range(700, 0, -1))
    policy = POLICY
    for column in ("region", "hired"):
        start = f"  {column}: {{role: quasi-identifier"
        policy = changed(start, f"{start}, hierarchy: {{kind: prefix, keep: [{keep}]}}", policy)
    (survey / "policy.yaml").write_text(policy)
    answer = ask("plan", "policy.yaml", "--json", cwd=survey)
    answer.passes()
    found = json.loads(answer.out)["anonymity"]
    assert found["lattice"] > 7_000_000
    assert found["optimal"]


def test_a_named_approval_lets_pass_what_would_be_refused(ask: Ask, survey: Path) -> None:
    policy = changed(*KEEP_NAME) + "gate: [{metric: risk.worst_class, at_most: 0.9}]\n"
    approvals = (
        'approvals: [{by: R. Quist, what: "column name", why: x}, '
        '{by: R. Quist, what: "gate risk.worst_class", why: x}]\n'
    )
    check(ask, survey, policy).refuses('"name" is called insensitive', "asks less than the floor")
    assert check(ask, survey, policy + approvals).code == 0
    others = approvals.replace("column name", "column email")
    check(ask, survey, policy + others).refuses('"name" is called insensitive')


def test_a_draft_checks_without_problems(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(people())
    ask("inspect", "people.csv", "-o", "policy.yaml", "--target", "hired", cwd=tmp_path).passes()
    ask("check", "policy.yaml", cwd=tmp_path).passes()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nope.yaml", ("nope.yaml: no such policy", "sfumato inspect DATA -o policy.yaml")),
        (".", ("is a folder",)),
        ("people.csv", ("people.csv:1", "a policy is a mapping")),
    ],
)
def test_a_place_without_a_policy(ask: Ask, survey: Path, path: str, words: tuple[str, ...]) -> None:
    for verb in (("check",), ("plan",), ("run", "-o", "out")):
        ask(*verb, path, cwd=survey).refuses(*words)
    assert files_in(survey) == ["people.csv", "policy.yaml"]


def test_a_quasi_identifier_of_very_many_values(ask: Ask, tmp_path: Path) -> None:
    """The search and its hierarchies cope with one value a row, in time."""
    rows = 200_000
    lines = "".join(f"{i},{i % 3}\n" for i in range(rows))
    (tmp_path / "many.csv").write_text("number,group\n" + lines)
    (tmp_path / "policy.yaml").write_text(
        "sfumato: 1\n"
        "dataset: {name: many, source: {path: many.csv}}\n"
        "columns:\n"
        "  number:\n"
        "    role: quasi-identifier\n"
        f"    hierarchy: {{kind: intervals, widths: [10, 1000], to: {rows}}}\n"
        "    why: x\n"
        "  group: {role: quasi-identifier, why: x}\n"
        "anonymity: {models: [{model: k-anonymity, k: 3}]}\n"
    )
    answer = ask("plan", "policy.yaml", "--json", cwd=tmp_path, limit=60).passes()
    assert answer.json["anonymity"]["levels"] == {"number": 1, "group": 0}
