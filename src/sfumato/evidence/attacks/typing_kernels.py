"""The compiled comparison of words letter by letter; imported only when a register is read."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Letters to one slip: shorter words must be right.
LETTERS_A_SLIP = 5


@njit(cache=True)
def nearest_words(
    asked: NDArray[np.int32], ends: NDArray[np.int64], words: NDArray[np.int32], starts: NDArray[np.int64]
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """For each text the one word that is fewest slips away, -1 if there is none or more than one.

    A slip is a letter left out, added, changed, or two neighbours exchanged (Damerau 1964; optimal string
    alignment). At most one slip for each :data:`LETTERS_A_SLIP` letters of the text.

    Args:
        asked: the letters of the texts, laid flat.
        ends: where each begins, and the end, shape (texts + 1,).
        words, starts: the same of the words.
    """
    n, c = len(ends) - 1, len(starts) - 1
    found = np.full(n, -1, np.int64)
    longest = 0
    for k in range(c):
        longest = max(longest, starts[k + 1] - starts[k])
    table = np.zeros((3, longest + 1), np.int64)
    for i in range(n):
        text = asked[ends[i] : ends[i + 1]]
        least = len(text) // LETTERS_A_SLIP
        allowed, many = least, False
        if allowed == 0:
            continue
        least += 1
        for k in range(c):
            word = words[starts[k] : starts[k + 1]]
            if abs(len(word) - len(text)) > allowed:
                continue
            for b in range(len(word) + 1):
                table[0, b] = b
            for a in range(1, len(text) + 1):
                now, last, before = a % 3, (a - 1) % 3, (a - 2) % 3
                table[now, 0] = a
                for b in range(1, len(word) + 1):
                    same = text[a - 1] == word[b - 1]
                    slips = min(table[last, b] + 1, table[now, b - 1] + 1)
                    slips = min(slips, table[last, b - 1] + (0 if same else 1))
                    if a > 1 and b > 1 and text[a - 1] == word[b - 2] and text[a - 2] == word[b - 1]:
                        slips = min(slips, table[before, b - 2] + 1)
                    table[now, b] = slips
            slips = table[len(text) % 3, len(word)]
            if slips < least:
                least, found[i], many = slips, k, False
            elif slips == least:
                many = True
        if many or least > allowed:
            found[i] = -1
    return found
