"""A review of parameters: what a reader of an epsilon should ask, and what the answers are here.

The questions follow NIST SP 800-226 (2025): what is protected, from whom, with which parameters, and what was
left out of the account. The levels of epsilon are those of Ponomareva et al. 2023 (JAIR 77, section 5.2); no
threshold makes a release harmless, and the deployments named are facts for comparison, not excuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sfumato.dp.statements import Statement

Level = Literal["fine", "note", "warning"]
Tuning = Literal["none", "charged", "not charged"]


@dataclass(frozen=True)
class Remark:
    """One question, what was found, and how much it should worry a reader."""

    question: str
    finding: str
    level: Level


#: Published deployments: epsilon, the unit that it protects, and what was released.
DEPLOYMENTS: tuple[tuple[float, str, str], ...] = (
    (0.45, "action", "Facebook full URLs, 2020 (Messing et al.; delta 1e-5)"),
    (2.64, "person and day", "Google Community Mobility Reports, 2020 (Aktay et al.)"),
    (9.98, "birth", "Israel's registry of live births, 2024 (Hod & Canetti)"),
    (16.0, "person and day", "Apple's learning of new words, 2017 (local)"),
    (19.61, "person", "US Census redistricting data, 2020 (delta 1e-10)"),
    (34.9, "person and month", "LinkedIn Audience Engagements, 2020 (Rogers et al.)"),
)


def review(
    statement: Statement,
    *,
    people: int | None = None,
    tuning: Tuning = "not charged",
    secure: bool = False,
    charged_upstream: bool = False,
) -> tuple[Remark, ...]:
    """The remarks on a budget, in the order in which a reader asks.

    Args:
        statement: what the budget says (:meth:`sfumato.dp.budget.Budget.statement`).
        people: about how many people (or rows, if that is the unit) the data have, a figure that may be
            published; None if it may not.
        tuning: whether settings were chosen by looking at the data, and whether that was charged.
        secure: whether all noise came from a cryptographic source.
        charged_upstream: whether every step that depended on the data was charged: bounds, categories,
            imputation, choice of columns, dropped classes.
    """
    return (
        _unit(statement),
        _epsilon(statement),
        _delta(statement, people),
        _relation(statement),
        _upstream(charged_upstream),
        _tuning(tuning),
        _randomness(secure),
        _elsewhere(statement),
        _raised(statement),
    )


def _unit(statement: Statement) -> Remark:
    question = "What is protected?"
    if statement.unit == "subject":
        return Remark(question, "a person with all of their rows", "fine")
    return Remark(
        question,
        "a row: who has several rows is protected less than epsilon says, by as many times as they have",
        "note",
    )


def _epsilon(statement: Statement) -> Remark:
    question = "Is epsilon what is usual?"
    epsilon = statement.epsilon
    words = f"the declared epsilon is {epsilon:g}: {_odds(epsilon)}; {_compared(epsilon)}"
    if epsilon <= 1:
        return Remark(question, f"{words}; at most 1, which is called strong", "fine")
    if epsilon <= 10:
        return Remark(
            question, f"{words}; at most 10, which is called reasonable and proves little alone", "note"
        )
    return Remark(
        question, f"{words}; above 10, where the figure promises a person next to nothing", "warning"
    )


def _odds(epsilon: float) -> str:
    if epsilon > 20:
        return "no certainty about a person is ruled out by it"
    # For two datasets that are as likely beforehand: Wasserman & Zhou 2010, Kairouz et al. 2015.
    certainty = 1 / (1 + math.exp(-epsilon))
    shown = f"{100 * certainty:.0f} %" if certainty < 0.99 else f"{100 * certainty:.4g} %"
    return f"who holds a person's presence for as likely as not may become up to {shown} certain"


def _compared(epsilon: float) -> str:
    below = [each for each in DEPLOYMENTS if each[0] <= epsilon]
    value, unit, what = below[-1] if below else DEPLOYMENTS[0]
    return f"published for comparison: {value:g} for each {unit}, {what}"


def _delta(statement: Statement, people: int | None) -> Remark:
    question = "Is delta small enough?"
    delta = statement.delta
    if not delta:
        return Remark(question, "there is none: the promise holds without exception", "fine")
    if people is None or people < 1:
        return Remark(
            question, f"delta is {delta:g}; it must be far below one over the number of people", "note"
        )
    expected = delta * people
    words = f"delta is {delta:g}, times {people} people {expected:.2g}"
    # A mechanism that publishes each person's row with the chance delta is (0, delta)-private: Dwork & Roth
    # 2014, section 2.3.
    if expected >= 1:
        return Remark(question, f"{words}: it would allow a person's row to be published whole", "warning")
    if expected > 0.1:
        return Remark(question, f"{words}: below one, and not far below", "note")
    return Remark(question, f"{words}: far below one", "fine")


def _relation(statement: Statement) -> Remark:
    question = "Between which data does it hold?"
    if statement.relation == "replace-one":
        return Remark(question, "one person's data may be any others; the number of people is public", "fine")
    words = "one person may be there or not"
    if statement.estimate is not None:
        cost = statement.estimate
        words += (
            "; to tell one value of a person from another (replace-one) is dearer: epsilon"
            f" {cost.replace_epsilon:.3g} where this one is {cost.epsilon:.3g}, by estimate"
        )
    return Remark(question, words, "note")


def _upstream(charged: bool) -> Remark:
    question = "Was every look at the data charged?"
    if charged:
        return Remark(question, "every step that depends on the data was charged or declared", "fine")
    return Remark(
        question,
        "not every step is known to be charged: the epsilon holds for rows of the intermediate table, "
        "none for people",
        "warning",
    )


def _tuning(tuning: Tuning) -> Remark:
    question = "Were settings chosen by the data?"
    if tuning == "none":
        return Remark(question, "no: they were fixed beforehand, or on public data", "fine")
    if tuning == "charged":
        return Remark(
            question, "yes, and choosing was charged (Liu & Talwar 2019, Papernot & Steinke 2022)", "fine"
        )
    return Remark(question, "if they were, it was not charged, and the epsilon is too small", "warning")


def _randomness(secure: bool) -> Remark:
    question = "Can the noise be guessed?"
    if secure:
        return Remark(question, "it came from a cryptographic source", "fine")
    return Remark(question, "it came from a generator whose state can be found from its output", "warning")


def _elsewhere(statement: Statement) -> Remark:
    question = "What else was released of these people?"
    if not statement.unbounded:
        return Remark(question, "nothing without differential privacy is on record", "fine")
    count = len(statement.unbounded)
    releases = "a release" if count == 1 else f"{count} releases"
    return Remark(question, f"{releases} without differential privacy, which no epsilon bounds", "warning")


def _raised(statement: Statement) -> Remark:
    question = "Was the budget raised?"
    if not statement.raises:
        return Remark(question, "no", "fine")
    last = statement.raises[-1]
    return Remark(
        question,
        f"yes, last by {last.by} ({last.why}); no theorem covers that decision",
        "warning",
    )
