"""Who was guessed rightly and how sure the attacker was, in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.evidence.attacks.by_secret import LEAST
from sfumato.evidence.attacks.guessing import ByClass, Learner, Secret, Told
from sfumato.evidence.attacks.people import surest_share
from sfumato.evidence.attacks.registers import sample_rows

#: The share of the surest guesses of precision, and the precision of recall.
SUREST, PRECISE = 0.1, 0.9


class Guessed(NamedTuple):
    """Who was guessed rightly, and how sure the attacker was, shape (people,) each."""

    right: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def figure(self, metric: str) -> float:
        """Success, precision or recall."""
        if metric.endswith("precision"):
            return surest_share(self.confidence, self.right, max(1, round(SUREST * len(self.right))))
        return _recall(self) if metric.endswith("recall") else float(self.right.mean())


def _recall(guessed: Guessed) -> float:
    """The largest share of people guessed rightly by a threshold of confidence at which it is precise."""
    order = np.argsort(-guessed.confidence, kind="stable")
    confidence, right = guessed.confidence[order], np.cumsum(guessed.right[order])
    many = np.arange(1, len(right) + 1)
    # Those of the same confidence are claimed together; a handful is no precision.
    whole = np.r_[confidence[1:] != confidence[:-1], True] & (many >= LEAST)
    precise = whole & (right / many >= PRECISE)
    return float(right[precise].max() / len(right)) if precise.any() else 0.0


@dataclass(frozen=True)
class People:
    """Some people with their secret's class."""

    raw: pl.DataFrame
    described: pl.DataFrame
    truth: NDArray[np.int64]
    at: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        raw: pl.DataFrame,
        described: pl.DataFrame,
        secret: Secret,
        allowed: NDArray[np.bool_],
        most: int,
        key: bytes,
    ) -> People:
        """Some of those allowed who have a secret, drawn by a key."""
        truth = secret.of_people(raw, described)
        rows = sample_rows(np.flatnonzero(allowed & (truth >= 0)), most, key)
        return cls(raw[rows], described[rows], truth[rows], rows)

    def first(self, many: int) -> People:
        """The first of them."""
        return People(self.raw[:many], self.described[:many], self.truth[:many], self.at[:many])

    def judge(self, told: Told) -> Guessed:
        """What an attacker said of them against what is so."""
        return Guessed((told.guess == self.truth).astype(np.float64), told.confidence)


@dataclass(frozen=True)
class Outcome:
    """One attacker on members and, where there are any, on others; the same on the original."""

    members: Guessed
    others: Guessed | None
    before: tuple[Guessed, Guessed | None] | None

    @property
    def beyond(self) -> float:
        """Success less that on others."""
        return float(self.members.right.mean() - (self.others.right.mean() if self.others else 0.0))


def both(attacker: ByClass | Learner, members: People, others: People) -> tuple[Guessed, Guessed | None]:
    """What an attacker said of members and of others, None where there are no others."""
    everybody = pl.concat([members.described, others.described]) if len(others.truth) else members.described
    told = attacker.tell(everybody)
    many = len(members.truth)
    return members.judge(told[:many]), others.judge(told[many:]) if len(others.truth) else None
