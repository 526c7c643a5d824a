"""Several tables under differential privacy: of everybody one row in each, and one spend for all of it.

In the table of the people everybody has a row. In each table below, whoever has rows gives one of them: from
the top down, of the rows that lead to any there, one is drawn, by a key and by what the person is called.
Nobody else's rows change it, so that a person who comes or goes is one row more or less in each table, which
is what the mechanisms of one table are charged for.

Of a person with many rows one counts as much as the only one of another. Where rows go by how many of them
there are (:func:`~sfumato.synth.relations.declared.layouts`) that is right: among people who have as many,
one row of each is a fair draw of all of their rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Private
from sfumato.synth.encoding.columns import Coding, Numbers
from sfumato.synth.encoding.encoder import Encoder, known
from sfumato.synth.relations.context import stand_ins
from sfumato.synth.relations.declared import Layout
from sfumato.synth.relations.rows import Rows
from sfumato.synth.relations.tables import Made, Naming, Part
from sfumato.synth.relations.tree import Tree
from sfumato.synth.spending import Paid, Terms, follows_size, pay
from sfumato.synth.synthetic import Charged

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.contracts import SynthesisModel, Synthesizer

#: Learns a table's model from coded rows: its name, how they are coded, their codes, the terms.
Teach = Callable[[str, Encoder, NDArray[np.int32], Private], "SynthesisModel"]

#: People and rows that are made to see how many people have rows of a table.
_FEWEST, _PEOPLE, _ROWS = 50, 1000, 200_000
#: Rows that are made to see what rows of a table go with.
_SEEN = 4_000


@dataclass(frozen=True)
class Work:
    """What is learned: of all tables that have anything to learn."""

    rows: Rows
    learner: Synthesizer

    @property
    def people(self) -> int:
        """How many people there are."""
        return self.rows.people

    @property
    def learned(self) -> list[Layout]:
        """The tables that have a model, parents first."""
        return [layout for layout in self.rows.layouts.values() if layout.schema]

    def domain(self, layout: Layout, terms: Terms, noise: float) -> dict[str, Any]:
        """The terms of one table's domain: all columns of all tables are counted with the same noise."""
        columns = sum(len(each.schema) for each in self.learned)
        return {
            "noise": noise * math.sqrt(columns / len(layout.schema)),
            "delta": terms.threshold_delta / len(self.learned),
            "bins": terms.bins,
        }

    def events(self, terms: Terms, size: int, domain_noise: float, noise: float) -> list[DpEvent]:
        """Each table's domain and model; the models have the same noise."""
        found: list[DpEvent] = []
        for each in self.learned:
            domain = self.domain(each, terms, domain_noise)
            found.append(Encoder.event(each.schema, each.declared, **domain))
            found.append(self.learner.event(each.fields, size, noise))
        return found


def learned(
    work: Work, terms: Terms, size: int | None, ledger: Mapping[str, str], teach: Teach
) -> tuple[list[Part], Charged]:
    """Learn all tables, for one spend.

    Raises:
        InputError: ``usage``: what was declared does not suit the columns; nothing was charged.
        RefusedError: ``budget-spent``: the budget does not allow it; nothing was drawn.
    """
    known([column for each in work.learned for column in each.schema], None)
    naming = {name: _naming(work.rows, name) for name in work.rows.layouts}
    paid = pay(work, terms, size, ledger)
    whole = paid.charged.size
    sizes = None if follows_size(work, terms) else _Sizes.of(work.rows, whole)
    encoders: dict[str, Encoder] = {}
    parts = []
    for name, layout in work.rows.layouts.items():
        model = None
        encoders[name] = Encoder(())
        if layout.schema:
            chosen = work.rows.one_each(name)
            encoders[name] = _encoder(work, terms, paid, layout, chosen, encoders)
            size = whole if sizes is None else sizes.of_table(layout)
            budget = terms.budget
            private = Private(paid.prepaid, paid.noise, terms.delta, size, budget.relation, budget.unit)
            codes = work.rows.codes(name, chosen, encoders)
            if work.learner.sees == "rows":
                # Networks do not start without rows, which would tell that nobody has any: so there is one.
                nobody = np.zeros((1, codes.shape[1]), dtype=np.int32)
                codes = np.asfortranarray(np.vstack([codes, nobody]))
            model = teach(name, encoders[name], codes, private)
        parts.append(_part(work.rows, layout, naming[name], encoders[name], model))
        if sizes is not None:
            sizes.see(parts[-1])
    paid.settled()
    return parts, paid.charged


def _encoder(
    work: Work,
    terms: Terms,
    paid: Paid,
    layout: Layout,
    chosen: NDArray[np.int64],
    encoders: Mapping[str, Encoder],
) -> Encoder:
    """A table's coding, learned from chosen rows, behind that of what its rows go by."""
    rows = work.rows
    found = Encoder.fit_private(
        rows.values(layout.name, chosen),
        layout.declared,
        paid.prepaid,
        **work.domain(layout, terms, paid.domain_noise),
    )
    # Nobody has an unknown number of rows, whatever noise says.
    own = [
        replace(column, missing=False) if isinstance(column, Numbers) and place >= len(layout.own) else column
        for place, column in enumerate(found.columns)
    ]
    context: list[Coding] = []
    if layout.context:
        above = encoders[rows.tree.parent[layout.name].to].columns
        context = [above[place] for place in layout.context]
    return Encoder((*context, *own), None, found.facts)


def _part(
    rows: Rows,
    layout: Layout,
    naming: Mapping[str, Naming],
    encoder: Encoder,
    model: SynthesisModel | None,
) -> Part:
    context = layout.context if model is not None else ()
    seen: list[tuple[int, ...]] = []
    if context and model is not None:
        # Which codes go with rows is told by rows that were made, not by those of people.
        random = generator(derive(rows.key, "relations", "seen", layout.name))
        made = model.sample(_SEEN, random, {})
        seen = [tuple(stand_ins(encoder.fields[at], made[:, at])) for at in range(len(context))]
    return Part(
        layout.name,
        dict(rows.tables[layout.name].schema),
        rows.tree.parent.get(layout.name),
        naming,
        layout.own,
        layout.children,
        context,
        tuple(seen),
        encoder,
        model,
    )


def _naming(rows: Rows, name: str) -> dict[str, Naming]:
    schema = rows.tables[name].schema
    return {
        column: Naming.public(schema[column], f"{name}.{column}") for column in rows.tree.named.get(name, ())
    }


@dataclass
class _Sizes:
    """About how many people have rows of each table: as many as of people who were made, which costs nothing.

    ``whose`` says for each made row whose it is.
    """

    tree: Tree
    size: int
    random: np.random.Generator
    people: int
    made: dict[str, Made]
    whose: dict[str, NDArray[np.int64]]

    @classmethod
    def of(cls, rows: Rows, size: int) -> _Sizes:
        """Of so many people; some of them are made, fewer where they may have very many rows."""
        largest: dict[str, int] = {}
        for name, layout in rows.layouts.items():
            link = rows.tree.parent.get(name)
            largest[name] = 1 if link is None else largest[link.to] * layout.most
        rows_of_one = max(
            largest[name] for name, layout in rows.layouts.items() if layout.children or not layout.most
        )
        people = max(_FEWEST, min(_PEOPLE, _ROWS // rows_of_one))
        random = generator(derive(rows.key, "relations", "sizes"))
        return cls(rows.tree, size, random, people, {}, {})

    def of_table(self, layout: Layout) -> int:
        """About how many people have rows of a table whose parent was seen."""
        link = self.tree.parent.get(layout.name)
        if link is None:
            return self.size
        some = self.made[link.to].children[layout.name] > 0
        return max(1, round(self.size * len(np.unique(self.whose[link.to][some])) / self.people))

    def see(self, part: Part) -> None:
        """Make rows of a table on which others hang."""
        if not part.children:
            return
        self.made[part.name] = made = Made.of(part, self.people, self.made, self.random)
        above = np.arange(self.people) if part.link is None else self.whose[part.link.to]
        self.whose[part.name] = above[made.parent]
