"""The attention of a first layer: what a token asks and answers hangs on nothing but itself and its position.

However many rows there are, few pairs of a token and one before it are distinct: each is worked out once, and
a row adds up those that it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Exponentials of scores are added up as they are: 32 bits hold them where no score is farther from zero.
MOST_SCORE = 70.0


class FirstAttention:
    """What the tokens of each prefix are to its last one, kept as numbers of tokens that were met.

    Args:
        states: queries (in units of the scores), keys and values of each token, one head after another,
            shape (3, heads, size, tokens).
        turns: cosines and sines of each position, of shape (numbers, positions).
    """

    def __init__(self, states: NDArray[np.float32], turns: list[NDArray[np.float32]]) -> None:
        _, self._heads, self._size, tokens = states.shape
        # A one beside each value: with the weighted values comes the sum of the weights.
        ones = np.zeros((3, self._heads, 1, tokens), dtype=np.float32)
        ones[2] = 1
        self._states = np.concatenate([states, ones], axis=2).reshape(-1, tokens)
        self._turns = turns
        #: States of tokens at their positions; the first is of none, which adds nothing, not even a weight.
        self._met = np.zeros((1, len(self._states)), dtype=np.float32)
        self.restart()

    @property
    def most_score(self) -> float:
        """No query and key have a larger product."""
        queries, keys, _ = self._states.reshape(3, self._heads, self._size + 1, -1)
        norms = [np.sqrt((one**2).sum(axis=1)).max(axis=1) for one in (queries, keys)]
        return float((norms[0] * norms[1]).max())

    def restart(self) -> None:
        """Begin again with one prefix and nothing read."""
        self._known = 1
        #: Rows of what was met: those that all prefixes have; for each prefix the rest.
        self._shared = np.zeros(0, dtype=np.int32)
        self._own = np.zeros((1, 0), dtype=np.int32)

    def split(self, parents: NDArray[np.int64]) -> None:
        """Go on with these prefixes of those there were."""
        self._own = self._own[parents]

    def attended(
        self, tokens: NDArray[np.int64], positions: NDArray[np.int64], there: NDArray[np.bool_]
    ) -> Any:
        """Each prefix reads a token: values by the softmax of its query and all keys, its own too.

        Args:
            tokens: shape (prefixes,).
            positions: shape (prefixes,).
            there: which of them are there, and will be known later, shape (prefixes,).

        Returns:
            Shape (prefixes, width).
        """
        from sfumato.synth.language.attention import numbered

        now, first = numbered(tokens * self._turns[0].shape[1] + positions)
        new = self._meet(tokens[first], positions[first])
        own = self._own
        if len(new) == 1 and there.all():
            self._shared = np.append(self._shared, new)
        else:
            own = np.column_stack([own, new[now]])
            self._own = own.copy()
            self._own[~there, -1] = 0
        return self._answers(new, now, own)

    def _answers(self, asking: NDArray[np.int32], which: NDArray[np.int32], own: NDArray[np.int32]) -> Any:
        """What each prefix is answered, which asks as ``which`` of those that ask."""
        import torch

        from sfumato.synth.language.attention import numbered, weighted

        askers, (prefixes, places) = len(asking), own.shape
        pairs, some = numbered((which[:, None].astype(np.int64) * self._known + own).ravel())
        table = np.zeros((askers + len(some), self._met.shape[1] // 3), dtype=np.float32)
        weighted(
            self._met,
            self._heads,
            # What all share is added up for each that asks; then come the pairs that not all have.
            np.concatenate([asking.repeat(len(self._shared)), asking[which[some // max(places, 1)]]]),
            np.concatenate([np.tile(self._shared, askers), own.ravel()[some]]),
            np.concatenate([np.arange(askers).repeat(len(self._shared)), np.arange(askers, len(table))]),
            table,
        )
        found = torch.nn.functional.embedding_bag(
            torch.from_numpy(np.column_stack([which, pairs.reshape(prefixes, places) + np.int32(askers)])),
            torch.from_numpy(table),
            mode="sum",
        ).unflatten(1, (self._heads, -1))
        return (found[..., :-1] / found[..., -1:]).flatten(1)

    def _meet(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """New rows of what was met."""
        from sfumato.synth.language.attention import turn

        begin, self._known = self._known, self._known + len(tokens)
        if self._known > len(self._met):
            self._met = np.concatenate([self._met, np.zeros_like(self._met[:1]).repeat(self._known, axis=0)])
        states = self._states[:, tokens]
        turn(states[: len(states) // 3 * 2], self._size + 1, positions, *self._turns)
        self._met[begin : self._known] = states.T
        return np.arange(begin, self._known, dtype=np.int32)
