"""The documentation is true: commands run and print what the pages show, code runs, nothing is left out.

Commands run in a folder of their own page, in which ``sfumato demo -o demo`` was run once for all.
"""

from __future__ import annotations

import ast
import doctest
import fcntl
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
from pages import GAP, PAGES, ROOT, anchors, blocks, commands, links, plain, unprinted
from ruamel.yaml import YAML

import sfumato
from known_secrets import in_processes
from sfumato.core.errors import CODES, InputError

sys.path.insert(0, str(ROOT))

from docs.commands import commands as cli_commands
from docs.errors import raised
from docs.parts import FILLED_IN
from docs.policy import sections
from docs.python import names as public_names

from docs import make

REFERENCE = ROOT / "docs" / "reference"
DEMO = "sfumato demo -o demo"
RUN = [
    page
    for page in PAGES
    if any(block.language in ("console", "python") for block in blocks(page.read_text()))
]
MODULES = ["sfumato", *(module.name for module in pkgutil.walk_packages(sfumato.__path__, "sfumato."))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# Everything that the pages tell people to type.


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Path, str]:
    """The folder that ``sfumato demo -o demo`` leaves, and what it printed; made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "docs"
    shared.mkdir(exist_ok=True)
    printed = shared / "printed.txt"
    with locked(shared):
        if not printed.exists():
            printed.write_text(shell(DEMO, shared))
    return shared / "demo", printed.read_text()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment() -> dict[str, str]:
    """The environment of a reader: the package on the path, a terminal of ordinary width, known secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SFUMATO_", "PYTEST_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return in_processes(kept | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1"})


def shell(line: str, folder: Path) -> str:
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"$ {line}\nexit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("page", RUN, ids=named)
def test_every_command_runs_and_every_block_of_python(
    page: Path, demo: tuple[Path, str], tmp_path: Path
) -> None:
    folder, printed = demo
    shutil.copytree(folder, tmp_path / "demo")
    program: list[str] = []
    for block in blocks(page.read_text()):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "console":
            program = _run_python(program, tmp_path)
            for command in commands(block.text):
                if not command.sets_up:
                    output = printed if command.line == DEMO else shell(command.line, tmp_path)
                    if missing := unprinted(command.shown, output):
                        pytest.fail(f"$ {command.line}\nprints\n{output}\nand not {missing}", pytrace=False)
        elif block.language == "python":
            program.append(block.text)
    _run_python(program, tmp_path)


def _run_python(program: list[str], folder: Path) -> list[str]:
    """The blocks so far as one program, as somebody would type them; the next program is empty."""
    if program:
        script = folder / "page.py"
        script.write_text("\n".join(program))
        shell(f"{sys.executable} -W error page.py", folder)
    return []


def test_a_shown_line_that_is_not_printed_is_noticed() -> None:
    printed = "Found ────\n9 rows\n3 names: a, b\n\nrisk 0.5\nend\n"
    assert not unprinted(("Found ─", "8 rows", GAP, "risk 0.2"), printed)
    assert not unprinted((GAP, "3 names...", "risk 1"), printed)
    assert unprinted(("9 columns",), printed) == ["9 columns"]
    assert unprinted(("9 rows",), printed) == ["9 rows"], "without a gap the first line must be the first"
    assert unprinted((GAP, "end", "risk 0.5"), printed) == ["risk 0.5"], "the order matters"
    assert plain("a −0.5 b 2a18523e4124580885bef174e1de0cdc") == "a # b #"


# Policies in the pages.


POLICIES = [
    (page, block)
    for page in PAGES
    for block in blocks(page.read_text())
    if block.language == "yaml" and block.text.startswith("sfumato: 1")
]


def schema() -> jsonschema.Draft202012Validator:
    content = json.loads((REFERENCE / "policy.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


@pytest.mark.parametrize(
    ("page", "block"), POLICIES, ids=lambda value: named(value) if isinstance(value, Path) else ""
)
def test_every_policy_loads_and_fits_the_schema(page: Path, block: object, tmp_path: Path) -> None:
    from sfumato.policy.load import load_policy

    written = tmp_path / "policy.yaml"
    written.write_text(block.text)
    load_policy(written)
    schema().validate(YAML(typ="safe").load(written))


def test_there_are_policies_in_the_pages() -> None:
    assert len(POLICIES) >= 3


def test_the_schema_takes_the_demos_policy_and_refuses_what_the_loader_refuses() -> None:
    from sfumato.policy.load import policy_from

    policy = YAML(typ="safe").load(ROOT / "src/sfumato/demos/alcohol.yaml")
    validator = schema()
    validator.validate(policy)
    for place, key, value in [
        (("columns", "age"), "rle", "insensitive"),
        (("columns", "age"), "hierarchy", {"kind": "intervals", "width": [5]}),
        (("columns", "age"), "hierarchy", {"kind": "interval", "widths": [5]}),
        (("columns", "email"), "action", {"do": "pseudonymize"}),
        (("columns", "abuse"), "action", {"do": "round", "to": 0}),
        (("anonymity",), "models", [{"model": "k-anonymity", "k": 1}]),
        (("evidence",), "attacks", [{"linkage": {"people": 500}}]),
        (("evidence",), "fairness", {"group": ["white"]}),
    ]:
        wrong = json.loads(json.dumps(policy))
        section = wrong
        for step in place:
            section = section[step]
        section[key] = value
        assert not validator.is_valid(wrong), f"the schema takes {'.'.join(place)}.{key}: {value}"
        with pytest.raises(InputError):
            policy_from(wrong)


# Links and words.


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_claims_what_nobody_can_measure(page: Path) -> None:
    claim = re.compile(
        r"\b(data|dataset|release|rows|table|result)\s+(is|are|was|were)\s+(now\s+)?"
        r"(anonymous|anonymized|safe|private|compliant)\b",
        re.IGNORECASE,
    )
    found = claim.search(page.read_text())
    assert not found or "No claim that" in page.read_text()[: found.start()][-20:], found


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    lines = [
        command.line
        for block in blocks(readme)
        if block.language == "console"
        for command in commands(block.text)
    ]
    assert {"make demo", "make test"} <= set(lines)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (link.partition("#")[0] for link in links(page.read_text()))
        waiting += [
            path for target in targets if target and (path := (page.parent / target).resolve()).exists()
        ]
    assert not set(PAGES) - reached


# The reference is complete and fresh.


def test_generated_pages_are_fresh() -> None:
    assert not list(make.stale()), "to do: make docs"


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"a.md": lambda: "a", "b.md": lambda: "b", "c.md": lambda: "c"}
    monkeypatch.setattr(make, "PAGES", pages)
    assert make.write(tmp_path / "new") == list(pages)
    assert not make.stale(tmp_path / "new")
    (tmp_path / "new" / "b.md").write_text("old")
    (tmp_path / "new" / "c.md").unlink()
    assert list(make.stale(tmp_path / "new")) == ["b.md", "c.md"]
    monkeypatch.setattr(make, "stale", lambda: {"b.md": "b"})
    assert make.main(["--check"]) == 1
    assert make.main(["--chekc"]) == 2


def headings(name: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", (REFERENCE / name).read_text(), flags=re.MULTILINE))


def test_every_registered_name_has_its_heading() -> None:
    from sfumato.anonymity import MEASURES, MODELS
    from sfumato.evidence import ATTACKS, FAIRNESS, UTILITY
    from sfumato.hierarchies import HIERARCHIES
    from sfumato.inventory.detectors import DETECTORS
    from sfumato.transforms import TRANSFORMS

    assert set(TRANSFORMS) <= headings("actions.md")
    assert set(HIERARCHIES) <= headings("hierarchies.md")
    assert {*MODELS, *MEASURES} <= headings("privacy-models.md")
    assert {*ATTACKS, *UTILITY, *FAIRNESS} <= headings("probes.md")
    assert set(DETECTORS) <= headings("detectors.md")


def test_every_metric_is_defined_where_people_read() -> None:
    from sfumato.evidence import TABLES, probe

    measures = (ROOT / "docs/explanation/measures.md").read_text()
    metrics = {metric for table in TABLES for name in table for metric in probe(name).metrics}
    undefined = {
        metric for metric in metrics if f"`{metric}`" not in measures and not metric.endswith("_all_columns")
    }
    # Success, excess and precision are defined under their own words.
    assert undefined <= {"linkage.success", "linkage.excess", "linkage.precision"}
    assert "`…_all_columns`" in measures


def test_every_command_has_its_help() -> None:
    assert {f"sfumato {name}" for name in cli_commands()} <= headings("cli.md")


def test_every_key_of_a_policy_has_a_description() -> None:
    page = (REFERENCE / "policy.md").read_text()
    for model in sections():
        assert f"## {model.__name__}\n" in page
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"
            assert f"| `{field.alias or name}` |" in page


def test_parameters_filled_in_by_the_house_exist() -> None:
    from sfumato.transforms import TRANSFORMS

    for name, hidden in FILLED_IN.items():
        assert set(hidden) <= set(TRANSFORMS.resolve(name).Params.model_fields)


def test_every_public_name_has_its_heading() -> None:
    page = (REFERENCE / "api.md").read_text()
    assert {name for name in public_names() if f"`{name}`" not in page} <= headings("api.md")


def test_every_code_is_raised_and_every_raised_code_is_declared() -> None:
    made = {found.code for found in raised()}
    assert made == set(CODES)
    assert made <= headings("errors.md")


def test_an_undeclared_code_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(
        'raise InputError("no-such-code", f"{n} rows", remedy="do " + "this")\nPolicyError([])\nother("x")\n'
    )
    found = raised(tmp_path)
    assert [(each.code, each.what, each.remedy) for each in found] == [
        ("no-such-code", "… rows", "do this"),
        ("policy-invalid", "", ""),
    ]


# Examples in docstrings.


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    with_own_names = {"__name__": name, **vars(module)}
    failed, _ = doctest.testmod(module, extraglobs=with_own_names, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed


@pytest.mark.parametrize("name", ["docs.words", "pages"])
def test_examples_of_the_documentations_own_programs(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed


def test_there_are_examples() -> None:
    source = (path.read_text() for path in (ROOT / "src").rglob("*.py"))
    with_examples = sum(
        ">>>" in (ast.get_docstring(node) or "") for text in source for node in _documented(text)
    )
    assert with_examples > 20


def _documented(text: str) -> Iterator[ast.FunctionDef | ast.ClassDef | ast.Module]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            yield node
