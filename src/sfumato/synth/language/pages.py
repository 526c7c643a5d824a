"""Rows written out: in which tokens, in which order of columns, and which of them are to be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sfumato.synth.coded import Coded
from sfumato.synth.language import wording
from sfumato.synth.language.spelling import Spelling, Tokens
from sfumato.synth.language.tries import Trie


@dataclass(frozen=True)
class Script:
    """How a table is written: "age is 39, sex is Female, ..." in any order of columns, free texts last.

    ``leads`` are the tokens before each field's value, ``values`` those of each of its codes, ``texts`` the
    names of the free texts with the tokens before them in ``text_leads``; ``letters`` is the most of a text.
    """

    start: int
    end: int
    leads: tuple[Tokens, ...]
    values: tuple[tuple[Tokens, ...], ...]
    texts: tuple[str, ...] = ()
    text_leads: tuple[Tokens, ...] = ()
    letters: int = 0

    @classmethod
    def of(cls, coded: Coded, spelling: Spelling, letters: int) -> Script:
        """The script for coded rows, from their fields and labels."""
        names = [field.name for field in coded.fields]
        labels = coded.labels or (None,) * len(names)
        leads = spelling.ids(wording.leads([*names, *coded.texts]))
        return cls(
            spelling.start,
            spelling.end,
            tuple(leads[: len(names)]),
            tuple(
                tuple(spelling.values(wording.words(field, words)))
                for field, words in zip(coded.fields, labels, strict=True)
            ),
            tuple(coded.texts),
            tuple(leads[len(names) :]),
            letters if coded.texts else 0,
        )

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Script:
        """The script that :meth:`document` is of."""
        return cls(**{name: _frozen(value) for name, value in document.items()})

    def document(self) -> dict[str, Any]:
        """The script as JSON."""
        return asdict(self)

    @cached_property
    def tries(self) -> tuple[Trie, ...]:
        """What each field may say."""
        return tuple(Trie.of(one) for one in self.values)

    @cached_property
    def longest(self) -> int:
        """The most tokens of a row."""
        values = sum(
            len(lead) + max(len(value) for value in values)
            for lead, values in zip(self.leads, self.values, strict=True)
        )
        return 1 + values + sum(len(lead) + self.letters + 1 for lead in self.text_leads)


class Pages:
    """Codes and texts as a tensor of tokens."""

    def __init__(self, script: Script) -> None:
        import torch

        self._script = script
        pieces = [
            (lead, value)
            for lead, values in zip(script.leads, script.values, strict=True)
            for value in values
        ]
        width = max((len(lead) + len(value) for lead, value in pieces), default=0)
        self._tokens = torch.zeros((len(pieces), width), dtype=torch.int64)
        self._lead = torch.tensor([len(lead) for lead, _ in pieces], dtype=torch.int64)
        self._length = torch.tensor([len(lead) + len(value) for lead, value in pieces], dtype=torch.int64)
        for place, (lead, value) in enumerate(pieces):
            self._tokens[place, : len(lead) + len(value)] = torch.tensor(lead + value)
        self.sizes = torch.tensor([len(values) for values in script.values], dtype=torch.int64)
        self._offset = torch.cumsum(self.sizes, 0) - self.sizes

    def written(self, codes: Any, order: Any, texts: Sequence[Any] = ()) -> tuple[Any, Any, Any]:
        """Rows as tokens, all of the same length.

        Args:
            codes: shape (rows, fields).
            order: shape (rows, fields): which field stands first, second...
            texts: for each free text its tokens, shape (rows, most), -1 where there are no more.

        Returns:
            Tokens; which of them are there at all; which are to be learned: what stands before the value of a
            column is always given. Each of shape (rows, length).
        """
        import torch

        rows = len(codes)
        places = (self._offset.to(codes.device) + codes).gather(1, order).cpu()
        reach = torch.arange(self._tokens.shape[1])
        tokens = [self._tokens[places].flatten(1)]
        there = [(reach < self._length[places][..., None]).flatten(1)]
        taught = [(reach >= self._lead[places][..., None]).flatten(1)]
        for lead, text in zip(self._script.text_leads, texts, strict=True):
            before = torch.tensor([lead], dtype=torch.int64).expand(rows, -1)
            tokens += [before, text.clamp(min=0)]
            there += [torch.ones_like(before, dtype=torch.bool), text >= 0]
            taught += [torch.zeros_like(before, dtype=torch.bool), text >= 0]
        first = torch.full((rows, 1), self._script.start)
        yes, no = torch.ones((rows, 1), dtype=torch.bool), torch.zeros((rows, 1), dtype=torch.bool)
        all_tokens, all_there = torch.cat([first, *tokens], 1), torch.cat([yes, *there], 1)
        all_taught = torch.cat([no, *taught], 1) & all_there
        if not bool(all_there.all()):
            length = int(all_there.sum(1).max())
            pushed = torch.argsort((~all_there).to(torch.int8), dim=1, stable=True)[:, :length]
            all_tokens, all_there, all_taught = (
                one.gather(1, pushed) for one in (all_tokens, all_there, all_taught)
            )
        device = codes.device
        return all_tokens.to(device), all_there.to(device), all_taught.to(device)


def text_tokens(texts: Sequence[str], spelling: Spelling, letters: int) -> Any:
    """The tokens of free texts, each cut at so many letters and ended, shape (rows, most), -1 beyond."""
    import torch

    distinct = list(dict.fromkeys(texts))
    spelled = [tokens[:letters] for tokens in spelling.ids([text[:letters] for text in distinct])]
    found = {text: (*tokens, spelling.end) for text, tokens in zip(distinct, spelled, strict=True)}
    width = max((len(tokens) for tokens in found.values()), default=1)
    rows = np.full((len(texts), width), -1, dtype=np.int64)
    for place, text in enumerate(texts):
        rows[place, : len(found[text])] = found[text]
    return torch.from_numpy(rows)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list | tuple) else value
