"""An autoencoder of coded rows that draws: rows to a few numbers with noise, and back to each field's codes.

Kingma & Welling 2014 (arXiv 1312.6114); a softmax for each field, as in TVAE (Xu et al. 2019, arXiv
1907.00503), and a weight below one on the divergence (Higgins et al. 2017), for the aggregate of the codes is
fitted afterwards (:mod:`sfumato.synth.networks.vae_latents`; Dai & Wipf 2019, arXiv 1903.05789).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_LEAST, _MOST = -8.0, 3.0


class OneHot(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """Codes of all fields as zeros and ones, shape (rows, sum of sizes); one beyond a field is its last."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(sizes)
        self.register_buffer("last", torch.tensor(sizes) - 1, persistent=False)
        self.register_buffer("starts", torch.tensor(np.cumsum([0, *sizes[:-1]])), persistent=False)

    def forward(self, codes: Any) -> Any:
        places = torch.minimum(codes.long(), self.last) + self.starts
        return torch.zeros(len(codes), self.width, device=codes.device).scatter_(1, places, 1.0)


class Autoencoder(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """Both halves.

    Args:
        sizes: of the fields.
        hidden: width of the hidden layers.
        latent: how many numbers stand for a row.
    """

    def __init__(self, sizes: Sequence[int], hidden: int, latent: int) -> None:
        super().__init__()
        self.sizes, self.latent = tuple(sizes), latent
        self.one_hot = OneHot(sizes)
        self.encoder = nn.Sequential(
            nn.Linear(sum(sizes), hidden),
            nn.SiLU(),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * latent),
        )
        # As many ones are summed as there are fields, and not as many as there are codes.
        nn.init.normal_(self.encoder[0].weight, std=0.1)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, sum(sizes)),
        )

    def start(self, shares: NDArray[np.float64]) -> None:
        """Let every field begin with the shares of its codes, shape (sum of sizes,)."""
        with torch.no_grad():
            self.decoder[-1].bias.copy_(torch.from_numpy(np.log(shares + 1e-4)))

    def encode(self, codes: Any) -> tuple[Any, Any]:
        """Mean and logarithm of the variance of each row's numbers, each (rows, latent)."""
        mean, spread = self.encoder(self.one_hot(codes)).chunk(2, dim=1)
        return mean, spread.clamp(_LEAST, _MOST)

    def forward(self, rows: Any) -> Any:
        """Scores of all codes, means and logarithms of variances, side by side.

        Args:
            rows: shape (rows, fields + latent): codes, and standard normal noise; or codes alone, for which
                noise is drawn from PyTorch's own generator while the module is taught.
        """
        codes, noise = rows[:, : len(self.sizes)], rows[:, len(self.sizes) :]
        mean, spread = self.encode(codes)
        if not noise.shape[1]:
            noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return torch.cat([self.decoder(mean + noise * (spread / 2).exp()), mean, spread], dim=1)


def with_noise(codes: Any, latent: int, generator: Any) -> Any:
    """What :class:`Autoencoder` takes: codes, and noise drawn beside them."""
    noise = torch.randn(len(codes), latent, generator=generator)
    return torch.cat([codes.float(), noise.to(codes.device)], dim=1)


def bound(outputs: Any, codes: Any, sizes: Sequence[int], beta: float) -> Any:
    """What each row costs in nats: its codes given its numbers, and ``beta`` times their divergence."""
    scores, rest = outputs.split([sum(sizes), outputs.shape[1] - sum(sizes)], dim=1)
    mean, spread = rest.chunk(2, dim=1)
    divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1)
    told = [
        nn.functional.cross_entropy(one, codes[:, place].long(), reduction="none")
        for place, one in enumerate(scores.split(list(sizes), dim=1))
    ]
    return torch.stack(told).sum(0) + beta * divergence


def spans(sizes: Sequence[int]) -> list[slice]:
    """Where each field's codes are among all.

    >>> spans([2, 3])
    [slice(0, 2, None), slice(2, 5, None)]
    """
    ends = list(itertools.accumulate(sizes))
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
