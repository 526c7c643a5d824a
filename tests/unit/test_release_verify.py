"""A release is exactly what was signed, or it is refused."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import release_example as example
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.project import Project
from sfumato.project.keys import public_pem
from sfumato.release.layout import MANIFEST
from sfumato.release.manifest import (
    PAYLOAD_TYPE,
    EnvelopeError,
    digest_of,
    open_envelope,
    pae,
    sign,
    signer_entry,
    statement,
)
from sfumato.release.verify import verify

STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("house") / ".sfumato")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Path:
    return example.build(tmp_path_factory.mktemp("made"), project).folder


@pytest.fixture
def release(tmp_path: Path, pristine: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "release"))


def resign(folder: Path, signer: Ed25519PrivateKey, change: Callable[[dict[str, Any]], None]) -> None:
    """Sign a whole release again, as somebody would who has changed it and has a key of their own."""
    found = json.loads(open_envelope_payload(folder))
    found["predicate"]["signer"] = signer_entry(signer.public_key())
    digests = {
        subject["name"]: digest_of(folder / subject["name"])
        for subject in found["subject"]
        if (folder / subject["name"]).exists()
    }
    change(found["predicate"])
    (folder / MANIFEST).write_bytes(sign(statement(digests, found["predicate"]), signer))


def open_envelope_payload(folder: Path) -> bytes:
    return base64.b64decode(json.loads((folder / MANIFEST).read_bytes())["payload"])


def alter_finding(folder: Path) -> None:
    evidence = json.loads((folder / "evidence.json").read_bytes())
    evidence["findings"][0]["value"] = 0.0
    (folder / "evidence.json").write_bytes(canonical_json(evidence))


def test_an_untouched_release_is_intact(release: Path, project: Project) -> None:
    checked = verify(release, key_pem=project.public_key_pem())
    assert checked.intact
    assert checked.exit_code == 0
    assert checked.passed
    assert checked.dataset == "example-survey"
    assert checked.words == f"intact, signed by {project.fingerprint}, as expected"


def test_without_a_key_the_signer_is_named_and_not_checked(release: Path, project: Project) -> None:
    checked = verify(release)
    assert checked.intact
    assert not checked.signer_checked
    assert checked.words == f"intact, signed by {project.fingerprint}, signer not checked"


def test_a_release_signed_again_with_another_key_is_refused(release: Path, project: Project) -> None:
    alter_finding(release)
    resign(release, STRANGER, lambda _: None)
    assert verify(release).intact, "whole in itself: only the key can tell"
    checked = verify(release, key_pem=project.public_key_pem())
    assert not checked.intact
    assert checked.exit_code == 1
    assert checked.signer_checked
    assert "not by the expected" in checked.problems[0]
    assert verify(release, key_pem=public_pem(STRANGER.public_key())).intact


def change_data(folder: Path) -> None:
    path = folder / "data" / "example-survey.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove_file(folder: Path) -> None:
    (folder / "dossier.html").unlink()


def remove_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def add_file(folder: Path) -> None:
    (folder / "readme.txt").write_text("trust me")


def add_data(folder: Path) -> None:
    (folder / "data" / "more.csv").write_text("a")


def add_folder(folder: Path) -> None:
    (folder / "more").mkdir()


def add_nested_file(folder: Path) -> None:
    (folder / "data" / "in").mkdir()
    (folder / "data" / "in" / "x.csv").write_text("a")


def add_hidden_file(folder: Path) -> None:
    (folder / ".hidden").write_text("a")


def link_document(folder: Path) -> None:
    (folder / "evidence.json").rename(folder.parent / "moved.json")
    (folder / "evidence.json").symlink_to(folder.parent / "moved.json")


def link_manifest(folder: Path) -> None:
    (folder / MANIFEST).rename(folder.parent / "moved.json")
    (folder / MANIFEST).symlink_to(folder.parent / "moved.json")


def link_data_folder(folder: Path) -> None:
    (folder / "data").rename(folder.parent / "moved")
    (folder / "data").symlink_to(folder.parent / "moved")


def add_pipe(folder: Path) -> None:
    os.mkfifo(folder / "data" / "pipe")


def spoil_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"{}")


def deep_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"[" * 200_000)


def other_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe")


def blank_after_manifest(folder: Path) -> None:
    with (folder / MANIFEST).open("ab") as file:
        file.write(b"\n")


def respell_manifest(folder: Path) -> None:
    envelope = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(json.dumps(envelope).encode())


def add_to_envelope(folder: Path) -> None:
    envelope = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(canonical_json(envelope | {"approved": True}))


def second_signature(folder: Path) -> None:
    envelope = json.loads((folder / MANIFEST).read_bytes())
    envelope["signatures"] *= 2
    (folder / MANIFEST).write_bytes(canonical_json(envelope))


def rename_signer(folder: Path) -> None:
    envelope = json.loads((folder / MANIFEST).read_bytes())
    envelope["signatures"][0]["keyid"] = "0" * 32
    (folder / MANIFEST).write_bytes(canonical_json(envelope))


def change_payload(folder: Path) -> None:
    envelope = json.loads((folder / MANIFEST).read_bytes())
    found = json.loads(base64.b64decode(envelope["payload"]))
    found["predicate"]["time"] = "1999-01-01T00:00:00Z"
    envelope["payload"] = base64.b64encode(canonical_json(found)).decode()
    (folder / MANIFEST).write_bytes(canonical_json(envelope))


DAMAGES = [
    alter_finding,
    change_data,
    remove_file,
    remove_manifest,
    add_file,
    add_data,
    add_folder,
    add_nested_file,
    add_hidden_file,
    link_document,
    link_manifest,
    link_data_folder,
    add_pipe,
    spoil_manifest,
    deep_manifest,
    other_manifest,
    blank_after_manifest,
    respell_manifest,
    add_to_envelope,
    second_signature,
    rename_signer,
    change_payload,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("with_key", [True, False])
def test_any_damage_is_refused(
    release: Path, project: Project, damage: Callable[[Path], None], with_key: bool
) -> None:
    damage(release)
    checked = verify(release, key_pem=project.public_key_pem() if with_key else None)
    assert not checked.intact
    assert checked.exit_code == 1
    assert checked.problems
    assert checked.words.startswith("refused: ")


def no_such(folder: Path) -> Path:
    return folder / "nowhere"


def a_file(folder: Path) -> Path:
    (folder / "f").write_text("x")
    return folder / "f"


def empty(folder: Path) -> Path:
    (folder / "e").mkdir()
    return folder / "e"


def strangers_folder(folder: Path) -> Path:
    (folder / "s").mkdir()
    (folder / "s" / "notes.txt").write_text("x")
    return folder / "s"


@pytest.mark.parametrize("make", [no_such, a_file, empty, strangers_folder])
def test_what_is_no_release_is_wrong_input(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(InputError) as caught:
        verify(make(tmp_path))
    assert caught.value.code == "release-unreadable"
    assert caught.value.exit_code == 2


def test_the_folder_above_a_release_gets_a_hint(release: Path) -> None:
    with pytest.raises(InputError) as caught:
        verify(release.parent)
    assert str(release) in caught.value.remedy


def test_a_key_must_be_a_public_ed25519_key(release: Path) -> None:
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    rsa_pem = rsa_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for wrong in (b"", b"nonsense", rsa_pem):
        with pytest.raises(InputError) as caught:
            verify(release, key_pem=wrong)
        assert caught.value.code == "usage"


def test_data_beside_a_refusal_are_refused(release: Path, project: Project) -> None:
    def refused(predicate: dict[str, Any]) -> None:
        predicate["passed"] = False

    resign(release, project.signer, refused)
    checked = verify(release, key_pem=project.public_key_pem())
    assert checked.problems == ("there are data, although the gate refused",)


@pytest.mark.parametrize(
    "change",
    [
        {"passed": "yes"},
        {"passed": None},
        {"time": 5},
        {"dataset": ["a"]},
    ],
)
def test_a_signed_statement_must_still_be_one_of_a_release(release: Path, change: dict[str, Any]) -> None:
    resign(release, STRANGER, lambda predicate: predicate.update(change))
    assert not verify(release).intact


def _signed(found: Any) -> bytes:
    found["predicate"]["signer"] = signer_entry(STRANGER.public_key())
    return sign(found, STRANGER)


@pytest.mark.parametrize(
    "subjects",
    [
        None,
        {},
        ["data"],
        [{"name": 1, "digest": {"sha256": "a"}}],
        [{"name": "a"}],
        [{"name": "a", "digest": {"md5": "a"}}],
        [{"name": "a", "digest": {"sha256": "a"}}] * 2,
    ],
)
def test_subjects_that_are_not_a_list_of_files_are_refused(subjects: Any) -> None:
    found = statement({}, {"sfumato": "0", "dataset": "d", "time": "t", "passed": True})
    found["subject"] = subjects
    with pytest.raises(EnvelopeError):
        open_envelope(_signed(found))


def test_a_statement_of_another_kind_is_refused() -> None:
    found = statement({}, {"sfumato": "0", "dataset": "d", "time": "t", "passed": True})
    assert open_envelope(_signed(dict(found))).digests == {}
    with pytest.raises(EnvelopeError, match="another kind"):
        open_envelope(_signed(found | {"predicateType": "https://slsa.dev/provenance/v1"}))


def test_the_envelope_is_dsse_as_others_read_it(release: Path, project: Project) -> None:
    envelope = json.loads((release / MANIFEST).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    assert envelope["payloadType"] == PAYLOAD_TYPE == "application/vnd.in-toto+json"
    signed = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    assert pae(PAYLOAD_TYPE, payload) == signed
    project.signer.public_key().verify(base64.b64decode(signature["sig"]), signed)
    found = json.loads(payload)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert {subject["name"] for subject in found["subject"]} == {
        "croissant.json",
        "data/example-survey.parquet",
        "datasheet.md",
        "dossier.html",
        "dossier.pdf",
        "evidence.json",
        "notice.md",
        "plan.json",
        "policy.yaml",
    }
