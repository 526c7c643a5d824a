"""The documents for people besides the dossier: ``datasheet.md`` and ``notice.md``, drafts in Markdown.

The datasheet has the sections of Gebru et al. (*Datasheets for Datasets*, 2021); the notice tells the
people in the data, in plain words, what happens. Both are forms (:mod:`sfumato.release.law`) filled from
the :class:`sfumato.release.account.Account`; what it does not say is a question, marked as one.
"""

from __future__ import annotations

import re

from sfumato.release.account import Account
from sfumato.release.facts import facts
from sfumato.release.law import Place
from sfumato.release.statements import Statement, statements

#: Characters that Markdown or HTML in it would take for something else.
_MARKED = re.compile(r"([\\`*_\[\]<>#|])")
#: Every kind of blank and line end but the one that holds a figure to its unit.
_BLANKS = re.compile(r"[^\S\N{NO-BREAK SPACE}]+")
_QUESTION = "To be answered by a person:"


def datasheet_md(account: Account) -> bytes:
    """The datasheet."""
    return _paper(account, "datasheet")


def notice_md(account: Account) -> bytes:
    """The notice to the people in the data."""
    return _paper(account, "notice")


def _paper(account: Account, place: Place) -> bytes:
    made = statements(account.laws, place, facts(account), account.findings)
    lines = [line for statement in made for line in _lines(account, statement)]
    return ("\n".join(lines).rstrip() + "\n").encode()


def _lines(account: Account, made: Statement) -> list[str]:
    lines = [f"# {_plain(made.law.title)}: {_plain(account.dataset['name'])}", ""]
    lines += [_plain(made.about), ""] if made.about else []
    for answer in made.answers:
        lines += [f"## {_plain(answer.name)}", ""]
        lines += [f"- {_plain(claim)}" for claim in answer.said]
        lines += [f"- **{_QUESTION}** {_plain(question)}" for question in answer.asked]
        lines.append("")
    lines += [f"After {_plain(made.law.reference)}; form of {made.law.dated}. Counts are rounded.", ""]
    return lines


def _plain(words: str) -> str:
    r"""Text as text, on one line.

    >>> print(_plain("a_b <script> [x](y)\n# z"))
    a\_b \<script\> \[x\](y) \# z
    """
    return _MARKED.sub(r"\\\1", _BLANKS.sub(" ", words).strip())
