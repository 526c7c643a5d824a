"""``sfumato budget``: what is spent and left of the privacy budgets of a project."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sfumato.dp.statements import Statement

_BAR = 30


def budget(
    dataset: Annotated[
        str | None,
        typer.Argument(help="The dataset's name in its policies (default: all).", show_default=False),
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option("--project", help="The project's folder (default: SFUMATO_HOME, else .sfumato)."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON document to stdout and nothing else.")
    ] = False,
) -> None:
    """See what is spent and left of a dataset's privacy budget, by whom and for what."""
    from sfumato.core.errors import InputError
    from sfumato.core.printable import json_printable
    from sfumato.dp.statements import statement_of
    from sfumato.project import locate
    from sfumato.project.budgets import BUDGETS, Budgets

    store = Budgets(locate(Path(), project) / BUDGETS)
    found = [store.account(name) for name in ([dataset] if dataset is not None else store.datasets())]
    statements = [statement_of(account) for account in found if account is not None]
    if dataset is not None and not statements:
        known = ", ".join(store.datasets())
        raise InputError(
            "budget-undeclared",
            "no privacy budget was declared for this dataset",
            where=dataset,
            remedy=f"datasets that have one: {known}" if known else "no dataset of this project has one",
        )
    if as_json:
        documents = [statement.document() for statement in statements]
        text = json.dumps({"budgets": documents}, indent=2, ensure_ascii=False, allow_nan=False)
        sys.stdout.write(json_printable(text) + "\n")
        return
    for statement in statements:
        _show(statement)
    if not statements:
        sys.stdout.write("No dataset of this project has a privacy budget.\n")


def _show(statement: Statement) -> None:
    from sfumato.cli.terminal import new_table, open_console, plain

    console = open_console()
    for line in _lines(statement):
        console.print(plain(line), soft_wrap=True)
    if statement.entries:
        table = new_table("Spends", "spent", "when", "by", "for what", right=("spent",))
        for each in statement.entries:
            what = "; ".join(words for words in (each.place, each.why, each.event) if words)
            table.add_row(_percent(each.share), each.time, plain(each.by), plain(what))
        console.print()
        console.print(table)
    console.print()


def _lines(statement: Statement) -> Iterator[str]:
    yield (
        f"{statement.dataset}: epsilon {statement.epsilon:g} and delta {statement.delta:g}"
        f" for all releases together, per {statement.unit}"
    )
    yield f"spent {_percent(statement.share)} {_bar(statement.share)} left {_percent(statement.left)}"
    yield f'decided by the filter "{statement.filter}" for neighbours by {statement.relation}'
    if statement.estimate is not None:
        cost = statement.estimate
        yield (
            f"estimate by {cost.method}: epsilon {cost.epsilon:.3f},"
            f" if one person is replaced {cost.replace_epsilon:.3f}"
        )
    if statement.fits is not None:
        yield f"room for one more Gaussian noise of multiplier {statement.fits:.3g}"
    for each in statement.unbounded:
        yield f"no epsilon bounds: {each.place} ({_who(each.time, each.by, each.why)})"
    for raised in statement.raises:
        yield (
            f"raised to epsilon {raised.epsilon:g}, delta {raised.delta:g}"
            f" ({_who(raised.time, raised.by, raised.why)})"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share < 1e3 else "more than all"


def _bar(share: float) -> str:
    full = min(_BAR, round(_BAR * min(share, 1.0)))
    return "█" * full + "░" * (_BAR - full)


def _who(*words: str) -> str:
    return ", ".join(each for each in words if each)
