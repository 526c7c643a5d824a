"""All constraints of a table: in which order columns are computed, and which rows are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from sfumato.core.errors import InputError
from sfumato.synth.constraints.kinds import Never, Range, Rule, Schema, Together, Unique, is_text
from sfumato.synth.constraints.parsing import document, parsed
from sfumato.synth.encoding.learned import about
from sfumato.synth.encoding.private import Declared
from sfumato.synth.encoding.scales import dtype_document, dtype_restored


@dataclass(frozen=True)
class Rules:
    """All constraints of a table with this schema, as they are used: by computing columns, or by a look.

    ``computed`` are undone in their order; ``looked`` are those whose column another constraint computes
    already: of them, rows that break them are drawn again.
    """

    schema: Schema
    computed: tuple[Rule, ...] = ()
    looked: tuple[Rule, ...] = ()

    @classmethod
    def of(
        cls, given: Sequence[Any], frame: pl.DataFrame, *, target: str | None, private: bool, least: int
    ) -> Rules:
        """The constraints as a user writes them (:func:`parsed`), made to suit a table.

        Raises:
            InputError: ``usage``: they do not suit the table, or would have to be learned from people under
                differential privacy; ``unknown-name``.
        """
        rules = [parsed(each, frame.columns) for each in given]
        for rule in rules:
            rule.check(frame.schema)
            if private and isinstance(rule, Together) and rule.values is None:
                raise InputError(
                    "usage",
                    "which combinations occur cannot be learned from people under differential privacy",
                    where=str(rule),
                    remedy="declare them: values: [[...], ...]",
                )
            if target is not None and target in _gone(rule):
                raise InputError("usage", "the target cannot be computed from other columns", where=str(rule))
        ready = [rule.learned(frame, least) if isinstance(rule, Together) else rule for rule in rules]
        computed, looked = _ordered([rule for rule in ready if not isinstance(rule, Never)])
        looked += tuple(rule for rule in ready if isinstance(rule, Never))
        for rule in looked:
            if isinstance(rule, Together | Unique):
                raise InputError("usage", "two constraints would compute the same column", where=str(rule))
        return cls(dict(frame.schema), computed, looked)

    @property
    def computes(self) -> set[str]:
        """The columns that are not fields, or fields of something else."""
        return {name for rule in self.computed for name in _gone(rule)}

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table that is learned from."""
        frame = frame.with_columns(*_clipped(self.computed, frame))
        made = {rule: rule.recoded(frame) for rule in self.computed if rule.derives is not None}
        gone = {name for rule in made for name in _gone(rule)}
        found = frame.select(name for name in frame.columns if name not in gone)
        columns = [series for table in made.values() for series in table.get_columns()]
        return found.with_columns(columns) if columns else found

    def restored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table as it was, of new rows, but for keys."""
        for rule in self.computed:
            frame = rule.restored(frame, self.schema)
        return frame.select(list(self.schema))

    def holds(self) -> pl.Expr:
        """Whether a row keeps all of them."""
        return pl.all_horizontal(pl.lit(True), *(rule.holds() for rule in (*self.computed, *self.looked)))

    def numbered(self, frame: pl.DataFrame, begin: int) -> pl.DataFrame:
        """The rows with new keys from ``begin`` on."""
        keys = [rule.column for rule in self.computed if isinstance(rule, Unique)]
        numbers = pl.int_range(begin, begin + frame.height, eager=True)
        made = [
            (numbers.cast(pl.String).str.zfill(8) if is_text(self.schema[name]) else numbers)
            .cast(self.schema[name])
            .alias(name)
            for name in keys
        ]
        return frame.with_columns(made)

    def declared(self, declared: Declared) -> Declared:
        """What is declared of the columns that are learned from."""
        for rule in (*(r for r in self.computed if r.derives is None), *self.computed):
            declared = rule.declared(declared)
        return declared

    def facts(self, frame: pl.DataFrame, least: int, *, private: bool) -> list[dict[str, str]]:
        """Each constraint, and how many rows of the source break it, in round figures."""
        found = []
        for rule in (*self.computed, *self.looked):
            broken = "not counted"
            if not private:
                broken = about(_broken(rule, frame), least)
            found.append({"constraint": str(rule), "broken": broken})
        return found

    def document(self) -> dict[str, Any]:
        """The constraints as JSON."""
        return {
            "schema": [[name, dtype_document(dtype)] for name, dtype in self.schema.items()],
            "computed": [document(rule) for rule in self.computed],
            "looked": [document(rule) for rule in self.looked],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Rules:
        """The constraints that :meth:`document` wrote."""
        schema = {name: dtype_restored(dtype) for name, dtype in document["schema"]}
        computed = tuple(parsed(each, list(schema)) for each in document["computed"])
        return cls(schema, computed, tuple(parsed(each, list(schema)) for each in document["looked"]))


def _broken(rule: Rule, frame: pl.DataFrame) -> int:
    if isinstance(rule, Together):
        return rule.broken(frame)
    if isinstance(rule, Unique):
        return frame.height - frame[rule.column].n_unique()
    return int(frame.select((~rule.holds()).sum()).item())


def _ordered(rules: Sequence[Rule]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Those that compute columns, each after those that compute what it needs; and the others."""
    waiting: list[Rule] = []
    looked: list[Rule] = []
    for rule in rules:
        taken = {name for other in waiting for name in _gone(other)}
        (looked if taken & set(_gone(rule)) else waiting).append(rule)
    computed: list[Rule] = []
    while waiting:
        ready = next((rule for rule in waiting if not _needs(rule) & _all_gone(waiting, rule)), None)
        if ready is not None:
            computed.append(ready)
            waiting.remove(ready)
        else:
            looked.append(waiting.pop())
    return tuple(computed), tuple(looked)


def _needs(rule: Rule) -> set[str]:
    return set(rule.columns) - set(_gone(rule))


def _all_gone(rules: Sequence[Rule], but: Rule) -> set[str]:
    return {name for rule in rules if rule is not but for name in _gone(rule)}


def _gone(rule: Rule) -> tuple[str, ...]:
    """The columns that are computed again."""
    if isinstance(rule, Together):
        return rule.names
    return () if rule.derives is None else (rule.derives,)


def _clipped(rules: Sequence[Rule], frame: pl.DataFrame) -> list[pl.Series]:
    return [s for rule in rules if isinstance(rule, Range) for s in rule.recoded(frame).get_columns()]
