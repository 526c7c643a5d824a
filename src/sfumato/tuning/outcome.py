"""What a search came to, as a value: for the terminal, the page, JSON and Python alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sfumato.core.values import Value
from sfumato.tuning.aims import Aims
from sfumato.tuning.confirm import Confirmed
from sfumato.tuning.frontier import Obstacle
from sfumato.tuning.study import Trial

_STANDING = {
    "risk": {
        "better": "less risk",
        "worse": "more risk",
        "no difference told": "no difference in risk that can be told",
        "mixed": "less of one risk, more of another",
    },
    "use": {
        "better": "more use",
        "worse": "less use",
        "no difference told": "no difference in use that can be told",
        "mixed": "more of one use, less of another",
    },
}


class Kept(Value):
    """A policy on the frontier; ``file`` is set where it was confirmed and written, and ``plain`` says
    that no other one looks better in everything, noise apart."""

    trial: int
    differs: tuple[str, ...]
    plain: bool
    file: str | None = None
    confirmed: Confirmed | None = None


class Tuned(Value):
    """A whole search.

    ``people`` are the rows of the search and of the confirmation. ``frontier`` has the least risk first,
    ``best`` is the trial to take: the first in the order of preference that holds on the people set aside
    too; None if there is none, and then ``missed`` says what comes nearest and what it breaks.
    ``release_from`` is where the people of the release are, if others were searched.
    ``own`` is the given policy on the people set aside. ``exhausted`` says that everything was tried.
    """

    dataset: str
    aims: Aims
    people: tuple[int, int]
    splits: int
    trials: tuple[Trial, ...]
    differs: tuple[tuple[str, ...], ...]
    frontier: tuple[Kept, ...]
    best: int | None
    own: Confirmed | None
    why: tuple[Obstacle, ...] = ()
    missed: int | None = None
    missing: tuple[str, ...] = ()
    exhausted: bool = False
    folder: str | None = None
    release_from: str | None = None

    @property
    def winner(self) -> Kept | None:
        """The best policy."""
        return next((kept for kept in self.frontier if kept.trial == self.best), None)

    @property
    def standing(self) -> str:
        """How the best policy stands to the given one on the people set aside, beyond noise, in words."""
        winner = self.winner
        if winner is None or winner.confirmed is None or not winner.confirmed.gains or not winner.differs:
            return ""
        words = []
        for side, told in _STANDING.items():
            gains = zip(self.aims.aims, winner.confirmed.gains, strict=True)
            found = {gain.word for aim, gain in gains if aim.side == side} & {"better", "worse"}
            words.append(told["mixed" if len(found) > 1 else found.pop() if found else "no difference told"])
        return " and ".join(words)

    @property
    def shown(self) -> tuple[Kept, ...]:
        """The frontier without those that only noise keeps on it."""
        return tuple(kept for kept in self.frontier if kept.plain or kept.file is not None)

    @property
    def confirmed(self) -> tuple[Kept, ...]:
        """Those that were measured again, in the order of their files."""
        found = (kept for kept in self.frontier if kept.confirmed is not None)
        return tuple(sorted(found, key=lambda kept: kept.file or ""))

    def policy(self) -> Path:
        """The file of the best policy.

        Raises:
            LookupError: there is none.
        """
        winner = self.winner
        if winner is None or winner.file is None or self.folder is None:
            raise LookupError("no policy that was tried holds everything that must hold")
        return Path(self.folder) / winner.file

    def document(self) -> dict[str, Any]:
        """The outcome as the JSON document of ``tune --json``, without digests of rows."""
        document = self.model_dump(mode="json")
        for trial in document["trials"]:
            del trial["rows"]
        return document

    def _repr_html_(self) -> str:
        from html import escape

        from sfumato.release.words import title, value_words

        heads = "".join(f"<th>{escape(title(aim.metric))}</th>" for aim in self.aims.aims)
        rows = ""
        for kept in self.shown:
            trial = self.trials[kept.trial]
            values = "".join(
                f"<td>{escape(value_words(trial.value(aim.metric, aim.target), aim.unit))}</td>"
                for aim in self.aims.aims
            )
            words = ", ".join(kept.differs) or "the policy as it is"
            rows += f"<tr><td>{escape(kept.file or '')}</td>{values}<td>{escape(words)}</td></tr>"
        return (
            f"<table><caption>The frontier of {escape(self.dataset)}</caption>"
            f"<thead><tr><th>policy</th>{heads}<th>differs</th></tr></thead><tbody>{rows}</tbody></table>"
        )
