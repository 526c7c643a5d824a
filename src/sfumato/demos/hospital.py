"""The hospital: DICOM images cleaned, a classifier trained under differential privacy, the model released.

The images stay in the house, cleaned or not, for pixels are people. What leaves is a model, a card in plain
words, and the evidence, signed. The people to test on are no part of the training, and have a budget of
their own: the accuracy that is published was drawn with noise. What is exact stays in custody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding
from sfumato.demos.hospital_figures import MEASURES, measured
from sfumato.demos.hospital_images import Images, read_images, write_digits
from sfumato.demos.hospital_judging import BY, decide, published
from sfumato.demos.hospital_release import ImageRelease, release_model
from sfumato.demos.hospital_synthetic import EPSILON as SYNTHETIC_EPSILON
from sfumato.demos.hospital_synthetic import FOLDER as SYNTHETIC
from sfumato.demos.hospital_synthetic import Synthetic, make_synthetic
from sfumato.images.report import Cleaned
from sfumato.images.risks import FLAGS
from sfumato.project import Project
from sfumato.project.project import FOLDER
from sfumato.release.layout import DOSSIER

if TYPE_CHECKING:
    from sfumato.dp.training.recipes import ImageClassifier
    from sfumato.pipeline.outcome import Watch

DATASET = "hospital-images"
EPSILON = 3.0
_HOLDOUT = 0.2
_SCANS, _CLEANED = "scans", "cleaned"
#: Sizes are public to this step; delta is below one over the size by this factor.
_ROUND, _DELTA_FACTOR = 50, 10


@dataclass(frozen=True)
class ImageOutcome:
    """What the demo found and did; ``figures`` are exact, for the house."""

    images: str
    cleaned: Cleaned | None
    figures: dict[str, Any]
    findings: tuple[Finding, ...]
    decision: Decision
    release: ImageRelease
    synthetic: Synthetic
    notes: tuple[str, ...] = field(default=())

    def summary(self) -> dict[str, Any]:
        """The JSON document of ``demo hospital --json``."""
        return {
            "images": self.images,
            "cleaned": None if self.cleaned is None else self.cleaned.model_dump(mode="json"),
            "for_the_house": self.figures,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "decision": self.decision.model_dump(mode="json"),
            "synthetic": self.synthetic.summary(),
            "release": str(self.release.folder),
        }

    def told(self) -> list[str]:
        """The same in lines for people."""
        lines = [self.images]
        if self.cleaned is not None:
            lines.append(self.cleaned.words)
            lines += [f"  look at {count}: {FLAGS[name]}" for name, count in _flags(self.cleaned).items()]
        private, plain = self.figures["private"], self.figures["not_private"]
        lines += ["", "For the house (exact, on people who were held out): private | not private"]
        for name, words in MEASURES.items():
            lines.append(f"  {words}: {_between(private[name])} | {_between(plain[name])}")
        lines += ["", *self.notes, "", *self.synthetic.told(), ""]
        lines += [f"  {'passed' if one.passed else 'FAILED'}: {one.words}" for one in self.decision.reasons]
        verdict = "passed the release of the model" if self.decision.passed else "refused: no model left"
        return [
            *lines,
            "",
            f"The gate {verdict}.",
            f"Release: {self.release.folder}",
            f"Dossier: {self.release.folder / DOSSIER}",
        ]


def walk(folder: Path, watch: Watch, images: Path | None = None, *, count: int | None = None) -> ImageOutcome:
    """Walk the whole way with the digits, or with the images of a folder.

    Args:
        folder: gets ``scans/`` (digits only) and ``cleaned/``, which stay in the house, ``synthetic/``,
            ``release/`` and ``custody/``.
        images: a folder with DICOM files and ``labels.csv``, or with an ``.npz`` file in MedMNIST's form.
        count: at most so many digits.

    Raises:
        InputError: nothing to read, too few to train on, or the output is there.
        RefusedError: the budget of these images is spent.
    """
    from sfumato.dp.training.modules import need_deep

    need_deep()
    _need_images()
    source = folder / _SCANS if images is None else images
    _refuse_earlier(folder, images)
    project = Project.open(folder / FOLDER)
    key = derive(project.secret, DATASET)
    if images is None:
        watch.stage("writing digits as DICOM, with invented patients")
        write_digits(source, count, lambda done, of: watch.within("writing digits as DICOM", done, of))
    watch.stage("cleaning headers")
    found = read_images(
        source, folder / _CLEANED, key, lambda done, of: watch.within("cleaning headers", done, of)
    )
    if images is None:
        found = replace(
            found, origin=f"scikit-learn's digits, written as {found.origin} with invented patients"
        )
    inside = _inside(found, key)
    _refuse_few(found, inside)
    model, budget = _train(found, inside, project, watch)
    watch.stage("training without privacy, to compare")
    plain = _plain(found, inside, model)
    watch.stage("measuring")
    judged = partial(
        measured, found.labels[~inside], units=found.whose(~inside), key=derive(key, "bootstrap")
    )
    figures = {
        "private": judged(model.predict_proba(found.pixels[~inside])),
        "not_private": judged(plain[~inside]),
        "budget_share": budget.statement().share,
        "images": len(found.labels),
        "trained_on": int(inside.sum()),
        "unit": found.unit,
        "epsilon": model.epsilon,
        "delta": model.delta,
        "replace_epsilon": model.replace_epsilon,
    }
    watch.stage("attacking the model")
    attack = _attack(found, inside, model)
    watch.stage("making a synthetic validation set")
    synthetic = make_synthetic(
        folder,
        found,
        inside,
        model,
        budget,
        size=_size(found, inside),
        delta=model.delta,
        key=key,
        by=BY,
        watch=watch,
    )
    findings = published(found, inside, model, project)
    decision = decide(found, model, findings)
    watch.stage("writing the release")
    release = release_model(
        folder,
        project,
        model,
        classes=found.classes,
        beside=synthetic.packed(),
        findings=findings,
        decision=decision,
        told=_card_facts(found, model),
        private={
            "figures": figures,
            "cleaned": None if found.cleaned is None else found.cleaned.model_dump(mode="json"),
            "attack": [finding.model_dump(mode="json") for finding in attack],
            "synthetic": synthetic.summary(),
        },
        dataset=DATASET,
        statement=budget.statement(),
    )
    notes = _notes(found, model, attack)
    return ImageOutcome(found.origin, found.cleaned, figures, findings, decision, release, synthetic, notes)


def _need_images() -> None:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise InputError(
            "usage",
            "images need the package pydicom",
            remedy="make demo NAME=hospital, or pip install 'sfumato[images]'",
        ) from None


def _refuse_earlier(folder: Path, images: Path | None) -> None:
    """The demo's own folders are made once: what a folder of that name holds is not looked at."""
    for name in (_CLEANED, SYNTHETIC, *((_SCANS,) if images is None else ())):
        if (folder / name).exists():
            raise InputError(
                "output-exists",
                "a folder of this name is here already",
                where=str(folder / name),
                remedy="choose another output folder, or remove it if it is an older demo's",
            )


def _inside(found: Images, key: bytes) -> NDArray[np.bool_]:
    """Who is trained on: a keyed choice for each patient (or image), whatever is in the pixels."""
    names = found.patients or tuple(map(str, range(len(found.labels))))
    chosen = {
        name: int.from_bytes(derive(key, "holdout", name)[:8], "big") / 2**64 >= _HOLDOUT
        for name in set(names)
    }
    return np.array([chosen[name] for name in names])


def _refuse_few(found: Images, inside: NDArray[np.bool_]) -> None:
    whole = len(found.classes) > 1 and all(
        set(found.labels[part]) == set(range(len(found.classes))) for part in (inside, ~inside)
    )
    if inside.sum() < 2 * _ROUND or not whole:
        raise InputError(
            "source-empty",
            "too few images to train and to test on in every class",
            remedy=f"at least {3 * _ROUND}, and of each class a dozen or more",
        )


def _known(count: int) -> int:
    """A count as everybody may know it."""
    return max(_ROUND, round(count / _ROUND) * _ROUND)


def _size(found: Images, inside: NDArray[np.bool_]) -> int:
    """About how many patients (or images) are trained on, as everybody may know it."""
    units = found.whose(inside)
    return _known(int(inside.sum()) if units is None else len(set(units)))


def _train(
    found: Images, inside: NDArray[np.bool_], project: Project, watch: Watch
) -> tuple[ImageClassifier, Any]:
    from sfumato.dp.budget import Budget
    from sfumato.dp.training.recipes import classify_images

    units = found.whose(inside)
    size = _size(found, inside)
    delta = 1 / (_DELTA_FACTOR * size)
    unit: Any = "row" if units is None else "subject"
    total = EPSILON + SYNTHETIC_EPSILON
    budget = Budget.open(DATASET, project, epsilon=total, delta=delta, unit=unit)
    watch.stage("training under differential privacy")
    model = classify_images(
        found.pixels[inside],
        found.labels[inside],
        classes=len(found.classes),
        budget=budget,
        epsilon=EPSILON,
        delta=delta,
        levels=found.levels,
        subject=units,
        size=size,
        place="image classifier",
        by=BY,
        why="a model to be given to others",
        watch=lambda now: watch.within("training under differential privacy", now.step, now.steps),
    )
    return model, budget


def _plain(found: Images, inside: NDArray[np.bool_], model: ImageClassifier) -> NDArray[np.float64]:
    """Probabilities by the same features and a logistic regression without noise; never released."""
    from sklearn.linear_model import LogisticRegression

    low, high = found.levels
    features = model.scattering.features((np.clip(found.pixels, low, high) - low) / (high - low))
    fitted = LogisticRegression(C=100.0, max_iter=2000).fit(features[inside], found.labels[inside])
    return np.asarray(fitted.predict_proba(features))


def _attack(found: Images, inside: NDArray[np.bool_], model: ImageClassifier) -> tuple[Finding, ...]:
    """The loss threshold against the model that would leave; for custody, for it uses exact people."""
    from sfumato.evidence.models.membership import attack_model

    class Fitted:
        classes_ = np.arange(len(found.classes))

        @staticmethod
        def predict_proba(rows: NDArray[Any]) -> NDArray[np.float64]:
            return model.predict_proba(rows.reshape(len(rows), *found.pixels.shape[1:]))

    rows = found.pixels.reshape(len(found.pixels), -1)
    return attack_model(Fitted(), rows, found.labels, inside).findings


def _card_facts(found: Images, model: ImageClassifier) -> dict[str, str]:
    unpersonal = "" if found.patients is not None else (
        " Nobody knows which images are of one patient, so nothing is promised about patients: somebody with"
        " several images among them is protected less, the more there are."
    )  # fmt: skip
    return {
        "images": found.origin,
        "unit": found.unit,
        "classes": ", ".join(found.classes),
        "guessing": f"{1 / len(found.classes):.3g}",
        "promise": (
            f"Whatever is computed from the model, the odds of any conclusion about one {found.unit} change"
            f" by a factor of at most e^{model.epsilon:.3g} = {math.exp(model.epsilon):.3g} through that"
            f" {found.unit}'s having been trained on, but for a probability of {model.delta:.2g}.{unpersonal}"
        ),
        "notices": "; ".join(model.notices),
    }


def _notes(found: Images, model: ImageClassifier, attack: tuple[Finding, ...]) -> tuple[str, ...]:
    worst = next(
        (
            one
            for one in attack
            if (one.metric, one.target) == ("model.auc", "model") and one.value is not None
        ),
        None,
    )
    lines = [
        f"The model's epsilon is {model.epsilon:.3g} (replace-one {model.replace_epsilon:.3g}) at delta"
        f" {model.delta:.2g} about each {found.unit}; the list of classes is taken as public.",
    ]
    if worst is not None:
        lines.append(
            f"Loss-threshold attack on the model: AUC {worst.value:.3f} (guessing .5); a weak attack, for"
            " which finding nothing means little."
        )
    lines.append("The images stay in the house, cleaned or not: pixels are people.")
    return tuple(lines)


def _flags(report: Cleaned) -> dict[str, int]:
    counts: dict[str, int] = {}
    for file in report.flagged:
        for name in file.flags:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _between(figures: tuple[float, float, float]) -> str:
    return f"{figures[0]:.3f} ({figures[1]:.3f} to {figures[2]:.3f})"
