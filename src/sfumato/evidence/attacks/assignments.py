"""Who of a class has which of its values: what the whole table says of people like each of its members.

A class of people shows its sensitive values without saying whose they are. Taken alone, each member is as
likely as any other to have each of them (*random worlds*). Over all classes, values that go with what people
are like stand out, so the members are not alike after all: by de Finetti's theorem people who are
exchangeable follow a distribution that can be learned (Kifer 2009, *Attacks on privacy and deFinetti's
theorem*, SIGMOD, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Times that the distribution is learned, and that a class's values are dealt to its members each time.
ROUNDS = 5
DEALS = 8
#: People who stand for the prior of each value's distribution.
PRIOR = 1.0

#: What the likelihoods of several columns together are raised to: this power of their number.
_DEPENDENCE = -0.25

_TINY = 1e-300


@dataclass(frozen=True)
class Members:
    """People in classes that show their values.

    ``of`` is the number of each one's class, shape (people,), in ascending order; ``contents`` how many
    of the people have each value, shape (classes, values), and adds up to the people of a class;
    ``traits`` are the codes of what is known of people, shape (people,) for each column, of ``widths`` codes.
    """

    of: NDArray[np.int64]
    contents: NDArray[np.float64]
    traits: Sequence[NDArray[np.int64]]
    widths: Sequence[int]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each class's people begin; every class has some."""
        return np.flatnonzero(np.diff(self.of, prepend=-1))

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each value in each class."""
        return np.asarray(self.contents / self.contents.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Learned:
    """What the table says of people.

    ``tables`` has for each column the logarithm of the probability of each code given the value, shape
    (codes, values); ``weights`` how much likelier each class makes each value, shape (classes, values);
    ``posterior`` the probability of each value for each member, shape (people, values).
    """

    tables: Sequence[NDArray[np.float64]]
    weights: NDArray[np.float64]
    posterior: NDArray[np.float64]

    def likelihood(self, traits: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """How well each value fits people of some traits, shape (people, values), the best of each 1."""
        return _likelihood(self.tables, traits)


def learn(members: Members, rounds: int = ROUNDS) -> Learned:
    """Expectation and maximization over who has which value, from random worlds.

    The traits are taken as independent given the value (naive Bayes, as Kifer and as Cormode 2011, *Personal
    privacy vs population privacy*, KDD). The probability that a member has a value is scaled so that the
    members have each value as often as their class shows it (Sinkhorn & Knopp 1967), which is close to the
    mean over all ways to deal the values.

    >>> two = Members(
    ...     np.array([0, 0, 1, 1]), np.array([[1.0, 1.0], [0.0, 2.0]]), [np.array([1, 0, 0, 0])], [2]
    ... )
    >>> bool(learn(two).posterior[0, 0] > 0.8)
    True
    """
    posterior = members.shares[members.of]
    for _ in range(rounds):
        tables = _tables(members, posterior)
        weights, posterior = _deal(members, _likelihood(tables, members.traits))
    return Learned(tables, weights, posterior)


def _tables(members: Members, posterior: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    tables = []
    for codes, width in zip(members.traits, members.widths, strict=True):
        order = np.argsort(codes, kind="stable")
        here, starts = np.unique(codes[order], return_index=True)
        sums = np.full((width, posterior.shape[1]), PRIOR / width)
        sums[here] += np.add.reduceat(posterior[order], starts, axis=0)
        tables.append(np.log(sums / sums.sum(axis=0)))
    return tables


def _likelihood(
    tables: Sequence[NDArray[np.float64]], traits: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    logs = np.zeros((len(traits[0]), tables[0].shape[1]))
    for table, codes in zip(tables, traits, strict=True):
        logs += table[codes]
    # Columns that go together say the same twice, of which naive Bayes is too sure.
    logs *= len(tables) ** _DEPENDENCE
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)), dtype=np.float64)


def _deal(
    members: Members, likelihood: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights of values in classes, and each member's probabilities, that give each value its people.

    The likelihood is raised to n / (n - 1) in a class of n: for likelihoods that differ little the scaled
    probabilities then are those over all ways to deal, whose covariance is so much larger; for n = 2 always.
    """
    weights, starts = members.shares, members.starts
    people = members.contents.sum(axis=1)
    likelihood = likelihood ** (people / np.maximum(people - 1, 1))[members.of][:, None]
    for _ in range(DEALS):
        found = np.add.reduceat(_normed(likelihood * weights[members.of]), starts, axis=0)
        weights = weights * members.contents / np.maximum(found, _TINY)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
    return weights, _normed(likelihood * weights[members.of])


def _normed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values / np.maximum(values.sum(axis=1, keepdims=True), _TINY), dtype=np.float64)
