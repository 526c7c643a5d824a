"""The command line as a user has it: processes with arguments, exit codes and two streams."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from known_secrets import in_processes, knowing
from sfumato.project import keys

#: Begins the values of people in every table here; it must never be in a message.
SECRET = "ZZSECRETZZ"
COMMAND = str(Path(sys.executable).with_name("sfumato"))

POLICY = """\
sfumato: 1
dataset:
  name: people
  source: {path: people.csv}
columns:
  name: {role: direct-identifier, action: {do: drop}, why: not needed}
  email: {role: direct-identifier, action: {do: pseudonymize, domain: person}, why: to trace errors}
  age: {role: quasi-identifier, hierarchy: {kind: intervals, widths: [10, 20, 40], to: 120}, why: use}
  region: {role: quasi-identifier, why: use}
  income: {role: quasi-identifier, action: {do: round, to: 20000}, why: use}
  joined: {role: quasi-identifier, hierarchy: {kind: dates, levels: [year]}, why: use}
  hired: {role: quasi-identifier, why: use}
anonymity: {method: lattice, models: [{model: k-anonymity, k: 5}], suppression: 0.05}
"""


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    def refuses(self, *words: str) -> Answer:
        """One clear error: exit code 2, the words in it, no traceback, no bug, nobody's value."""
        said = self.out + self.err
        assert self.code == 2, said
        for word in words:
            assert word in said, said
        assert "Traceback" not in said
        assert "a bug of sfumato" not in said
        assert "panicked" not in said
        assert SECRET not in said
        assert SECRET.lower() not in said
        return self

    def passes(self) -> Answer:
        """Exit code 0, and not a word on stderr."""
        assert self.code == 0, self.err
        assert self.err == ""
        return self


Ask = Callable[..., Answer]


@pytest.fixture(autouse=True, scope="module")
def draws_by_key_are_the_same_in_every_run() -> Iterator[None]:
    """The gate's word must not hang on who is held out in this run of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "create", knowing(keys.create))
        yield


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Runs a command in a process of its own, forked from one that has everything loaded."""
    place = tmp_path_factory.mktemp("answers")
    house = Path(__file__).with_name("house.py")
    environment = in_processes({**os.environ, "PYTHONWARNINGS": "ignore"})
    environment.pop("SFUMATO_HOME", None)
    with subprocess.Popen(
        [sys.executable, str(house)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(*arguments: object, cwd: Path, limit: float = 60, **env: str) -> Answer:
            out, err = place / "out", place / "err"
            asked = {
                "argv": [str(argument) for argument in arguments],
                "cwd": str(cwd),
                "env": env,
                "out": str(out),
                "err": str(err),
                "limit": limit,
            }
            server.stdin.write(json.dumps(asked) + "\n")
            server.stdin.flush()
            code = json.loads(server.stdout.readline())["code"]
            return Answer(code, out.read_text(errors="replace"), err.read_text(errors="replace"))

        yield ask
        server.stdin.close()


def process(*arguments: object, cwd: Path, **options: Any) -> Answer:
    """Runs a command as the shell would."""
    done = subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, **options
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def people(rows: int = 240) -> str:
    """A survey as csv text: nobody real, and everybody's name is a secret."""
    draw = random.Random(1988)
    lines = ["name,email,age,region,income,joined,hired"]
    for number in range(rows):
        joined = f"20{draw.randint(18, 20)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        lines.append(
            f"{SECRET}{number},{SECRET.lower()}{number}@example.org,{draw.randint(18, 80)},"
            f"{draw.choice('NSEW')},{draw.randint(1, 60) * 1000},{joined},{draw.randint(0, 1)}"
        )
    return "\n".join(lines) + "\n"


def changed(old: str, new: str, policy: str = POLICY) -> str:
    """The policy with one passage replaced, which must be there."""
    assert policy.count(old) == 1, old
    return policy.replace(old, new)


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """A folder with a source and a policy that pass."""
    (tmp_path / "people.csv").write_text(people())
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def files_in(folder: Path) -> list[str]:
    """Every file and folder below, the project's own left out."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in found if not name.startswith(".sfumato"))


_compiled: dict[str, Any] = {}


@pytest.fixture
def quick_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laws read and templates compiled once, no typesetting: for tests that make many documents."""
    from jinja2 import Environment

    from sfumato.release import assemble

    compiling = Environment.compile

    def compiled(environment: Environment, source: str) -> Any:
        # Each of the house's templates has one environment, so that its text says all.
        if source not in _compiled:
            _compiled[source] = compiling(environment, source)
        return _compiled[source]

    monkeypatch.setattr(Environment, "compile", compiled)
    monkeypatch.setattr(assemble, "read_laws", cache(assemble.read_laws))
    monkeypatch.setattr(assemble, "dossier_pdf", lambda *_, **__: b"%PDF-1.7")


@pytest.fixture
def bare_documents(quick_documents: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No charts either: for tests to which documents are nothing."""
    from markupsafe import Markup

    from sfumato.release import dossier

    monkeypatch.setattr(dossier, "draw", lambda *_, **__: Markup())
