"""The terminal: progress on stderr, and the words and tables that go to stdout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sfumato.core.printable import printable
from sfumato.pipeline.outcome import Watch


class _Bar(Watch):
    """Progress on stderr: a line for the step, a bar where its length is known."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("starting", total=None)

    def stage(self, name: str) -> None:
        self.progress.update(self.task, description=name, total=None, completed=0)

    def within(self, name: str, done: int, total: int) -> None:
        self.progress.update(self.task, description=name, total=total, completed=done)


@contextmanager
def watching(quiet: bool) -> Iterator[Watch]:
    """A watch that shows progress on stderr, if that is a terminal and nothing but JSON was asked for."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Watch()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Console(Console):
    """A console whose reader may go away, which is not for it to make an exit code of."""

    def on_broken_pipe(self) -> None:
        raise


def open_console() -> Console:
    """Where tables and words go."""
    return _Console(highlight=False)


def plain(content: str, style: str = "") -> Text:
    """Words with names in them: no markup, and nothing that a terminal obeys."""
    return Text(printable(content), style=style)


def new_table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """A table of columns, those in ``right`` with figures."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def percent(value: float) -> str:
    """A share in per cent, to one decimal.

    >>> percent(0.1234)
    '12.3%'
    """
    return f"{value:.1%}"
