"""The page of the command line: the help of every command, as it prints it, and the exit codes."""

from __future__ import annotations

import os
from unittest import mock

from docs.words import page, table
from sfumato.core import errors

WIDTH = 100


def commands() -> list[str]:
    """The names of all commands, in the order of the help."""
    from sfumato.cli import commands as house

    return [command.__name__ for command in house.ALL]


def cli_page() -> str:
    """The help of the program and of each command."""
    blocks = [f"```text\n{_help([])}\n```"]
    for name in commands():
        blocks += [f"## sfumato {name}", f"```text\n{_help([name])}\n```"]
    return page(
        "The command line",
        "Progress goes to stderr. With `--json` stdout holds one JSON document and nothing else.",
        *blocks,
        "## Exit codes",
        table(
            ("code", "meaning"),
            (
                [f"`{errors.EXIT_PASSED}`", "done and passed"],
                [
                    f"`{errors.EXIT_GATE_REFUSED}`",
                    "done, but the gate said no; or a release is not what was signed",
                ],
                [f"`{errors.EXIT_WRONG_INPUT}`", "wrong input or wrong use; a policy with problems"],
                [f"`{errors.EXIT_REFUSED}`", "refused: budget, permission, agreement"],
                [f"`{errors.EXIT_BUG}`", "a bug of sfumato; nothing was released"],
                ["`130`", "stopped by the user; nothing was released"],
            ),
        ),
        "## Environment",
        table(
            ("variable", "meaning"),
            (
                ["`SFUMATO_HOME`", "the project's folder, where `--project` does not say it"],
                ["`SOURCE_DATE_EPOCH`", "the time that a release carries, in seconds since 1970"],
                ["`SFUMATO_DEBUG`", "set, a bug shows its trace, which may hold values of people"],
            ),
        ),
    )


def _help(arguments: list[str]) -> str:
    from typer.testing import CliRunner

    from sfumato.cli.main import app

    # Width and colour are those of the page, whatever terminal the pages are made in.
    plain = {"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    with mock.patch.dict(os.environ, plain):
        result = CliRunner().invoke(app, [*arguments, "--help"], terminal_width=WIDTH, color=False)
    if result.exit_code:
        raise RuntimeError(f"no help for {' '.join(arguments)}")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines()).strip("\n")
