"""What comes next after tokens that were read: by any causal model, or quicker by a small GPT-NeoX.

Both keep the keys and values of what they have read, and read several rows at once. The prefixes of rows that
are alike so far are read once: :meth:`Reader.split` makes several of one when they part.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.language.pairs import MOST_SCORE, FirstAttention

#: The most weights of the embedding of a GPT-NeoX of which the first layer is worked out for each token.
_MOST_TABLE = 2**22


class Reader(Protocol):
    """A model on its way through prefixes, of which there is one, and nothing read, at first."""

    device: Any

    def restart(self) -> None:
        """Begin again with one prefix and nothing read."""

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
        quick = NeoX(network, longest)
        if quick.most_score <= MOST_SCORE:
            return quick
    return AnyModel(network)


class AnyModel:
    """A causal model of ``transformers``."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.device = network.get_input_embeddings().weight.device
        self.restart()

    def restart(self) -> None:
        import torch
        from transformers import DynamicCache

        self._cache = DynamicCache(config=self._network.config)
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

    Such a perceptron sees nothing but what its layer is given: in the first layer it hangs on the token alone
    and attention on pairs of tokens, and each is worked out once. In the last layer only the last token asks.
    All numbers stand in columns, one for each prefix. Norms differ in their weights alone, which are put into
    the weights of what follows; biases are the weights of a one at the end of each column.
    """

    def __init__(self, network: Any, longest: int) -> None:
        import torch

        config, body = network.config, network.gpt_neox
        head = network.get_output_embeddings()
        self.device = head.weight.device
        self._width, self._heads = config.hidden_size, config.num_attention_heads
        self._least = config.layer_norm_eps
        with torch.inference_mode():
            first, *self._layers = [_Layer(one, self._heads) for one in body.layers]
            self._head = _after(body.final_layer_norm, head)
            embedded = body.embed_in.weight.T.contiguous()
            turns = body.rotary_emb(embedded, torch.arange(longest)[None])
            self._turns = [np.ascontiguousarray(one[0].numpy().T) for one in turns]
            given = self._normed(embedded)
            self._first = FirstAttention(first.states(given).numpy(), self._turns)
            self._dense, bias = first.dense[:, :-1].contiguous(), first.dense[:, -1:]
            first.add_beside(given, embedded)
            self._beside = (embedded + bias).numpy()
        self.most_score = self._first.most_score
        self._longest = longest
        #: Memory of :attr:`_known` before and after a split; it is kept, for new memory costs time.
        self._rooms = [[np.empty(0, dtype=np.float32) for _ in self._layers] for _ in range(2)]
        self.restart()

    def restart(self) -> None:
        self._first.restart()
        #: Of each layer but the first the keys and, after them, values, shape (places, twice the width,
        #: prefixes).
        self._known = [self._room(layer, 1) for layer in range(len(self._layers))]
        #: Which tokens were there at all, shape (places, prefixes).
        self._there = np.zeros((self._longest, 1), dtype=bool)
        self._all_there = True
        self._read = 0

    def split(self, parents: Any) -> None:
        from sfumato.synth.language.attention import picked

        chosen = parents.numpy()
        self._rooms.reverse()
        for layer, old in enumerate(self._known):
            new = self._room(layer, len(chosen))
            picked(old[: self._read].reshape(-1, old.shape[2]), chosen, new.reshape(-1, len(chosen)))
            self._known[layer] = new
        self._first.split(chosen)
        self._there = self._there[:, chosen]

    def _room(self, layer: int, prefixes: int) -> NDArray[np.float32]:
        """What a layer knows, with nothing in it, in the first of the rooms."""
        shape = (self._longest, 2 * self._width, prefixes)
        if self._rooms[0][layer].size < np.prod(shape):
            self._rooms[0][layer] = np.empty(np.prod(shape), dtype=np.float32)
        return self._rooms[0][layer][: np.prod(shape)].reshape(shape)

    def read(self, tokens: Any, there: Any, asked: Any) -> Any:
        import torch

        new = tokens.shape[1]
        self._make_room(self._read + new)
        self._there[self._read : self._read + new] = True if there is None else there.numpy().T
        self._all_there &= there is None
        said = np.ascontiguousarray(tokens.numpy().T)
        for place in range(new):
            last = self._step(said[place], asks=place == new - 1)
        return torch.mm(self._head[asked], self._normed(last)).T

    def _make_room(self, places: int) -> None:
        """Where rows go on for different lengths, they take more places than any has tokens."""
        most = self._longest
        if places > most:
            self._longest = most + max(places - most, most)
            there = np.zeros((self._longest - most, self._there.shape[1]), dtype=bool)
            self._there = np.concatenate([self._there, there])
            self._rooms.reverse()
            for layer, old in enumerate(self._known):
                self._known[layer] = self._room(layer, old.shape[2])
                self._known[layer][:most] = old

    def _normed(self, state: Any) -> Any:
        import torch

        from sfumato.synth.language.attention import normed

        found = np.empty((len(state) + 1, state.shape[1]), dtype=np.float32)
        normed(state.numpy(), self._least, found)
        return torch.from_numpy(found)

    def _step(self, tokens: NDArray[np.int64], asks: bool) -> Any:
        """One token of each prefix; what it becomes after all layers, if it asks."""
        import torch

        from sfumato.synth.language.attention import attended, picked, turn

        at, width = self._read, self._width
        self._read += 1
        positions = np.full(len(tokens), at)
        there = self._there[:0] if self._all_there else self._there[: self._read]
        if not self._all_there:
            positions = np.maximum(there.sum(axis=0) - 1, 0)
        size = width // self._heads
        state = torch.empty((width, len(tokens)))
        picked(self._beside, tokens, state.numpy())
        state.addmm_(self._dense, self._first.attended(tokens, positions, self._there[at]).T)
        for layer, known in zip(self._layers, self._known, strict=True):
            given = self._normed(state)
            layer.keys(given, known[at])
            turn(known[at, :width], size, positions, *self._turns)
            if asks or layer is not self._layers[-1]:
                query = np.empty((width + 1, len(tokens)), dtype=np.float32)
                layer.queries(given, query[:width])
                turn(query[:width], size, positions, *self._turns)
                attended(query, known[: self._read], there, self._heads)
                query[width] = 1
                layer.add_beside(given, state)
                state.addmm_(layer.dense, torch.from_numpy(query))
        return state


class _Layer:
    """The weights of a layer, its queries, keys and values apart, each for all heads together."""

    def __init__(self, layer: Any, heads: int) -> None:
        import torch

        attention, mlp = layer.attention, layer.mlp
        width = attention.dense.weight.shape[0]
        states = _after(layer.input_layernorm, attention.query_key_value)
        states = states.unflatten(0, (heads, 3, -1)).transpose(0, 1)
        states[0] *= attention.scaling
        self._heads = heads
        self._queries, self._keys = states[0].flatten(0, 1), states[1:].flatten(0, 2)
        self._inner, self._act = _after(layer.post_attention_layernorm, mlp.dense_h_to_4h), mlp.act
        self._outer = mlp.dense_4h_to_h.weight
        bias = sum(
            torch.zeros(width) if one.bias is None else one.bias
            for one in (attention.dense, mlp.dense_4h_to_h)
        )
        #: The weights of attention, and all that is added besides.
        self.dense = torch.cat([attention.dense.weight, bias[:, None]], 1)

    def states(self, given: Any) -> Any:
        """Queries, keys and values of each head, shape (3, heads, size, prefixes)."""
        import torch

        return torch.mm(torch.cat([self._queries, self._keys]), given).unflatten(0, (3, self._heads, -1))

    def keys(self, given: Any, into: NDArray[np.float32]) -> None:
        """Keys and, after them, values, shape (twice the width, prefixes)."""
        _product(self._keys, given, into)

    def queries(self, given: Any, into: NDArray[np.float32]) -> None:
        """Queries, in units of the scores, shape (width, prefixes)."""
        _product(self._queries, given, into)

    def add_beside(self, given: Any, state: Any) -> None:
        """Add what the layer makes of what it is given, but for attention."""
        import torch

        state.addmm_(self._outer, self._act(torch.mm(self._inner, given)))


def _product(weights: Any, given: Any, into: NDArray[np.float32]) -> None:
    import torch

    torch.mm(weights, given, out=torch.from_numpy(into))


def _after(norm: Any, linear: Any) -> Any:
    """The weights of a linear layer and, in the last column, its bias, for numbers normed without weights."""
    import torch

    bias = linear.weight @ norm.bias
    if linear.bias is not None:
        bias = bias + linear.bias
    return torch.cat([linear.weight * norm.weight, bias[:, None]], 1)
