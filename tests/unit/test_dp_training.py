"""Training under differential privacy: clipping by brute force, the charge first, and what is refused."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

from sfumato import dp
from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.training.clipping import Clipper
from sfumato.dp.training.examples import Examples
from sfumato.dp.training.feeding import Feeder
from sfumato.dp.training.losses import resolved
from sfumato.dp.training.modules import prepared
from sfumato.dp.training.randomness import Keystream
from sfumato.dp.training.trained import KNOWN_SEED, ROWS_COUNTED, TRACED, Record, Settings, Step

ROWS, WIDTH, CLIP = 40, 5, 0.3
COMMON: dict[str, Any] = {
    "loss": "cross-entropy", "noise_multiplier": 1.0, "delta": 1e-5, "batch": 10, "steps": 6, "size": ROWS,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(rows: int = ROWS) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    inputs = torch.randn((rows, WIDTH), generator=draw)
    return inputs, (inputs[:, 0] > 0).long()


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def picture_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.GroupNorm(2, 4), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(4 * 16, 3),
    )  # fmt: skip


def budget(**kinds: Any) -> dp.Budget:
    return dp.Budget(40.0, 1e-5, **kinds)


def by_hand(module: Any, rows: list[tuple[Any, Any]], clip: float) -> list[torch.Tensor]:
    """Clipped sums of the gradients of examples, one after another, by autograd alone."""
    loss = resolved("cross-entropy")
    sums = [torch.zeros_like(p, dtype=torch.float64) for p in module.parameters()]
    for inputs, targets in rows:
        module.zero_grad()
        loss(module(inputs), targets).sum().backward()
        gradients = [p.grad.double() for p in module.parameters()]
        norm = math.sqrt(sum(float(one.square().sum()) for one in gradients))
        for total, one in zip(sums, gradients, strict=True):
            total += one * min(1.0, clip / max(norm, 1e-30))
    return sums


def close(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.allclose(a, b, atol=2e-5) for a, b in zip(one, other, strict=True))


def fed(module: Any, examples: Examples, *, ghost: bool = False, views: Any = None, most: int = 7) -> Any:
    clipper = Clipper(module, resolved("cross-entropy"), CLIP, ghost=ghost)
    feeder = Feeder(examples, module, views, most, ghost=ghost)
    feeder.feed(clipper, np.arange(examples.count), Keystream(bytes(32)))
    clipper.close()
    return clipper.sums


@pytest.mark.parametrize("ghost", [False, True])
@pytest.mark.parametrize("pictures", [False, True])
def test_the_clipped_sum_is_that_of_a_loop_over_single_rows(ghost: bool, pictures: bool) -> None:
    module, (inputs, targets) = network(), data()
    if pictures:
        module = picture_network()
        inputs, targets = torch.randn((12, 1, 4, 4)), torch.arange(12) % 3
    expected = by_hand(module, [(inputs[i : i + 1], targets[i : i + 1]) for i in range(len(inputs))], CLIP)
    assert close(fed(module, Examples((inputs, targets), None), ghost=ghost), expected)


def test_clipping_did_something() -> None:
    module, (inputs, targets) = network(), data()
    rows = [(inputs[i : i + 1], targets[i : i + 1]) for i in range(ROWS)]
    assert not close(by_hand(module, rows, CLIP), by_hand(module, rows, 1e9))


@pytest.mark.parametrize("most", [2, 7, 1000])
def test_a_subjects_rows_are_one_example(most: int) -> None:
    module, (inputs, targets) = network(), data()
    whose = np.array([f"p{i % 3 if i < 30 else i}" for i in range(ROWS)])
    expected = by_hand(module, [(inputs[whose == one], targets[whose == one]) for one in set(whose)], CLIP)
    assert close(fed(module, Examples((inputs, targets), list(whose)), most=most), expected)


def test_views_are_averaged_before_clipping() -> None:
    module, (inputs, targets) = network(), data()
    views = lambda rows, _: torch.stack([rows, -rows, 2 * rows], dim=1)  # noqa: E731
    found = fed(module, Examples((inputs, targets), None), views=views)
    loss = resolved("cross-entropy")
    thirds = torch.nn.Sequential(module)
    expected = [torch.zeros_like(p, dtype=torch.float64) for p in module.parameters()]
    for i in range(ROWS):
        thirds.zero_grad()
        rows = views(inputs[i : i + 1], None)[0]
        loss(module(rows), targets[i].repeat(3)).mean().backward()
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in module.parameters()))
        for total, p in zip(expected, module.parameters(), strict=True):
            total += p.grad.double() * min(1.0, CLIP / norm)
    assert close(found, expected)


def test_an_example_that_is_no_number_adds_nothing() -> None:
    inputs, targets = data()
    spoilt = inputs.clone()
    spoilt[7] = 1e38
    rows = [(inputs[i : i + 1], targets[i : i + 1]) for i in range(ROWS) if i != 7]
    steep = torch.nn.Sequential(torch.nn.Linear(WIDTH, 2))
    with torch.no_grad():
        steep[0].weight.mul_(20)
    expected = by_hand(steep, rows, CLIP)
    for ghost in (False, True):
        assert close(fed(steep, Examples((spoilt, targets), None), ghost=ghost), expected)


def test_the_physical_batch_changes_nothing() -> None:
    weights = []
    for most in (3, 1000):
        made = dp.train(network(), data(), budget=budget(), physical_batch=most, seed=1, **COMMON)
        weights.append(made.module[0].weight)
    assert torch.allclose(*weights, atol=1e-5)


def test_ghost_clipping_changes_nothing() -> None:
    weights = [
        dp.train(network(), data(), budget=budget(), ghost=ghost, seed=1, **COMMON).module[0].weight
        for ghost in (False, True)
    ]
    assert torch.allclose(*weights, atol=1e-4)


def test_everything_is_charged_before_the_first_step() -> None:
    event = SelfComposedDpEvent(PoissonSampledDpEvent(0.25, GaussianDpEvent(1.0)), 6)
    purse, seen = dp.Budget(1.01 * dp.epsilon_of(event, 1e-5).epsilon, 1e-5), []

    def watch(progress: Any) -> None:
        epsilon = progress.epsilon if progress.step in (3, 6) else 0.0
        seen.append((progress.step, purse.affords(event), epsilon))

    made = dp.train(network(), data(), budget=purse, watch=watch, **COMMON)
    assert made.event == event == made.record.event
    assert [step for step, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert not any(still for _, still, _ in seen)
    assert seen[-1][2] == made.epsilon > seen[2][2] > 0
    assert made.private
    assert made.notices == ()
    assert made.replace_epsilon > made.epsilon
    assert purse.statement().entries[0].answered
    assert len(made.history) == 6
    assert "epsilon" in repr(made)


def test_the_noise_follows_from_epsilon() -> None:
    given = {**COMMON, "noise_multiplier": None, "epsilon": 2.0, "batch": ROWS}
    assert 1.99 < dp.train(network(), data(), budget=budget(), **given).epsilon <= 2
    replaced = dp.train(network(), data(), budget=budget(relation="replace-one"), **given)
    assert 1.99 < replaced.epsilon == replaced.replace_epsilon <= 2


def test_a_spent_budget_refuses_before_anything_is_drawn() -> None:
    steps: list[Step] = []
    with pytest.raises(RefusedError):
        dp.train(network(), data(), budget=dp.Budget(0.1, 1e-5), trace=steps.append, **COMMON)
    assert not steps


def test_the_module_given_stays_as_it_is() -> None:
    module = network()
    before = module[0].weight.detach().clone()
    made = dp.train(module, data(), budget=budget(), **COMMON)
    assert torch.equal(module[0].weight, before)
    assert not torch.equal(made.module[0].weight, before)
    assert not hasattr(made.module[0].weight, "grad_sample")


def test_draws_differ_unless_a_seed_is_known() -> None:
    runs = [dp.train(network(), data(), budget=budget(), **COMMON) for _ in range(2)]
    assert not torch.equal(runs[0].module[0].weight, runs[1].module[0].weight)
    purse = budget()
    runs = [dp.train(network(), data(), budget=purse, seed=5, **COMMON) for _ in range(2)]
    assert torch.equal(runs[0].module[0].weight, runs[1].module[0].weight)
    assert not runs[0].private
    assert KNOWN_SEED in runs[0].notices
    assert "not private" in repr(runs[0])
    assert len(purse.statement().unbounded) == 2


def test_without_secure_noise_it_says_so() -> None:
    made = dp.train(network(), data(), budget=budget(), secure=False, **COMMON)
    assert any("PyTorch's" in notice for notice in made.notices)


def test_the_number_of_rows_is_not_public_under_add_remove() -> None:
    given = {**COMMON, "size": None}
    assert ROWS_COUNTED in dp.train(network(), data(), budget=budget(), **given).notices
    assert not dp.train(network(), data(), budget=budget(relation="replace-one"), **given).notices


def test_empty_batches_are_steps_too() -> None:
    made = dp.train(network(), data(), budget=budget(), **{**COMMON, "batch": 0.01})
    assert made.record.steps == 6


def test_the_trace_shows_every_step_and_says_what_that_means() -> None:
    steps: list[Step] = []
    made = dp.train(network(), data(), budget=budget(), clip=CLIP, trace=steps.append, **COMMON)
    assert TRACED in made.notices
    assert not made.private
    assert [one.step for one in steps] == list(range(6))
    for one in steps:
        assert np.linalg.norm(one.summed) <= len(one.chosen) * CLIP
        assert one.noisy.shape == one.summed.shape == (34,)
        assert 0.1 < np.std(one.noisy - one.summed) / CLIP < 3
    assert len({tuple(one.chosen) for one in steps}) > 1


def test_averaged_weights_lie_between() -> None:
    plain = dp.train(network(), data(), budget=budget(), seed=2, **COMMON)
    mean = dp.train(network(), data(), budget=budget(), seed=2, average=0.99, **COMMON)
    start = network()[0].weight
    assert 0 < (mean.module[0].weight - start).norm() < (plain.module[0].weight - start).norm()


def test_batch_norm_is_replaced_and_named() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(WIDTH, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 2))
    made = dp.train(module, data(), budget=budget(), **COMMON)
    assert isinstance(made.module[1], torch.nn.GroupNorm)
    assert made.module[1].num_groups == 2
    assert "GroupNorm (1)" in made.notices[0]
    assert isinstance(module[1], torch.nn.BatchNorm1d)


class Mixing(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(WIDTH, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.inner(rows - rows.mean(dim=0))


class Pairs(torch.utils.data.Dataset[Any]):
    def __init__(self, rows: int) -> None:
        self.inputs, self.targets = data(rows)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> Any:
        return self.inputs[row], self.targets[row]


def test_a_dataset_does_as_tensors_do() -> None:
    weights = [
        dp.train(network(), given, budget=budget(), seed=1, **COMMON).module[0].weight
        for given in (data(), Pairs(ROWS))
    ]
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("no Poisson sample", {"data": torch.utils.data.DataLoader(Pairs(ROWS), shuffle=True)}),
        ("no rows", {"data": (np.zeros((0, WIDTH)), np.zeros(0))}),
        ("no rows", {"data": Pairs(0)}),
        ("not of the same rows", {"data": (np.zeros((3, WIDTH)), np.zeros(2))}),
        ("no finite numbers", {"data": (np.full((3, WIDTH), np.nan), np.zeros(3))}),
        ("must be (inputs, targets)", {"data": np.zeros(3)}),
        ("cannot take rows", {"data": (np.zeros((3, 2), "f4"), np.zeros(3))}),
        ("no torch.nn.Module", {"module": "a name"}),
        ("no parameter to train", {"module": torch.nn.Identity()}),
        ("acts on the output of others", {"module": Mixing()}),
        ("keeps running figures", {"module": torch.nn.Sequential(
            torch.nn.InstanceNorm1d(1, track_running_stats=True), torch.nn.Linear(WIDTH, 2))}),
        ("reduced over the rows", {"loss": torch.nn.CrossEntropyLoss()}),
        ("one value for each row", {"loss": lambda outputs, _: outputs}),
        ("there is no loss", {"loss": "crossentropy"}),
        ("either epsilon or noise_multiplier", {"epsilon": 1.0}),
        ("either steps or epochs", {"epochs": 1.0}),
        ("either batch or rate", {"rate": 0.5}),
        ("batch must be above zero", {"batch": 0}),
        ("clip must be above zero", {"clip": -1.0}),
        ("delta is a probability", {"delta": 1.0}),
        ("noise_multiplier must be above zero", {"noise_multiplier": 0.0}),
        ("at least one step", {"steps": 0}),
        ("average is a decay", {"average": 2.0}),
        ("there is no optimizer", {"optimizer": "newton"}),
        ("physical_batch must be", {"physical_batch": 0}),
        ("module and loss cannot take", {"data": (data()[0], np.full(ROWS, 9))}),
        ("subject must name", {"subject": [1, 2], "budget": dp.Budget(9, 1e-5, unit="subject")}),
        ("the budget is about each row", {"subject": list(range(ROWS))}),
        ("the budget is about each subject", {"budget": dp.Budget(9, 1e-5, unit="subject")}),
        ("a row has no subject", {"subject": [None] * ROWS, "budget": dp.Budget(9, 1e-5, unit="subject")}),
        ("needs a budget", {"budget": None}),
        ("ghost clipping takes", {"ghost": True, "views": lambda rows, _: rows[:, None]}),
        ("views must give", {"views": lambda rows, _: rows}),
        ("needs the checkpoint", {"resume": True}),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_free_of_charge(words: str, change: dict[str, Any]) -> None:
    purse = budget()
    given = {"module": network(), "data": data(), "budget": purse, **COMMON, **change}
    with pytest.raises(InputError) as caught:
        dp.train(given.pop("module"), given.pop("data"), **given)
    assert words in str(caught.value)
    assert not purse.statement().entries


def test_numbers_of_any_precision_are_taken() -> None:
    inputs, targets = data()
    given = (inputs.double().numpy(), targets.int().numpy())
    weights = [
        dp.train(network(), rows, budget=budget(), seed=1, **COMMON).module[0].weight
        for rows in (data(), given)
    ]
    assert torch.allclose(*weights)
    fine = dp.train(network().double(), data(), budget=budget(), seed=1, **COMMON).module[0].weight
    assert torch.allclose(fine, weights[0].double(), atol=1e-5)


class Idle(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = torch.nn.Linear(WIDTH, 2), torch.nn.Linear(WIDTH, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.used(rows)


def test_a_layer_that_is_not_used_gets_noise_alone() -> None:
    steps: list[Step] = []
    dp.train(Idle(), data(), budget=budget(), trace=steps.append, **COMMON)
    assert all((one.summed[12:] == 0).all() and (one.noisy[12:] != 0).all() for one in steps)
    with pytest.raises(InputError, match="every parameter"):
        dp.train(Idle(), data(), budget=budget(), ghost=True, **COMMON)


def test_no_label_is_in_an_error() -> None:
    inputs, targets = data()
    targets[-1] = 73
    with pytest.raises(InputError) as caught:
        dp.train(network(), (inputs, targets), budget=budget(), **{**COMMON, "batch": ROWS})
    assert "73" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_words_are_taken() -> None:
    module = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Flatten(), torch.nn.Linear(6, 2))
    rows = (np.arange(ROWS * 2).reshape(ROWS, 2) % 5, np.arange(ROWS) % 2)
    assert dp.train(module, rows, budget=budget(), **COMMON).record.steps == 6


def test_a_single_row_is_enough() -> None:
    assert dp.train(network(), data(1), budget=budget(), **{**COMMON, "size": 1, "batch": 1}).rate == 1


def test_a_loss_that_is_never_a_number_is_a_fault() -> None:
    lost = lambda outputs, _: outputs[:, 0] * float("nan")  # noqa: E731
    with pytest.raises(InputError, match="a number for none of the rows"):
        dp.train(network(), data(), budget=budget(), **{**COMMON, "loss": lost, "batch": ROWS})


def test_weights_that_run_away_are_a_fault() -> None:
    with pytest.raises(InputError, match="no finite numbers any more"):
        dp.train(network(), data(), budget=budget(), **{**COMMON, "lr": 1e38, "clip": 1e6})


def test_outputs_beyond_every_number_name_the_learning_rate() -> None:
    twice = torch.nn.Sequential(torch.nn.Linear(WIDTH, 4), torch.nn.Linear(4, 2))
    with pytest.raises(InputError, match="a number for none of the rows") as caught:
        dp.train(twice, data(), budget=budget(), **{**COMMON, "lr": 1e25, "clip": 1e6, "batch": ROWS})
    assert "smaller learning rate" in caught.value.remedy


def test_without_the_extra_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kinds: Any) -> Any:
        if name.partition(".")[0] == "opacus":
            raise ImportError(name)
        return real(name, *args, **kinds)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="not installed") as caught:
        dp.train(network(), data(), budget=budget(), **COMMON)
    assert "sfumato[deep]" in caught.value.remedy


SETTINGS = Settings(0.25, 1.0, 1.0, 6, 1e-5, "add-remove", "row", 0.5, "sgd", None, True, False)


def test_a_record_covers_what_was_charged_and_no_more() -> None:
    exact = Record({0.25: 6}, {1.0: 6})
    assert exact.covered(SETTINGS)
    assert exact.event == SETTINGS.event
    assert Record({0.25: 4}, {1.0: 4}, lost=2).covered(SETTINGS)
    for more in (
        Record({0.25: 7}, {1.0: 7}),
        Record({0.25: 6}, {1.0: 6}, lost=1),
        Record({0.5: 6}, {1.0: 6}),
        Record({0.25: 6}, {0.25: 6}),
        Record({0.25: 3}, {1.0: 6}),
        Record({0.25: 3, 0.5: 3}, {1.0: 6}),
    ):
        assert not more.covered(SETTINGS)


def _without_clipping(self: Clipper, gradients: list[torch.Tensor]) -> None:
    self.seen += len(gradients[0])
    for total, one in zip(self.sums, gradients, strict=True):
        total += one.sum(dim=0)


def test_broken_twins_leave_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clipping off, noise quartered, a batch used again: each is plain from the steps' trace."""

    def traced() -> list[Step]:
        steps: list[Step] = []
        given = {**COMMON, "steps": 30, "batch": 20}
        dp.train(network(), data(), budget=budget(), clip=0.01, trace=steps.append, **given)
        return steps

    def faults(steps: list[Step]) -> set[str]:
        found = set()
        if any(np.linalg.norm(one.summed) > len(one.chosen) * 0.01 for one in steps):
            found.add("clipping")
        noise = np.concatenate([one.noisy - one.summed for one in steps]) / 0.01
        if not 0.8 < noise.std() < 1.2:
            found.add("noise")
        if len({tuple(one.chosen) for one in steps}) < len(steps):
            found.add("batch")
        return found

    assert not faults(traced())
    with monkeypatch.context() as patch:
        patch.setattr(Clipper, "add", _without_clipping)
        assert faults(traced()) == {"clipping"}
    with monkeypatch.context() as patch:
        real = Keystream.normals
        patch.setattr(Keystream, "normals", lambda self, count: real(self, count) / 4)
        assert faults(traced()) == {"noise"}
    with monkeypatch.context() as patch:
        patch.setattr(Keystream, "chosen", lambda *_: np.arange(20))
        assert faults(traced()) == {"batch"}


def test_batch_norm_alone_and_of_pictures() -> None:
    fit, notices = prepared(torch.nn.BatchNorm2d(32), torch.zeros((2, 32, 4, 4)))
    assert isinstance(fit, torch.nn.GroupNorm)
    assert fit.num_groups == 32
    assert "the module itself" in notices[0]
