"""A process that has loaded the house and forks one child for each command line it is told.

Loading Polars, PyArrow and the rest takes most of a second of every command, and there are hundreds of
bad inputs to try. Each command still has a process of its own: arguments, folder, environment, file
descriptors, exit code. Nothing here may *use* Polars, whose threads would not survive the fork.

One JSON document a line on stdin, one a line on stdout: ``{argv, cwd, env, out, err, limit}`` in,
``{code}`` out. A child that runs longer than ``limit`` seconds of wall time is killed: code -9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

import polars  # noqa: F401
import pyarrow.parquet  # noqa: F401

import sfumato.cli.show
import sfumato.evidence.run
import sfumato.pipeline.revisit
import sfumato.pipeline.verbs
import sfumato.policy.draft  # noqa: F401
from sfumato.cli.main import main

#: The exit code of a command that raised what it should have told.
BROKEN = 99


def serve() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _be_the_command(asked)
        sys.stdout.write(json.dumps({"code": _ended(child, asked["limit"])}) + "\n")
        sys.stdout.flush()


def _ended(child: int, limit: float) -> int:
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _be_the_command(asked: Any) -> NoReturn:
    os.chdir(asked["cwd"])
    os.environ.update(asked["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, asked["out"]), (2, asked["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["sfumato", *asked["argv"]]
    code: Any = BROKEN
    try:
        main()
        code = 0
    except SystemExit as ending:
        code = ending.code or 0
    finally:
        if code == BROKEN:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
