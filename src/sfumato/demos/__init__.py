"""Demos on real data: one file each, and a policy written for people to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.core.registry import Registry

if TYPE_CHECKING:
    from sfumato.demos.hospital import ImageOutcome
    from sfumato.pipeline.outcome import Outcome, Watch

FIRST, HOSPITAL = "alcohol", "hospital"
#: A demo of a table or a log prepares data and policy for the pipeline; images walk their own way.
DEMOS = Registry(
    "demo",
    {
        FIRST: "sfumato.demos.alcohol:prepare",
        HOSPITAL: "sfumato.demos.hospital:walk",
        "shop": "sfumato.demos.shop:prepare",
    },
)


def folder_of(name: str) -> Path:
    """Where a demo goes unless somebody says where: each has a folder of its own."""
    return Path("demo" if name == FIRST else f"demo-{name}")


def run_demo(name: str, folder: Path, watch: Watch, images: Path | None = None) -> Outcome | ImageOutcome:
    """Prepare a demo's data and policy in a folder and walk the whole way there.

    Args:
        images: the caller's own images, for the hospital's demo.

    Raises:
        InputError: there is no such demo, it takes no images, or the folder cannot be written.
    """
    from sfumato.core.errors import InputError
    from sfumato.pipeline.snapshot import Snapshot
    from sfumato.pipeline.verbs import run
    from sfumato.policy.load import load_policy
    from sfumato.project import Project
    from sfumato.project.project import FOLDER

    prepare = DEMOS.resolve(name)
    if name == HOSPITAL:
        walked: ImageOutcome = prepare(folder, watch, images)
        return walked
    if images is not None:
        raise InputError(
            "usage", f"the demo {name} takes no images", remedy="sfumato demo hospital --images DIR"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        policy = prepare(folder)
    except OSError as error:
        raise InputError(
            "output-failed",
            f"cannot be written ({type(error).__name__})",
            where=str(folder),
            remedy="choose another",
        ) from None
    loaded = load_policy(policy)
    snapshot = Snapshot.open(loaded.policy, loaded.folder, Project.open(folder / FOLDER))
    return run(loaded, snapshot, folder, watch)
