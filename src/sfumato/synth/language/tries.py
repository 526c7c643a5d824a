"""What a column may say next: the tokens of its values as a tree in which each branch is a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.language.spelling import Tokens


@dataclass(frozen=True)
class Trie:
    """Values by their tokens; what leaves no choice is one stretch.

    ``stem`` are the tokens that all values begin with. Node ``i`` chooses among the edges ``starts[i]`` to
    ``starts[i + 1]``: each has its first token in ``firsts``, all its tokens in ``stretches`` (right-aligned,
    as many as ``lengths`` says), and in ``leads_to`` the next node, or the complement of the code that is
    whole there. ``root`` is the first node, or the complement of the only code.

    >>> trie = Trie.of([(5, 6), (5, 7, 8), (9,)])
    >>> trie.firsts.tolist(), trie.leads_to.tolist()
    ([5, 9, 6, 7], [1, -3, -1, -2])
    >>> trie.stretches.tolist(), trie.lengths.tolist()
    ([[0, 5], [0, 9], [0, 6], [7, 8]], [1, 1, 1, 2])
    """

    stem: Tokens
    root: int
    starts: NDArray[np.int64]
    firsts: NDArray[np.int64]
    stretches: NDArray[np.int64]
    lengths: NDArray[np.int64]
    leads_to: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[Tokens]) -> Trie:
        """The tree of the tokens of each code; no value may begin another."""
        stem, root, nodes = _grown(sorted((tokens, code) for code, tokens in enumerate(values)))
        edges = [edge for node in nodes for edge in node]
        width = max((len(tokens) for tokens, _ in edges), default=0)
        stretches = np.zeros((len(edges), width), dtype=np.int64)
        for place, (tokens, _) in enumerate(edges):
            stretches[place, width - len(tokens) :] = tokens
        return cls(
            stem,
            root,
            np.cumsum([0, *(len(node) for node in nodes)]),
            np.array([tokens[0] for tokens, _ in edges], dtype=np.int64),
            stretches,
            np.array([len(tokens) for tokens, _ in edges], dtype=np.int64),
            np.array([to for _, to in edges], dtype=np.int64),
        )

    @cached_property
    def asked(self) -> NDArray[np.int64]:
        """The tokens among which any node chooses."""
        return np.unique(self.firsts)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Where each edge's first token stands in ``asked``, shape (edges,)."""
        return np.searchsorted(self.asked, self.firsts)

    def towards(self, codes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which edges lead to one of some codes, shape (edges,)."""
        found = np.zeros(len(self.firsts), dtype=bool)
        # Nodes stand before those that they lead to.
        for edge in range(len(found) - 1, -1, -1):
            to = self.leads_to[edge]
            found[edge] = codes[~to] if to < 0 else found[self.starts[to] : self.starts[to + 1]].any()
        return found


_Edge = tuple[Tokens, int]


def _grown(values: list[tuple[Tokens, int]]) -> tuple[Tokens, int, list[list[_Edge]]]:
    """The stem, the root, and the edges of each node, breadth first, of sorted values."""
    shared = _shared(values, 0)
    stem = values[0][0][:shared]
    if len(values) == 1:
        return stem, ~values[0][1], []
    nodes: list[list[_Edge]] = []
    waiting = [(values, shared)]
    for some, depth in waiting:
        edges: list[_Edge] = []
        begin = 0
        for at in range(1, len(some) + 1):
            if at < len(some) and some[at][0][depth] == some[begin][0][depth]:
                continue
            branch = some[begin:at]
            until = _shared(branch, depth)
            tokens = branch[0][0][depth:until]
            if len(branch) == 1:
                edges.append((tokens, ~branch[0][1]))
            else:
                edges.append((tokens, len(waiting)))
                waiting.append((branch, until))
            begin = at
        nodes.append(edges)
    return stem, 0, nodes


def _shared(values: list[tuple[Tokens, int]], depth: int) -> int:
    """Until where sorted values are alike: first and last tell."""
    first, last = values[0][0], values[-1][0]
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth
