"""Choosing under differential privacy: by looking at people who are not in the release.

Which policy is chosen hangs on figures that are measured on people, and those are not noised. The theorems of
private selection (Liu & Talwar 2019; Papernot & Steinke 2022) ask that the score is a part of the private
run, so none of them covers it. What can be shown is simpler: of a source with none of the released people in
it, whatever is chosen tells nothing of them, and the release costs what its own policy says.
"""

from __future__ import annotations

from sfumato.core.errors import InputError
from sfumato.pipeline.snapshot import UNIT, Snapshot
from sfumato.policy.load import LoadedPolicy


def refuse_uncharged(loaded: LoadedPolicy, snapshot: Snapshot, release_from: str | None) -> None:
    """Refuse to choose by the people of a release that promises differential privacy.

    Args:
        release_from: the source of the release, relative to the policy, if it is not the one searched.

    Raises:
        InputError: ``event-unsupported`` without another source; ``usage`` if it has some of the same
            people, or nothing says who they are; from reading it.
    """
    synthesis = loaded.policy.synthesis
    if release_from is None:
        if synthesis is not None and synthesis.dp is not None:
            raise InputError(
                "event-unsupported",
                "the policy promises differential privacy, and what it costs to choose by figures measured on"
                " the same people cannot be proven",
                where="synthesis.dp",
                remedy="search a source of other people, and name the source of the release in the file of "
                "--space: release_from: PATH",
            )
        return
    dataset = loaded.policy.dataset
    if dataset.subject is None and dataset.key is None:
        raise InputError(
            "usage",
            "nothing says who is who, so nobody can tell whether people of the release are searched",
            where="release_from",
            remedy="name the column that does: dataset.key",
        )
    source = dataset.source.model_copy(update={"path": release_from})
    other = loaded.policy.model_copy(update={"dataset": dataset.model_copy(update={"source": source})})
    released = Snapshot.open(other, loaded.folder, snapshot.project)
    if shares_people(snapshot, released):
        raise InputError(
            "usage",
            "it has people of the source that is searched",
            where=f"release_from: {release_from}",
            remedy="search other people, or leave these out of the release",
        )


def shares_people(one: Snapshot, other: Snapshot) -> bool:
    """Whether anybody is in both sources, by key or subject."""
    people = [snapshot.frame.select(UNIT).unique() for snapshot in (one, other)]
    return people[0].join(people[1], on=UNIT, how="semi").head(1).collect(engine="streaming").height > 0
