"""What to look at with one's eyes: signs that the pixels themselves say who somebody is."""

from __future__ import annotations

from typing import Any

from sfumato.images.pixels import first_frame, looks_written

#: Kinds of image that are known for writing in the picture, by the start of their class (PS3.4 B.5).
_WRITTEN_KINDS = (
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.6.1",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.3.1",  # ultrasound, several frames
    "1.2.840.10008.5.1.4.1.1.77.1",  # visible light
)
_WRITTEN_MODALITIES = {"US", "SC", "OT", "XC", "ES", "IVUS", "DOC"}
#: Digitized film and pictures of screens (PS3.3 C.8.6.1).
_CONVERTED = {"DF", "DI", "DV", "SI", "SD", "WSD"}
_HEADS = {"HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "ORBIT"}
_VOLUMES = {"CT", "MR", "PT"}

#: Each flag in words, for the report.
FLAGS = {
    "declared": "the header says that identifying words are in the picture",
    "kind": "of a kind that often has words in the picture, and the header does not say that it has none",
    "writing": "marks near the border that look like writing",
    "not-looked-at": "compressed in a way that nothing here can decode, so that nobody looked",
    "features": "the header says that the person can be recognized",
    "face": "a scan of a head: a face can be computed from it",
    "overlay": "graphics may lie in unused bits of the pixels",
    "stream": "the compressed stream or the bytes after the pixels said something, which was blanked",
}


def flags_of(dataset: Any, sop_class: str) -> tuple[str, ...]:
    """The names of the :data:`FLAGS` that an image raises, before its header is cleaned.

    Args:
        dataset: a ``pydicom.Dataset`` with its pixels.
        sop_class: its SOP class.
    """
    found = []
    burned = str(dataset.get("BurnedInAnnotation") or "").upper()
    if burned == "YES":
        found.append("declared")
    elif burned != "NO" and _often_written(dataset, sop_class):
        found.append("kind")
    if str(dataset.get("RecognizableVisualFeatures") or "").upper() == "YES":
        found.append("features")
    part = str(dataset.get("BodyPartExamined") or "").upper()
    if dataset.get("Modality") in _VOLUMES and part in _HEADS:
        found.append("face")
    if any(
        0x6000 <= element.tag.group < 0x6100 and element.tag.element == 0x0102 and element.value
        for element in dataset.group_dataset(0x6000)
    ):
        found.append("overlay")
    frame = first_frame(dataset)
    if frame is None:
        found.append("not-looked-at")
    elif looks_written(frame):
        found.append("writing")
    return tuple(found)


def _often_written(dataset: Any, sop_class: str) -> bool:
    return (
        any(sop_class == kind or sop_class.startswith(f"{kind}.") for kind in _WRITTEN_KINDS)
        or dataset.get("Modality") in _WRITTEN_MODALITIES
        or dataset.get("ConversionType") in _CONVERTED
    )
