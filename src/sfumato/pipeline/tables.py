"""Several tables on the way of made rows: people with all their rows teach, are made, and are compared.

What is said of rows elsewhere is said of people here. A person with all rows is one row of people
(:func:`sfumato.evidence.tables.persons`), so that whatever attacks and judges a table does so with several;
the rows themselves go along for what is about how they hang together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.contracts import PERSON, ROW, Comparison, Tables, nobody
from sfumato.core.keyed import derive
from sfumato.core.values import SynthesisPlan, column_of
from sfumato.evidence.tables import compared
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.private import paid_by
from sfumato.pipeline.snapshot import UNIT
from sfumato.policy.synthetic import Synthesis

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.pipeline.outcome import Watch
    from sfumato.synth.relations import SyntheticTables
    from sfumato.synth.synthetic import Charged

#: A model's own figures that stay in custody: how well it foretold people.
_UNTOLD = ("loss", "gap")

#: A key: the table, its column, the table above, that one's column.
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class TaughtTables:
    """A taught model of several tables, as the way of made rows asks for it."""

    model: SyntheticTables
    people: str

    @property
    def facts(self) -> Mapping[str, Any]:
        """By how many codes columns were learned, and what each table's model says of itself."""
        tables = {table["table"]: table for table in self.model.facts["tables"]}
        coded = [
            {**said, "column": said["column"].removeprefix(f"{self.people}.")}
            for table in tables.values()
            for said in table["domain"]["columns"]
        ]
        models = {
            f"{name}: {fact}": value
            for name, table in tables.items()
            for fact, value in (table["model"] or {}).items()
            if not fact.endswith(_UNTOLD)
        }
        return {"domain": {"columns": coded}, "model": models}

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What was charged, as JSON; None without differential privacy."""
        return self.model.event

    @property
    def charged(self) -> Charged | None:
        """What was charged, and about how many people taught; None without differential privacy."""
        return self.model.charged

    def content(self) -> bytes:
        """The model in a file, for custody."""
        return self.model.content()

    def sample(self, people: int, *, key: bytes) -> dict[str, pl.DataFrame]:
        """The rows of so many made people, by table."""
        return self.model.sample(people, key=key)


def makes_tables(fitted: Fitted) -> bool:
    """Whether several tables are made."""
    return bool(fitted.snapshot.policy.tables)


def each_table(fitted: Fitted) -> dict[str, Fitted]:
    """The fitted policy of every table by its name, the people's first, each after the one it hangs on."""
    return {fitted.snapshot.policy.dataset.name: fitted, **fitted.below}


def types_of(fitted: Fitted) -> dict[str, Mapping[str, pl.DataType]]:
    """The columns of every released table with their types."""
    return {name: one.types() for name, one in each_table(fitted).items()}


def named_by(fitted: Fitted) -> dict[str, tuple[str, ...]]:
    """The columns of every table that only name rows."""
    policy = fitted.snapshot.policy
    assert policy.dataset.subject is not None
    below = {name: table.names for name, table in policy.tables.items()}
    return {policy.dataset.name: (policy.dataset.subject,), **below}


def keys_of(fitted: Fitted) -> list[Key]:
    """Which column of which table names rows of which."""
    policy, found = fitted.snapshot.policy, list[Key]()
    for name, table in policy.tables.items():
        above = policy.dataset.name if table.of is None else table.of
        column = policy.dataset.subject if table.of is None else policy.tables[table.of].id
        assert column is not None
        found.append((name, table.key, above, column))
    return found


def planned_tables(fitted: Fitted) -> dict[str, Any]:
    """The tables with the columns that name their rows, for the plan."""
    policy = fitted.snapshot.policy
    if not policy.tables:
        return {}
    names: dict[str, dict[str, Any]] = {
        name: {"names": list(columns)} for name, columns in named_by(fitted).items()
    }
    for name, key, above, _ in keys_of(fitted):
        names[name] |= {"key": key, "of": above}
    return names


def teach_tables(fitted: Fitted, asked: Synthesis, budget: Budget | None, watch: Watch) -> TaughtTables:
    """Teach a model of several tables.

    Raises:
        RefusedError: ``budget-spent``: the budget has no room; nothing was learned.
    """
    from sfumato.synth.relations import fit

    policy, terms = fitted.snapshot.policy, asked.dp
    people = policy.dataset.name
    paid: dict[str, Any] = {}
    if terms is not None:
        paid = paid_by(policy.dataset, asked, budget, "tables") | {
            "bounds": _by_table(fitted, terms.bounds),
            "categories": _by_table(fitted, terms.categories),
            "most": {name: table.most for name, table in policy.tables.items()},
        }
    part = {name: one.snapshot.part(held_out=False) for name, one in each_table(fitted).items()}
    model = fit(
        {name: _rows(one, part[name]).drop(ROW, UNIT) for name, one in each_table(fitted).items()},
        keys_of(fitted),
        subject=people,
        ids={name: table.id for name, table in policy.tables.items() if table.id is not None},
        method=asked.by,
        params=asked.settings,
        rare=asked.rare,
        key=derive(fitted.snapshot.release_key, "synthesis"),
        progress=watch.within,
        **paid,
    )
    return TaughtTables(model, people)


def _by_table(fitted: Fitted, declared: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is declared of columns, by table and column."""
    found: dict[str, dict[str, Any]] = {}
    for table, one in each_table(fitted).items():
        for name in one.released:
            whole = name if one is fitted else column_of(table, name)
            if whole in declared:
                found.setdefault(table, {})[name] = declared[whole]
    return found


def _rows(fitted: Fitted, part: pl.LazyFrame) -> pl.DataFrame:
    """Rows of one table as they are learned, in the source's order, with whose they are."""
    return fitted.rows(part).select(ROW, UNIT, *fitted.released).collect(engine="streaming").sort(ROW)


def compare_tables(
    fitted: Fitted,
    made: Mapping[str, pl.DataFrame],
    plan: SynthesisPlan | None = None,
    record: Callable[..., None] = nobody,
) -> Comparison:
    """The comparison of tables that are made with those of the people who taught, and of others.

    Args:
        made: every table, as written.
        plan: what was made, if it is there already.
        record: keeps what single people risk.
    """
    snapshot, policy = fitted.snapshot, fitted.snapshot.policy
    assert policy.evidence is not None
    tables = Tables(
        policy.dataset.name,
        taught=_of_people(fitted, held_out=False),
        made=_of_made(fitted, made),
        others=_of_people(fitted, held_out=True),
    )
    return compared(
        tables,
        snapshot.whole_inventory,
        fitted.whole_plan.model_copy(update={"synthesis": plan}),
        snapshot.release_key,
        policy.evidence.sample,
        context=policy.context.model_dump(),
        groups=policy.groups,
        record=record,
    )


def _of_people(fitted: Fitted, *, held_out: bool) -> dict[str, pl.DataFrame]:
    """Every table of the people who are held out, or of all others, without keys."""
    found = {}
    for name, one in each_table(fitted).items():
        rows = _rows(one, one.snapshot.part(held_out=held_out))
        person = pl.col(UNIT).cast(pl.UInt64).alias(PERSON)
        found[name] = rows.select(person, *_told(fitted, name, one))
    return found


def _of_made(fitted: Fitted, made: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Every made table with numbers for the made people, without keys."""
    keys = {key[0]: key for key in keys_of(fitted)}
    whose: dict[str, pl.DataFrame] = {}
    for name in each_table(fitted):
        rows = made[name]
        if name not in keys:
            person = pl.int_range(rows.height, dtype=pl.UInt64, eager=True)
        else:
            _, key, above, column = keys[name]
            known = whose[above].select(pl.col(column).alias(key), PERSON)
            person = rows.select(key).join(known, on=key, how="left", maintain_order="left")[PERSON]
        whose[name] = rows.with_columns(person.alias(PERSON))
    return {
        name: whose[name].select(PERSON, *_told(fitted, name, one))
        for name, one in each_table(fitted).items()
    }


def _told(fitted: Fitted, name: str, one: Fitted) -> list[str]:
    """The columns of a table that say something of people."""
    return [column for column in one.released if column not in named_by(fitted)[name]]
