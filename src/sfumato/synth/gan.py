"""The adversarial synthesizer: rows made until a critic cannot tell them from the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limits

from sfumato.contracts import Params
from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Coded, Field, Given, Private
from sfumato.synth.deep import Deep, Told, weights_of
from sfumato.synth.learning import arrays_of, load, need_deep, seeded

if TYPE_CHECKING:
    from sfumato.dp.training.trained import Progress
    from sfumato.synth.networks.gan_conditions import Conditions

_AT_ONCE = 8192
_POOL = 16_384
_HEAT = 0.5
_BETAS = (0.5, 0.9)
_AVERAGE = 0.998
#: What is added to the score of a code that the condition forbids.
_NEVER = np.float32(-1e4)
_WHAT = "learning from the critic"


class GanParams(Params):
    """How wide, how long, and how the two networks take turns."""

    hidden: int = Limits(256, ge=8, le=4096)
    """Width of the hidden layers."""
    noise: int = Limits(64, ge=1, le=1024)
    """How many normal numbers a row is made from."""
    steps: int = Limits(580, ge=1)
    """Steps of the generator; without differential privacy."""
    critic_steps: int = Limits(2, ge=1, le=100)
    """Steps of the critic for one of the generator."""
    batch: int = Limits(512, ge=1)
    """Rows in a step; without differential privacy."""
    penalty: float = Limits(10.0, ge=0)
    """Weight of the gradient penalty."""
    lr: float = Limits(5e-4, gt=0, le=1)
    """Learning rate of the generator; the critic's is twice as high."""
    private_hidden: int = Limits(64, ge=8, le=4096)
    """Width of the critic's hidden layers under differential privacy: each weight more takes its noise."""
    private_batch: int = Limits(2048, ge=1)
    """Expected rows in a step under differential privacy."""
    private_steps: int = Limits(800, ge=1)
    """Steps of the critic under differential privacy."""
    clip: float = Limits(1.0, gt=0)
    """Bound of one row's gradient under differential privacy."""


class GanModel:
    """A generator, and the conditions that it is asked with."""

    conditional: ClassVar[bool] = False

    def __init__(
        self,
        fields: Sequence[Field],
        network: Any,
        shares: NDArray[np.float64],
        shift: NDArray[np.float32],
        facts: Mapping[str, Any],
    ) -> None:
        from sfumato.synth.networks.gan_conditions import Conditions

        self._fields, self._network, self._shift, self._facts = tuple(fields), network, shift, dict(facts)
        self._shares = shares
        self._conditions = Conditions([field.size for field in fields], shares)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Counts of weights and steps."""
        return self._facts

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields); what is given is not looked at."""
        del given
        from sfumato.synth.networks.vae import spans
        from sfumato.synth.networks.vae_heads import drawn

        made = np.empty((rows, len(self._fields)), dtype=np.int32, order="F")
        every = spans([field.size for field in self._fields])
        for at in range(0, rows, _AT_ONCE):
            some = slice(at, min(rows, at + _AT_ONCE))
            scores = np.ascontiguousarray(self.scores(some.stop - at, random).T)
            for place, span in enumerate(every):
                made[some, place] = drawn(scores[span], random)
        return made

    def scores(self, rows: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Scores of all codes of made rows, shape (rows, sum of sizes)."""
        import torch

        places = self._conditions.drawn(rows, random)
        noise = random.standard_normal((rows, self._network.noise), dtype=np.float32)
        with seeded(bytes(32)), torch.no_grad():
            asked = torch.from_numpy(self._conditions.ones(places))
            found: NDArray[np.float32] = self._network(torch.from_numpy(noise), asked).numpy()
        found += self._shift
        found[self._conditions.forbidden(places)] = _NEVER
        return found

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """The generator, the shares of codes and the shift of scores; the critic is not kept."""
        arrays = {**arrays_of(self._network, "generator."), "shares": self._shares, "shift": self._shift}
        sizes = {"hidden": self._network.hidden, "noise": self._network.noise}
        return arrays, {**sizes, "facts": self._facts}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> GanModel:
        """The model that :meth:`state` is of."""
        need_deep()
        from sfumato.synth.networks.gan import Generator

        with seeded(bytes(32)):
            network = Generator([field.size for field in fields], document["hidden"], document["noise"])
        load(network, arrays, "generator.")
        return cls(fields, network, np.array(arrays["shares"]), np.array(arrays["shift"]), document["facts"])


class Gan(Deep[GanModel]):
    """A conditional Wasserstein GAN with a gradient penalty.

    Without differential privacy conditions are drawn by the logarithms of how often codes are met, and the
    critic sees real rows that meet them. With it the critic sees Poisson samples of rows, each with a
    condition of its own, and everything else sees the critic and noisy shares of codes alone. In the end the
    scores are shifted so that each field has its shares.
    """

    Params: ClassVar[type[Params]] = GanParams
    summary: ClassVar[str] = "rows that a critic cannot tell from real ones (conditional Wasserstein GAN)"

    def __init__(self, params: GanParams) -> None:
        self.params = params

    def _open(self, coded: Coded, key: bytes, progress: Told | None) -> GanModel:
        """Without differential privacy."""
        import torch

        from sfumato.synth.networks.gan import Critic, penalty
        from sfumato.synth.networks.gan_conditions import Conditions, Meeting
        from sfumato.synth.networks.vae import OneHot
        from sfumato.synth.networks.vae_heads import counts, shares

        params, sizes, met = self.params, coded.sizes, counts(coded)
        random = generator(derive(key, "conditions"))
        conditions, meeting = Conditions(sizes, np.log1p(met)), Meeting(coded.codes, met)
        one_hot = OneHot(sizes)
        with seeded(derive(key, "training")):
            made = _Making(sizes, params, conditions, random, shares(coded), params.steps)
            critic = Critic(sizes, params.hidden)
            optimizer = torch.optim.Adam(critic.parameters(), lr=2 * params.lr, betas=_BETAS)
            for step in range(params.steps):
                _slow(optimizer, 2 * params.lr, step / params.steps)
                for _ in range(params.critic_steps):
                    places = conditions.drawn(params.batch, random)
                    asked = torch.from_numpy(conditions.ones(places))
                    codes = torch.from_numpy(coded.codes[meeting.rows(places, random)])
                    real = torch.cat([one_hot(codes), asked], dim=1)
                    fake = made.rows(asked)
                    loss = critic(fake).mean() - critic(real).mean()
                    loss = loss + params.penalty * penalty(critic, real, fake)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                made.answer(critic)
                if progress is not None:
                    progress(_WHAT, step + 1, params.steps)
        facts = {"weights": made.weights, "steps": params.steps}
        return _finished(coded.fields, made.average.copy, shares(coded), facts, key)

    def _private(self, coded: Coded, key: bytes, private: Private, progress: Told | None) -> GanModel:
        """Under differential privacy: two draws, charged as one."""
        import torch

        from sfumato.dp.training.examples import Examples
        from sfumato.dp.training.modules import prepared
        from sfumato.dp.training.trained import Settings
        from sfumato.synth.networks.gan import Judge
        from sfumato.synth.networks.gan_conditions import Conditions
        from sfumato.synth.networks.gan_private import Duel, less

        params, sizes, rate = self.params, coded.sizes, self._rate(private.size)
        paid, wanted = self._shares(coded, private)
        settings = Settings(
            rate=rate,
            noise_multiplier=private.noise,
            clip=params.clip,
            steps=params.private_steps,
            delta=private.delta,
            relation=private.relation,
            unit=private.unit,
            lr=2 * params.lr,
            optimizer="adam",
            average=None,
            secure=True,
            seeded=False,
        )
        codes = torch.from_numpy(np.ascontiguousarray(coded.codes)).float()
        examples = Examples((codes, torch.zeros(len(codes))), None)
        conditions = Conditions(sizes, wanted)
        # Conditions of real rows are drawn apart, from what the training draws batches and noise from.
        with seeded(derive(key, "training")):
            random = generator(derive(key, "conditions"))
            turns = -(-params.private_steps // params.critic_steps)
            made = _Making(sizes, params, conditions, random, wanted, turns)
            critic, _ = prepared(Judge(sizes, params.private_hidden), examples.inputs)
            duel = Duel(
                settings,
                critic,
                less,
                examples,
                make=made.some,
                answer=made.answer,
                each=params.critic_steps,
                weight=params.penalty,
                optimizer=partial(_adam, lr=2 * params.lr),
                schedule=_slowed,
                views=None,
                ghost=True,
                physical_batch=None,
                seed=None,
                device="cpu",
                batch=rate * private.size,
            )
            receipt = paid.spend(settings.event, place="synthesis", delta=private.delta)
            duel.begin(None, None, receipt)
            try:
                duel.go(None if progress is None else partial(_told, progress), None)
            finally:
                duel.close()
        facts = {
            "weights": made.weights,
            "steps": params.private_steps,
            "rate": rate,
            "noise": private.noise,
        }
        return _finished(coded.fields, made.average.copy, wanted, facts, key)


class _Making:
    """The generator while it is taught; it sees critics and conditions, and no row."""

    def __init__(
        self,
        sizes: Sequence[int],
        params: GanParams,
        conditions: Conditions,
        random: np.random.Generator,
        shares: NDArray[np.float64],
        turns: int,
    ) -> None:
        import torch

        from sfumato.synth.networks.gan import Average, Generator

        self._network = Generator(sizes, params.hidden, params.noise)
        self.weights = weights_of(self._network)
        self._network.start(shares)
        self.average = Average(self._network, Generator(sizes, params.hidden, params.noise), _AVERAGE)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=params.lr, betas=_BETAS)
        self._params, self._conditions, self._random = params, conditions, random
        self._turns, self._turn = turns, 0

    def rows(self, asked: Any) -> Any:
        """Made rows with their conditions, as a critic takes them, without slope."""
        import torch

        with torch.no_grad():
            return torch.cat([self._network.made(asked, _HEAT)[0], asked], dim=1)

    def some(self, rows: int) -> Any:
        """So many made rows with their conditions."""
        return self.rows(self._asked(rows))

    def _asked(self, rows: int) -> Any:
        import torch

        return torch.from_numpy(self._conditions.ones(self._conditions.drawn(rows, self._random)))

    def answer(self, critic: Any) -> None:
        """One step against a critic, which stays as it is."""
        import torch

        _slow(self._optimizer, self._params.lr, self._turn / self._turns)
        asked = self._asked(self._params.batch)
        rows, told = self._network.made(asked, _HEAT)
        loss = told.mean() - critic(torch.cat([rows, asked], dim=1)).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self._network.parameters()))
        self._optimizer.step()
        self._turn += 1
        self.average.follow()


def _finished(
    fields: Sequence[Field],
    network: Any,
    wanted: NDArray[np.float64],
    facts: Mapping[str, Any],
    key: bytes,
) -> GanModel:
    """The model, with scores shifted to the wanted shares."""
    from sfumato.synth.networks.vae_heads import calibrated

    sizes = [field.size for field in fields]
    plain = GanModel(fields, network.eval(), wanted, np.zeros(sum(sizes), dtype=np.float32), facts)
    scores = plain.scores(_POOL, generator(derive(key, "shares")))
    shift = calibrated(lambda span: scores[:, span], sizes, wanted)
    return GanModel(fields, network, wanted, shift, facts)


def _slowed(share: float) -> float:
    """Full learning rate for the first half, and less and less after it."""
    return min(1.0, 2 * (1 - share))


def _slow(optimizer: Any, lr: float, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * _slowed(share)


def _adam(parameters: list[Any], *, lr: float) -> Any:
    import torch

    return torch.optim.Adam(parameters, lr=lr, betas=_BETAS)


def _told(progress: Told, at: Progress) -> None:
    progress(_WHAT, at.step, at.steps)
