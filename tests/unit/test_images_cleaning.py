"""DICOM files cleaned: what is gone, what stays, what is refused, what is flagged."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_for_tag

from images_support import NAMES, image_file
from sfumato.core.errors import InputError
from sfumato.images import clean
from sfumato.images.pixels import looks_written
from sfumato.images.profile import table
from sfumato.images.pseudonyms import Pseudonyms

KEY = bytes(range(32))
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def cleaned(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path)


def one(tmp_path: Path, **values: object) -> pydicom.Dataset:
    keep = values.pop("keep", ())
    report = clean(image_file(tmp_path / "in" / "a.dcm", **values), tmp_path / "out", key=KEY, keep=keep)  # type: ignore[arg-type]
    return cleaned(report.pairs[0][1])


def test_the_profile_names_attributes_as_the_dictionary_does() -> None:
    assert len(table()) == 456
    for tag, row in table().items():
        assert keyword_for_tag(tag) == row.keyword
        assert set(row.action.rstrip("*").split("/")) <= set("XZDU")


@pytest.mark.parametrize(
    ("keyword", "action"),
    [
        ("PatientName", "Z"),
        ("PatientAge", "X"),
        ("SeriesInstanceUID", "U"),
        ("ContentDate", "Z/D"),
        ("DeviceSerialNumber", "X/Z/D"),
        ("ReferencedImageSequence", "X/Z/U*"),
        ("VerifyingObserverName", "D"),
    ],
)
def test_actions_are_those_of_the_standard(keyword: str, action: str) -> None:
    assert {row.keyword: row.action for row in table().values()}[keyword] == action


def test_no_name_is_left_in_any_byte(tmp_path: Path) -> None:
    report = clean(image_file(tmp_path / "in" / "a.dcm"), tmp_path / "out", key=KEY)
    content = report.pairs[0][1].read_bytes().lower()
    for value in NAMES.values():
        for part in value.replace(" ", "^").split("^"):
            if len(part) > 2 and part not in ("follow-up",):
                assert part.lower().encode() not in content, part
    for other in (b"elmo", b"dictated", b"ravenscroft"):
        assert other not in content
    assert all(value not in report.to_json().decode() for value in NAMES.values())


def test_pixels_stay_as_they_are(tmp_path: Path) -> None:
    dataset = one(tmp_path)
    assert np.array_equal(dataset.pixel_array, np.arange(64).reshape(8, 8))
    assert dataset.preamble == bytes(128)
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in dataset.file_meta
    assert not any(element.tag.is_private or element.tag.group == 0x6000 for element in dataset.iterall())


def test_how_it_was_cleaned_is_written_into_it(tmp_path: Path) -> None:
    dataset = one(tmp_path, keep=("longitudinal", "patient-characteristics"))
    assert dataset.PatientIdentityRemoved == "YES"
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [code.CodeValue for code in dataset.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108"]


def test_one_patient_has_one_pseudonym_and_references_still_point(tmp_path: Path) -> None:
    image_file(tmp_path / "in" / "a.dcm")
    image_file(tmp_path / "in" / "b.dcm", SOPInstanceUID="1.2.3.4", PatientName="Ravenscroft^Q")
    image_file(tmp_path / "in" / "c.dcm", SOPInstanceUID="1.2.3.5", PatientID="OTHER-1")
    report = clean(tmp_path / "in", tmp_path / "out", key=KEY)
    first, second, third = (cleaned(path) for _, path in report.pairs)
    assert first.PatientID == second.PatientID == first.PatientName != third.PatientID
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert second.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.ReferencedImageSequence[0].ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (report.patients, report.read, report.written) == (2, 3, 3)


def test_another_key_gives_other_pseudonyms_and_the_same_key_the_same_bytes(tmp_path: Path) -> None:
    path = image_file(tmp_path / "in" / "a.dcm")
    made = [clean(path, tmp_path / name, key=key) for name, key in (("x", KEY), ("y", KEY), ("z", bytes(32)))]
    same, again, other = (report.pairs[0][1] for report in made)
    assert same.read_bytes() == again.read_bytes()
    assert cleaned(same).PatientID != cleaned(other).PatientID


def test_dates_go_or_move_alike_for_a_patient(tmp_path: Path) -> None:
    assert one(tmp_path).StudyDate == ""
    image_file(tmp_path / "two" / "a.dcm", StudyDate="20190822", SeriesDate="20190901")
    image_file(tmp_path / "two" / "b.dcm", SOPInstanceUID="1.2.3.4", StudyDate="20200101")
    report = clean(tmp_path / "two", tmp_path / "moved", key=KEY, keep=["longitudinal"])
    first, second = (cleaned(path) for _, path in report.pairs)
    days = [datetime.strptime(d, "%Y%m%d") for d in (first.StudyDate, first.SeriesDate, second.StudyDate)]
    assert ((days[1] - days[0]).days, (days[2] - days[0]).days) == (10, 132)
    assert days[0] < datetime(2019, 1, 1)
    assert first.StudyTime == ""
    assert first.PatientBirthDate == ""


def test_a_date_that_is_none_goes(tmp_path: Path) -> None:
    dataset = one(tmp_path, SeriesDate="00000000", StudyDate="yesterday", keep=("longitudinal",))
    assert (dataset.SeriesDate, dataset.StudyDate) == ("19000101", "")


def test_great_ages_become_one(tmp_path: Path) -> None:
    dataset = one(tmp_path, keep=("patient-characteristics",))
    assert (dataset.PatientAge, dataset.PatientSex) == ("090Y", "F")


def test_a_name_in_a_code_string_is_traced(tmp_path: Path) -> None:
    path = image_file(tmp_path / "in" / "a.dcm", BodyPartExamined="RAVENSCROFT")
    report = clean(path, tmp_path / "out", key=KEY)
    assert report.traced == {"BodyPartExamined": 1}


def test_a_pseudonym_that_holds_a_name_by_chance_stays(tmp_path: Path) -> None:
    names = Pseudonyms(KEY)
    number = next(n for n in range(100_000) if "ADA" in names.patient(f"PatientID {n}"))
    dataset = one(tmp_path, PatientName="Ada^Bea", PatientID=str(number))
    assert dataset.PatientID == dataset.PatientName == names.patient(f"PatientID {number}")


def test_a_kept_text_stays_and_one_of_the_profile_cannot_be(tmp_path: Path) -> None:
    dataset = one(tmp_path, ConvolutionKernel="B30f", Manufacturer="Elmo", keep=("ConvolutionKernel",))
    assert dataset.ConvolutionKernel == "B30f"
    assert "Manufacturer" not in dataset
    for name in ("PatientName", "NoSuchThing"):
        with pytest.raises(InputError, match=r"kept|keep"):
            clean(tmp_path / "in", tmp_path / "other", key=KEY, keep=[name])


def test_what_lies_behind_the_pixels_is_cut(tmp_path: Path) -> None:
    path = image_file(tmp_path / "in" / "a.dcm")
    dataset = pydicom.dcmread(path)
    dataset.PixelData += b"Quintessa was here"
    dataset.save_as(path)
    report = clean(path, tmp_path / "out", key=KEY)
    assert "stream" in report.flagged[0].flags
    assert b"Quintessa" not in report.pairs[0][1].read_bytes()


def test_a_name_in_the_pixels_themselves_is_refused(tmp_path: Path) -> None:
    pixels = np.frombuffer(b"Ravenscroft".ljust(64, b"\0"), dtype=np.uint8).reshape(8, 8)
    report = clean(image_file(tmp_path / "in" / "a.dcm", pixels=pixels), tmp_path / "out", key=KEY)
    assert [refused.reason for refused in report.refused] == [
        "a value that names somebody stands among the bytes of its pixels"
    ]


def test_comments_in_a_compressed_stream_are_blanked(tmp_path: Path) -> None:
    report = clean(SAMPLES / "SC_rgb_jpeg_gdcm.dcm", tmp_path / "plain", key=KEY)
    assert report.written == 1
    dataset = pydicom.dcmread(SAMPLES / "JPEG2000.dcm")
    assert b"Kakadu" in dataset.PixelData
    report = clean(SAMPLES / "JPEG2000.dcm", tmp_path / "out", key=KEY)
    assert "stream" in report.flagged[0].flags
    content = report.pairs[0][1].read_bytes()
    assert b"Kakadu" not in content
    assert len(cleaned(report.pairs[0][1]).PixelData) == len(dataset.PixelData)


BROKEN = {
    "empty": (b"", "not a DICOM file"),
    "text": (b"this is no image" * 20, "not a DICOM file"),
    "half-header": (None, "not a DICOM file|no sound|no image|cut short|does not say"),
    "half-pixels": (None, "cut short"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused_with_a_reason(tmp_path: Path, kind: str) -> None:
    content, reason = BROKEN[kind]
    path = image_file(tmp_path / "in" / "Ravenscroft.dcm")
    if content is not None:
        path.write_bytes(content)
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if kind == "half-header" else whole[:-20])
    report = clean(tmp_path / "in", tmp_path / "out", key=KEY)
    assert report.written == 0
    assert report.refused[0].number == 1
    import re

    assert re.search(reason, report.refused[0].reason)
    assert "Ravenscroft" not in report.to_json().decode()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test-SR.dcm", "structured report"),
        ("waveform_ecg.dcm", "waveform"),
        ("rtplan.dcm", "no image"),
        ("MR_truncated.dcm", "cut short"),
        ("rtdose.dcm", ""),
    ],
)
def test_of_the_parsers_own_files_only_images_are_taken(tmp_path: Path, name: str, reason: str) -> None:
    report = clean(SAMPLES / name, tmp_path / "out", key=KEY)
    assert (reason in report.refused[0].reason) if reason else report.written == 1


def test_an_encapsulated_document_is_refused(tmp_path: Path) -> None:
    path = image_file(tmp_path / "in" / "a.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1")
    assert "document" in clean(path, tmp_path / "out", key=KEY).refused[0].reason


def test_all_of_the_parsers_files_go_through_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        report = clean(SAMPLES, tmp_path / "out", key=KEY)
    assert (report.read, report.written) == (report.read, report.read - len(report.refused))
    assert report.written > 60
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    for _, path in report.pairs:
        dataset = cleaned(path)
        assert dataset.PatientIdentityRemoved == "YES"
        assert not any(element.tag.is_private for element in dataset.iterall())
        assert not any(element.VR in ("LT", "ST", "UT", "UN") for element in dataset.iterall())
    assert json.loads(report.to_json())["written"] == report.written


def test_the_output_is_whole_or_not_there(tmp_path: Path) -> None:
    source = image_file(tmp_path / "in" / "a.dcm").parent
    with pytest.raises(InputError, match="within the source"):
        clean(source, source / "out", key=KEY)
    with pytest.raises(InputError, match="no such file"):
        clean(tmp_path / "none", tmp_path / "out", key=KEY)
    with pytest.raises(InputError, match="32 bytes"):
        clean(source, tmp_path / "out", key=b"short")

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean(source, tmp_path / "out", key=KEY, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    clean(source, tmp_path / "out", key=KEY)
    with pytest.raises(InputError, match="there already"):
        clean(source, tmp_path / "out", key=KEY)


def written_on(letters: str, scale: int = 2) -> np.ndarray:
    """A picture with block letters in its upper left corner."""
    shapes = {"A": "0E11111F111111", "E": "1F10101E10101F", "L": "1010101010101F", "T": "1F040404040404"}
    image = np.random.default_rng(0).normal(60, 12, (128, 128)).clip(0, 120)
    for place, letter in enumerate(letters):
        rows = [int(shapes[letter][i : i + 2], 16) for i in range(0, 14, 2)]
        block = np.kron(
            [[row >> bit & 1 for bit in range(4, -1, -1)] for row in rows], np.ones((scale, scale))
        )
        top, left = 6, 6 + place * 7 * scale
        area = image[top : top + block.shape[0], left : left + block.shape[1]]
        area[block > 0] = 255
    return image


def test_letters_near_the_border_are_seen_and_smooth_pictures_are_not() -> None:
    assert looks_written(written_on("LATELATE"))
    assert looks_written(255 - written_on("LATELATE"))
    assert not looks_written(written_on("LA"))
    across, down = np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 128))
    assert not looks_written(np.exp(-(across**2 + down**2)))
    assert not looks_written(np.zeros((128, 128)))
    assert not looks_written(np.arange(64.0).reshape(8, 8))


def test_flags_say_what_to_look_at_and_can_hold_images_back(tmp_path: Path) -> None:
    letters = written_on("LATELATE").astype(np.uint8)
    path = image_file(tmp_path / "in" / "a.dcm", pixels=letters, BurnedInAnnotation="YES")
    report = clean(path, tmp_path / "out", key=KEY)
    assert report.flagged[0].flags == ("declared", "writing")
    held = clean(path, tmp_path / "held", key=KEY, flagged="hold")
    assert (held.written, held.flagged[0].written) == (0, False)
    head = image_file(
        tmp_path / "head.dcm", Modality="CT", BodyPartExamined="HEAD", BurnedInAnnotation="NO", Laterality="L"
    )
    assert clean(head, tmp_path / "faces", key=KEY).flagged[0].flags == ("face",)
