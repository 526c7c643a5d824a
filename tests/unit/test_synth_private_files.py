"""Networks under differential privacy: nothing of a person is in the file but through what was charged.

Whatever is charged (counts with noise, sums of gradients with noise) is replaced by keyed noise that takes no
heed of what it is added to. Two groups of people with nothing in common but what is declared of them must
then make the same file, to the byte; and a twin that looks at people in any other way must not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from sfumato.dp import mechanisms
from sfumato.dp.training import run, train
from sfumato.synth.coded import Coded
from sfumato.synth.fitting import fit
from sfumato.synth.networks import vae_heads

TOWNS = ["a", "b", "c", "d"]
SCHEMA = {"age": pl.Int64, "town": pl.String, "rich": pl.Boolean}
TERMS = {"private_steps": 8, "private_hidden": 8, "private_batch": 100}
SMALL: dict[str, dict[str, Any]] = {
    "vae": {**TERMS, "private_latent": 2},
    "gan": {**TERMS, "hidden": 8, "noise": 4, "batch": 16},
    "autoregressive": {"steps": 8, "rate": 0.3},
}
Twin = Callable[[pytest.MonkeyPatch], None]


def groups() -> list[pl.DataFrame]:
    """People who differ in everything: their values, whether any are missing, and how many there are."""
    draw = np.random.default_rng(3)
    ages = draw.integers(18, 90, 400)
    many = {"age": ages, "town": draw.choice(TOWNS, 400), "rich": draw.random(400) < ages / 90}
    few = {"age": [40] * 90 + [None], "town": ["b"] * 91, "rich": [None] * 91}
    return [pl.DataFrame(table, schema=SCHEMA) for table in (many, few)]


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every charged release is noise alone; how much is asked is of no weight here, and not searched for."""

    def counts(values: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
        return np.random.default_rng(len(values)).integers(0, 2**20, len(values))

    def sums(self: Any, exact: Sequence[Any], step: int) -> list[Any]:
        draw = np.random.default_rng(step)
        return [torch.from_numpy(self._std * draw.standard_normal(tuple(one.shape))) for one in exact]

    for module in (mechanisms, vae_heads):
        monkeypatch.setattr(module, "gaussian", counts)
    monkeypatch.setattr(mechanisms, "laplace", counts)
    monkeypatch.setattr(mechanisms, "keep_large", lambda *_: (np.zeros(0, dtype=np.int64),) * 2)
    monkeypatch.setattr("sfumato.dp.training.noise.GridNoise.add", sums)
    monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 2.0)


def files(method: str, path: Path, **declared: Any) -> list[bytes]:
    found = []
    for table in groups():
        taught = fit(
            table, method, epsilon=90.0, delta=1e-5, bounds={"age": (18, 90)}, size=300, target="rich",
            params=SMALL[method], **declared,
        )  # fmt: skip
        taught.save(path / "model")
        found.append((path / "model").read_bytes())
    return found


@pytest.mark.parametrize("declared", [{"categories": {"town": TOWNS}}, {}], ids=["declared", "learned"])
@pytest.mark.parametrize("method", list(SMALL))
def test_no_value_but_through_noise_reaches_the_file(
    method: str, declared: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    one, other = files(method, tmp_path, **declared)
    assert one == other


def stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step whose weights foretell the rows best is the last: a loss to which nobody added noise."""
    step = run.Run._step

    def stepped(self: Any, clipper: Any) -> Any:
        made = step(self, clipper)
        with torch.no_grad():
            outputs = self._module(self.examples.inputs)
            loss = float(self._loss(outputs, self.examples.targets).mean())
        if loss > getattr(self, "best", np.inf):
            self._schedule = lambda _: 0.0
        self.best = loss
        return made

    monkeypatch.setattr(run.Run, "_step", stepped)


def sized(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field has as many codes as are met."""
    shares = vae_heads.noisy_shares

    def met(coded: Coded, multiplier: float) -> NDArray[np.float64]:
        found = shares(coded, multiplier)
        for column, span in zip(coded.codes.T, vae_heads.spans(coded.sizes), strict=True):
            found[span.start + int(column.max()) + 1 : span.stop] = 0
        return found

    monkeypatch.setattr(vae_heads, "noisy_shares", met)


def exact_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of codes as they are."""
    monkeypatch.setattr(vae_heads, "noisy_shares", lambda coded, _: vae_heads.shares(coded))


def largest_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of learning follows from the largest code."""
    teach = train.train

    def looked(module: Any, data: Any, *, lr: float, **terms: Any) -> Any:
        return teach(module, data, lr=lr / (1 + float(data[0].max())), **terms)

    monkeypatch.setattr(train, "train", looked)


def counting_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn after a batch depends on how much was drawn for its rows."""

    @contextlib.contextmanager
    def together(self: Any, step: int) -> Iterator[None]:
        yield

    monkeypatch.setattr(run.Run, "_apart", together)


@pytest.mark.parametrize(
    ("method", "twin"),
    [
        ("vae", stopping), ("gan", stopping), ("autoregressive", stopping),
        ("vae", sized), ("gan", sized), ("vae", exact_shares), ("gan", exact_shares),
        ("vae", largest_code), ("autoregressive", largest_code), ("gan", counting_batches),
    ],
)  # fmt: skip
def test_a_twin_that_looks_at_people_is_caught(
    method: str, twin: Twin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind(monkeypatch)
    twin(monkeypatch)
    one, other = files(method, tmp_path, categories={"town": TOWNS})
    assert one != other


def test_the_stand_in_is_what_makes_files_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Without it two fits of the same people differ: the noise is nobody's to foretell.
    monkeypatch.setattr("sfumato.dp.accounting.noise_for", lambda *_, **__: 2.0)
    one, _ = files("autoregressive", tmp_path, categories={"town": TOWNS})
    again, _ = files("autoregressive", tmp_path, categories={"town": TOWNS})
    assert one != again
