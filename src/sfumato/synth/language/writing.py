"""Rows are written token by token, each among those that can still become a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.coded import Given
from sfumato.synth.language.pages import Script
from sfumato.synth.language.reading import Reader, reader
from sfumato.synth.language.spelling import Tokens
from sfumato.synth.language.tries import Trie

#: What the keys and values of rows written at once may take, in bytes; the most of such rows; and the
#: candidates for one row where only some codes are allowed.
_CACHE = 2**28
_MOST_ROWS = 2048
_CANDIDATES = 4
#: Rows are read for themselves once there are more prefixes than this share of them.
_ALIKE = 0.75


class Writer:
    """Some rows on their way: what was written, and what the model says comes next.

    Rows that are alike so far are one prefix, read once, until nearly each has a prefix of its own.
    ``prefix`` says for each row which is its.
    """

    def __init__(self, model: Reader, start: int, rows: int) -> None:
        self.rows = rows
        self.prefix = np.zeros(rows, dtype=np.int64)
        self._reader = model
        self._reader.restart()
        self._alike, self._parted = True, False
        #: The prefix at the last question of each that there is now.
        self._parents = np.zeros(1, dtype=np.int64)
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        self.all_say((start,))

    def all_say(self, tokens: Tokens) -> None:
        """All rows go on with the same tokens."""
        said = np.array([tokens], dtype=np.int64)
        self._waiting.append((said, np.ones_like(said, dtype=bool)))

    def say(self, stretches: NDArray[np.int64], lengths: NDArray[np.int64], which: NDArray[np.int64]) -> None:
        """Each row goes on with one of the stretches, right-aligned, of so many tokens; with none for -1."""
        if self._alike:
            self._part(which, len(stretches))
        if not self._alike:
            chosen = which
        else:
            chosen = np.empty(len(self._parents), dtype=np.int64)
            chosen[self.prefix] = which
        most = np.where(chosen < 0, 0, lengths[chosen])
        width = int(most.max(initial=0))
        there = np.arange(width) >= width - most[:, None]
        self._waiting.append((stretches[chosen, stretches.shape[1] - width :], there))

    def ask(self, asked: NDArray[np.int64]) -> NDArray[np.float32]:
        """Which of some tokens may come next, as log-probabilities up to a constant, shape (prefixes, asked).

        They are of use for rows that went on last.
        """
        import torch

        device = self._reader.device
        prefixes = len(self._parents)
        tokens, there = (
            np.concatenate([np.broadcast_to(one, (prefixes, one.shape[1])) for one in part], 1)
            for part in zip(*self._waiting, strict=True)
        )
        self._waiting = []
        with torch.inference_mode():
            if self._parted:
                self._reader.split(torch.from_numpy(self._parents).to(device))
            found = self._reader.read(
                torch.from_numpy(tokens).to(device),
                None if there.all() else torch.from_numpy(there).to(device),
                torch.from_numpy(asked).to(device),
            )
        self._parents = np.arange(prefixes)
        self._parted = False
        logits: NDArray[np.float32] = found.cpu().numpy()
        return logits

    def _part(self, which: NDArray[np.int64], most: int) -> None:
        """Prefixes become those of rows that go on alike."""
        _, first, prefix = np.unique(
            self.prefix * (most + 1) + which + 1, return_index=True, return_inverse=True
        )
        if len(first) > _ALIKE * self.rows:
            self._alike = False
            first, prefix = np.arange(self.rows), np.arange(self.rows)
        parents = self.prefix[first]
        self.prefix = prefix
        if np.array_equal(parents, np.arange(len(self._parents))):
            return
        self._waiting = [
            (said if len(said) == 1 else said[parents], there if len(there) == 1 else there[parents])
            for said, there in self._waiting
        ]
        self._parents = self._parents[parents]
        self._parted = True


def at_once(network: Any, longest: int) -> int:
    """How many rows to write at once, so that their keys and values fit."""
    config = network.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    wide = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row = 2 * 4 * config.num_hidden_layers * heads * wide * longest
    return int(np.clip(_CACHE // row, 8, _MOST_ROWS))


def codes(
    network: Any, script: Script, rows: int, random: np.random.Generator, given: Given, temperature: float
) -> NDArray[np.int32]:
    """Codes of new rows, shape (rows, fields).

    What is fixed is written first, then the fields of which only some codes are allowed, then the rest in an
    order drawn for each lot of rows. Where only some codes are allowed, each row has four candidates. One of
    them stays, by the share that the model gave to what was allowed: nearly as if rows had been written
    freely and those that do not fit thrown away.
    """
    fixed = {place: one for place, one in given.items() if one.dtype != np.bool_}
    tries = {place: trie for place, trie in enumerate(script.tries) if place not in fixed}
    limited = {
        place: tries[place].towards(one.astype(np.bool_))
        for place, one in given.items()
        if place not in fixed
    }
    more = _CANDIDATES if limited else 1
    most = max(1, at_once(network, script.longest) // more)
    made = np.empty((rows, len(script.values)), dtype=np.int32, order="F")
    model = reader(network, script.longest)
    for begin in range(0, rows, most):
        end = min(begin + most, rows)
        free = [place for place in tries if place not in limited]
        order = [*limited, *(free[at] for at in random.permutation(len(free)))]
        writer = Writer(model, script.start, (end - begin) * more)
        lot = np.zeros((writer.rows, len(script.values)), dtype=np.int32)
        for place, wanted in fixed.items():
            lot[:, place] = np.repeat(wanted[begin:end], more)
            _tell(writer, script, place, lot[:, place])
        weights = np.zeros(writer.rows)
        for place in order:
            writer.all_say(script.leads[place])
            lot[:, place], shares = _write(writer, tries[place], limited.get(place), random, temperature)
            weights += shares
        made[begin:end] = lot if more == 1 else lot[_stay(weights, more, random)]
    return made


def texts(
    network: Any,
    script: Script,
    known: NDArray[np.int32],
    letters: NDArray[np.int64],
    random: np.random.Generator,
    temperature: float,
) -> list[list[list[int]]]:
    """The tokens of each free text, for rows whose codes are known: [text][row]."""
    found: list[list[list[int]]] = [[] for _ in script.texts]
    most = at_once(network, script.longest)
    model = reader(network, script.longest)
    for begin in range(0, len(known), most):
        lot = known[begin : begin + most]
        writer = Writer(model, script.start, len(lot))
        for place in random.permutation(lot.shape[1]):
            _tell(writer, script, place, lot[:, place])
        for text, lead in enumerate(script.text_leads):
            writer.all_say(lead)
            found[text] += _write_text(writer, script, letters, random, temperature)
    return found


def _tell(writer: Writer, script: Script, place: int, wanted: NDArray[np.int32]) -> None:
    """Each row says the value that its code stands for."""
    writer.all_say(script.leads[place])
    values, where = np.unique(wanted, return_inverse=True)
    chosen = [script.values[place][code] for code in values]
    width = max(len(tokens) for tokens in chosen)
    table = np.zeros((len(chosen), width), dtype=np.int64)
    for row, tokens in enumerate(chosen):
        table[row, width - len(tokens) :] = tokens
    writer.say(table, np.array([len(tokens) for tokens in chosen]), where)


def _write(
    writer: Writer,
    trie: Trie,
    allowed: NDArray[np.bool_] | None,
    random: np.random.Generator,
    temperature: float,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """A value for each row: its codes, and the logarithm of the share that allowed edges had among all."""
    shares = np.zeros(writer.rows)
    writer.all_say(trie.stem)
    at = np.full(writer.rows, trie.root, dtype=np.int64)
    while (at >= 0).any():
        logits = writer.ask(trie.asked).T / np.float32(temperature)
        uniform = random.random(writer.rows)
        edges = np.full(writer.rows, -1, dtype=np.int64)
        for node in np.flatnonzero(np.bincount(at[at >= 0])):
            rows = np.flatnonzero(at == node)
            begin, end = trie.starts[node], trie.starts[node + 1]
            # Rows of one prefix stand at one node.
            here = np.zeros(logits.shape[1], dtype=bool)
            here[writer.prefix[rows]] = True
            which = (np.cumsum(here) - 1)[writer.prefix[rows]]
            some = logits[trie.places[begin:end]]
            if not here.all():
                some = some[:, here]
            if allowed is not None:
                every = _log_sum(some)
                some[~allowed[begin:end]] = -np.inf
                shares[rows] += (_log_sum(some) - every)[which]
            edges[rows] = begin + _drawn(some, which, uniform[rows])
        writer.say(trie.stretches, trie.lengths, edges)
        at = np.where(edges >= 0, trie.leads_to[edges], at)
    return (~at).astype(np.int32), shares


def _write_text(
    writer: Writer,
    script: Script,
    letters: NDArray[np.int64],
    random: np.random.Generator,
    temperature: float,
) -> list[list[int]]:
    """The tokens of a free text for each row, without the last that ends it."""
    may = np.append(np.flatnonzero(letters), script.end)
    found: list[list[int]] = [[] for _ in range(writer.rows)]
    left = np.full(writer.rows, script.letters)
    going = np.ones(writer.rows, dtype=bool)
    ones = np.ones(len(may), dtype=np.int64)
    while going.any():
        logits = writer.ask(may).T[:, writer.prefix] / np.float32(temperature)
        # A token that is longer than what is left cannot be written; the end always can.
        logits[letters[may][:, None] > left] = -np.inf
        drawn = _drawn(logits, np.arange(writer.rows), random.random(writer.rows))
        writer.say(may[:, None], ones, np.where(going, drawn, -1))
        tokens = may[drawn]
        left = left - np.where(going, letters[tokens], 0)
        going &= tokens != script.end
        for row in np.flatnonzero(going):
            found[row].append(int(tokens[row]))
    return found


def _drawn(
    logits: NDArray[np.float32], which: NDArray[np.int64], uniform: NDArray[np.float64]
) -> NDArray[np.int64]:
    """For each of ``which`` columns of logits one of the rows, by their softmax."""
    from sfumato.synth.language.attention import chosen

    drawn: NDArray[np.int64] = chosen(np.exp(logits - logits.max(axis=0)), which, uniform)
    return drawn


def _log_sum(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    most = logits.max(axis=0)
    total: NDArray[np.float64] = most + np.log(np.exp(logits.astype(np.float64) - most).sum(axis=0))
    return total


def _stay(weights: NDArray[np.float64], more: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Which of each row's candidates stays, by its weight."""
    lots = weights.reshape(-1, more)
    best = (lots + random.gumbel(size=lots.shape)).argmax(axis=1)
    stays: NDArray[np.int64] = np.arange(len(lots)) * more + best
    return stays


def checked(given: Given, sizes: Sequence[int], rows: int) -> None:
    """Refuse what cannot be given."""
    from sfumato.core.errors import InputError

    for place, one in given.items():
        limited = one.dtype == np.bool_
        fits = one.shape == ((sizes[place],) if limited else (rows,))
        if not fits or (limited and not one.any()):
            raise InputError("usage", "what is given must be a code for each row, or which codes are allowed")
        if not limited and rows and not (int(one.min()) >= 0 and int(one.max()) < sizes[place]):
            raise InputError("usage", "a code is given that its field does not have")
