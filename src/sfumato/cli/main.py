"""The entry point: every command, and the one place where errors become exit codes.

Only typer and rich are imported at the top, so that ``sfumato --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from sfumato import __version__
from sfumato.cli import commands

app = typer.Typer(
    name="sfumato",
    help="Prepare datasets about people for machine learning: take the person out, keep the picture.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


for command in commands.ALL:
    app.command()(command)


def main() -> None:
    """Run the command line; the exit codes are those of :mod:`sfumato.core.errors`."""
    from sfumato.core.errors import EXIT_BUG, EXIT_WRONG_INPUT, SfumatoError

    errors = Console(stderr=True, highlight=False)
    try:
        app()
    except SfumatoError as error:
        errors.print(Text(str(error)), style="red" if errors.is_terminal else None, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        errors.print("stopped; nothing was released")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader went away: nothing more to tell anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_WRONG_INPUT) from None
    except Exception as error:
        if os.environ.get("SFUMATO_DEBUG"):
            raise
        # The class only: the message of a foreign error may quote a person's value.
        errors.print(
            f"a bug of sfumato: {type(error).__name__}; nothing was released\n"
            "  to do: run again with SFUMATO_DEBUG=1 where nobody else reads the output, and report the trace"
        )
        raise SystemExit(EXIT_BUG) from None
