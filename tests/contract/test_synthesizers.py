"""What every registered synthesizer must keep, without differential privacy and under it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from dp_accounting import DpEvent
from numpy.typing import NDArray

from sfumato.contracts import Params, SynthesisModel, Synthesizer
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.dp import mechanisms
from sfumato.dp.accounting import least_epsilon
from sfumato.dp.budget import Budget
from sfumato.dp.events import to_json
from sfumato.dp.prepaid import Prepaid, reserve
from sfumato.synth import SYNTHESIZERS, independent
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.independent import Independent

#: Parameters that make a synthesizer quick; what it keeps does not hang on them.
QUICK: dict[str, dict[str, Any]] = {
    "aim": {"components": 20, "steps": 10},
    "mst": {"fit": "mixture", "components": 20, "steps": 10},
    "autoregressive": {"epochs": 1, "hidden": 8, "steps": 2},
    "vae": {
        "epochs": 1,
        "hidden": 16,
        "latent": 2,
        "components": 4,
        "private_hidden": 16,
        "private_steps": 2,
    },
    "gan": {"steps": 2, "hidden": 16, "critic_steps": 1, "private_hidden": 16, "private_steps": 2},
    "language-model": {"epochs": 1, "private_epochs": 1, "width": 16, "layers": 1, "heads": 2},
}
NAMES = list(SYNTHESIZERS)
PRIVATE = [name for name in NAMES if SYNTHESIZERS.resolve(name).has_private]
KEY = bytes(range(32))
SIZES = (4, 1, 3, 12)
ROWS = 240
DELTA = 1e-5


def make(name: str) -> Synthesizer:
    kind = SYNTHESIZERS.resolve(name)
    made: Synthesizer = kind(kind.Params(**QUICK.get(name, {})))
    return made


def coded(rows: int = ROWS, sizes: tuple[int, ...] = SIZES) -> Coded:
    draw = np.random.default_rng(1)
    codes = np.empty((rows, len(sizes)), dtype=np.int32, order="F")
    first = draw.random(rows)
    for place, size in enumerate(sizes):
        codes[:, place] = np.minimum(size * (first + draw.random(rows)) / 2, size - 1)
    fields = tuple(
        Field(f"f{place}", f"f{place}", size, place % 2 == 0, size - 1 if place == 3 else None)
        for place, size in enumerate(sizes)
    )
    return Coded(fields, codes, target=0)


@lru_cache(maxsize=32)
def taught(name: str) -> SynthesisModel:
    return make(name).fit(coded(), KEY)


def event_of(synthesizer: Synthesizer, data: Coded, size: int = ROWS, noise: float = 4.0) -> DpEvent:
    return synthesizer.event(data.fields, size, noise)


def private_fit(name: str, data: Coded, size: int = ROWS) -> tuple[SynthesisModel, Prepaid]:
    synthesizer = make(name)
    budget = Budget(1e6, 0.1)
    prepaid = reserve(budget, [event_of(synthesizer, data, size)], delta=DELTA, place="test")
    return synthesizer.fit(data, KEY, Private(prepaid, 4.0, DELTA, size)), prepaid


def same(one: SynthesisModel, other: SynthesisModel) -> None:
    (arrays, document), (others, another) = one.state(), other.state()
    assert canonical_json(dict(document)) == canonical_json(dict(another))
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])


def draw(model: SynthesisModel, rows: int, given: Any = None) -> NDArray[np.int32]:
    return model.sample(rows, np.random.default_rng(5), given or {})


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    kind = SYNTHESIZERS.resolve(name)
    assert kind.summary
    assert issubclass(kind.Params, Params)
    assert kind.sees in ("rows", "marginals")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_key_and_rows_give_the_same_model_and_rows(name: str) -> None:
    again = make(name).fit(coded(), KEY)
    same(taught(name), again)
    np.testing.assert_array_equal(draw(taught(name), 30), draw(again, 30))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_its_state(name: str) -> None:
    arrays, document = taught(name).state()
    assert {array.dtype for array in arrays.values()} <= {np.dtype(kind) for kind in ("f4", "f8", "i8")}
    document = json.loads(canonical_json(dict(document)))
    again = type(taught(name)).restored(coded().fields, arrays, document)
    np.testing.assert_array_equal(draw(taught(name), 50), draw(again, 50))


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_codes_of_the_fields(name: str) -> None:
    made = draw(taught(name), 300)
    assert made.shape == (300, len(SIZES))
    assert made.dtype == np.int32
    assert made.min() >= 0
    assert np.all(made.max(axis=0) < SIZES)
    assert draw(taught(name), 1).shape == (1, len(SIZES))
    assert draw(taught(name), 0).shape == (0, len(SIZES))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_is_honoured(name: str) -> None:
    model = taught(name)
    if not model.conditional:
        return
    mask = np.zeros(SIZES[3], dtype=bool)
    mask[[2, 7]] = True
    codes = (np.arange(60) % SIZES[0]).astype(np.int32)
    made = draw(model, 60, {0: codes, 3: mask})
    np.testing.assert_array_equal(made[:, 0], codes)
    assert set(made[:, 3].tolist()) <= {2, 7}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("rows", "sizes"), [(1, SIZES), (12, (1, 1)), (40, (3,)), (40, (2, 700))], ids=str)
def test_odd_tables_are_learned(name: str, rows: int, sizes: tuple[int, ...]) -> None:
    made = draw(make(name).fit(coded(rows, sizes), KEY), 20)
    assert made.shape == (20, len(sizes))
    assert np.all(made.max(axis=0) < sizes)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        make(name).fit(coded(0), KEY)
    assert refused.value.code in ("usage", "column-values")


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_json(name: str) -> None:
    facts = dict(taught(name).facts)
    assert json.loads(canonical_json(facts)) == facts


@pytest.mark.parametrize("name", PRIVATE)
def test_more_noise_costs_less(name: str) -> None:
    data = coded()
    costs = [
        least_epsilon(event_of(make(name), data, 10_000, noise), DELTA, "add-remove", rough=True)[0]
        for noise in (1.0, 4.0)
    ]
    assert 0 < costs[1] < costs[0]


@pytest.mark.parametrize("name", PRIVATE)
def test_the_cost_does_not_follow_from_what_the_domain_turns_out_to_be(name: str) -> None:
    one, other = (event_of(make(name), coded(4, sizes)) for sizes in (SIZES, (2, 900, 1, 5)))
    assert to_json(one) == to_json(other)


@pytest.mark.parametrize("name", PRIVATE)
def test_what_was_charged_is_drawn_once(name: str) -> None:
    model, prepaid = private_fit(name, coded())
    assert prepaid.left == ()
    assert draw(model, 20).shape == (20, len(SIZES))
    assert json.loads(canonical_json(dict(model.facts))) == dict(model.facts)


@pytest.mark.parametrize("name", [n for n in PRIVATE if SYNTHESIZERS.resolve(n).sees == "marginals"])
def test_nothing_but_noisy_figures_reaches_the_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Noise that takes no heed of what it is added to: then no value of people can reach the model, and two
    # tables that have nothing in common, not even their number of rows, must give the same one.
    def blind(values: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
        return np.random.default_rng(len(values)).integers(0, 2**30, len(values))

    def first(
        scores: NDArray[np.int64], scale: float, *, picks: int = 1, pure: bool, least: bool = False
    ) -> Any:
        return list(range(picks))

    monkeypatch.setattr(mechanisms, "gaussian", blind)
    monkeypatch.setattr(mechanisms, "laplace", blind)
    monkeypatch.setattr(mechanisms, "choose", first)
    one = coded()
    codes = np.zeros((31, len(SIZES)), dtype=np.int32, order="F")
    other = Coded(one.fields, codes, one.target)
    same(private_fit(name, one)[0], private_fit(name, other)[0])


class Leaking(Independent):
    """A broken twin: it looks at the number of rows."""

    def fit(self, coded: Coded, key: bytes, private: Private | None = None, progress: Any = None) -> Any:
        assert private is not None
        return super().fit(coded, key, replace(private, size=len(coded.codes)), progress)


def test_a_synthesizer_that_counts_the_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "Independent", Leaking)
    with pytest.raises(AssertionError):
        test_nothing_but_noisy_figures_reaches_the_model("independent", monkeypatch)
