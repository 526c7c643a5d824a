"""The images of the hospital's demo: digits written as DICOM, or a folder that somebody has.

No package ships a medical training set. The bundled images are scikit-learn's handwritten digits (Alpaydin
& Kaynak 1998), written as DICOM files with invented patients, so that there is something to clean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.images.cleaning import clean
from sfumato.images.report import Cleaned

LABELS = "labels.csv"
#: A side that every image is brought to, if it is larger.
SIDE = 28
_GIVEN = (
    "Ada",
    "Bela",
    "Cato",
    "Dora",
    "Egon",
    "Fina",
    "Gero",
    "Hilda",
    "Ivo",
    "Jutta",
    "Kuno",
    "Lida",
    "Mato",
)
_FAMILY = ("Abelow", "Brandau", "Corvey", "Dettlef", "Egmont", "Falkner", "Grabow", "Hoyers", "Ilmenau")
_Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Images:
    """Labelled images, ready for a classifier.

    Attributes:
        pixels: shape (n, side, side).
        labels: shape (n,), places in ``classes``.
        patients: for each image its patient's pseudonym; None where nobody knows whose an image is.
        levels: the grey levels of black and white, from what the files are, not from what is in them.
        cleaned: the report of the cleaning; None where there were no headers.
        origin: what they are, in words.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    patients: tuple[str, ...] | None
    levels: tuple[float, float]
    cleaned: Cleaned | None
    origin: str

    @property
    def unit(self) -> str:
        """What a row of it is about."""
        return "image" if self.patients is None else "patient"

    def whose(self, part: NDArray[np.bool_]) -> list[str] | None:
        """The patient of each image of a part; None where nobody knows."""
        return None if self.patients is None else [self.patients[at] for at in np.flatnonzero(part)]


def write_digits(folder: Path, count: int | None = None, step: _Step | None = None) -> None:
    """Write the digits as DICOM files with invented headers, two to a patient, and ``labels.csv``.

    Raises:
        InputError: ``output-exists``: the folder is there already.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian
    from sklearn.datasets import load_digits

    if folder.exists():
        raise InputError(
            "output-exists", "there are scans here already", where=str(folder), remedy="choose another folder"
        )
    folder.mkdir(parents=True)
    pixels, labels = load_digits(return_X_y=True)
    total = min(len(labels), count or len(labels))
    # Digits in the set's order are of one writer after another: neighbours would share a hand.
    order = np.random.Generator(np.random.PCG64(1998)).permutation(len(labels))[:total]
    lines = ["file,label"]
    for number, place in enumerate(order):
        patient, study = divmod(number, 2)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        for keyword, value in _header(patient, study, number).items():
            setattr(dataset, keyword, value)
        dataset.private_block(0x0043, "EXAMPLE RIS", create=True).add_new(
            1, "LO", f"read for {dataset.PatientName}"
        )
        dataset.Rows = dataset.Columns = 8
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 5, 4, 0
        dataset.PixelData = pixels[place].astype(np.uint8).tobytes()
        dataset.save_as(folder / f"{number:05}.dcm", enforce_file_format=True)
        lines.append(f"{number:05}.dcm,{labels[place]}")
        if step is not None:
            step(number + 1, total)
    (folder / LABELS).write_text("\n".join(lines) + "\n")


def _header(patient: int, study: int, number: int) -> dict[str, str]:
    """An invented patient: every value is made from the number alone."""
    family, given = _FAMILY[patient % len(_FAMILY)], _GIVEN[patient // len(_FAMILY) % len(_GIVEN)]
    root = "1.2.826.0.1.3680043.10.1"
    year, day = 1930 + patient * 7 % 85, f"{1 + patient % 12:02}{1 + patient * 5 % 28:02}"
    return {
        "PatientName": f"{family}^{given}",
        "PatientID": f"H{patient + 100_000}",
        "PatientBirthDate": f"{year}{day}",
        "PatientSex": "FM"[patient % 2],
        "PatientAddress": f"{1 + patient % 190} Example Street",
        "PatientComments": f"{given} {family} asked for a copy",
        "InstitutionName": "Example General Hospital",
        "ReferringPhysicianName": f"{_FAMILY[patient % 5]}^Dr",
        "AccessionNumber": f"A{number + 5_000_000}",
        "StudyDate": f"{2015 + (patient + study) % 9}{day}",
        "StudyTime": f"{8 + patient % 9:02}{patient % 60:02}00",
        "Modality": "DX",
        "BodyPartExamined": "HAND",
        "BurnedInAnnotation": "NO",
        "DeviceSerialNumber": f"SN-{77_000 + patient % 3}",
        "StudyInstanceUID": f"{root}.{patient + 1}.{study}",
        "SeriesInstanceUID": f"{root}.{patient + 1}.{study}.1",
        "SOPInstanceUID": f"{root}.{patient + 1}.{study}.1.{number + 1}",
    }


def read_images(folder: Path, cleaned: Path, key: bytes, step: _Step | None = None) -> Images:
    """The images of a folder: a file of arrays (``*.npz``) as MedMNIST has them, or DICOM and ``labels.csv``.

    Args:
        cleaned: where cleaned DICOM files go, for the house.
        key: of the pseudonyms, 32 bytes.

    Raises:
        InputError: ``source-missing``, ``source-unreadable``, ``source-empty``: neither is there, or whole.
    """
    arrays = sorted(folder.glob("*.npz"))
    if arrays:
        return _from_arrays(arrays[0])
    if (folder / LABELS).is_file():
        return _from_dicom(folder, cleaned, key, step)
    raise InputError(
        "source-missing",
        f"neither an .npz file nor {LABELS} is here",
        where=str(folder),
        remedy=f"a folder with DICOM files and {LABELS} (file,label), or one in MedMNIST's form",
    )


def _from_arrays(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as found:
            names = sorted(name for name in found.files if name.endswith("_images"))
            pixels = np.concatenate([found[name] for name in names])
            labels = np.concatenate([found[f"{name[:-7]}_labels"].ravel() for name in names])
    except (OSError, ValueError, KeyError, EOFError):
        raise InputError(
            "source-unreadable",
            "not arrays named NAME_images and NAME_labels",
            where=path.name,
            remedy="see MedMNIST's form",
        ) from None
    if pixels.ndim == 4:
        pixels = pixels.mean(axis=-1)
    kinds, places = np.unique(labels, return_inverse=True)
    return Images(
        pixels=squared(pixels),
        labels=places.astype(np.int64),
        classes=tuple(map(str, kinds)),
        patients=None,
        levels=(0.0, 255.0),
        cleaned=None,
        origin=f"images from {path.name}; they have no headers and no patient ids",
    )


def _from_dicom(folder: Path, cleaned: Path, key: bytes, step: _Step | None) -> Images:
    import pydicom
    from pydicom.pixels import pixel_array

    named = _labels(folder)
    report = clean([folder / name for name in named], cleaned, key=key, progress=step)
    pixels, labels, patients, white = [], [], [], 1.0
    for before, after in report.pairs:
        dataset = pydicom.dcmread(after)
        try:
            frame = np.asarray(pixel_array(dataset, index=0), dtype=np.float64)
        except Exception:  # noqa: BLE001, S112  each decoder fails in a way of its own
            continue
        white = max(white, 2.0 ** int(dataset.BitsStored) - 1)
        pixels.append(squared((frame.mean(axis=-1) if frame.ndim == 3 else frame)[None])[0])
        labels.append(named[before.relative_to(folder).as_posix()])
        patients.append(str(dataset.PatientID))
    if len({len(image) for image in pixels}) != 1:
        raise InputError(
            "source-empty",
            "no image could be read" if not pixels else "the images are of several small sizes",
            where=str(folder),
            remedy="see the report of the cleaning",
        )
    kinds, places = np.unique(np.array(labels), return_inverse=True)
    return Images(
        pixels=np.stack(pixels),
        labels=places.astype(np.int64),
        classes=tuple(map(str, kinds)),
        patients=tuple(patients),
        levels=(0.0, white),
        cleaned=report,
        origin=f"{len(pixels)} DICOM files",
    )


def _labels(folder: Path) -> dict[str, str]:
    """The label of each file, by its path in the folder."""
    try:
        with (folder / LABELS).open(newline="", encoding="utf-8") as file:
            named = {row["file"]: row["label"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError, csv.Error):
        named = {}
    inside = folder.resolve()
    for number, name in enumerate(named, start=2):
        if not (folder / name).is_file() or inside not in (folder / name).resolve().parents:
            raise InputError(
                "source-unreadable",
                "this line names no file in the folder",
                where=f"{LABELS}, line {number}",
                remedy="paths are relative to the folder",
            )
    if not named:
        raise InputError("source-unreadable", "not a table of file and label", where=LABELS)
    return named


def squared(images: NDArray[Any]) -> NDArray[np.float64]:
    """Images (n, rows, columns) cut to their middle square, and averaged down to :data:`SIDE` if larger.

    >>> squared(np.ones((2, 100, 60))).shape
    (2, 28, 28)
    """
    rows, columns = images.shape[1:]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    middle = images[:, top : top + side, left : left + side].astype(np.float64)
    if side <= SIDE:
        return np.asarray(middle)
    # Each new pixel is the mean of the old ones under it, by the share that lies there.
    edges = np.linspace(0, side, SIDE + 1)
    old = np.arange(side)
    share = np.clip(np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old), 0, None)
    share /= share.sum(axis=1, keepdims=True)
    return np.asarray(share @ middle @ share.T)
