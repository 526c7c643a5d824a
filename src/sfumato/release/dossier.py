"""The dossier: one page that a privacy officer reads from top to bottom.

Self-contained HTML with no script and no address in it; its charts are inline SVG. It says what was
measured and under which assumptions, and claims nothing beyond: the words are "no leak found by X,
which would have found Y". What loosens a rule stands before everything else.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from sfumato.core.disclosure import BASE, LEAST
from sfumato.core.values import Finding, Reason
from sfumato.hierarchies import HIERARCHIES
from sfumato.policy.model import Dataset
from sfumato.release.account import Account
from sfumato.release.anchors import Anchors
from sfumato.release.attackers import attackers
from sfumato.release.charts import Mark, contact_sheet, draw
from sfumato.release.facts import attacker_words, facts, population_words
from sfumato.release.residual import Claim, families, limits, residual, told
from sfumato.release.statements import Statement, statements
from sfumato.release.steps import steps_chart
from sfumato.release.summary import headline, summary
from sfumato.release.unjudged import unjudged
from sfumato.release.words import (
    ACCOUNTINGS,
    METHODS,
    SCORES,
    STATUSES,
    UNIT_WORDS,
    UNITS,
    action_words,
    count_words,
    fact_words,
    interval,
    is_percent,
    model_words,
    parameter_words,
    plain_figure,
    title,
    value_words,
)

#: So many rows of one metric are shown, the least favourable first; the rest is in ``evidence.json``.
MOST_ROWS = 12
_MOST_GROUP_CHARTS = 5
#: Beliefs in something about a person that the guarantee is told for.
BELIEFS = (0.01, 0.1, 0.5)
#: So many answers under differential privacy are shown; the file has them all.
MOST_ANSWERS = 60
#: What a claim that rests on a section calls it.
SECTIONS = {
    "data": "the data",
    "columns": "every column",
    "classes": "classes",
    "attacks": "attacks",
    "gate": "the gate",
    "guarantee": "what it may tell of one",
    "made": "how the rows were made",
}
#: How a word that sums up a provision looks: as something to look at, or as nothing to see.
TONES = {
    "still there": "missed",
    "a measured risk remains": "missed",
    "dropped": "met",
    "none found": "met",
    "no leak found": "met",
}


def dossier_html(account: Account, digests: Mapping[str, str]) -> bytes:
    """The page.

    Args:
        account: what there is to tell.
        digests: SHA-256 of each other file of the release but the manifest, which names the page's.
    """
    import jinja2

    style = _packaged("style.css")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        action=action_words,
        figure=value_words,
        people=count_words,
        attacker_words=attacker_words,
        population_words=population_words,
        interval=interval,
        title=title,
        status=STATUSES,
        methods=METHODS,
        scores=SCORES,
        units=UNITS,
        unit_words=UNIT_WORDS,
        accountings=ACCOUNTINGS,
        parameters=parameter_words,
        fact=fact_words,
        plain=plain_figure,
        answered=account.answers[:MOST_ANSWERS],
    )
    groups = families(account.findings)
    tables = {name: _table(members) for name, members in groups.items()}
    shown = [row for table in tables.values() for group in table["groups"] for row in group["rows"]]
    anchors = Anchors(account.findings, shown)
    known = facts(account)
    recipients = tuple(account.dataset.get("recipients") or ())
    filled = {
        place: statements(account.laws, place, known, account.findings, recipients)
        for place in ("recipients", "law", "assessments", "review")
    }
    environment.globals.update(anchors=anchors, sections=SECTIONS, tones=TONES)
    environment.filters["begun"] = lambda words: words[:1].upper() + words[1:]
    page = environment.from_string(_packaged("dossier.html.j2")).render(
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        account=account,
        policy=account.policy,
        approvals=account.approvals,
        dataset=dict.fromkeys(Dataset.model_fields) | dict(account.dataset),
        plan=account.plan,
        anonymity=account.plan["anonymity"],
        made=account.synthesis,
        priced=account.guarantee,
        promises=_promises(account),
        columns=_columns(account),
        decision=account.decision,
        tiles=headline(account),
        summary=summary(account),
        **tables,
        beliefs=(beliefs := _beliefs(account)),
        sheet=contact_sheet(account.sheet),
        images=sum(file.files or 0 for file in account.data),
        charts=_charts(account, groups) | {"guarantee": _belief_chart(beliefs)},
        reasons=_reasons(account),
        unjudged=[told(finding) for finding in unjudged(account.findings, account.decision)],
        residual=residual(groups["attacks"]),
        attackers=attackers(account.policy["context"], known, account.findings),
        filled=filled,
        questions=_questions(filled),
        limits=limits(account),
        least=LEAST,
        base=BASE,
        digests=dict(sorted(digests.items())),
        most=MOST_ROWS,
    )
    return page.lstrip().encode()


def _packaged(name: str) -> str:
    return resources.files("sfumato.release").joinpath("templates", name).read_text(encoding="utf-8")


def _reasons(account: Account) -> list[tuple[Reason, Claim]]:
    """Each threshold with the words on the finding that it met."""
    return [
        (
            reason,
            Claim(
                reason.words,
                *(f for f in account.findings if (f.metric, f.target) == (reason.metric, reason.target)),
            ),
        )
        for reason in account.decision.reasons
    ]


def _questions(filled: Mapping[str, Sequence[Statement]]) -> dict[str, int]:
    """How many questions each section leaves to people."""
    return {place: sum(made.questions for made in each) for place, each in filled.items()}


def _promises(account: Account) -> list[str]:
    anonymity = account.plan["anonymity"]
    return [] if anonymity is None else [model_words(model) for model in anonymity["models"]]


def _columns(account: Account) -> list[dict[str, Any]]:
    """Every column of plan and policy, in the plan's order, then those that the plan never saw."""
    policy: Mapping[str, Mapping[str, Any]] = account.policy["columns"]
    rows = []
    for step in account.plan["columns"]:
        written = policy.get(step["column"], {})
        rows.append({**step, "known_to": written.get("known_to", []), **_hierarchy(written)})
    seen = {row["column"] for row in rows}
    for name, written in policy.items():
        if name not in seen:
            action = dict(written["action"])
            done = {"column": name, "action": action.pop("do"), "params": action}
            rows.append({"known_to": [], **written, **done, **_hierarchy(written)})
    return rows


def _hierarchy(written: Mapping[str, Any]) -> dict[str, Any]:
    """The hierarchy of a column, and what is to be told of one that learned from the data."""
    params = dict(written.get("hierarchy", {}))
    kind = params.pop("kind", None)
    told = getattr(HIERARCHIES.resolve(kind), "disclosed", "") if kind is not None else ""
    return {"hierarchy": kind, "hierarchy_params": params, "disclosed": told}


def _table(findings: Sequence[Finding]) -> dict[str, Any]:
    """A table of findings: a group for each metric, in it the figure of the whole release first.

    At most :data:`MOST_ROWS` of a metric are shown. Assumptions and notes are said once, under the
    table, and referred to by a mark. Only columns that say something are there.
    """
    by_metric: dict[str, list[Finding]] = {}
    for finding in findings:
        by_metric.setdefault(finding.metric, []).append(finding)
    beside = ("before", "baseline", "control")
    said = {name: any(getattr(finding, name) is not None for finding in findings) for name in beside}
    shown = {metric: _worst(members) for metric, members in by_metric.items()}
    every = [finding for members in shown.values() for finding in members]
    return {
        "groups": [
            {"metric": metric, "rows": members, "more": len(by_metric[metric]) - len(members)}
            for metric, members in shown.items()
        ],
        "columns": [name for name in beside if said[name]],
        "marks": _marks("A", [finding.assumes for finding in every])
        | _marks("N", [finding.note for finding in every]),
    }


def _marks(letter: str, texts: Sequence[str]) -> dict[str, str]:
    """A mark for each distinct text: A1, A2..."""
    distinct = [text for text in dict.fromkeys(texts) if text]
    return {text: f"{letter}{number}" for number, text in enumerate(distinct, start=1)}


def _worst(members: Sequence[Finding]) -> list[Finding]:
    """The whole release's figure, and of the others the least favourable ones in their own order."""

    def badness(finding: Finding) -> float:
        if finding.value is None:
            return float("inf")
        return finding.value if finding.goal == "low" else -finding.value

    whole = [finding for finding in members if finding.target == "release"]
    parts = [finding for finding in members if finding.target != "release"]
    kept = sorted(parts, key=badness, reverse=True)[: MOST_ROWS - len(whole)]
    return whole + [finding for finding in parts if finding in kept]


def _charts(account: Account, groups: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    limits_by_metric = {
        (threshold["metric"], threshold["target"]): threshold.get("at_most", threshold.get("at_least"))
        for threshold in account.policy["gate"]
    }

    def marks(findings: Sequence[Finding], percent: bool) -> list[Mark]:
        return [
            Mark(
                label=title(finding.metric) + ("" if finding.target == "release" else f", {finding.target}"),
                value=finding.value,
                low=finding.low if finding.low != finding.high else None,
                high=finding.high if finding.low != finding.high else None,
                before=finding.before,
                baseline=finding.baseline,
                control=finding.control,
                limit=limits_by_metric.get((finding.metric, finding.target)),
            )
            for finding in findings
            if finding.value is not None and is_percent(finding.unit) is percent
        ]

    def whole(findings: Sequence[Finding]) -> list[Finding]:
        return [finding for finding in findings if finding.target == "release"]

    attacks = marks(whole(groups["attacks"]), percent=True)
    learning = marks(groups["learning"][:MOST_ROWS], percent=False)
    return {
        "attacks": draw(attacks, name="chart-attacks", title=_heard("Attacks", attacks), percent=True),
        "trajectory": steps_chart(groups["attacks"]),
        "learning": draw(learning, name="chart-learning", title=_heard("Learning", learning), percent=False),
        "fairness": _group_charts(groups["fairness"], marks),
    }


def _group_charts(findings: Sequence[Finding], marks: Any) -> list[tuple[str, Markup]]:
    """One chart for each metric that has groups, a row a group."""
    by_metric: dict[str, list[Finding]] = {}
    for finding in findings:
        if "=" in finding.target and finding.value is not None:
            by_metric.setdefault(finding.metric, []).append(finding)
    charts = []
    for number, (metric, members) in enumerate(list(by_metric.items())[:_MOST_GROUP_CHARTS]):
        percent = is_percent(members[0].unit)
        rows = [
            Mark(**{**vars(mark), "label": finding.target})
            for finding, mark in zip(members, marks(members, percent), strict=True)
        ]
        drawn = draw(rows, name=f"chart-group-{number}", title=_heard(title(metric), rows), percent=percent)
        charts.append((title(metric), drawn))
    return charts


def _beliefs(account: Account) -> list[tuple[float, float]]:
    """How likely somebody held a thing for, and holds it at most after the answers: Bayes at that epsilon."""
    if account.guarantee is None:
        return []
    odds = math.exp(min(account.guarantee["epsilon"], 700.0))
    return [(before, odds * before / (odds * before + 1 - before)) for before in BELIEFS]


def _belief_chart(beliefs: Sequence[tuple[float, float]]) -> Any:
    marks = [Mark(label=f"believed at {before:.0%}", value=after, before=before) for before, after in beliefs]
    return draw(marks, name="chart-guarantee", title=_heard("What may be believed", marks), percent=True)


def _heard(subject: str, marks: Sequence[Mark]) -> str:
    """The chart's title for readers who hear it; the table beside it has the figures."""
    return f"{subject}: before and after, {len(marks)} figures, the same as in the table"
