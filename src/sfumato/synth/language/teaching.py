"""A language model is taught a table's rows: plainly, or under differential privacy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sfumato.synth.language.pages import Pages

_MOST_TOKENS = 2**16


def row_losses(network: Any, pages: Pages, codes: Any, order: Any, texts: Sequence[Any] = ()) -> Any:
    """The negative log-likelihood of each row in an order of its columns, in nats, shape (rows,)."""
    import torch

    tokens, there, taught = pages.written(codes, order, texts)
    if not torch.is_grad_enabled():
        most = max(1, _MOST_TOKENS // tokens.shape[1])
        parts = zip(tokens.split(most), there.split(most), taught.split(most), strict=True)
        return torch.cat([_of_tokens(network, *part) for part in parts])
    return _of_tokens(network, tokens, there, taught)


def _of_tokens(network: Any, tokens: Any, there: Any, taught: Any) -> Any:
    import torch

    # What is asked at each place is the token after it; where no row is to learn one, nothing is asked.
    keep = taught[:, 1:].any(0).nonzero()[:, 0]
    if not len(keep):
        return network.get_input_embeddings()(tokens[:, :1]).sum((1, 2)) * 0.0
    # One row of places for each row: Opacus takes the number of rows from the first dimension.
    positions = (there.cumsum(1) - 1).clamp(min=0)
    logits = network(
        input_ids=tokens,
        attention_mask=None if bool(there.all()) else there.long(),
        position_ids=positions,
        use_cache=False,
        logits_to_keep=keep,
    ).logits
    wanted = tokens[:, keep + 1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    return (losses * taught[:, keep + 1]).sum(1)


def scored(network: Any, pages: Pages) -> Any:
    """A module from the codes of rows to their losses: each row in an order of its own while it learns."""
    import torch

    class Scored(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, codes: Any) -> Any:
            inside = torch.minimum(codes, (pages.sizes - 1).to(codes.device))
            order = orders(len(codes), codes.shape[1]) if self.training else _columns(codes)
            return row_losses(self.network, pages, inside, order.to(codes.device))

    return Scored()


def orders(rows: int, fields: int, generator: Any = None) -> Any:
    """An order of the fields for each row, each as likely as any other, shape (rows, fields)."""
    import torch

    return torch.rand((rows, fields), generator=generator).argsort(1)


def _columns(codes: Any) -> Any:
    import torch

    return torch.arange(codes.shape[1]).expand(len(codes), -1)
