"""What people see of data as they are: the inventory, and the privacy models' figures."""

from __future__ import annotations

from pathlib import Path

from sfumato.anonymity.assess import Assessment
from sfumato.cli.show import ROLE_NAMES, ROLE_STYLES
from sfumato.cli.terminal import new_table, open_console, percent, plain
from sfumato.core.printable import printable
from sfumato.core.values import ColumnProfile, Inventory


def inventory(found: Inventory, draft: Path | None) -> None:
    """The inventory as tables."""
    console = open_console()
    sampled = "" if found.examined == found.rows else f" (figures from {found.examined:,} of them)"
    console.print(f"[bold]{found.rows:,}[/] rows, [bold]{len(found.columns)}[/] columns{sampled}\n")
    figures = ("missing", "values", "distinct", "separates", "unique", "target")
    table = new_table("Columns (* sensitive)", "column", "role", "type", *figures, right=figures)
    for heading in table.columns[1:]:
        heading.no_wrap = True
    for column in found.columns:
        table.add_row(
            plain(column.name),
            plain(
                ROLE_NAMES[column.role] + (" *" if column.sensitive else ""), style=ROLE_STYLES[column.role]
            ),
            column.dtype,
            percent(column.missing / max(1, found.examined)),
            f"{column.distinct:,}",
            percent(column.distinction),
            percent(column.separation),
            percent(column.unique),
            "" if column.target_information is None else percent(column.target_information),
        )
    console.print(table)
    console.print()
    reasons = new_table("What was found", "column", "evidence")
    for column in found.columns:
        if evidence := _evidence(column):
            reasons.add_row(plain(column.name), plain("; ".join(evidence)))
    console.print(reasons)
    if found.quasi_sets:
        console.print()
        both = ("unique rows", "separation")
        sets = new_table("Sets of columns that single people out", "columns", *both, right=both)
        for quasi in found.quasi_sets:
            sets.add_row(
                plain(", ".join(quasi.columns)), percent(quasi.unique_share), percent(quasi.separation)
            )
        console.print(sets)
    console.print()
    if draft is None:
        console.print("To get a complete draft policy: add [bold]-o policy.yaml[/]")
    else:
        console.print(
            plain(f"A complete draft policy is in {draft}. Read every why, then: sfumato check {draft}")
        )


def _evidence(column: ColumnProfile) -> list[str]:
    evidence = [f"{hit.kind}: {hit.evidence}" for hit in column.detections[:2]]
    if column.function_of:
        evidence.append(f"given away by {', '.join(column.function_of[:3])}")
    if column.determines_target:
        evidence.append("determines the target")
    return evidence


def assessment(found: Assessment) -> None:
    """Every privacy model's figure, the sensitive columns side by side."""
    console = open_console()
    known = ", ".join(found.quasi) or "no column"
    console.print(f"[bold]{found.people:,}[/] people in [bold]{found.classes:,}[/] classes over ", end="")
    console.print(plain(known), soft_wrap=True)
    console.print()
    whole = new_table("Everybody", "model", "figure", "what it is", right=("figure",))
    for row in found.rows():
        if row.others_known is None:
            whole.add_row(row.model, _figure(row.figure), row.meaning)
    console.print(whole)
    for column in dict.fromkeys(exposure.on for exposure in found.exposures):
        rows = [row for row in found.rows() if row.on == column]
        both = any(row.others_known for row in rows)
        headings = ("model", "figure", *(("others known",) if both else ()), "what it is")
        table = new_table(f"Sensitive: {printable(column)}", *headings, right=("figure", "others known"))
        unknown, told = ([row for row in rows if row.others_known is known] for known in (False, True))
        for i, row in enumerate(unknown):
            other = (_figure(told[i].figure),) if both else ()
            table.add_row(row.model, _figure(row.figure), *other, row.meaning)
        console.print()
        console.print(table)
    console.print("\na dash: no parameter makes the model hold, or an estimate did not converge")


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
