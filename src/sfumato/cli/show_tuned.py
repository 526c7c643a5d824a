"""What people see of a search over policies."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from sfumato.cli.terminal import new_table, open_console, plain
from sfumato.core.values import Finding
from sfumato.release.words import interval, title, value_words
from sfumato.tuning.outcome import Tuned


def tuned(found: Tuned) -> None:
    """The frontier, what is left of its gains on other people, and why no better policy is there."""
    console = open_console()
    searched, confirmed = found.people
    everything = ", all there are," if found.exhausted else ""
    console.print(f"[bold]{len(found.trials)}[/] policies{everything} tried on {searched:,} people", end="")
    console.print(f", the best measured again on {confirmed:,} others")
    figures = [title(aim.metric) for aim in found.aims.aims]
    table = new_table("\nFrontier", "policy", *figures, "what differs", right=figures)
    for kept in found.shown:
        values = [
            _interval_below(found.trials[kept.trial].figure(aim.metric, aim.target))
            for aim in found.aims.aims
        ]
        name = kept.file or f"trial {kept.trial + 1}"
        style = "bold" if kept.trial == found.best else ""
        table.add_row(
            plain(name, style=style), *values, plain(", ".join(kept.differs) or "the policy as it is")
        )
    if table.row_count:
        console.print(table)
    if hidden := len(found.frontier) - len(found.shown):
        console.print(f"{hidden} more are no worse as far as can be told.")
    _gains(console, found)
    console.print()
    winner = found.winner
    if winner is None:
        console.print("[bold red]No policy that was tried holds everything that must hold.[/]")
        if found.missed is not None:
            words = ", ".join(found.differs[found.missed]) or "the policy as it is"
            console.print(plain(f"Nearest is trial {found.missed + 1} ({words}):"), soft_wrap=True)
        for missing in found.missing:
            console.print(plain(f"  {missing}"), soft_wrap=True)
    else:
        words = ", ".join(winner.differs) or "the policy as it is; nothing better was found"
        console.print(plain(f"Best: {winner.file}: {words}", style="bold green"), soft_wrap=True)
        if found.standing:
            words = f"  in what was looked for, on other people: {found.standing} than yours"
            console.print(plain(words), soft_wrap=True)
        _elsewhere(console, found)
        for one in found.why:
            short = "" if one.short is None else f" by {one.short:.3g}"
            console.print(
                plain(f"  more useful is trial {one.trial + 1}, which breaks {one.limit}{short}"),
                soft_wrap=True,
            )
    if found.folder is not None:
        console.print(plain(f"page: {Path(found.folder) / 'tune.html'}"), soft_wrap=True)


def _elsewhere(console: Console, found: Tuned) -> None:
    """In what else the best policy is worse, and in how much else it is better."""
    told = found.winner.confirmed.elsewhere if found.winner and found.winner.confirmed else ()
    if not told:
        return
    worse = [
        f"{title(one.metric)} ({value_words(one.given, one.unit)} to {value_words(one.value, one.unit)})"
        for one in told
        if one.word == "worse"
    ]
    better = sum(one.word == "better" for one in told)
    rest = len(told) - better - len(worse)
    counts = f"  of {len(told)} other figures {better} are better, {rest} no different as far as can be told"
    console.print(plain(f"{counts}, {len(worse)} worse" + (": " if worse else "")), soft_wrap=True)
    for words in worse:
        console.print(plain(f"    {words}"), soft_wrap=True)


def _interval_below(finding: Finding | None) -> Text:
    if finding is None or finding.value is None:
        return Text("not measured", style="dim")
    between = interval(finding)
    return Text(value_words(finding.value, finding.unit) + (f"\n{between}" if between else ""))


def _gains(console: Console, found: Tuned) -> None:
    """What the best policies gain over the given one, on people that the search never saw."""
    figures = ("in the search", "confirmed")
    table = new_table(
        "\nGains over the given policy, on other people",
        "policy",
        "figure",
        *figures,
        "beyond noise",
        "held up",
        right=figures,
    )
    for kept in found.confirmed:
        assert kept.confirmed is not None
        for aim, gain in zip(found.aims.aims, kept.confirmed.gains, strict=False):
            told = "–" if gain.value is None else f"{gain.value:+.3f}\n{gain.low:+.3f} to {gain.high:+.3f}"
            searched = "–" if gain.searched is None else f"{gain.searched:+.3f}"
            table.add_row(
                plain(kept.file or "given"), title(aim.metric), searched, told, gain.word, gain.held_up
            )
        for broken in (*kept.confirmed.broken, kept.confirmed.note):
            if broken:
                table.add_row(
                    plain(kept.file or "given"), plain(f"does not hold there: {broken}"), "", "", "", ""
                )
    if table.row_count:
        console.print(table)
