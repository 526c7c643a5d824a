"""A budget: charged first, refused before anything changes, the same for every copy and every process."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dp_accounting import dp_event as dp

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.budget import Budget
from sfumato.dp.events import StatedDpEvent
from sfumato.dp.filters import best_order, make_filter
from sfumato.project import Project
from sfumato.project.budgets import BUDGETS, Budgets

SGD = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.04, dp.GaussianDpEvent(1.0)), 500)
PURE = dp.LaplaceDpEvent(10.0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.open(tmp_path / "project")


def pure(epsilon: float = 1.0) -> Budget:
    return Budget(epsilon, 0.0, filter="basic")


def test_ten_tenths_fit_and_an_eleventh_does_not() -> None:
    budget = pure()
    for _ in range(10):
        assert budget.spend(PURE, place="count").share == pytest.approx(0.1)
    with pytest.raises(RefusedError) as caught:
        budget.spend(PURE, place="count")
    assert (caught.value.code, caught.value.exit_code) == ("budget-spent", 3)
    assert len(budget.statement().entries) == 10


def test_refused_before_anything_is_written() -> None:
    budget = pure()
    assert not budget.affords(dp.LaplaceDpEvent(0.5))
    with pytest.raises(RefusedError):
        budget.spend(dp.LaplaceDpEvent(0.5), place="too much")
    assert budget.statement().entries == ()
    assert budget.affords(PURE)


@pytest.mark.parametrize("name", ["basic", "rdp", "zcdp"])
def test_many_small_spends_cost_less_by_the_better_filters(name: str) -> None:
    budget = Budget(1.0, 1e-6, filter=name)  # type: ignore[arg-type]
    accepted = 0
    while accepted < 500 and budget.affords(dp.LaplaceDpEvent(50.0)):
        budget.spend(dp.LaplaceDpEvent(50.0), place="count")
        accepted += 1
    assert accepted == 50 if name == "basic" else accepted > 110
    estimate = budget.statement().estimate
    assert estimate is not None
    assert estimate.epsilon <= 1.0


def test_a_training_that_fits_by_pld_alone_takes_the_whole() -> None:
    budget = Budget(5.9, 1e-5)
    receipt = budget.spend(SGD, place="training")
    assert receipt.share >= 1
    assert budget.statement().left == 0
    for event in (SGD, PURE, dp.GaussianDpEvent(1e4)):
        assert not budget.affords(event)
    # Not so when something was answered before: it could have been chosen by the answer.
    second = Budget(5.9, 1e-5)
    second.spend(dp.GaussianDpEvent(1e4), place="count")
    assert not second.affords(SGD)
    # And never above what was declared.
    assert not Budget(5.8, 1e-5).affords(SGD)


def test_basic_composition_charges_schedules_at_the_delta_that_is_named() -> None:
    budget = Budget(12.0, 2e-5, filter="basic")
    with pytest.raises(InputError) as caught:
        budget.spend(SGD, place="training")
    assert caught.value.code == "event-unsupported"
    assert "delta" in caught.value.remedy
    for _ in range(2):
        budget.spend(SGD, place="training", delta=1e-5)
    assert not budget.affords(dp.LaplaceDpEvent(4.0))
    assert not budget.affords(dp.GaussianDpEvent(1e4), delta=1e-9)
    assert budget.statement().share == pytest.approx(1.0)
    # What is pure costs no delta, named or not.
    other = Budget(1.0, 1e-6, filter="basic")
    other.spend(PURE, place="count", delta=1e-6)
    assert other.affords(PURE, delta=1e-6)


def test_zcdp_refuses_what_has_no_rho() -> None:
    with pytest.raises(InputError, match="zCDP") as caught:
        Budget(1.0, 1e-6, filter="zcdp").spend(SGD, place="training")
    assert 'filter="rdp"' in caught.value.remedy


def test_stated_deltas_have_a_tenth() -> None:
    budget = Budget(1.0, 1e-6)
    budget.spend(StatedDpEvent(0.01, 0.9e-7), place="groups")
    assert not budget.affords(StatedDpEvent(0.01, 0.9e-7))
    assert budget.affords(StatedDpEvent(0.01, 0.9e-8))
    assert budget.affords(PURE)


def test_no_noise_is_never_accepted() -> None:
    for name in ("basic", "rdp", "zcdp"):
        budget = Budget(100.0, 0.1, filter=name)  # type: ignore[arg-type]
        for event in (dp.NonPrivateDpEvent(), dp.LaplaceDpEvent(0.0)):
            with pytest.raises(RefusedError):
                budget.spend(event, place="raw")


def test_replacing_is_dearer() -> None:
    first, second = Budget(1.0, 1e-6), Budget(1.0, 1e-6, relation="replace-one")
    event = dp.GaussianDpEvent(20.0)
    assert second.spend(event, place="sum").share == pytest.approx(4 * first.spend(event, place="sum").share)


def test_without_delta_the_order_is_infinity() -> None:
    budget = Budget(1.0, 0.0)
    assert budget.spend(PURE, place="count").share == pytest.approx(0.1)
    with pytest.raises(InputError, match="without a delta"):
        Budget(1.0, 0.0, filter="zcdp")


def test_the_order_is_fixed_when_the_budget_is_declared(project: Project) -> None:
    budget = Budget.open("study", project, epsilon=1.0, delta=1e-6)
    declared = budget.statement().order
    assert declared == best_order(1.0, 0.9e-6)
    budget.raise_to(8.0, by="Ann", why="a second study")
    assert budget.statement().order == declared != best_order(8.0, 0.9e-6)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-6), (-1, 0), (math.nan, 0), (math.inf, 0), (1, 1), (1, -1e-9)]
)
def test_impossible_budgets(epsilon: float, delta: float) -> None:
    with pytest.raises(InputError):
        Budget(epsilon, delta)


@pytest.mark.parametrize("words", [{"unit": "person"}, {"relation": "swap"}, {"filter": "gdp"}])
def test_words_that_are_none(words: dict[str, str]) -> None:
    with pytest.raises(InputError):
        Budget(1.0, 1e-6, **words)  # type: ignore[arg-type]


def test_a_budget_too_small_for_noise_says_so() -> None:
    with pytest.raises(InputError, match="no room"):
        Budget(1e-5, 1e-9)


def test_answers_are_stored_once_and_replayed_free_of_charge() -> None:
    budget = pure()
    assert budget.replay("digest") is None
    receipt = budget.spend(PURE, place="count", key="digest")
    assert budget.replay("digest") is None
    for bad in ({"count": math.nan}, {"count": object()}):
        with pytest.raises(InputError, match="JSON"):
            budget.settle(receipt, bad)
    budget.settle(receipt, {"count": 41})
    assert budget.replay("digest") == {"count": 41}
    assert budget.replay("") is None
    with pytest.raises(InputError):
        budget.settle(receipt, {"count": 42})
    with pytest.raises(InputError):
        pure().settle(receipt, {"count": 42})
    assert budget.replay("digest") == {"count": 41}
    assert budget.statement().share == pytest.approx(0.1)


def test_what_no_epsilon_bounds_is_on_the_statement() -> None:
    budget = pure()
    budget.unbounded(place="release of May", by="Ann", why="paper")
    statement = budget.statement()
    assert [each.place for each in statement.unbounded] == ["release of May"]
    assert statement.share == 0
    assert json.loads(json.dumps(statement.document(), allow_nan=False))["unbounded"][0]["by"] == "Ann"


def test_raised_by_somebody_for_a_reason() -> None:
    budget = Budget(1.0, 1e-6)
    for bad in ({"epsilon": 0.5}, {"epsilon": 1.0}, {"delta": 1e-7}, {"epsilon": math.inf}, {}):
        with pytest.raises(InputError):
            budget.raise_to(**bad, by="Ann", why="more")
    for by, why in (("", "more"), ("Ann", " ")):
        with pytest.raises(InputError):
            budget.raise_to(2.0, by=by, why=why)
    budget.raise_to(2.0, by="Ann", why="a second study")
    assert (budget.epsilon, budget.delta) == (2.0, 1e-6)
    assert [(each.epsilon, each.by) for each in budget.statement().raises] == [(2.0, "Ann")]
    with pytest.raises(InputError):
        pure().raise_to(delta=1e-6, by="Ann", why="noise")


def test_copies_are_the_same_budget() -> None:
    budget = pure()
    copies = [copy.copy(budget), copy.deepcopy(budget), copy.deepcopy({"budget": budget})["budget"]]
    for each in copies:
        each.spend(PURE, place="count")
    assert budget.statement().share == pytest.approx(0.3)


def test_a_budget_in_memory_stays_in_its_process() -> None:
    budget = pure()
    with pytest.raises(InputError, match="memory"):
        pickle.dumps(budget)
    child = os.fork()
    if not child:
        try:
            budget.spend(PURE, place="count")
        except InputError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_threads_cannot_overdraw() -> None:
    budget, accepted = pure(), []

    def spend() -> None:
        for _ in range(4):
            try:
                accepted.append(budget.spend(PURE, place="count").number)
            except RefusedError:
                return

    threads = [threading.Thread(target=spend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == len(set(accepted)) == 10


def test_persisted_and_opened_again(project: Project) -> None:
    with pytest.raises(InputError) as caught:
        Budget.open("study", project)
    assert caught.value.code == "budget-undeclared"
    budget = Budget.open("study", project, epsilon=1.0, delta=1e-6, unit="subject")
    receipt = budget.spend(PURE, place="count", by="Ann", why="report", key="k")
    budget.settle(receipt, {"count": 3})
    again = Budget.open("study", project)
    assert (again.unit, again.relation, again.filter) == ("subject", "add-remove", "rdp")
    assert again.replay("k") == {"count": 3}
    assert again.statement() == budget.statement() == pickle.loads(pickle.dumps(again)).statement()
    assert stat.S_IMODE((project.folder / BUDGETS).stat().st_mode) == 0o600
    # Another dataset has its own.
    other = Budget.open("other", project, epsilon=1.0, delta=1e-6)
    assert other.statement().share == 0
    assert Budgets(project.folder / BUDGETS).datasets() == ("other", "study")


@pytest.mark.parametrize(
    "words",
    [{"epsilon": 2.0}, {"delta": 1e-5}, {"unit": "subject"}, {"relation": "replace-one"}, {"filter": "zcdp"}],
)
def test_another_declaration_is_refused(project: Project, words: dict[str, object]) -> None:
    Budget.open("study", project, epsilon=1.0, delta=1e-6)
    with pytest.raises(InputError) as caught:
        Budget.open("study", project, **{"epsilon": 1.0, "delta": 1e-6, **words})  # type: ignore[arg-type]
    assert caught.value.code == "budget-mismatch"
    assert Budget.open("study", project, epsilon=1.0, delta=1e-6).epsilon == 1.0


def _race(folder: Path, accepted: multiprocessing.Queue[int]) -> None:
    budget = Budget.open("study", Project.open(folder), epsilon=1.0, delta=0.0, filter="basic")
    count = 0
    while True:
        try:
            budget.spend(PURE, place="count")
        except RefusedError:
            break
        count += 1
    accepted.put(count)


def test_processes_side_by_side_cannot_overdraw(tmp_path: Path) -> None:
    Project.open(tmp_path)
    context = multiprocessing.get_context("fork")
    accepted: multiprocessing.Queue[int] = context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, accepted)) for _ in range(5)]
    for racer in racers:
        racer.start()
    counts = [accepted.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join()
    assert sum(counts) == 10
    assert len(Budget.open("study", Project.open(tmp_path)).statement().entries) == 10


_KILLED = """
import os, signal, sys
from pathlib import Path
from dp_accounting.dp_event import LaplaceDpEvent
from sfumato.dp.budget import Budget
from sfumato.project import Project
budget = Budget.open("study", Project.open(Path(sys.argv[1])), epsilon=1.0, delta=0.0, filter="basic")
receipt = budget.spend(LaplaceDpEvent(2.0), place="count", key="k")
noise = "drawn"
os.kill(os.getpid(), signal.SIGKILL)
budget.settle(receipt, {"count": 3})
"""


def test_killed_between_drawing_and_recording_stays_spent(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    budget = Budget.open("study", Project.open(tmp_path))
    statement = budget.statement()
    assert statement.share == pytest.approx(0.5)
    assert [each.answered for each in statement.entries] == [False]
    assert budget.replay("k") is None


def test_a_damaged_ledger_is_an_error(project: Project) -> None:
    Budget.open("study", project, epsilon=1.0, delta=1e-6)
    (project.folder / BUDGETS).write_bytes(b"no database" * 100)
    with pytest.raises(InputError) as caught:
        Budget.open("study", project)
    assert caught.value.code == "project-ledger"


def test_a_ledger_that_is_gone_refuses(project: Project) -> None:
    budget = Budget.open("study", project, epsilon=1.0, delta=1e-6)
    for path in project.folder.glob(f"{BUDGETS}*"):
        path.unlink()
    with pytest.raises(InputError) as caught:
        budget.spend(PURE, place="count")
    assert caught.value.code == "project-ledger"


def test_the_statement_says_what_still_fits() -> None:
    budget = Budget(1.0, 1e-6)
    budget.spend(dp.GaussianDpEvent(50.0), place="count")
    fits = budget.statement().fits
    assert fits is not None
    assert budget.affords(dp.GaussianDpEvent(fits))
    assert not budget.affords(dp.GaussianDpEvent(fits * 0.98))
    budget.spend(dp.GaussianDpEvent(fits), place="sum")
    rest = budget.statement().fits
    assert rest is None or rest > 20 * fits


def test_filters_agree_with_the_library_on_their_limits() -> None:
    """The limit of a filter, spent whole on Gaussian noise, is within the budget and near it."""
    from sfumato.dp.accounting import least_epsilon

    for name in ("rdp", "zcdp"):
        for epsilon, delta in ((0.1, 1e-6), (1.0, 1e-5), (8.0, 1e-5)):
            rule = make_filter(name, epsilon, delta, "add-remove")  # type: ignore[arg-type]
            rho = rule.limit.coin / (rule.order or 1.0)
            exact = least_epsilon(dp.GaussianDpEvent(math.sqrt(1 / (2 * rho))), delta, "add-remove")[0]
            assert 0.88 * epsilon < exact < epsilon


def test_numbers_of_the_ledger_only_grow(project: Project) -> None:
    budget = Budget.open("study", project, epsilon=1.0, delta=1e-6)
    numbers = [budget.spend(PURE, place="count").number for _ in range(3)]
    numbers.append(budget.unbounded(place="May").number)
    assert numbers == sorted(set(numbers))


def test_importing_the_budget_is_light() -> None:
    code = (
        "import sys, sfumato.dp.budget;"
        "print([name for name in ('dp_accounting', 'scipy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_large_budget_takes_sampled_spends_one_after_another() -> None:
    """Its order is one at which a sample with little noise has a divergence."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent

    budget = Budget(1000.0, 1e-5)
    for _ in range(3):
        receipt = budget.spend(PoissonSampledDpEvent(0.04, GaussianDpEvent(0.5)), place="a step")
        assert receipt.share < 0.1
