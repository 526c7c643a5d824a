"""What cleaning did, as a value: counts and reasons, and nothing that a header said."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sfumato.core.values import Value


class Flagged(Value):
    """An image that somebody should look at: its new name, and the names of :data:`risks.FLAGS`."""

    file: str
    flags: tuple[str, ...]
    written: bool


class Refused(Value):
    """A file that was not cleaned: its place among the files in the order of their paths, and why.

    Its name is not here, for names of files are often names of people.
    """

    number: int
    reason: str


class Cleaned(Value):
    """The report of one cleaning; for the house, since its counts are exact.

    ``removed``, ``replaced`` and ``traced`` count elements by attribute name: taken out, given another
    value, and taken out because a name from elsewhere in the header stood in them; ``unchanged`` elements
    stayed as they were. ``without_identity``
    counts files that name no patient; each of their studies got a pseudonym of its own. ``pairs`` has
    for each written file its number in the order of paths and its new path; it is not part of the JSON.
    """

    read: int
    written: int
    patients: int
    studies: int
    options: tuple[str, ...]
    kept: tuple[str, ...]
    removed: dict[str, int]
    replaced: dict[str, int]
    traced: dict[str, int]
    unchanged: int
    flagged: tuple[Flagged, ...]
    refused: tuple[Refused, ...]
    without_identity: int
    pairs: tuple[tuple[Path, Path], ...] = Field(default=(), exclude=True, repr=False)

    @property
    def words(self) -> str:
        """The outcome in one line."""
        gone, other = sum(self.removed.values()), sum(self.replaced.values())
        before = gone + other + sum(self.traced.values()) + self.unchanged
        return (
            f"{self.written} of {self.read} files cleaned, {self.patients} patients; of {before} header"
            f" elements {gone} removed, {other} replaced, {sum(self.traced.values())} removed for a name in"
            " them, "
            f"{self.unchanged} left as they were; {len(self.flagged)} files to look at, "
            f"{len(self.refused)} refused"
        )
