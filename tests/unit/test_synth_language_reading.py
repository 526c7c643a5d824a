"""What readers say comes next is what the model says, asked for each row alone and from the start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.synth.language import weights
from sfumato.synth.language.attention import numbered
from sfumato.synth.language.pairs import MOST_SCORE, FirstAttention
from sfumato.synth.language.reading import AnyModel, NeoX, Reader, reader
from sfumato.synth.language.writing import Writer

SIZE = 23


def neox(width: int, layers: int, heads: int) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(width)
        network = weights.fresh(SIZE, width, layers, heads).eval()
        with torch.no_grad():  # Fresh ones are so small that all tokens are as likely.
            for one in network.parameters():
                one.add_(0.2 * torch.randn_like(one))
    return network


def gpt2() -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=SIZE, n_positions=64, n_embd=24, n_layer=2, n_head=2, initializer_range=0.4)
        ).eval()


NETWORKS = {
    "one layer": lambda: neox(16, 1, 2),
    "three layers": lambda: neox(24, 3, 3),
    "no turns": lambda: neox(8, 2, 4),
    "another model": gpt2,
}


def plainly(network: Any, tokens: list[int]) -> Any:
    """The logits after one row, without anything kept."""
    import torch

    with torch.no_grad():
        return network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].numpy()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Any:
    return NETWORKS[request.param]()


def test_the_small_model_has_the_quick_reader() -> None:
    assert isinstance(reader(neox(16, 1, 2), 9), NeoX)
    assert isinstance(reader(gpt2(), 9), AnyModel)
    beside_each_other = neox(16, 1, 2)
    beside_each_other.config.use_parallel_residual = False
    assert isinstance(reader(beside_each_other, 9), AnyModel)


def test_a_model_whose_scores_are_too_large_for_sums_of_exponentials_is_read_plainly() -> None:
    import torch

    network = neox(16, 1, 2)
    with torch.no_grad():
        network.gpt_neox.layers[0].attention.query_key_value.weight.mul_(40)
    assert isinstance(reader(network, 64), AnyModel)
    walk(network, reader(network, 64), False, 0)


def test_large_scores_are_read_quickly_as_long_as_they_can_be() -> None:
    """Rows whose largest scores lie far from each other."""
    import torch

    network = neox(16, 1, 2)
    scale = (0.99 * MOST_SCORE / NeoX(network, 64).most_score) ** 0.5
    with torch.no_grad():
        projected = network.gpt_neox.layers[0].attention.query_key_value
        for one in (projected.weight, projected.bias):
            one.unflatten(0, (2, 3, -1))[:, :2].mul_(scale)
    assert isinstance(reader(network, 64), NeoX)
    walk(network, reader(network, 64), False, 0)


@pytest.mark.parametrize("ragged", [False, True])
def test_chances_are_those_of_the_model_step_by_step(network: Any, ragged: bool) -> None:
    """Rows that begin alike, part, and go on for a different number of tokens, or not at all."""
    walk(network, reader(network, 64), ragged, 0)


def test_a_reader_begins_again_with_nothing_read(network: Any) -> None:
    """Also where fewer prefixes than before are in its room."""
    model = reader(network, 28)
    for seed in range(3):
        walk(network, model, seed == 0, seed)


def walk(network: Any, model: Reader, ragged: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    stretches = random.integers(3, SIZE, (5, 3))
    lengths = np.array([1, 3, 2, 1, 3]) if ragged else np.full(5, 2)
    rows, asked = 40, np.array([1, 4, 5, 9, 22])
    writer = Writer(model, 0, rows)
    written = [[0] for _ in range(rows)]
    shared = []
    for step in range(6):
        writer.all_say((step + 1, step + 2))
        which = random.integers(-1 if ragged else 0, 2 if step < 3 else 5, rows)
        for row in range(rows):
            written[row] += [step + 1, step + 2]
        if step:
            writer.say(stretches, lengths, which)
            for row, one in enumerate(which):
                written[row] += stretches[one, 3 - lengths[one] :].tolist() if one >= 0 else []
        found = writer.ask(asked)[writer.prefix]
        shared.append(len(set(writer.prefix)))
        for row in range(rows):
            if step and which[row] < 0:
                continue
            assert np.allclose(found[row], plainly(network, written[row])[asked], atol=2e-4)
    assert shared[0] == 1 and shared[1] <= 3 and shared[-1] == rows


def test_rows_that_wait_part_before_they_are_read(network: Any) -> None:
    """Several values told at once, as those that are given are."""
    stretches, lengths = np.array([[3], [4]]), np.ones(2, dtype=np.int64)
    writer = Writer(reader(network, 64), 0, 12)
    first, second = np.arange(12) % 2, np.arange(12) // 6
    writer.say(stretches, lengths, first)
    writer.all_say((7,))
    writer.say(stretches, lengths, second)
    found = writer.ask(np.arange(SIZE))
    assert len(found) == 4
    for row in range(12):
        tokens = [0, int(stretches[first[row], 0]), 7, int(stretches[second[row], 0])]
        assert np.allclose(found[writer.prefix[row]], plainly(network, tokens), atol=2e-4)


def test_rows_that_wait_for_each_other_have_room(network: Any) -> None:
    """Tokens that come one after another but never in the same row take more places than a row is long."""
    stretches, lengths = np.array([[0, 0, 3], [4, 5, 6]]), np.array([1, 3])
    model, first = reader(network, 5), np.array([0, 1])
    for _ in range(2):
        writer = Writer(model, 0, 2)
        for which in (first, 1 - first):
            writer.say(stretches, lengths, which)
            found = writer.ask(np.arange(SIZE))
        for row, tokens in enumerate(([0, 3, 4, 5, 6], [0, 4, 5, 6, 3])):
            assert np.allclose(found[writer.prefix[row]], plainly(network, tokens), atol=2e-4)


def test_a_reader_that_takes_rows_for_others_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NeoX, "split", lambda self, parents, split=NeoX.split: split(self, parents.flip(0)))
    with pytest.raises(AssertionError):
        test_chances_are_those_of_the_model_step_by_step(neox(24, 3, 3), False)


def test_pairs_of_a_first_layer_that_are_taken_for_others_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        FirstAttention, "split", lambda self, parents: setattr(self, "_own", self._own[parents * 0])
    )
    with pytest.raises(AssertionError):
        test_chances_are_those_of_the_model_step_by_step(neox(24, 3, 3), False)


@pytest.mark.parametrize("distinct", [1, 7, 5000, 2**40])
def test_keys_are_numbered_as_they_come(distinct: int) -> None:
    keys = np.random.default_rng(0).integers(0, distinct, 3000)
    numbers, firsts = numbered(keys)
    met: dict[int, int] = {}
    assert numbers.tolist() == [met.setdefault(key, len(met)) for key in keys.tolist()]
    assert firsts.tolist() == [keys.tolist().index(key) for key in met]
    assert [len(one) for one in numbered(keys[:0])] == [0, 0]


def test_tokens_are_drawn_by_their_chances_and_none_that_is_forbidden() -> None:
    """Fails by chance with probability 1e-6."""
    from scipy.stats import chisquare

    from sfumato.synth.language.writing import _drawn

    chances = np.array([[0.5, 0.0], [0.0, 0.1], [0.3, 0.9], [0.2, 0.0]])
    with np.errstate(divide="ignore"):
        logits = (np.log(chances) + np.array([900, -900])).astype(np.float32)
    which = np.repeat([0, 1], 30_000)
    drawn = _drawn(logits, which, np.random.default_rng(0).random(len(which)))
    for column in (0, 1):
        counts, there = np.bincount(drawn[which == column], minlength=4), chances[:, column] > 0
        assert counts[~there].sum() == 0
        assert chisquare(counts[there], chances[there, column] * 30_000).pvalue > 1e-6
    ends = _drawn(logits, np.array([0, 1]), np.array([1.0, 1.0]))
    assert ends.tolist() == [3, 2]
