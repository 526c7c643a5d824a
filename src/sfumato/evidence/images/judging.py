"""Made images judged against those that they were learned from, and against others held out."""

from __future__ import annotations

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.images.nearness import nearness
from sfumato.evidence.images.pictures import Pictures
from sfumato.evidence.images.repeating import repeating
from sfumato.evidence.images.worth import worth
from sfumato.evidence.report import Metric, Report

REPORT = Report(
    "images",
    {
        "images.copies": Metric(
            "low", "share", "made images three times nearer to one learned from than to any held out"
        ),
        "images.copies_excess": Metric(
            "low", "difference", "images.copies, less the same of people's own images that were held out"
        ),
        "images.repeated_excess": Metric(
            "low", "difference", "people an image of whom was made again, beyond people held out"
        ),
        "images.memorized": Metric(
            "low", "share", "made images nearer to one learned from than to any held out; 0.5 is chance"
        ),
        "images.members_auc": Metric(
            "low", "auc", "telling whose image was learned from by its distance to the nearest made one"
        ),
        "images.classifier_accuracy": Metric(
            "high", "share", "accuracy on real images held out of a classifier taught by made ones"
        ),
        "images.classifier_auc": Metric(
            "high", "auc", "the same classifier's area under the curve, mean over classes against the rest"
        ),
        "images.class_balance": Metric(
            "low", "distance", "total variation between the classes of made and of held-out images"
        ),
        "images.distance": Metric(
            "low", "distance", "squared maximum mean discrepancy between made and held-out images"
        ),
        "images.variety": Metric(
            "high", "ratio", "variance inside classes of made images over that of images held out"
        ),
    },
)

#: The figures that tell of people; the others tell what the images are good for.
RISKS = (
    "images.copies",
    "images.copies_excess",
    "images.repeated_excess",
    "images.memorized",
    "images.members_auc",
)

#: More images than this are sampled, by key.
MOST = 20_000
_MOST_MADE = 5_000


def judge_images(
    made: Pictures, learned: Pictures, held: Pictures, *, key: bytes, classes: int | None = None
) -> list[Finding]:
    """Everything that is said of made images.

    Args:
        made: as they would leave; 500 or more tell something.
        learned: those that the generator was taught with.
        held: others of the same kind, that it has not seen: chosen by lot, by subject where there are any.
        key: 32 bytes.
        classes: how many there are; the largest label of all by default.

    Returns:
        A finding for each metric, for some of them in the space of pixels and of features. All but what is
        proven is exact on people: for the house, or to be charged.

    Raises:
        InputError: ``usage``: images of different shapes, or nothing learned from.
    """
    parts = [made, learned, held]
    if not len(learned) or len({some.pixels.shape[1:] for some in parts if len(some)}) > 1:
        raise InputError("usage", "made, learned and held-out images must be of one shape, and some learned")
    count = classes or 1 + max(int(some.labels.max()) for some in parts if len(some))
    if any(len(some) and not 0 <= some.labels.min() <= some.labels.max() < count for some in parts):
        raise InputError("usage", "labels are not from 0 to below the number of classes")
    every, made = made, made.some(_MOST_MADE, derive(key, "made"))
    learned, held = (
        some.some(MOST, derive(key, name)) for name, some in (("learned", learned), ("held", held))
    )
    return [
        *repeating(REPORT, "images.repeated_excess", [every], learned, held),
        *nearness(REPORT, made, learned, held, derive(key, "nearness")),
        *worth(REPORT, made, learned, held, count, derive(key, "worth")),
    ]
