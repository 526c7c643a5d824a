"""No byte of a release can change unnoticed, wherever it stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.project.keys import public_pem
from sfumato.release.layout import MANIFEST, files_of
from sfumato.release.manifest import EnvelopeError, digest_of, open_envelope, sign, signer_entry, statement
from sfumato.release.verify import verify

SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = public_pem(SIGNER.public_key())


def small_release(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "people.csv").write_text("age,region\n20-29,north\n")
    (folder / "evidence.json").write_text('{"findings":[{"value":0.2}]}')
    digests = {name: digest_of(folder / name) for name in files_of(folder).names}
    predicate = {
        "sfumato": "0",
        "dataset": "d",
        "time": "2026-01-01T00:00:00Z",
        "passed": True,
        "signer": signer_entry(SIGNER.public_key()),
    }
    (folder / MANIFEST).write_bytes(sign(statement(digests, predicate), SIGNER))
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_release(tmp_path_factory.mktemp("property") / "release")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_anywhere_is_refused(release: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(files_of(release).names), label="file")
    content = (release / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1), label="place")
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]), label="byte")
    try:
        (release / name).write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
        assert not verify(release, key_pem=KEY).intact
        assert not verify(release).intact
    finally:
        (release / name).write_bytes(content)
    assert verify(release, key_pem=KEY).intact


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_byte_more_or_less_is_refused(release: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(files_of(release).names), label="file")
    content = (release / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1), label="place")
    more = data.draw(st.booleans(), label="more")
    middle = content[place : place + 1] + data.draw(st.binary(min_size=1, max_size=1)) if more else b""
    try:
        (release / name).write_bytes(content[:place] + middle + content[place + 1 :])
        assert not verify(release, key_pem=KEY).intact
    finally:
        (release / name).write_bytes(content)


def test_every_single_bit_of_the_manifest_counts(tmp_path: Path) -> None:
    content = (small_release(tmp_path / "release") / MANIFEST).read_bytes()
    assert open_envelope(content).digests
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            with pytest.raises(EnvelopeError):
                open_envelope(bytes(changed))


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_envelope(content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["payload", "signatures", "sig", "payloadType", "predicate", "signer"]), inner
            )
        ),
    )
)
@settings(max_examples=100, deadline=None)
def test_no_json_crashes_the_reader(value: object) -> None:
    import json

    with pytest.raises(EnvelopeError):
        open_envelope(json.dumps(value).encode())


def test_a_copy_is_as_good_as_the_original(release: Path, tmp_path: Path) -> None:
    assert verify(Path(shutil.copytree(release, tmp_path / "copy")), key_pem=KEY).intact
