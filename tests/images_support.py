"""DICOM files made for tests: invented people in every place where a header can name them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

#: Everything that names somebody, in the form in which a search would find it.
NAMES = {
    "PatientName": "Quintessa^Ravenscroft",
    "PatientID": "MRN-7741903",
    "PatientBirthDate": "19470312",
    "PatientAddress": "12 Mulberry Crescent",
    "AccessionNumber": "ACC5510932",
    "InstitutionName": "St Elmo Infirmary",
    "ReferringPhysicianName": "Bartholomew^Oglethorpe",
    "DeviceSerialNumber": "SN-99120-X",
    "StudyDate": "20190822",
    "StudyTime": "134501.25",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.7741903.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.7741903.2",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.7741903.3",
    "StudyDescription": "follow-up of Mrs Ravenscroft",
}


def image_file(path: Path, *, pixels: Any = None, **values: Any) -> Path:
    """A secondary capture with :data:`NAMES`, nested and private ones too, and any values replaced."""
    with warnings.catch_warnings():
        # Some tests want values that the standard forbids.
        warnings.simplefilter("ignore")
        return _written(path, pixels, values)


def _written(path: Path, pixels: Any, values: dict[str, Any]) -> Path:
    shade = np.arange(64, dtype=np.uint8).reshape(8, 8) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = values.get("SOPInstanceUID", NAMES["SOPInstanceUID"])
    meta.SourceApplicationEntityTitle = "ELMO_PACS"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"RAVENSCROFT".ljust(128, b"\0"))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    for name, value in (NAMES | {"Modality": "DX", "PatientSex": "F", "PatientAge": "093Y"} | values).items():
        setattr(dataset, name, value)
    dataset.PatientComments = "Ravenscroft asks to be called Quintessa"
    nested = Dataset()
    nested.PatientName = NAMES["PatientName"]
    nested.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    nested.ReferencedSOPInstanceUID = NAMES["SOPInstanceUID"]
    deeper = Dataset()
    deeper.PersonName = NAMES["ReferringPhysicianName"]
    deeper.TextValue = "dictated for Ravenscroft"
    nested.PurposeOfReferenceCodeSequence = Sequence([deeper])
    dataset.ReferencedImageSequence = Sequence([nested])
    block = dataset.private_block(0x0043, "ELMO 1.0", create=True)
    block.add_new(0x01, "LO", "Ravenscroft, Quintessa")
    dataset.add_new(0x60003000, "OW", b"RAVENSCROFT0")
    dataset.Rows, dataset.Columns = shade.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = shade.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
