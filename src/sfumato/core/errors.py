"""The one shape of every error a user meets: what, where, what to do, and a code that the docs explain.

No message may hold a person's value. Where a value is at fault, the message names its file, column
and row number, and leaves the looking to somebody who may look.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from sfumato.core.printable import printable

EXIT_PASSED = 0
EXIT_GATE_REFUSED = 1
EXIT_WRONG_INPUT = 2
EXIT_REFUSED = 3
EXIT_BUG = 70

#: Of a table of three hundred columns a hint does not list all.
_SHOWN = 20

#: Every code with the sentence that the reference page prints. A test fails when a code is raised
#: that is not here, or stands here and is raised nowhere.
CODES: dict[str, str] = {
    "source-missing": "A file, folder or pattern named as a source matches nothing.",
    "source-unreadable": "A source cannot be read: permissions, a damaged archive, a wrong format.",
    "source-encoding": "A text source is not valid in its encoding.",
    "source-empty": "A source has no rows or no columns.",
    "source-columns": "The files of a source differ in their columns, or a column's name occurs twice.",
    "source-changed": "The source is not the one that a plan or a release was made from.",
    "policy-unreadable": "The policy is not YAML, or is not a mapping.",
    "policy-invalid": "The policy has a key or a value that is not allowed.",
    "policy-mismatch": "The policy does not fit the source it names.",
    "hierarchy-invalid": "A generalization hierarchy is incomplete, contradictory or does not nest.",
    "column-values": "A column's values cannot be treated as the policy asks.",
    "unknown-name": "A name is not in its registry.",
    "anonymity-impossible": "No recoding satisfies the privacy models within the suppression allowed.",
    "search-too-large": "A search space is beyond what the optimal search may enumerate.",
    "recheck-failed": "The rows as written do not satisfy the privacy models that the plan promised.",
    "subject-rows": "A person has several rows, and the method, a model or a pseudonym does not suit that.",
    "snapshot": "A recoding fitted for one snapshot was applied to values it has never seen.",
    "output-exists": "The output folder exists and is not one that may be replaced.",
    "output-failed": "The output could not be written completely; nothing was left under its final name.",
    "release-unreadable": "A path is not a release.",
    "release-altered": "A release is not what its signed manifest says.",
    "release-withdrawn": "A release was withdrawn, or is none that this project can withdraw.",
    "custody-closed": "The custody of a release is missing or cannot be opened with the project's key.",
    "project-key": "The project's keys are missing, damaged or readable by others.",
    "project-ledger": "The ledger of releases is damaged, locked or not writable.",
    "budget-spent": "A release would cost more than what is left of the dataset's privacy budget.",
    "budget-undeclared": "No privacy budget was declared for the dataset.",
    "budget-mismatch": "A privacy budget is declared that differs from the one on record.",
    "event-unsupported": "What a mechanism costs under differential privacy cannot be proven.",
    "register-mismatch": "An external register shares no usable column with the release.",
    "law-invalid": "A data file of laws and forms is not as it must be.",
    "usage": "A command or function was called in a way that cannot be meant.",
}


class SfumatoError(Exception):
    """An error with a code from :data:`CODES`, a place and a remedy.

    Args:
        code: a key of :data:`CODES`.
        what: one sentence, without any person's value.
        where: file, line, column or row numbers; empty if there is no place.
        remedy: what the reader can do about it.

    >>> print(SfumatoError("source-missing", "no such file", where="people.csv", remedy="check the path"))
    people.csv: no such file [source-missing]
      to do: check the path
    """

    exit_code = EXIT_WRONG_INPUT

    def __init__(self, code: str, what: str, *, where: str = "", remedy: str = "") -> None:
        if code not in CODES:
            raise LookupError(f"undeclared error code {code!r}")
        self.code, self.what, self.where, self.remedy = code, *map(printable, (what, where, remedy))
        super().__init__(self.what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        todo = f"\n  to do: {self.remedy}" if self.remedy else ""
        return f"{place}{self.what} [{self.code}]{todo}"


class InputError(SfumatoError):
    """Wrong input or wrong use: exit code 2."""


class RefusedError(SfumatoError):
    """Not allowed here and now (budget, permission, agreement): exit code 3."""

    exit_code = EXIT_REFUSED


class AlteredError(SfumatoError):
    """Something signed is not what was signed: exit code 1."""

    exit_code = EXIT_GATE_REFUSED


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a policy: where it stands, what is wrong, what to do."""

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        todo = f"\n  to do: {printable(self.remedy)}" if self.remedy else ""
        return f"{printable(self.where)}: {printable(self.what)}{todo}"


class PolicyError(InputError):
    """A policy with one or more problems; ``problems`` lists them all, in file order."""

    def __init__(self, problems: Iterable[Problem], *, code: str = "policy-invalid") -> None:
        self.problems = tuple(problems)
        first, more = self.problems[0], len(self.problems) - 1
        what = first.what + (f" (and {more} more)" if more else "")
        super().__init__(code, what, where=first.where, remedy=first.remedy)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems) + f"\n[{self.code}]"


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint naming the allowed word closest to a mistyped one, or those there are if none is close.

    >>> nearest("sensitve", ["role", "sensitive"])
    'did you mean "sensitive"?'
    """
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return "known here: " + (", ".join(known[:_SHOWN]) + more if known else "nothing")
