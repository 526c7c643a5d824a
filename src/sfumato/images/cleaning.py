"""DICOM files cleaned into a new folder, whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sfumato.core.errors import InputError, nearest
from sfumato.images.header import Changes, HeaderCleaner, tokens
from sfumato.images.pixels import PixelsError, trim
from sfumato.images.profile import OPTIONS, PROFILE, table
from sfumato.images.pseudonyms import Pseudonyms
from sfumato.images.report import Cleaned, Flagged, Refused
from sfumato.images.risks import flags_of

#: Kinds of object that are text, or documents, or lists of patients, by the start of their class.
_REFUSED = {
    "1.2.840.10008.1.3.10": "a directory of media, which lists patients",
    "1.2.840.10008.5.1.4.1.1.104": "a document in DICOM (PDF, CDA, model), not an image",
    "1.2.840.10008.5.1.4.1.1.88": "a structured report, not an image",
    "1.2.840.10008.5.1.4.1.1.11": "a presentation state, not an image",
    "1.2.840.10008.5.1.4.1.1.9": "a waveform, not an image",
}
#: Our own implementation, under the arc for numbers (PS3.7 D.3.3.2).
_IMPLEMENTATION = "2.25.192831047713982774029158261903312456021"
#: A naming value this long does not stand in pixels by chance.
_LEAST_IN_PIXELS = 7


class _RefusedFileError(Exception):
    """A file that is not cleaned; its text is the reason."""


@dataclass
class _Tally:
    """What the report will say."""

    removed: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    traced: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    flagged: list[Flagged] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    patients: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    without_identity: int = 0

    def add(self, changes: Changes) -> None:
        self.removed += changes.removed
        self.replaced += changes.replaced
        self.traced += changes.traced
        self.unchanged += changes.unchanged - changes.traced.total()


def clean(
    source: Path | str | Iterable[Path | str],
    output: Path | str,
    *,
    key: bytes,
    keep: Iterable[str] = (),
    flagged: Literal["write", "hold"] = "write",
    progress: Callable[[int, int], None] | None = None,
) -> Cleaned:
    """Clean DICOM images by the Basic Application Level Confidentiality Profile (PS3.15 Annex E) and more.

    Beyond the profile, every text that it does not name is removed too, all private attributes, bytes
    behind the pixels and comments in compressed streams; patients and UIDs get keyed pseudonyms, the same
    in every file. Files go to ``output/PATIENT/SOP-INSTANCE.dcm``. The *pixels* stay as they are: what is
    written in them is looked for and flagged, never found for certain.

    Args:
        source: a folder (walked, links are not followed) or paths of files.
        output: a folder that is not there yet, or is empty.
        key: 32 bytes; files cleaned with one key fit together, and dates move alike.
        keep: options of the profile, ``longitudinal`` (dates moved by whole days, each patient's own
            number; times of day go) and ``patient-characteristics`` (sex, age up to 90, size, weight and
            such), and names of text attributes outside the profile that you answer for.
        flagged: ``hold`` does not write images that raise a flag.
        progress: told files done and files in all.

    Raises:
        InputError: ``source-missing``, ``source-empty``: nothing to read. ``output-exists``: the output
            is there, or lies within the source. ``usage``: an unknown or forbidden name to keep, a key
            of another length, or pydicom is not installed.
    """
    _need_pydicom()
    options, kept = _kept(keep)
    cleaner = HeaderCleaner(Pseudonyms(key), options, kept)
    paths, folder = _files(source), Path(output)
    _refuse_place(folder, source)
    tally = _Tally()
    with _staged(folder) as aside:
        for number, path in enumerate(paths):
            try:
                with _quiet():
                    _one(path, number, aside, cleaner, tally, hold=flagged == "hold")
            except _RefusedFileError as refusal:
                tally.refused.append(Refused(number=number + 1, reason=str(refusal)))
            if progress is not None:
                progress(number + 1, len(paths))
    return Cleaned(
        read=len(paths),
        written=len(tally.pairs),
        patients=len(tally.patients),
        studies=len(tally.studies),
        options=tuple(sorted(options)),
        kept=tuple(sorted(kept)),
        removed=dict(sorted(tally.removed.items())),
        replaced=dict(sorted(tally.replaced.items())),
        traced=dict(sorted(tally.traced.items())),
        unchanged=tally.unchanged,
        flagged=tuple(tally.flagged),
        refused=tuple(tally.refused),
        without_identity=tally.without_identity,
        pairs=tuple((path, folder / new) for path, new in tally.pairs),
    )


def _one(path: Path, number: int, aside: Path, cleaner: HeaderCleaner, tally: _Tally, *, hold: bool) -> None:
    """Clean one file into the staging folder.

    Raises:
        _RefusedFileError: it is not an image that can be cleaned.
    """
    dataset, syntax = _read(path)
    sop_class, identity, named = _text(dataset, "SOPClassUID"), *_identity(dataset, number)
    _refuse_kind(sop_class)
    flags = flags_of(dataset, sop_class)
    try:
        said_more = trim(dataset, compressed=syntax.is_compressed and syntax.is_encapsulated)
    except PixelsError as error:
        raise _RefusedFileError(str(error)) from None
    flags += ("stream",) * said_more
    changes = cleaner.clean(dataset, identity)
    _refuse_named_pixels(dataset, changes)
    _require_image(dataset)
    _record(dataset, cleaner.options)
    dataset.file_meta = _meta(dataset, syntax)
    dataset.preamble = bytes(128)
    name = Path(cleaner.names.patient(identity)) / f"{dataset.SOPInstanceUID}.dcm"
    if (aside / name).exists():
        raise _RefusedFileError("another file has the same SOP instance")
    held = hold and bool(flags)
    if not held:
        _write(dataset, aside / name)
    if flags:
        tally.flagged.append(Flagged(file=str(name), flags=flags, written=not held))
    if held:
        return
    tally.add(changes)
    tally.pairs.append((path, name))
    tally.patients.add(name.parent.name)
    tally.studies.add(_text(dataset, "StudyInstanceUID"))
    tally.without_identity += not named


def _read(path: Path) -> tuple[Any, Any]:
    """The dataset of a file, and its transfer syntax."""
    import pydicom
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        dataset = pydicom.dcmread(path)
    except OSError as error:
        raise _RefusedFileError(f"it cannot be read ({error.strerror or 'cut short'})") from None
    except Exception:  # noqa: BLE001  the parser fails in many ways, and its words may quote a value
        raise _RefusedFileError("not a DICOM file, or a broken one") from None
    written = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if written and UID(written).is_transfer_syntax:
        return dataset, UID(written)
    implicit, little = dataset.original_encoding
    if implicit:
        return dataset, ImplicitVRLittleEndian
    return dataset, ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _text(dataset: Any, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip()
    except Exception:  # noqa: BLE001  a value that cannot be parsed
        return ""


def _identity(dataset: Any, number: int) -> tuple[str, bool]:
    """What tells the patient apart, and whether the header named one: id, else name, else the study."""
    for kind in ("PatientID", "PatientName"):
        found = _text(dataset, kind)
        if found:
            return f"{kind} {found}", True
    study = _text(dataset, "StudyInstanceUID") or _text(dataset, "SOPInstanceUID")
    return f"Study {study or number}", False


def _refuse_kind(sop_class: str) -> None:
    for start, why in _REFUSED.items():
        if sop_class == start or sop_class.startswith(f"{start}."):
            raise _RefusedFileError(why)


def _refuse_named_pixels(dataset: Any, changes: Changes) -> None:
    pixels = bytes(dataset.PixelData).lower()
    for token in tokens(changes.naming):
        if len(token) >= _LEAST_IN_PIXELS and token.encode().lower() in pixels:
            raise _RefusedFileError("a value that names somebody stands among the bytes of its pixels")


def _require_image(dataset: Any) -> None:
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "Rows",
        "Columns",
        "BitsAllocated",
        "PhotometricInterpretation",
    ):
        if not dataset.get(keyword):
            raise _RefusedFileError(f"its header has no sound {keyword}")


def _record(dataset: Any, options: frozenset[str]) -> None:
    """Say in the header how it was cleaned (PS3.15 E.1.1, PS3.3 C.7.1.1)."""
    from pydicom.dataset import Dataset

    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "sfumato: PS3.15 Annex E basic profile, other text removed"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if "longitudinal" in options else "REMOVED"
    codes = []
    for value, meaning in (PROFILE, *(OPTIONS[name] for name in sorted(options))):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    dataset.DeidentificationMethodCodeSequence = codes


def _meta(dataset: Any, syntax: Any) -> Any:
    """File meta made anew: the old one names who wrote, sent and received the file."""
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "SFUMATO"
    return meta


def _write(dataset: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    try:
        dataset.save_as(path, enforce_file_format=True)
    except OSError:
        raise
    except Exception:  # noqa: BLE001  a value that cannot be encoded, and the words may quote it
        path.unlink(missing_ok=True)
        raise _RefusedFileError("what is left of it cannot be written as DICOM") from None


def _need_pydicom() -> None:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise InputError(
            "usage", "images need the package pydicom", remedy="pip install 'sfumato[images]'"
        ) from None


def _kept(names: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Options and attribute names, told apart.

    Raises:
        InputError: ``usage``.
    """
    from pydicom.datadict import tag_for_keyword

    wanted = set(names)
    options, kept = wanted & OPTIONS.keys(), wanted - OPTIONS.keys()
    for name in sorted(kept):
        tag = tag_for_keyword(name)
        if tag is None:
            raise InputError(
                "usage", "no option and no DICOM attribute to keep", remedy=nearest(name, OPTIONS)
            )
        if tag in table():
            raise InputError("usage", f"{name} is in the confidentiality profile and cannot be kept")
    return frozenset(options), frozenset(kept)


def _files(source: Path | str | Iterable[Path | str]) -> list[Path]:
    """The files of a source, in the order of their paths."""
    if isinstance(source, Path | str):
        place = Path(source)
        if not place.exists():
            raise InputError("source-missing", "no such file or folder", remedy="check the path")
        found = [place] if place.is_file() else _within(place)
    else:
        found = [Path(path) for path in source]
    if not found:
        raise InputError("source-empty", "there are no files here", remedy="name a folder with DICOM files")
    return sorted(found)


def _within(folder: Path) -> list[Path]:
    return [
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if not Path(place, name).is_symlink()
    ]


def _refuse_place(folder: Path, source: Path | str | Iterable[Path | str]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "output-exists", "the output is there already", where=str(folder), remedy="name a new folder"
        )
    if isinstance(source, Path | str) and Path(source).resolve() in (
        folder.resolve(),
        *folder.resolve().parents,
    ):
        raise InputError(
            "output-exists", "the output lies within the source", where=str(folder), remedy="name another"
        )


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder beside the output that takes its name in the end, or is gone."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".sfumato-images-", dir=folder.parent))
    except OSError as error:
        raise InputError(
            "output-failed", f"cannot be written ({error.strerror})", where=str(folder.parent)
        ) from None
    try:
        yield aside
        aside.chmod(0o700)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """The parser silenced: its warnings and logs quote values."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
