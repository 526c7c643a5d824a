"""The command line's manners: documents, exit codes, whole outputs or none, and the same bytes twice."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from conftest import COMMAND, POLICY, SECRET, Answer, Ask, changed, files_in, people, process

EVIDENCE = """\
evidence:
  holdout: 0.2
  attacks: [uniqueness, linkage]
  utility: [distributions, learning]
  fairness: {groups: [region]}
"""
RELEASED = {
    "croissant.json",
    "data",
    "data/people.parquet",
    "dossier.html",
    "dossier.pdf",
    "datasheet.md",
    "evidence.json",
    "notice.md",
    "manifest.json",
    "plan.json",
    "policy.yaml",
}


@pytest.fixture(scope="module")
def released(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a passed release in ``out``, made with evidence; read, never written to."""
    folder = tmp_path_factory.mktemp("released")
    (folder / "people.csv").write_text(people())
    policy = changed("dataset:\n", "dataset:\n  target: hired\n") + EVIDENCE
    (folder / "policy.yaml").write_text(policy)
    answer = ask("run", "policy.yaml", "-o", "out", "--json", cwd=folder).passes()
    (folder / "run.json").write_text(answer.out)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_help_answers_at_once() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = process("--help", cwd=Path())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer.passes()
    for verb in ("demo", "inspect", "check", "plan", "run", "attack", "evaluate", "verify"):
        assert verb in answer.out
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.5


def test_the_entry_point_imports_nothing_heavy() -> None:
    heavy = (
        "polars",
        "numpy",
        "pyarrow",
        "pydantic",
        "sklearn",
        "numba",
        "scipy",
        "altair",
        "click",
        "pandas",
    )
    code = (
        f"import sys, sfumato, sfumato.cli.main\nprint([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version(ask: Ask) -> None:
    import sfumato

    assert ask("--version", cwd=Path()).passes().out.strip() == sfumato.__version__


def test_every_verb_that_reports_writes_one_document(ask: Ask, released: Path) -> None:
    documents = {
        verb: ask(*arguments, "--json", cwd=released).passes()
        for verb, arguments in {
            "inspect": ("inspect", "people.csv", "--target", "hired"),
            "check": ("check", "policy.yaml"),
            "plan": ("plan", "policy.yaml"),
            "attack": ("attack", "out"),
            "evaluate": ("evaluate", "out"),
            "verify": ("verify", "out/release"),
        }.items()
    }
    for answer in documents.values():
        assert isinstance(answer.json, dict)
        assert SECRET.lower() not in answer.out.lower()
        assert not {"NaN", "Infinity"} & set(answer.out.replace(",", " ").split())
    assert documents["check"].json["problems"] == []
    plan, run = documents["plan"].json, json.loads((released / "run.json").read_text())
    assert (plan["findings"], plan["decision"], plan["release"]) == ([], None, None)
    assert plan["anonymity"] == run["anonymity"]
    assert set(plan["anonymity"]) >= {
        "method", "levels", "classes", "suppressed_rows", "suppressed_share", "score", "raw_loss",
        "granularity", "smallest_class",
    }  # fmt: skip
    assert run["decision"]["passed"] is True
    metrics = {finding["metric"] for finding in run["findings"]}
    assert {"risk.worst_class", "linkage.excess", "learning.auc"} <= metrics
    assert {f["metric"] for f in documents["attack"].json["findings"]} <= metrics
    assert {f["metric"] for f in documents["evaluate"].json["findings"]} <= metrics
    assert documents["verify"].json["intact"] is True


def test_every_verb_says_the_same_in_words(ask: Ask, released: Path) -> None:
    for arguments, word in {
        ("inspect", "people.csv"): "quasi",
        ("check", "policy.yaml"): "no problems found",
        ("plan", "policy.yaml"): "classes",
        ("attack", "out"): "linkage.success",
        ("verify", "out/release"): "intact",
    }.items():
        answer = ask(*arguments, cwd=released, COLUMNS="150").passes()
        assert word in answer.out
        assert SECRET.lower() not in answer.out.lower()
        assert "\x1b" not in answer.out


def test_what_lies_where_after_a_run(released: Path) -> None:
    assert set(files_in(released / "out" / "release")) == RELEASED
    assert set(files_in(released / "out")) >= {"release", "custody"}
    assert set(files_in(released)) >= {"people.csv", "policy.yaml", "out"}
    assert (released / "people.csv").read_text() == people()
    for content in contents(released / "out").values():
        assert SECRET.lower().encode() not in content.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nope",),
        ("run", "policy.yaml"),
        ("run", "-o", "out"),
        ("inspect",),
        ("inspect", "people.csv", "--nope"),
        ("demo", "nope"),
        ("demo", "-o", "policy.yaml"),
        ("verify", "nope"),
        ("verify", "policy.yaml"),
        ("verify", "."),
        ("verify", ".", "--key", "nope"),
        ("verify", ".", "--key", "policy.yaml"),
        ("verify", ".", "--project", "nope"),
        ("attack", "nope"),
        ("attack", ".", "--truth", "name"),
        ("evaluate", "."),
        ("plan", "policy.yaml", "--project", "/proc/nothing"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_two(ask: Ask, survey: Path, arguments: tuple[str, ...]) -> None:
    answer = ask(*arguments, cwd=survey)
    if arguments:
        answer.refuses()
    assert answer.code == 2
    assert files_in(survey) == ["people.csv", "policy.yaml"]


def test_a_gate_that_refuses_is_exit_code_one_and_no_data(ask: Ask, survey: Path) -> None:
    (survey / "policy.yaml").write_text(POLICY + "gate: [{metric: risk.worst_class, at_most: 0.01}]\n")
    answer = ask("run", "policy.yaml", "-o", "out", "--json", cwd=survey)
    assert (answer.code, answer.err) == (1, "")
    assert answer.json["decision"]["passed"] is False
    assert set(files_in(survey / "out" / "release")) == RELEASED - {"data", "data/people.parquet"}
    manifest = (survey / "out" / "release" / "manifest.json").read_bytes()
    assert SECRET.encode() not in manifest
    assert ask("verify", "out/release", cwd=survey).code in (0, 1)


def test_damage_is_exit_code_one(ask: Ask, released: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    for name, content in contents(released / "out" / "release").items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    key = released / ".sfumato" / "signing-key.pub"
    assert ask("verify", "release", "--key", key, cwd=tmp_path).code == 0
    (copy / "plan.json").write_bytes((copy / "plan.json").read_bytes() + b" ")
    assert ask("verify", "release", "--key", key, "--json", cwd=tmp_path).code == 1


def test_the_same_input_key_and_time_give_the_same_bytes(ask: Ask, survey: Path) -> None:
    (survey / "policy.yaml").write_text(POLICY + "evidence: {attacks: [uniqueness, linkage], utility: []}\n")
    for out in ("one", "two"):
        ask("run", "policy.yaml", "-o", out, cwd=survey, SOURCE_DATE_EPOCH="1700000000").passes()
    one, two = contents(survey / "one" / "release"), contents(survey / "two" / "release")
    assert one == two
    assert set(one) == RELEASED - {"data"}
    # Another key is another release: the test can tell.
    home = str(survey / "elsewhere")
    answer = ask(
        "run", "policy.yaml", "-o", "three", cwd=survey, SOURCE_DATE_EPOCH="1700000000", SFUMATO_HOME=home
    )
    answer.passes()
    three = contents(survey / "three" / "release")
    assert three["data/people.parquet"] != one["data/people.parquet"]
    assert three["manifest.json"] != one["manifest.json"]


def test_a_release_as_csv_holds_the_same_rows(ask: Ask, survey: Path) -> None:
    home = str(survey / "home")
    ask("run", "policy.yaml", "-o", "out", cwd=survey, SFUMATO_HOME=home).passes()
    (survey / "csv.yaml").write_text(POLICY + "release: {format: csv}\n")
    ask("run", "csv.yaml", "-o", "csv", cwd=survey, SFUMATO_HOME=home).passes()
    ask("verify", "csv/release", cwd=survey, SFUMATO_HOME=home).passes()
    told = pl.read_parquet(survey / "out" / "release" / "data" / "people.parquet")
    read = pl.read_csv(survey / "csv" / "release" / "data" / "people.csv", infer_schema=False)
    # Pseudonyms and order are each release's own.
    columns = [column for column in told.columns if column != "email"]
    assert read.columns == told.columns
    assert (
        read.select(columns).sort(columns).equals(told.select(pl.col(columns).cast(pl.String)).sort(columns))
    )


# Outputs appear whole or not at all.


def test_an_output_folder_that_is_not_ours_is_left_alone(ask: Ask, survey: Path) -> None:
    (survey / "file").write_text("mine")
    (survey / "foreign" / "release").mkdir(parents=True)
    (survey / "foreign" / "release" / "x.txt").write_text("mine")
    (survey / "kept" / "custody").mkdir(parents=True)
    (survey / "kept" / "custody" / "x.txt").write_text("mine")
    before = contents(survey)
    for out in ("file", "foreign", "kept", "policy.yaml/out", "/proc/out", "x" * 300):
        ask("run", "policy.yaml", "-o", out, cwd=survey).refuses("to do:", "[output-")
    after = {name: content for name, content in contents(survey).items() if ".sfumato" not in name}
    assert after == before


def test_a_source_inside_the_release_is_not_replaced(ask: Ask, released: Path, tmp_path: Path) -> None:
    before = contents(released / "out")
    data = "path: out/release/data/people.parquet"
    # Another dataset: nobody could tell who of the source is in it.
    again = changed("path: people.csv", data).replace("name: people\n", "name: again\n").split("columns:")[
        0
    ] + (
        "columns: {region: {role: quasi-identifier, why: x}, hired: {role: quasi-identifier, why: x}}\n"
        "anonymity: {models: [{model: k-anonymity, k: 5}]}\n"
    )
    (released / "again.yaml").write_text(again)
    ask("run", "again.yaml", "-o", "out", cwd=released).refuses("the source lies in the release")
    assert contents(released / "out") == before
    ask("run", "again.yaml", "-o", tmp_path / "other", cwd=released).passes()


Started = subprocess.Popen[str]


@pytest.fixture
def started(survey: Path) -> Iterator[Callable[[], Started]]:
    """Starts a run and waits until it is at work on its output."""
    running: list[Started] = []

    def start() -> Started:
        run = subprocess.Popen(
            [COMMAND, "run", "policy.yaml", "-o", "out"],
            cwd=survey,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(run)
        until = time.monotonic() + 60
        while not list(survey.glob("out/.sfumato-*/custody")) and time.monotonic() < until:
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.01)
        time.sleep(0.1)
        return run

    yield start
    for run in running:
        run.kill()
        run.communicate()


def test_a_killed_run_leaves_nothing_under_final_names_and_the_next_one_works(
    ask: Ask, survey: Path, started: Callable[[], Started]
) -> None:
    killed = started()
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (survey / "out" / "release").exists()
    assert not (survey / "out" / "custody").exists()
    ask("run", "policy.yaml", "-o", "out", cwd=survey).passes()
    assert sorted(path.name for path in (survey / "out").iterdir()) == ["custody", "release"]
    # What was there before a killed run is there after it.
    before = contents(survey / "out")
    again = started()
    again.kill()
    again.communicate()
    kept = {name: content for name, content in contents(survey / "out").items() if not name.startswith(".")}
    assert kept == before
    ask("verify", "out/release", cwd=survey).passes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing(
    survey: Path, started: Callable[[], Started], number: signal.Signals, code: int
) -> None:
    stopped = started()
    stopped.send_signal(number)
    out, err = stopped.communicate(timeout=60)
    assert stopped.returncode == code
    assert out == ""
    assert err == ("stopped\n" if number == signal.SIGINT else "")
    assert files_in(survey) == ["people.csv", "policy.yaml"]


@pytest.mark.parametrize("largest", [2_000, 20_000])
def test_a_full_disk_leaves_nothing(ask: Ask, survey: Path, largest: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    ask("check", "policy.yaml", cwd=survey).passes()
    answer = process("run", "policy.yaml", "-o", "out", cwd=survey, preexec_fn=limited)
    answer.refuses("File too large", "output-failed", "space left")
    assert files_in(survey) == ["people.csv", "policy.yaml"]


def test_two_runs_into_one_folder(survey: Path) -> None:
    runs = [
        subprocess.Popen(
            [COMMAND, "run", "policy.yaml", "-o", "out", "--json"],
            cwd=survey,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert (run.returncode, err) == (0, "")
        assert json.loads(out)["decision"]["passed"]
    assert sorted(path.name for path in (survey / "out").iterdir()) == ["custody", "release"]
    process("verify", "out/release", cwd=survey).passes()


def silent(answer: subprocess.CompletedProcess[bytes]) -> Answer:
    return Answer(answer.returncode, "", answer.stderr.decode())


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_went_away(survey: Path, options: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [COMMAND, "inspect", "people.csv", *options]
    gone = silent(subprocess.run(command, cwd=survey, stdout=writing, stderr=subprocess.PIPE))
    os.close(writing)
    assert (gone.code, gone.err) == (2, "")


def test_a_stdout_that_takes_nothing(survey: Path) -> None:
    command = [COMMAND, "inspect", "people.csv", "--json"]
    with Path("/dev/full").open("w") as full:
        answer = silent(subprocess.run(command, cwd=survey, stdout=full, stderr=subprocess.PIPE))
    answer.refuses("No space left on device")
    closed = subprocess.run(command, cwd=survey, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert silent(closed).passes()


def test_a_terminal_of_ascii_and_a_name_of_no_encoding(survey: Path) -> None:
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    (survey / "people.csv").write_text(people().replace("region", "größe"))
    process("inspect", "people.csv", cwd=survey, env=ascii_only).passes()
    command = [COMMAND.encode(), b"inspect", b"\xff.csv"]
    silent(subprocess.run(command, cwd=survey, capture_output=True)).refuses("\\udcff.csv: no such file")


def test_a_bug_is_exit_code_70_and_quotes_nothing(survey: Path) -> None:
    """The broken twin: an error that nobody foresaw, with a person's value in its message."""
    code = (
        "import sys, sfumato.pipeline.verbs as verbs\n"
        "from sfumato.cli.main import main\n"
        f"def broken(*arguments, **options): raise KeyError('{SECRET}')\n"
        "verbs.inspect_source = broken\n"
        "sys.argv = ['sfumato', 'inspect', 'people.csv']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=survey, capture_output=True, text=True)
    assert done.returncode == 70
    assert done.stdout == ""
    assert "a bug of sfumato: KeyError" in done.stderr
    assert SECRET not in done.stderr
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=survey,
        capture_output=True,
        text=True,
        env={**os.environ, "SFUMATO_DEBUG": "1"},
    )
    assert "Traceback" in shown.stderr
