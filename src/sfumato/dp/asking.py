"""One release of many answers: composed, charged once, then drawn, then settled."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json, sha256
from sfumato.core.errors import InputError, nearest
from sfumato.dp.answers import Answer, Answers
from sfumato.dp.calibration import Calibrated, calibrate
from sfumato.dp.contributions import bounded
from sfumato.dp.mechanisms import Law
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import MOST_ROWS, Choice, Drawn, Found, Noise, Sum
from sfumato.dp.queries.questions import Question, answer_names, question
from sfumato.engines.interchange import to_polars

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget


def ask(
    table: Any,
    queries: Sequence[Question | Mapping[str, Any]],
    *,
    budget: Budget,
    epsilon: float | None = None,
    noise: float | None = None,
    delta: float | None = None,
    subject: str | None = None,
    rows_per_subject: int | None = None,
    confidence: float = 0.95,
    by: str = "",
    why: str = "",
    place: str = "",
    fresh: bool = False,
) -> Answers:
    """Answer questions about a table under differential privacy, in one release that is charged once.

    Sensitivities follow from what is declared. With ``delta`` above zero sums get discrete Gaussian noise
    and the batch is accounted as a whole; with ``delta`` 0 discrete Laplace noise, and epsilons add up. Each
    question has a part of the noise by its weight. The columns' names and types are taken to be public.

    What was asked before of the same data in the same words is answered from the ledger, free of charge.

    Args:
        table: pandas, Polars or PyArrow table; one row for each subject, or with ``subject`` several.
        queries: questions (:mod:`sfumato.dp.queries.questions`), or mappings as a policy has them:
            ``{"query": "mean", "of": "age", "bounds": [0, 100]}``.
        budget: what is charged; its unit and relation are those of the release.
        epsilon: what the release may cost; or
        noise: its noise multiplier as a whole, noise / sensitivity of the one Gaussian (Laplace) that costs
            as much.
        delta: of the release; by default the budget's (with the filter "basic" it must be said).
        subject: the column that says whose a row is; needed if the budget's unit is the subject.
        rows_per_subject: how many rows of a subject count, drawn at random.
        confidence: of each interval by itself; it covers the noise alone.
        by, why, place: who asks, what for, and where the answers go, for the ledger.
        fresh: draw, and charge, although it was answered before.

    Raises:
        RefusedError: ``budget-spent``; nothing was drawn.
        InputError: ``usage``, ``unknown-name`` or ``column-values``, before anything was charged.

    >>> import polars as pl
    >>> from sfumato import dp
    >>> people = pl.DataFrame({"age": [20, 30, 40] * 500, "sex": ["F", "M", None] * 500})
    >>> budget = dp.Budget(1.0, 1e-6)
    >>> answers = ask(
    ...     people,
    ...     [dp.mean("age", bounds=(0, 100)), dp.histogram("sex", categories=["F", "M"])],
    ...     budget=budget,
    ...     epsilon=0.5,
    ... )
    >>> [answer.name for answer in answers]
    ['mean of age', 'histogram of sex']
    >>> answers["histogram of sex"].table["sex"].to_list()
    ['F', 'M']
    >>> answers.epsilon <= 0.5
    True
    """
    frame = to_polars(table)
    asked = [_asked(query) for query in queries]
    delta = _delta(budget) if delta is None else delta
    rows = _unit(budget, subject, rows_per_subject)
    if not 0 < confidence < 1:
        raise InputError("usage", "a confidence lies between 0 and 1", remedy="choose one such as 0.95")
    if frame.height > MOST_ROWS:
        raise InputError(
            "usage", "the table has more rows than can be summed exactly", remedy="ask about a part"
        )
    found = calibrate(asked, epsilon=epsilon, noise=noise, delta=delta, relation=budget.relation, rows=rows)
    for given, laws in zip(asked, found.laws, strict=True):
        _rehearse(frame, given, laws, rows, delta == 0, confidence)
    columns = _columns(frame, asked, subject)
    said = [{"query": given.query, **given.params.model_dump(mode="json")} for given in asked]
    terms = {
        "queries": said,
        "epsilon": epsilon,
        "noise": noise,
        "delta": delta,
        "subject": subject,
        "rows": rows,
        "confidence": confidence,
    }
    key = sha256(canonical_json({"terms": terms, "data": _digest(frame, columns)}))
    if not fresh and (before := budget.replay(key)) is not None:
        return Answers.from_document(before)
    receipt = budget.spend(
        found.event,
        place=place or f"{len(asked)} queries: {', '.join(given.name for given in asked)}"[:200],
        by=by,
        why=why,
        key=key,
        delta=delta or None,
    )
    counted = frame if subject is None else bounded(frame.select(columns), subject, rows)
    answers = _release(counted, asked, found, budget, rows, delta, confidence)
    budget.settle(receipt, answers.document())
    return answers


def _release(
    table: pl.DataFrame,
    asked: Sequence[Question],
    found: Calibrated,
    budget: Budget,
    rows: int,
    delta: float,
    confidence: float,
) -> Answers:
    """The draws; the budget was charged for each of them."""
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.events import words

    names = answer_names(asked)
    answers = []
    for place, given in enumerate(asked):
        kind = QUERIES.resolve(given.query)
        noise = Noise(kind.needs(given.params), found.laws[place], rows, delta == 0, confidence)
        cells = kind.answer(table, given.params, noise)
        alone = epsilon_of(found.events[place], delta, relation=budget.relation).epsilon
        answers.append(
            Answer(names[place], given.query, cells.table, cells.words, found.shares[place], alone)
        )
    cost = epsilon_of(found.event, delta, relation=budget.relation)
    return Answers(
        answers=tuple(answers),
        epsilon=cost.epsilon,
        delta=delta,
        replace_epsilon=cost.replace_epsilon,
        method=cost.method,
        relation=budget.relation,
        unit=budget.unit,
        rows=rows if budget.unit == "subject" else None,
        confidence=confidence,
        event=words(found.event),
    )


class _Rehearsal(Noise):
    """A run without draws or rows: what cannot be answered is refused before it is charged."""

    def add(self, at: int, sums: NDArray[np.int64]) -> Drawn:
        law = self._once(at, Sum)
        assert isinstance(law, Law)
        return Drawn(np.zeros(len(sums)), law)

    def choose(self, at: int, scores: NDArray[np.int64], *, least: bool = False) -> list[int]:
        del least
        need = self.needs[at]
        assert isinstance(need, Choice)
        return list(range(min(need.picks, len(scores))))

    def found(self, at: int, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Drawn]:
        del counts
        law = self._once(at, Found)
        assert isinstance(law, Law)
        return np.zeros(0, dtype=np.int64), Drawn(np.zeros(0), law)


def _rehearse(
    frame: pl.DataFrame,
    given: Question,
    laws: Sequence[Law | float],
    rows: int,
    pure: bool,
    confidence: float,
) -> None:
    kind = QUERIES.resolve(given.query)
    kind.answer(
        frame.clear(), given.params, _Rehearsal(kind.needs(given.params), laws, rows, pure, confidence)
    )


def _asked(query: Question | Mapping[str, Any]) -> Question:
    if isinstance(query, Question):
        return query
    given = dict(query)
    name = given.pop("query", None)
    if not isinstance(name, str):
        raise InputError("usage", "a query says which one it is", remedy='such as {"query": "count"}')
    return question(name, **given)


def _delta(budget: Budget) -> float:
    """The delta of the budget, at which its filter holds; "basic" adds up those of the releases."""
    if budget.filter == "basic" and budget.delta:
        raise InputError(
            "usage",
            "the budget adds up the deltas of its releases, and this one has none",
            where=budget.dataset,
            remedy="say delta=: a part of the budget's, or 0 for Laplace noise",
        )
    return budget.delta


def _unit(budget: Budget, subject: str | None, rows_per_subject: int | None) -> int:
    """The most rows of one unit."""
    if (budget.unit == "subject") != (subject is not None):
        raise InputError(
            "usage",
            f"the budget protects a {budget.unit}, and the question is "
            + ("without a subject" if subject is None else "by subject"),
            where=budget.dataset,
            remedy="name the subject's column" if subject is None else "declare the budget's unit as subject",
        )
    if subject is None:
        if rows_per_subject is not None:
            raise InputError("usage", "rows per subject without a subject", remedy="name its column")
        return 1
    if rows_per_subject is None or rows_per_subject < 1:
        raise InputError(
            "usage",
            "how many rows of a subject count is not declared",
            remedy="say rows_per_subject: a number that most subjects do not exceed, chosen without the data",
        )
    return rows_per_subject


def _columns(frame: pl.DataFrame, asked: Sequence[Question], subject: str | None) -> list[str]:
    reads = {name for given in asked for name in QUERIES.resolve(given.query).reads(given.params)}
    if subject is not None:
        if subject not in frame.columns:
            raise InputError(
                "unknown-name", f'there is no column "{subject}"', remedy=nearest(subject, frame.columns)
            )
        reads.add(subject)
    return sorted(reads)


def _digest(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """A digest of the rows that are asked about; it stays in the ledger, beside the answers."""
    digest = hashlib.sha256(str(frame.height).encode())
    for name in columns:
        written = io.BytesIO()
        frame.select(name).rechunk().write_ipc(written)
        digest.update(hashlib.sha256(written.getbuffer()).digest())
    return digest.hexdigest()
