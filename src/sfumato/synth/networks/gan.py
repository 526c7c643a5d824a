"""Two networks against each other: one makes rows, the other tells by how much they are not the real ones.

Wasserstein distance with a gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028); a condition for each
row, chosen so that rare codes are met as well (Xu et al. 2019, arXiv 1907.00503); codes are drawn with Gumbel
noise and the slope of their probabilities (Jang, Gu & Poole 2017, arXiv 1611.01144).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from sfumato.synth.networks.vae import OneHot


class Generator(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """Scores of all codes from normal numbers and a condition.

    Args:
        sizes: of the fields.
        hidden: width of the hidden layers.
        noise: how many normal numbers a row is made from.
    """

    def __init__(self, sizes: Sequence[int], hidden: int, noise: int) -> None:
        super().__init__()
        self.sizes, self.hidden, self.noise = list(sizes), hidden, noise
        width = sum(sizes)
        self.first = nn.Linear(noise + width, hidden)
        self.second = nn.Linear(noise + width + hidden, hidden)
        self.last = nn.Linear(noise + width + 2 * hidden, width)
        self.norms = nn.ModuleList([nn.LayerNorm(hidden), nn.LayerNorm(hidden)])
        nn.init.normal_(self.last.weight, std=0.05)

    def start(self, shares: Any) -> None:
        """Let every field begin with the shares of its codes, shape (sum of sizes,)."""
        with torch.no_grad():
            self.last.bias.copy_(torch.log(torch.as_tensor(shares) + 1e-4))

    def forward(self, noise: Any, condition: Any) -> Any:
        given = torch.cat([noise, condition], dim=1)
        given = torch.cat([given, torch.relu(self.norms[0](self.first(given)))], dim=1)
        given = torch.cat([given, torch.relu(self.norms[1](self.second(given)))], dim=1)
        return self.last(given)

    def made(self, condition: Any, heat: float) -> tuple[Any, Any]:
        """Rows as zeros and ones, with the slope of probabilities of that heat; and each row's loss.

        The loss is that of the code in the condition, in nats.
        """
        scores = self(torch.randn(len(condition), self.noise), condition)
        rows, told = [], []
        for one, wanted in zip(scores.split(self.sizes, 1), condition.split(self.sizes, 1), strict=True):
            rows.append(nn.functional.gumbel_softmax(one, tau=heat, hard=True))
            told.append(-(wanted * torch.log_softmax(one, dim=1)).sum(1))
        return torch.cat(rows, dim=1), torch.stack(told).sum(0)


class Critic(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """One number for each row: the higher, the more like the real ones. No layer mixes rows."""

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * sum(sizes), hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, rows: Any) -> Any:
        """Shape (rows,), of rows as zeros and ones with their conditions beside them."""
        return self.layers(rows)[:, 0]


class Judge(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """A critic of codes: while it is taught, each row's condition is one of its own codes, drawn."""

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.one_hot, self.critic = OneHot(sizes), Critic(sizes, hidden)
        self.free = free_fields(sizes)

    def forward(self, codes: Any) -> Any:
        rows = self.one_hot(codes)
        field = torch.zeros(len(rows), dtype=torch.long)
        if self.training:
            field = self.free[torch.randint(len(self.free), (len(rows),))]
        first = self.one_hot.starts[field]
        place = first + torch.minimum(codes.long(), self.one_hot.last).gather(1, field[:, None])[:, 0]
        return self.critic(torch.cat([rows, torch.zeros_like(rows).scatter_(1, place[:, None], 1.0)], dim=1))


def free_fields(sizes: Sequence[int]) -> Any:
    """Places of the fields with more than one code; of the first if there is none."""
    return torch.tensor([place for place, size in enumerate(sizes) if size > 1] or [0])


def penalty(critic: Any, real: Any, made: Any) -> Any:
    """How far the critic's slope is from one, somewhere between each real row and the made one beside it."""
    return _off(critic, torch.lerp(made, real, torch.rand(len(real), 1))).square().mean()


def penalty_of_made(critic: Any, made: Any) -> Any:
    """How far the critic's slope at made rows is above one: of no real row."""
    return torch.relu(_off(critic, made)).square().mean()


def _off(critic: Any, rows: Any) -> Any:
    rows = rows.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(rows).sum(), rows, create_graph=True)
    return slope.norm(dim=1) - 1


class Average:
    """A copy of a module that follows it slowly (Yazıcı et al. 2019, arXiv 1806.04498)."""

    def __init__(self, module: Any, copy: Any, decay: float) -> None:
        self._module, self.copy, self._decay, self._at = module, copy, decay, 0
        copy.load_state_dict(module.state_dict())

    def follow(self) -> None:
        """After a step of the module."""
        decay = min(self._decay, (1 + self._at) / (10 + self._at))
        self._at += 1
        with torch.no_grad():
            for kept, now in zip(self.copy.parameters(), self._module.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
