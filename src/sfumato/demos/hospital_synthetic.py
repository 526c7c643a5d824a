"""The hospital's synthetic validation set: images that are nobody's, to try the released model on.

A generator learns from the same patients as the model, under differential privacy, within a declared share
of the same budget. What it makes is judged by images of patients who were held out; those figures are exact,
and stay in the house. What is told of the set follows from the two private releases alone.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.demos.hospital_images import Images

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.dp.training.recipes import ImageClassifier
    from sfumato.pipeline.outcome import Watch
    from sfumato.synth.images import ImageModel

#: The generator's part of the budget of these images.
EPSILON = 2.0
PACKED = "synthetic-images.zip"
FOLDER, SHEET, README = "synthetic", "synthetic-contact-sheet.png", "README.md"
LABELS = "synthetic-classes.csv"
_EACH, _COLUMNS, _JUDGED = 20, 10, 1000
#: More copies than this, beyond those that chance makes, hold the set back.
_MOST_COPIES = 0.01


@dataclass(frozen=True)
class Synthetic:
    """The set that was made; ``folder`` is None if it was held back. ``findings`` are exact, for the house.

    ``agrees`` is the share of made images that the released model names as they were meant: both are private,
    and this costs nothing.
    """

    folder: Path | None
    images: int
    epsilon: float
    delta: float
    agrees: float
    findings: tuple[Finding, ...]
    reasons: tuple[str, ...]

    def packed(self) -> dict[str, bytes]:
        """The set as one file of the release, by its name; nothing if it was held back."""
        if self.folder is None:
            return {}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(self.folder.iterdir()):
                # The time of day is not a part of what was made.
                packed.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
        return {PACKED: buffer.getvalue()}

    def summary(self) -> dict[str, Any]:
        """For the house, as JSON."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "images": self.images,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "model_agrees": self.agrees,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "held_back": list(self.reasons),
        }

    def told(self) -> list[str]:
        """The same in lines for people."""
        said = {one.metric: one for one in self.findings if one.target in ("release", "pixels")}
        copies, accuracy = said["images.copies"], said["images.classifier_accuracy"]
        lines = [
            f"Synthetic validation set: {self.images} images, epsilon {self.epsilon:.3g} of the same budget;"
            f" the model names {self.agrees:.0%} of them as they were meant."
        ]
        if copies.value is not None and accuracy.value is not None and accuracy.before is not None:
            lines.append(
                f"  For the house: copies of scans {copies.value:.1%} (among real images held out"
                f" {copies.control or 0:.1%}); a classifier taught by made images is right on"
                f" {accuracy.value:.0%} of real ones held out, taught by real ones on {accuracy.before:.0%}."
            )
        lines += [f"  held back: {reason}" for reason in self.reasons]
        return lines if self.folder is None else [*lines, f"  {self.folder}"]


def make_synthetic(
    folder: Path,
    found: Images,
    inside: NDArray[np.bool_],
    model: ImageClassifier,
    budget: Budget,
    *,
    size: int,
    delta: float,
    key: bytes,
    by: str,
    watch: Watch,
) -> Synthetic:
    """Learn a generator from those inside, judge what it makes, and write a labelled set if it may leave.

    Args:
        folder: gets ``synthetic/``: PNG files, ``labels.csv``, a contact sheet, ``README.md``.
        inside: whose images the model was trained on, shape (n,).
        budget: charged, of the unit that these images have.
        size: about how many patients (or images) are inside, as everybody may know it.
        key: 32 bytes.

    Raises:
        RefusedError: the budget is spent.
    """
    from sfumato.synth.images import fit

    names = np.array(found.patients or np.arange(len(found.labels)))
    generator = fit(
        found.pixels[inside],
        found.labels[inside],
        method="kernel",
        classes=len(found.classes),
        levels=found.levels,
        budget=budget,
        epsilon=EPSILON,
        delta=delta,
        size=size,
        subject=None if found.patients is None else list(names[inside]),
        key=derive(key, "synthetic"),
        place="generator of a synthetic validation set",
        by=by,
        why="images to try the model on, where none can be given",
        progress=lambda what, done, of: watch.within(what, done, of),
    )
    findings = _judged(found, inside, names, generator, key)
    labels = np.repeat(np.arange(len(found.classes)), _EACH)
    made = generator.sample(len(labels), label=labels.tolist(), key=derive(key, "validation set"))
    agrees = float((model.predict(made.images) == labels).mean())
    reasons = _held_back(findings)
    place = None if reasons else folder / FOLDER
    if place is not None:
        _write(place, made.images, labels, found, generator, agrees)
    return Synthetic(
        folder=place,
        images=len(labels),
        epsilon=generator.facts["epsilon"],
        delta=delta,
        agrees=agrees,
        findings=findings,
        reasons=reasons,
    )


def _judged(
    found: Images, inside: NDArray[np.bool_], names: NDArray[Any], generator: ImageModel, key: bytes
) -> tuple[Finding, ...]:
    from sfumato.evidence.images.judging import judge_images
    from sfumato.evidence.images.pictures import Pictures

    def some(part: NDArray[np.bool_]) -> Pictures:
        return Pictures.of_levels(
            found.pixels[part], found.labels[part], levels=found.levels, subject=list(names[part])
        )

    made = generator.sample(_JUDGED, key=derive(key, "judged"))
    return tuple(
        judge_images(
            Pictures.of_levels(made.images, made.labels, levels=found.levels),
            some(inside),
            some(~inside),
            key=derive(key, "judging"),
            classes=len(found.classes),
        )
    )


def _held_back(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Why the set may not leave; nothing if it may."""
    reasons = []
    for one in findings:
        if one.metric == "images.copies":
            most = max(_MOST_COPIES, one.control or 0.0)
            if one.high is None or one.high > most:
                reasons.append(f"too many copies of scans, or none could be looked for ({one.target})")
        if one.metric == "images.classifier_accuracy" and (
            one.low is None or one.baseline is None or one.low <= one.baseline
        ):
            reasons.append("what the set teaches is no better than guessing")
    return tuple(reasons)


def _write(
    place: Path,
    images: NDArray[Any],
    labels: NDArray[np.int64],
    found: Images,
    generator: ImageModel,
    agrees: float,
) -> None:
    """The folder, whole or not at all."""
    from sfumato.synth.images.png import grey, png, sheet

    levels = grey(images, found.levels)
    place.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".synthetic-", dir=place.parent))
    try:
        lines = ["file,label"]
        for number, (image, label) in enumerate(zip(levels, labels, strict=True)):
            name = f"synthetic-{number:05}.png"
            (staged / name).write_bytes(png(image))
            lines.append(f"{name},{found.classes[label]}")
        (staged / LABELS).write_text("\n".join(lines) + "\n")
        shown = np.concatenate([np.flatnonzero(labels == kind)[:_COLUMNS] for kind in np.unique(labels)])
        (staged / SHEET).write_bytes(sheet(levels[shown], _COLUMNS))
        (staged / README).write_text(_readme(found, generator, len(labels), agrees))
        staged.chmod(0o755)
        staged.rename(place)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def _readme(found: Images, generator: ImageModel, count: int, agrees: float) -> str:
    facts = generator.facts
    parts = [
        "# Synthetic images",
        f"These {count} images are synthetic: none was taken of anybody. They were made by a generator that"
        f" learned from {found.origin}, under differential privacy: epsilon {facts['epsilon']:.3g} at delta"
        f" {facts['delta']:.2g} about each {found.unit} ({facts['replace_epsilon']:.3g} if one is replaced),"
        " within the budget of those images, on top of what the released model cost.",
        f"`{LABELS}` says what each was meant to show, `{SHEET}` shows some of each class, a row for each."
        f" The released model names {agrees:.0%} of them as they were meant. That is no accuracy on people.",
        "For trying out a pipeline and comparing models roughly. Not for diagnosis, and not to be mixed with"
        " images of people without saying so.",
    ]
    return "\n\n".join(textwrap.fill(part, 100) for part in parts) + "\n"
