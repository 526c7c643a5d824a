"""Images on the way of made rows: labelled images teach, are made, are written as files, and are judged.

A row of the release is a made image's file and its label. Which images taught is what the draw of people
says, as anywhere: all images of a person are on one side. What is judged is read back from the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.composition import REPORT as COMPOSITION
from sfumato.evidence.images.judging import MOST, judge_images
from sfumato.evidence.images.pictures import Pictures
from sfumato.evidence.images.repeating import repeating
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.histories import Size
from sfumato.pipeline.private import paid_by
from sfumato.pipeline.scans import Scans
from sfumato.pipeline.snapshot import UNIT
from sfumato.policy.images import Images
from sfumato.policy.synthetic import Synthesis
from sfumato.release.account import Sheet
from sfumato.release.layout import IMAGES

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.pipeline.outcome import Watch
    from sfumato.synth.images import ImageModel

#: The column of a made image's file, as bytes, until it is written.
PNG = "__sfumato_png__"
#: A class of fewer people is no class: what is made of it would be theirs.
FEW = 10
#: A model's own figures that are told: losses on people's images stay in custody.
_TOLD = ("parameters", "features", "frequencies")
#: So many images of each class are on the dossier's sheet, of so many classes.
_SHOWN, _CLASSES_SHOWN = 10, 20


@dataclass(frozen=True)
class TaughtImages:
    """A taught generator, as the way of made rows asks for it; ``kind`` is the type of labels."""

    model: ImageModel
    asked: Images
    classes: tuple[Any, ...]
    kind: pl.DataType
    declared: int | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was learned, of no person."""
        found = self.model.facts
        return {"domain": {"columns": []}, "model": {name: found[name] for name in _TOLD if name in found}}

    @property
    def notices(self) -> tuple[str, ...]:
        """What is to be known of the promise under differential privacy."""
        return tuple(self.model.facts.get("notices", ()))

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What was charged, as JSON; None without differential privacy."""
        from sfumato.dp.events import to_json

        return None if self.model.event is None else to_json(self.model.event)

    @property
    def charged(self) -> Size | None:
        """About how many teach, under differential privacy."""
        return None if self.declared is None else Size(self.declared)

    def content(self) -> bytes:
        """The model in a file, for custody."""
        return self.model.to_safetensors()

    def sample(self, rows: int, *, balance: Any = None, key: bytes) -> pl.DataFrame:
        """So many made images: their files' names in ``data/``, labels, and :data:`PNG`."""
        from sfumato.synth.images.png import png

        del balance
        made = self.model.sample(rows, key=key)
        digits = len(str(rows))
        names = [f"{IMAGES}/synthetic-{number:0{digits}}.png" for number in range(1, rows + 1)]
        labels = [self.classes[label] for label in made.labels]
        return pl.DataFrame(
            {
                self.asked.column: pl.Series(names, dtype=pl.String),
                self.asked.label: pl.Series(labels, dtype=self.kind),
                PNG: pl.Series([png(image) for image in made.images], dtype=pl.Binary),
            }
        )


def images_of(fitted: Fitted) -> Images | None:
    """Which images the rows name, if images are made."""
    asked = fitted.snapshot.policy.synthesis
    return None if asked is None else asked.images


@dataclass(frozen=True)
class Seen:
    """The images of a fitted policy's people, by what they show.

    ``classes`` are labels: as declared under differential privacy, else those that teach.
    """

    fitted: Fitted
    asked: Images
    classes: tuple[Any, ...]

    @classmethod
    def of(cls, fitted: Fitted) -> Seen:
        """The images of a policy that makes some.

        Raises:
            InputError: ``column-values``: too few people teach a class.
        """
        synthesis = fitted.snapshot.policy.synthesis
        assert synthesis is not None
        assert synthesis.images is not None
        return cls(fitted, synthesis.images, _classes(fitted, synthesis))

    @cached_property
    def scans(self) -> Scans:
        """Every row's image."""
        scans = self.fitted.snapshot.scans
        assert scans is not None
        return scans

    def rows(self, held_out: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64]]:
        """Images, the places of their labels among the classes, and whose they are; others are left out."""
        table = (
            self.fitted.snapshot.part(held_out)
            .select(ROW, pl.col(UNIT).cast(pl.UInt64), self.asked.label)
            .collect(engine="streaming")
            .sort(ROW)
        )
        # As written: what is true is not one.
        places = {repr(label): place for place, label in enumerate(self.classes)}
        labels = [places.get(repr(label), -1) for label in table[self.asked.label].to_list()]
        codes = np.array(labels, dtype=np.int64)
        known = codes >= 0
        numbers = table[ROW].cast(pl.Int64).to_numpy()[known]
        return self.scans.of(numbers), codes[known], table[UNIT].to_numpy()[known]

    def pictures(self, held_out: bool) -> Pictures:
        """The same as the evidence sees them.

        An image held out that taught too, of somebody else, is no measure of chance: a copy of it would be as
        near to both. It is left out, unless ten people have it, for then it is nobody's.
        """
        pixels, labels, units = self.rows(held_out)
        if not held_out:
            return self.pictured(pixels, labels, units)
        taught, _, whose = self.rows(False)
        had: dict[bytes, set[int]] = {}
        for image, unit in zip(taught, whose, strict=True):
            had.setdefault(image.tobytes(), set()).add(int(unit))
        own = np.array([not 0 < len(had.get(image.tobytes(), ())) < FEW for image in pixels], dtype=bool)
        return self.pictured(pixels[own], labels[own], units[own])

    def pictured(self, pixels: NDArray[Any], labels: NDArray[Any], units: Any = None) -> Pictures:
        """Images on the scale of the policy's levels."""
        return Pictures.of_levels(pixels, labels, levels=self.asked.levels, subject=units)

    def written(self, rows: pl.DataFrame, contents: Sequence[bytes]) -> Pictures:
        """Made images from their files' bytes and the table of their labels, as written."""
        from sfumato.synth.images.reading import read_png

        places = {repr(label): place for place, label in enumerate(self.classes)}
        labels = [places[repr(label)] for label in rows[self.asked.label].to_list()]
        pixels = np.array([read_png(content) for content in contents], dtype=np.uint8)
        return self.pictured(
            pixels.reshape(len(contents), *self.scans.shape), np.array(labels, dtype=np.int64)
        )


def _classes(fitted: Fitted, asked: Synthesis) -> tuple[Any, ...]:
    """The labels of which images are made.

    Raises:
        InputError: ``column-values``.
    """
    images = asked.images
    assert images is not None
    if asked.dp is not None:
        return asked.dp.categories[images.label]
    label = pl.col(images.label)
    found = (
        fitted.snapshot.part(held_out=False)
        .group_by(label)
        .agg(pl.col(UNIT).n_unique().alias("people"), pl.col(ROW).min())
        .sort(label)
        .collect(engine="streaming")
    )
    few = found.filter(pl.col("people") < FEW).sort(ROW)
    if few.height:
        raise InputError(
            "column-values",
            f"fewer than {FEW} people who teach have an image with this label",
            where=f"row {few[ROW][0] + 1}, column {images.label}",
            remedy="leave the class out of the source, or join it to another: its images would be theirs",
        )
    return tuple(found[images.label].to_list())


def teach_images(fitted: Fitted, asked: Synthesis, budget: Budget | None, watch: Watch) -> TaughtImages:
    """Teach a generator of images.

    Raises:
        RefusedError: ``budget-spent``: the budget has no room; nothing was learned.
        InputError: ``column-values``: no image has a label that is declared.
    """
    from sfumato.synth.images import fit

    seen, dataset = Seen.of(fitted), fitted.snapshot.policy.dataset
    pixels, labels, units = seen.rows(held_out=False)
    if not len(labels):
        raise InputError(
            "column-values",
            "no image that may teach has a label of those declared",
            where=f"column {seen.asked.label}",
            remedy="write the labels under synthesis.dp.categories as they are in the source",
        )
    paid: dict[str, Any] = {}
    if asked.dp is not None:
        paid = paid_by(dataset, asked, budget, "images")
        paid["subject"] = None if dataset.subject is None else units
    before = 0.0 if budget is None else budget.statement().share
    model = fit(
        pixels,
        labels,
        method=asked.by,
        params=asked.settings,
        classes=len(seen.classes),
        levels=seen.asked.levels,
        key=derive(fitted.snapshot.release_key, "synthesis"),
        progress=watch.within,
        **paid,
    )
    if budget is not None and (model.event is None or budget.statement().share <= before):
        raise InputError(
            "recheck-failed",
            f"{asked.by} learned under differential privacy and charged nothing",
            where="synthesis.method",
            remedy="nothing was released; please report this as a bug",
        )
    kind = fitted.types()[seen.asked.label]
    return TaughtImages(model, seen.asked, seen.classes, kind, None if asked.dp is None else asked.dp.size)


def write_images(made: pl.DataFrame, asked: Images, folder: Path) -> None:
    """The files of made images, in the folder of the release's data."""
    (folder / IMAGES).mkdir()
    for name, content in zip(made[asked.column], made[PNG], strict=True):
        (folder / name).write_bytes(content)


def read_images(rows: pl.DataFrame, asked: Images, folder: Path) -> list[bytes]:
    """The bytes of the files that a made table names, in its order."""
    return [(folder / name).read_bytes() for name in rows[asked.column]]


def recheck_images(rows: pl.DataFrame, asked: Images, folder: Path) -> None:
    """Check that each row as written has a file, and each file a row.

    Raises:
        InputError: ``recheck-failed``.
    """
    there = {f"{IMAGES}/{path.name}" for path in (folder / IMAGES).iterdir()}
    if rows.height != len(there) or set(rows[asked.column].to_list()) != there:
        raise InputError(
            "recheck-failed",
            "the files as written are not those that the table names",
            remedy="nothing was released; please report this as a bug",
        )


def judge(seen: Seen, rows: pl.DataFrame, contents: Sequence[bytes]) -> list[Finding]:
    """What the images as written repeat, and what they are good for."""
    return judge_images(
        seen.written(rows, contents),
        seen.pictures(held_out=False),
        seen.pictures(held_out=True),
        key=derive(seen.fitted.snapshot.release_key, "probes"),
        classes=len(seen.classes),
    )


def repeated_together(seen: Seen, tables: Sequence[pl.DataFrame], note: str) -> list[Finding]:
    """Of how many people all releases together have an image again.

    Args:
        tables: those of each release, with the files' bytes in the place of their names.
    """
    key = derive(seen.fitted.snapshot.release_key, "probes", "together")
    learned, held = (
        seen.pictures(held_out).some(MOST, derive(key, str(held_out))) for held_out in (False, True)
    )
    made = [
        seen.pictured(_pixels(table[seen.asked.column], seen.scans.shape), np.zeros(table.height, dtype=int))
        for table in tables
    ]
    found = repeating(COMPOSITION, "composition.copies_excess", made, learned, held)
    return [finding.model_copy(update={"note": note + finding.note}) for finding in found]


def _pixels(contents: pl.Series, shape: tuple[int, int]) -> NDArray[np.uint8]:
    from sfumato.synth.images.reading import read_png

    return np.array([read_png(content) for content in contents], dtype=np.uint8).reshape(
        len(contents), *shape
    )


def sheet_of(seen: Seen, made: pl.DataFrame) -> Sheet:
    """Some made images of each class, of those that leave; of classes with fewer there is none."""
    from sfumato.synth.images.png import grey, sheet

    of = {str(kind): made.filter(pl.col(seen.asked.label) == kind).head(_SHOWN) for kind in seen.classes}
    shown = {name: rows for name, rows in of.items() if rows.height == _SHOWN}
    named = tuple(shown)[:_CLASSES_SHOWN]
    rows = pl.concat([shown[name] for name in named] or [made.head(_SHOWN)])
    drawn = sheet(grey(_pixels(rows[PNG], seen.scans.shape), seen.asked.levels), _SHOWN)
    return Sheet(drawn, named)
