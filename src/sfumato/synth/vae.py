"""The variational autoencoder: rows from a few numbers drawn as those of many people lie together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limits

from sfumato.contracts import Params
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Coded, Field, Given, Private
from sfumato.synth.deep import Deep, Told, weights_of
from sfumato.synth.learning import Plan, arrays_of, learn, load, need_deep, seeded

if TYPE_CHECKING:
    from sfumato.dp.training.trained import Progress
    from sfumato.synth.networks.vae_latents import Mixture

_AT_ONCE = 8192
#: And made: their scores are near at hand while codes are drawn.
_MADE_AT_ONCE = 2048
#: Made rows among which those with what is given are looked for.
_POOL = 16_384
_FEWEST_STEPS = 600


class VaeParams(Params):
    """How wide, how long, how close."""

    hidden: int = Limits(256, ge=8, le=4096)
    """Width of the hidden layers."""
    latent: int = Limits(16, ge=1, le=128)
    """How many numbers stand for a row."""
    beta: float = Limits(0.3, gt=0, le=4)
    """Weight of the divergence from the prior, without differential privacy: less follows rows closer."""
    components: int = Limits(64, ge=1, le=1000)
    """Parts of the mixture that is fitted to the latent numbers, at most; without differential privacy."""
    epochs: int = Limits(25, ge=1, le=10_000)
    """Times that each row is seen, at most, but more where rows are few; without differential privacy."""
    batch: int = Limits(512, ge=1)
    """Rows in a step, at most; without differential privacy."""
    lr: float = Limits(3e-3, gt=0, le=1)
    """Learning rate."""
    private_beta: float = Limits(0.1, gt=0, le=4)
    """As ``beta``, under differential privacy: there rows are made from the prior."""
    private_hidden: int = Limits(96, ge=8, le=4096)
    """As ``hidden``, under differential privacy: each weight more takes its noise."""
    private_latent: int = Limits(8, ge=1, le=128)
    """As ``latent``, under differential privacy."""
    private_batch: int = Limits(2048, ge=1)
    """Expected rows in a step under differential privacy."""
    private_steps: int = Limits(600, ge=1)
    """Steps under differential privacy."""
    private_lr: float = Limits(5e-3, gt=0, le=1)
    """Learning rate under differential privacy."""
    clip: float = Limits(1.0, gt=0)
    """Bound of one row's gradient under differential privacy."""


class VaeModel:
    """A decoder, and the mixture that its input is drawn from."""

    conditional: ClassVar[bool] = True

    def __init__(
        self,
        fields: Sequence[Field],
        network: Any,
        mixture: Mixture,
        shift: NDArray[np.float32],
        facts: Mapping[str, Any],
    ) -> None:
        self._fields, self._network, self._mixture, self._shift = tuple(fields), network, mixture, shift
        self._facts = dict(facts)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Counts of weights and parts, and how far they were fitted."""
        return self._facts

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields).

        Where something is given, the latent numbers are chosen among many by how probable it is under them
        (sampling importance resampling: Rubin 1988), and the other fields follow.

        Raises:
            InputError: ``usage``: of a field no code is allowed.
        """
        import torch

        made = np.empty((rows, len(self._fields)), dtype=np.int32, order="F")
        _check(given)
        with seeded(bytes(32)), torch.no_grad():
            # Each lot with something given looks among many of its own.
            lot = _AT_ONCE if given else _MADE_AT_ONCE
            for at in range(0, rows, lot):
                some = slice(at, min(rows, at + lot))
                wanted = {place: one if one.dtype == np.bool_ else one[some] for place, one in given.items()}
                self._make(made[some], random, wanted)
        return made

    def _make(self, made: NDArray[np.int32], random: np.random.Generator, given: Given) -> None:
        from sfumato.synth.networks.vae import spans
        from sfumato.synth.networks.vae_heads import drawn

        rows = len(made)
        latents = self._chosen(rows, random, given) if given else self._mixture.sample(rows, random)
        scores = self._outputs(latents)
        for place, span in enumerate(spans([field.size for field in self._fields])):
            wanted = given.get(place)
            if wanted is None or wanted.dtype == np.bool_:
                made[:, place] = drawn(scores[span], random, wanted)  # type: ignore[arg-type]
            else:
                made[:, place] = wanted

    def _chosen(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.float64]:
        """Latent numbers for rows with what is given."""
        pool = self._mixture.sample(_POOL, random)
        scores = self.scores(pool)
        fixed = [place for place, one in given.items() if one.dtype != np.bool_]
        base = np.zeros(_POOL)
        logs = {}
        for place, span in self._spans(given):
            log = scores[:, span] - np.logaddexp.reduce(scores[:, span], axis=1, keepdims=True)
            if place in fixed:
                logs[place] = log
            else:
                base += np.logaddexp.reduce(log[:, given[place]], axis=1)
        if not fixed:
            return pool[_resampled(base, random.random(rows))]
        codes = np.column_stack([given[place] for place in fixed])
        alike, which = np.unique(codes, axis=0, return_inverse=True)
        draws, found = random.random(rows), np.empty(rows, dtype=np.int64)
        order = np.argsort(which.ravel(), kind="stable")
        for one, members in zip(
            alike, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]), strict=True
        ):
            weight = base + sum(logs[place][:, code] for place, code in zip(fixed, one, strict=True))
            found[members] = _resampled(weight, draws[members])
        return pool[found]

    def _spans(self, given: Given) -> Iterator[tuple[int, slice]]:
        from sfumato.synth.networks.vae import spans

        every = spans([field.size for field in self._fields])
        return ((place, every[place]) for place in given)

    def scores(self, latents: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scores of all codes, shape (rows, sum of sizes)."""
        import torch

        with seeded(bytes(32)), torch.no_grad():
            return self._outputs(latents).T

    def _outputs(self, latents: NDArray[np.float64]) -> NDArray[np.float32]:
        """The same, rows side by side."""
        import torch

        decoder = self._network.decoder
        hidden, last = decoder[:-1](torch.from_numpy(latents).float()), decoder[-1]
        bias = last.bias + torch.from_numpy(self._shift)
        found: NDArray[np.float32] = torch.addmm(bias[:, None], last.weight, hidden.T).numpy()
        return found

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """The decoder, the mixture and the shift of scores; the encoder is not kept."""
        arrays = {
            **arrays_of(self._network.decoder, "decoder."),
            "weights": self._mixture.weights,
            "means": self._mixture.means,
            "factors": self._mixture.factors,
            "shift": self._shift,
        }
        width = self._network.decoder[0].out_features
        return arrays, {"hidden": width, "latent": self._network.latent, "facts": self._facts}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> VaeModel:
        """The model that :meth:`state` is of."""
        need_deep()
        from sfumato.synth.networks.vae import Autoencoder
        from sfumato.synth.networks.vae_latents import Mixture

        with seeded(bytes(32)):
            network = Autoencoder([field.size for field in fields], document["hidden"], document["latent"])
        load(network.decoder, arrays, "decoder.")
        mixture = Mixture(*(np.array(arrays[name]) for name in ("weights", "means", "factors")))
        return cls(fields, network, mixture, np.array(arrays["shift"]), document["facts"])


class Vae(Deep[VaeModel]):
    """A variational autoencoder with a softmax for each field.

    Without differential privacy a mixture of Gaussians is fitted to the latent numbers of all rows, and rows
    are made from it; with it they are made from the prior. In the end the scores are shifted so that each
    field has its shares: those of the rows, or noisy ones that were charged together with the training.
    """

    Params: ClassVar[type[Params]] = VaeParams
    summary: ClassVar[str] = "rows through a few numbers and back (variational autoencoder)"

    def __init__(self, params: VaeParams) -> None:
        self.params = params

    def _open(self, coded: Coded, key: bytes, progress: Told | None) -> VaeModel:
        """Without differential privacy."""
        import torch

        from sfumato.synth.networks.vae import Autoencoder, bound, with_noise
        from sfumato.synth.networks.vae_heads import shares
        from sfumato.synth.networks.vae_latents import Mixture

        params, sizes, wanted = self.params, coded.sizes, shares(coded)
        with seeded(derive(key, "weights")):
            network = Autoencoder(sizes, params.hidden, params.latent)
        network.start(wanted)
        codes = torch.from_numpy(np.ascontiguousarray(coded.codes))

        def loss(module: Any, batch: tuple[Any, ...], random: Any) -> Any:
            return bound(module(with_noise(batch[0], params.latent, random)), batch[0], sizes, params.beta)

        learned = learn(
            network, (codes,), loss, self._plan(len(codes)), derive(key, "training"), progress=progress,
            what="learning the autoencoder",
        )  # fmt: skip
        latents = _encoded(network, codes, generator(derive(key, "latents")))
        mixture = Mixture.fit(latents, params.components, generator(derive(key, "mixture")))
        facts = {
            "weights": weights_of(network),
            "components": len(mixture.weights),
            "epochs": learned.epochs,
            "loss": learned.loss,
            "loss_held_out": learned.validation,
        }
        return _finished(coded.fields, network, mixture, wanted, facts, key)

    def _plan(self, rows: int) -> Plan:
        batch = max(1, min(self.params.batch, max(32, rows // 40)))
        epochs = max(self.params.epochs, min(200, _FEWEST_STEPS // math.ceil(rows / batch)))
        return Plan(epochs=epochs, batch=batch, lr=self.params.lr, patience=max(5, epochs // 5))

    def _private(self, coded: Coded, key: bytes, private: Private, progress: Told | None) -> VaeModel:
        """Under differential privacy: two draws, charged as one."""
        import torch

        from sfumato.dp.training.train import train
        from sfumato.synth.networks.vae import Autoencoder, bound
        from sfumato.synth.networks.vae_latents import Mixture

        params, sizes = self.params, coded.sizes
        paid, wanted = self._shares(coded, private)
        with seeded(derive(key, "weights")):
            network = Autoencoder(sizes, params.private_hidden, params.private_latent)
        network.start(wanted)
        codes = torch.from_numpy(np.ascontiguousarray(coded.codes))
        # The latent noise of rows is drawn apart, from what the training draws batches and noise from.
        with seeded(derive(key, "training")):
            trained = train(
                network,
                (codes.float(), codes.long()),
                loss=lambda outputs, targets: bound(outputs, targets, sizes, params.private_beta),
                budget=paid,
                delta=private.delta,
                noise_multiplier=private.noise,
                batch=min(params.private_batch, private.size),
                steps=params.private_steps,
                size=private.size,
                clip=params.clip,
                lr=params.private_lr,
                optimizer="adam",
                schedule=_falling,
                ghost=private.unit == "row",
                average=0.99,
                subject=None if private.unit == "row" else range(len(codes)),
                device="cpu",
                place="synthesis",
                watch=None if progress is None else partial(_told, progress),
            )
        facts = {
            "weights": weights_of(trained.module),
            "components": 1,
            "steps": trained.steps,
            "rate": trained.rate,
            "noise": private.noise,
        }
        mixture = Mixture.standard(params.private_latent)
        return _finished(coded.fields, trained.module, mixture, wanted, facts, key)


def _told(progress: Told, at: Progress) -> None:
    progress("learning the autoencoder", at.step, at.steps)


def _falling(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def _encoded(network: Any, codes: Any, random: np.random.Generator) -> NDArray[np.float64]:
    """The rows' latent numbers, drawn, shape (rows, latent)."""
    import torch

    found = np.empty((len(codes), network.latent))
    with seeded(bytes(32)), torch.no_grad():
        for at in range(0, len(codes), _AT_ONCE):
            mean, spread = (one.double().numpy() for one in network.encode(codes[at : at + _AT_ONCE]))
            found[at : at + _AT_ONCE] = mean + random.standard_normal(mean.shape) * np.exp(spread / 2)
    return found


def _finished(
    fields: Sequence[Field],
    network: Any,
    mixture: Mixture,
    wanted: NDArray[np.float64],
    facts: Mapping[str, Any],
    key: bytes,
) -> VaeModel:
    """The model, with scores shifted to the wanted shares."""
    from sfumato.synth.networks.vae_heads import calibrated

    sizes = [field.size for field in fields]
    plain = VaeModel(fields, network, mixture, np.zeros(sum(sizes), dtype=np.float32), facts)
    latents = mixture.sample(_POOL, generator(derive(key, "shares")))
    scores = plain.scores(latents)
    shift = calibrated(lambda span: scores[:, span], sizes, wanted)
    return VaeModel(fields, network, mixture, shift, facts)


def _resampled(weights: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places drawn by the exponentials of weights, one for each uniform draw."""
    sums = np.cumsum(np.exp(weights - weights.max()))
    found: NDArray[np.int64] = np.searchsorted(sums, draws * (1 - 1e-12) * sums[-1], side="right")
    return found


def _check(given: Given) -> None:
    for one in given.values():
        if one.dtype == np.bool_ and not one.any():
            raise InputError("usage", "of a field no value is allowed")
