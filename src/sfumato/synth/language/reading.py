"""What comes next after tokens that were read: by any causal model, or quicker by a small GPT-NeoX.

Both keep the keys and values of what they have read, and read several rows at once. The prefixes of rows that
are alike so far are read once: :meth:`Reader.split` makes several of one when they part.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: The most weights of the embedding of a GPT-NeoX of which the first layer is worked out for each token.
_MOST_TABLE = 2**22


class Reader(Protocol):
    """A model on its way through prefixes, of which there is one, and nothing read, at first."""

    device: Any

    def split(self, parents: Any) -> None:
        """Go on with these prefixes of those there were, shape (prefixes,), each as often as it is named."""

    def read(self, tokens: Any, there: Any, asked: Any) -> Any:
        """What may come next, as log-probabilities up to a constant, shape (prefixes, asked).

        Args:
            tokens: what each prefix goes on with, shape (prefixes, most).
            there: which of them are there at all, or ``None`` for all. An answer is of use where the last is.
            asked: the tokens whose chances are wanted.
        """


def reader(network: Any, longest: int) -> Reader:
    """The quickest that reads for a model; ``longest`` is the most that it will read."""
    from transformers import GPTNeoXForCausalLM

    weights = network.get_input_embeddings().weight
    if (
        isinstance(network, GPTNeoXForCausalLM)
        and network.config.use_parallel_residual
        and weights.numel() <= _MOST_TABLE
        and weights.device.type == "cpu"
    ):
        return NeoX(network, longest)
    return AnyModel(network)


class AnyModel:
    """A causal model of ``transformers``."""

    def __init__(self, network: Any) -> None:
        import torch
        from transformers import DynamicCache

        self._network = network
        self.device = network.get_input_embeddings().weight.device
        self._cache = DynamicCache(config=network.config)
        self._there = torch.zeros((1, 0), dtype=torch.int64, device=self.device)

    def split(self, parents: Any) -> None:
        if self._there.shape[1]:
            self._cache.reorder_cache(parents)
        self._there = self._there[parents]

    def read(self, tokens: Any, there: Any, asked: Any) -> Any:
        import torch

        new = torch.ones_like(tokens) if there is None else there.long()
        before = self._there.sum(1, keepdim=True)
        self._there = torch.cat([self._there, new], 1)
        found = self._network(
            input_ids=tokens,
            attention_mask=self._there,
            position_ids=(before + new.cumsum(1) - 1).clamp(min=0),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return found.logits[:, -1, asked].float()


class NeoX:
    """A GPT-NeoX of few tokens on a CPU, whose layers take attention and perceptron side by side.

    Such a perceptron sees nothing but what its layer is given: in the first layer all but attention hangs on
    the token alone, and is worked out once for each. In the last layer only the last token asks. What a token
    asks and is asked by stands in columns, one for each prefix; what it becomes in rows.
    """

    def __init__(self, network: Any, longest: int) -> None:
        import torch

        config, body = network.config, network.gpt_neox
        self._head = network.get_output_embeddings().weight
        self.device = self._head.device
        self._norm, self._heads = body.final_layer_norm, config.num_attention_heads
        self._layers = [_Layer(one, self._heads) for one in body.layers]
        with torch.inference_mode():
            embedded, first = body.embed_in.weight, self._layers[0]
            self._table = first.states(first.before(embedded)).numpy()
            self._beside = first.beside(embedded)
            turns = body.rotary_emb(embedded, torch.arange(longest)[None])
        self._turns = [np.ascontiguousarray(one[0].numpy().T) for one in turns]
        self._width = config.hidden_size
        #: Of each layer the keys and, after them, values, shape (places, twice the width, prefixes).
        self._known = [np.empty((longest, 2 * self._width, 1), dtype=np.float32) for _ in self._layers]
        #: Which tokens were there at all, shape (places, prefixes).
        self._there = np.zeros((longest, 1), dtype=bool)
        self._all_there = True
        self._read = 0

    def split(self, parents: Any) -> None:
        from sfumato.synth.language.attention import picked

        chosen = parents.numpy()
        for place, old in enumerate(self._known):
            new = np.empty((*old.shape[:2], len(chosen)), dtype=np.float32)
            picked(old[: self._read].reshape(-1, old.shape[2]), chosen, new.reshape(-1, len(chosen)))
            self._known[place] = new
        self._there = self._there[:, chosen]

    def read(self, tokens: Any, there: Any, asked: Any) -> Any:
        import torch

        new = tokens.shape[1]
        self._make_room(self._read + new)
        self._there[self._read : self._read + new] = True if there is None else there.numpy().T
        self._all_there &= there is None
        for place in range(new):
            last = self._step(tokens[:, place], asks=place == new - 1)
        return torch.nn.functional.linear(self._norm(last), self._head[asked])

    def _make_room(self, places: int) -> None:
        """Where rows go on for different lengths, they take more places than any has tokens."""
        most = len(self._there)
        if places > most:
            more = max(places - most, most)
            self._there = np.concatenate([self._there, np.zeros((more, *self._there.shape[1:]), dtype=bool)])
            self._known = [
                np.concatenate([one, np.empty((more, *one.shape[1:]), dtype=np.float32)])
                for one in self._known
            ]

    def _step(self, tokens: Any, asks: bool) -> Any:
        """One token of each prefix; what it becomes after all layers, if it asks."""
        import torch

        from sfumato.synth.language import attention

        at, width = self._read, self._width
        self._read += 1
        positions = np.full(len(tokens), at)
        if not self._all_there:
            positions = np.maximum(self._there[: self._read].sum(axis=0) - 1, 0)
        state = None
        for layer, known in zip(self._layers, self._known, strict=True):
            answers = asks or layer is not self._layers[-1]
            query = np.empty((width, len(tokens)), dtype=np.float32)
            if state is None:
                attention.picked(self._table[width:], tokens.numpy(), known[at])
                if answers:
                    attention.picked(self._table[:width], tokens.numpy(), query)
                    beside = torch.nn.functional.embedding(tokens, self._beside)
            else:
                given = layer.before(state)
                layer.states(given, slice(width, None), known[at])
                if answers:
                    layer.states(given, slice(width), query)
                    beside = layer.beside(state)
            attention.turn(known[at, :width], width // self._heads, positions, *self._turns)
            if answers:
                attention.turn(query, width // self._heads, positions, *self._turns)
                state = torch.addmm(beside, self._seen(query, known[: self._read]).T, layer.dense.T)
        return state

    def _seen(self, query: NDArray[np.float32], known: NDArray[np.float32]) -> Any:
        """Attention: values by the softmax of scores, shape (width, prefixes)."""
        import torch

        from sfumato.synth.language import attention

        scores = attention.scored(query, known, self._heads)
        if not self._all_there:
            scores[np.broadcast_to(~self._there[: self._read, None], scores.shape)] = -np.inf
        shares = torch.from_numpy(scores).softmax(0).numpy()
        return torch.from_numpy(attention.mixed(shares, known))


class _Layer:
    """The weights of a layer, its queries, keys and values apart, each for all heads together."""

    def __init__(self, layer: Any, heads: int) -> None:
        import torch

        attention = layer.attention
        self.before, self._after = layer.input_layernorm, layer.post_attention_layernorm
        self._mlp = layer.mlp
        self.dense, self._bias = attention.dense.weight.detach(), attention.dense.bias
        states = attention.query_key_value
        width = self.dense.shape[0]
        bias = torch.zeros(3 * width) if states.bias is None else states.bias.detach()
        weights = torch.cat([states.weight.detach(), bias[:, None]], 1)
        weights = weights.unflatten(0, (heads, 3, -1)).transpose(0, 1).reshape(3 * width, -1)
        weights[:width] *= attention.scaling
        self._weights, self._base = weights[:, :-1].contiguous(), weights[:, -1:].contiguous()

    def states(self, before: Any, rows: slice = slice(None), into: NDArray[np.float32] | None = None) -> Any:
        """Queries, in units of the scores, keys and values, shape (3 times width, prefixes), or some rows."""
        import torch

        out = None if into is None else torch.from_numpy(into)
        return torch.addmm(self._base[rows], self._weights[rows], before.T, out=out)

    def beside(self, given: Any) -> Any:
        """What the layer makes of what it is given, but for attention, shape (prefixes, width)."""
        found = given + self._mlp(self._after(given))
        return found if self._bias is None else found + self._bias
