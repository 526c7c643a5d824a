"""The entry point: every command, and the one place where errors become exit codes.

Only typer and rich are imported at the top, so that ``sfumato --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from sfumato import __version__
from sfumato.cli import commands

#: 128 and the number of SIGINT, as shells say it.
EXIT_STOPPED = 130
#: What a full or broken disk says; only stdout is left to meet it here, for verbs look after their files.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

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


def _answering(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors as exit codes, before typer makes other ones of them."""

    @wraps(command)
    def answering(*arguments: Any, **options: Any) -> None:
        with _exit_codes():
            command(*arguments, **options)
            sys.stdout.flush()

    return answering


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Errors in words on stderr, and the exit codes of :mod:`sfumato.core.errors`."""
    from sfumato.core.errors import EXIT_BUG, EXIT_WRONG_INPUT, SfumatoError

    errors = Console(stderr=True, highlight=False)
    try:
        yield
    except (typer.Exit, SystemExit):
        raise
    except SfumatoError as error:
        errors.print(Text(str(error)), style="red" if errors.is_terminal else None, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        errors.print("stopped")
        raise SystemExit(EXIT_STOPPED) from None
    except BrokenPipeError:
        # The reader went away: nothing more to tell anybody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_WRONG_INPUT) from None
    except BaseException as error:
        if os.environ.get("SFUMATO_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in _DISK:
            errors.print(f"the output cannot be written ({error.strerror})", markup=False, soft_wrap=True)
            raise SystemExit(EXIT_WRONG_INPUT) from None
        # The class only: the message of a foreign error may quote a person's value. A panic of a
        # foreign library is no Exception, and just as much a bug.
        errors.print(
            f"a bug of sfumato: {type(error).__name__}\n"
            "  to do: run again with SFUMATO_DEBUG=1 where nobody else sees the output, and report the trace",
            markup=False,
            soft_wrap=True,
        )
        raise SystemExit(EXIT_BUG) from None


def _terminated(number: int, frame: object) -> None:
    """A polite end leaves nothing behind, as Ctrl-C does."""
    del frame
    raise SystemExit(128 + number)


for command in commands.ALL:
    app.command()(_answering(command))


def _interrupted(number: int, frame: object) -> None:
    """Stop at Ctrl-C, once: Polars tells of it as well, and a second time would interrupt the clearing up."""
    del number, frame
    if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
        raise KeyboardInterrupt


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, _interrupted)
    if sys.stdout is None:
        # Whoever started us closed it; the first file opened must not take its place.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    app()
