"""Shadow releases: the policy carried out on other people, by attackers who know it.

Nothing of a shadow release is written, entered in a ledger or charged to the budget of a dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.values import Inventory
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.lesson import learned, lesson_of, rows_made
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.measured import Evidence, Holdout
from sfumato.policy.model import Policy


@dataclass(frozen=True)
class Shadow(Snapshot):
    """Other people in the place of a snapshot's: every row a person, and nobody of them held out.

    The inventory is that of the snapshot, for which columns are whose to know is published.
    """

    real: Snapshot
    key: bytes

    @classmethod
    def of(cls, real: Snapshot, rows: pl.DataFrame, key: bytes) -> Shadow:
        """Of raw rows, some of them perhaps of the same person, and a key for all draws."""
        policy = _of_rows(real.policy)
        return cls(policy, real.folder, rows, real.project, real.engine, real, key)

    @cached_property
    def inventory(self) -> Inventory:
        """The inventory of the real snapshot."""
        return self.real.inventory

    @cached_property
    def release_key(self) -> bytes:
        """The key that was given: no draw is one of the real release's."""
        return self.key


def _of_rows(policy: Policy) -> Policy:
    """The policy for a table of which every row is offered and stands for itself."""
    evidence = (policy.evidence or Evidence()).model_copy(update={"holdout": Holdout(share=0)})
    dataset = policy.dataset.model_copy(update={"key": None, "subject": None})
    return policy.model_copy(update={"evidence": evidence, "dataset": dataset, "sampling": None})


def made_again(fitted: Fitted) -> pl.LazyFrame:
    """The rows that the policy's synthesizer makes of a shadow, taught at a budget of its own, numbered.

    Raises:
        InputError: it cannot learn from so few, or such, people.
    """
    lesson = lesson_of(fitted)
    taught: Any = learned(lesson, lesson.trial_budget())
    made = rows_made(lesson, taught, lesson.plan(None, None))
    return made.lazy().with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.UInt64))
