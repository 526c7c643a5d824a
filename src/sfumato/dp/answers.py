"""What was answered: figures with intervals, what they cost, and what both of them mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Self

import polars as pl

from sfumato.core.errors import InputError, nearest

_FIGURES = ("value", "low", "high")


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    ``table`` has a row for each figure: its labels, then ``value``, ``low``, ``high``; missing where there is
    none. ``share`` is the part of the batch's noise budget, ``epsilon`` what the answer would cost if it were
    the only one, at the batch's delta: together the answers of a batch cost less than the sum of these.
    """

    name: str
    query: str
    table: pl.DataFrame
    words: str
    share: float
    epsilon: float

    @property
    def value(self) -> float | None:
        """The figure of an answer that has one alone."""
        return self._only("value")

    @property
    def low(self) -> float | None:
        """The lower end of its interval."""
        return self._only("low")

    @property
    def high(self) -> float | None:
        """The upper end of its interval."""
        return self._only("high")

    def _only(self, column: str) -> float | None:
        if self.table.height != 1:
            raise InputError(
                "usage", f'"{self.name}" has {self.table.height} figures', remedy="read them from its table"
            )
        found: float | None = self.table[column][0]
        return found

    def cells(self) -> pl.Series:
        """The labels of each figure in one text."""
        labels = [name for name in self.table.columns if name not in _FIGURES]
        if not labels:
            return pl.Series("cell", [""] * self.table.height, dtype=pl.String)
        texts = [
            pl.format("{}={}", pl.lit(name), pl.col(name).cast(pl.String).fill_null("")) for name in labels
        ]
        return self.table.select(pl.concat_str(texts, separator=", ").alias("cell"))["cell"]


@dataclass(frozen=True)
class Answers:
    """All answers of one release, which were charged together.

    ``epsilon`` and ``delta`` are of the release as a whole, ``replace_epsilon`` where one unit's data are
    replaced, ``method`` how that was proven. ``unit`` is what they protect, ``rows`` the most rows of a
    subject that counted. ``event`` is what was charged, in words.
    """

    answers: tuple[Answer, ...]
    epsilon: float
    delta: float
    replace_epsilon: float
    method: str
    relation: str
    unit: str
    rows: int | None
    confidence: float
    event: str
    replayed: bool = False

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    def __getitem__(self, name: str | int) -> Answer:
        """An answer by its name or place.

        Raises:
            InputError: ``unknown-name``.
        """
        if isinstance(name, int):
            return self.answers[name]
        for answer in self.answers:
            if answer.name == name:
                return answer
        names = [answer.name for answer in self.answers]
        raise InputError("unknown-name", f'no answer "{name}"', remedy=nearest(name, names))

    @property
    def words(self) -> tuple[str, ...]:
        """What the figures mean, in sentences."""
        who = (
            "a row: somebody with several rows is protected less"
            if self.unit == "row"
            else f"a subject, of whom at most {self.rows} rows count, drawn at random"
        )
        return (
            f"epsilon {self.epsilon:.4g}, delta {self.delta:.3g} ({self.relation}, "
            f"{self.replace_epsilon:.4g} if a {self.unit}'s data are replaced), by {self.method}; "
            f"what is protected is {who}",
            f"each interval holds with {100 * self.confidence:g} % for itself and covers the noise alone: "
            "not who happens to be in the data, nor what bounds, rows left out and missing values change",
        )

    def to_polars(self) -> pl.DataFrame:
        """A row for each figure: name, cell, value, low, high, share, epsilon, words."""
        parts = [
            answer.table.select(
                pl.lit(answer.name).alias("name"),
                answer.cells(),
                *_FIGURES,
                pl.lit(answer.share).alias("share"),
                pl.lit(answer.epsilon).alias("epsilon"),
                pl.lit(answer.words).alias("words"),
            )
            for answer in self.answers
        ]
        return pl.concat(parts)

    def document(self) -> dict[str, Any]:
        """All of it as JSON; :meth:`from_document` reads it back."""
        return {
            "answers": [
                {
                    "name": answer.name,
                    "query": answer.query,
                    "words": answer.words,
                    "share": answer.share,
                    "epsilon": answer.epsilon,
                    "table": answer.table.to_dict(as_series=False),
                }
                for answer in self.answers
            ],
            **{name: getattr(self, name) for name in _RELEASE},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The answers that :meth:`document` wrote, as a replay."""
        answers = tuple(
            Answer(**{**answer, "table": _table(answer["table"])}) for answer in document["answers"]
        )
        release = {name: document[name] for name in _RELEASE}
        return cls(answers, **release, replayed=True)

    def as_drawn(self) -> Self:
        """The same, not called a replay: for comparing."""
        return replace(self, replayed=False)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in ("answer", "cell", *_FIGURES, "epsilon alone"))
        shown = self.to_polars().head(_SHOWN)
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(_shown(row[name]))}</td>" for name in ("name", "cell", *_FIGURES, "epsilon")
            )
            + "</tr>"
            for row in shown.iter_rows(named=True)
        )
        said = " ".join(f"{sentence}." for sentence in self.words)
        top = f"<caption>{escape(said)}</caption><thead><tr>{head}</tr></thead>"
        return f"<table>{top}<tbody>{rows}</tbody></table>"

    def __str__(self) -> str:
        shown = self.to_polars().select("name", "cell", *_FIGURES)
        lines = [
            " ".join(part for part in (row[0], f"[{row[1]}]" if row[1] else "") if part)
            + f": {_shown(row[2])}"
            + ("" if row[3] is None else f" ({_shown(row[3])} to {_shown(row[4])})")
            for row in shown.head(_SHOWN).iter_rows()
        ]
        more = [f"... {shown.height - _SHOWN} more figures"] if shown.height > _SHOWN else []
        return "\n".join([*lines, *more, *self.words])


#: Figures that are shown; the table has them all.
_SHOWN = 200

_RELEASE = (
    "epsilon",
    "delta",
    "replace_epsilon",
    "method",
    "relation",
    "unit",
    "rows",
    "confidence",
    "event",
)


def _table(columns: Mapping[str, list[Any]]) -> pl.DataFrame:
    types = dict.fromkeys(_FIGURES, pl.Float64)
    return pl.DataFrame(columns, schema_overrides=types)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
