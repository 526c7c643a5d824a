"""Whatever a header says of a person, no byte of the cleaned file says it."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from images_support import image_file
from sfumato.images import clean

LETTERS = st.text(string.ascii_letters, min_size=5, max_size=12)
# Codes of the standard have six digits, and the dummy date is no trace.
NUMBERS = st.text(string.digits, min_size=8, max_size=10).filter(
    lambda digits: digits[0] != "0" and digits != "19000101"
)
FREE = st.sampled_from(
    [
        "PatientComments",
        "ImageComments",
        "StudyDescription",
        "SeriesDescription",
        "ProtocolName",
        "Manufacturer",
    ]
)
CODES = st.sampled_from(["BodyPartExamined", "Laterality", "ImageType", "ConversionType", "ScanOptions"])


@settings(max_examples=40, deadline=None)
@given(family=LETTERS, given_name=LETTERS, number=NUMBERS, free=FREE, code=CODES, keep=st.booleans())
def test_names_and_numbers_are_nowhere(
    family: str, given_name: str, number: str, free: str, code: str, keep: bool
) -> None:
    values = {
        "PatientName": f"{family}^{given_name}",
        "PatientID": number,
        "OtherPatientIDs": [f"X{number}", number],
        "StudyInstanceUID": f"1.2.{number}.1",
        "SOPInstanceUID": f"1.2.{number}.2",
        "SeriesNumber": number,
        free: f"{given_name} {family} {number}",
        code: family.upper(),
    }
    with tempfile.TemporaryDirectory() as place:
        path = image_file(Path(place) / "in.dcm", **values)
        report = clean(
            path,
            Path(place) / "out",
            key=bytes(32),
            keep=("longitudinal", "patient-characteristics") if keep else (),
        )
        content = report.pairs[0][1].read_bytes().lower()
    # Our own words are no trace: "sfumato" may hold an invented name of a few letters.
    for word in (b"sfumato", b"basic", b"profile", b"annex", b"other", b"removed", b"modified"):
        content = content.replace(word, b"")
    for token in (family, given_name, number):
        assert token.lower().encode() not in content
