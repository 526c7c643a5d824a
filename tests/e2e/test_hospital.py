"""The hospital's demo on few images, and on a folder that somebody has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sfumato.core.errors import InputError
from sfumato.demos.hospital import ImageOutcome, walk
from sfumato.demos.hospital_images import read_images, squared
from sfumato.dp.budget import Budget
from sfumato.dp.training import tensorfile
from sfumato.pipeline.outcome import Watch
from sfumato.project import Project
from sfumato.release.verify import verify

SFUMATO = Path(sys.executable).with_name("sfumato")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImageOutcome]:
    folder = tmp_path_factory.mktemp("hospital") / "out"
    return folder, walk(folder, Watch(), count=500)


def test_the_model_leaves_and_is_of_use(walked: tuple[Path, ImageOutcome]) -> None:
    folder, outcome = walked
    assert outcome.decision.passed
    assert outcome.figures["private"]["accuracy"][0] > 0.7
    assert outcome.figures["epsilon"] <= 3
    packed = ["synthetic-images.zip"] if outcome.synthetic.folder is not None else []
    assert sorted(path.name for path in (folder / "release").rglob("*") if path.is_file()) == [
        *["card.md", "dossier.html", "dossier.pdf", "evidence.json", "manifest.json", "model.safetensors"],
        *packed,
    ]
    page = (folder / "release" / "dossier.html").read_text()
    assert "What it may tell of one patient" in page
    assert "A review of the parameters" in page
    arrays, said = tensorfile.read((folder / "release" / "data" / "model.safetensors").read_bytes())
    assert arrays["weights"].shape[0] == len(said["classes"].split("\n")) == 10
    assert json.loads(json.dumps(outcome.summary()))["cleaned"]["written"] == 500
    assert "The gate passed the release of the model." in outcome.told()


def test_the_release_verifies_and_names_nobody(walked: tuple[Path, ImageOutcome]) -> None:
    folder, _ = walked
    key = (folder / ".sfumato" / "signing-key.pub").read_bytes()
    assert verify(folder / "release", key_pem=key).intact
    content = b"".join(path.read_bytes() for path in (folder / "release").rglob("*") if path.is_file())
    for name in (b"Abelow", b"Example General", b"H100000", b"labels.csv", str(folder).encode()):
        assert name not in content
    cleaned = b"".join(path.read_bytes() for path in (folder / "cleaned").rglob("*.dcm"))
    for name in (b"Abelow", b"Example", b"H100000", b"asked for a copy", b"A5000000"):
        assert name not in cleaned


def test_both_budgets_were_charged(walked: tuple[Path, ImageOutcome]) -> None:
    folder, _ = walked
    project = Project.open(folder / ".sfumato")
    for name, spends in (("hospital-images", 2), ("hospital-images-held-out", 1)):
        statement = Budget.open(name, project).statement()
        assert len(statement.entries) == spends
        assert statement.unit == "subject"
        assert not statement.unbounded


def test_a_synthetic_set_is_made_or_held_back(walked: tuple[Path, ImageOutcome]) -> None:
    folder, outcome = walked
    made = outcome.synthetic
    assert made.epsilon <= 2 and made.images == 200
    assert {one.metric for one in made.findings} >= {"images.copies", "images.classifier_auc"}
    place = folder / "synthetic"
    assert (made.folder == place) == place.exists() == (not made.reasons)
    if made.folder is not None:
        names = {path.name for path in place.iterdir()}
        assert len(names) == 203
        assert all("synthetic" in name for name in names - {"README.md"})
        readme = (place / "README.md").read_text()
        assert "are synthetic" in readme and "0.0%" not in readme
        lines = (place / "synthetic-classes.csv").read_text().splitlines()
        assert lines[0] == "file,label" and len(lines) == 201


def test_exact_figures_are_not_in_the_release(walked: tuple[Path, ImageOutcome]) -> None:
    folder, outcome = walked
    evidence = json.loads((folder / "release" / "evidence.json").read_text())
    assert {found["metric"] for found in evidence["findings"]} == {
        *["dp.epsilon", "dp.replace_epsilon", "dp.delta", "learning.accuracy"]
    }
    assert not any("auc" in found["metric"] for found in evidence["findings"])
    assert (folder / "custody" / "private.json.age").stat().st_mode & 0o077 == 0
    assert outcome.release.manifest_digest


def test_a_second_walk_into_the_same_folder_is_refused(walked: tuple[Path, ImageOutcome]) -> None:
    with pytest.raises(InputError, match="already"):
        walk(walked[0], Watch())


def test_a_folder_of_arrays_by_the_command_line(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (400, 1))
    images = draw.integers(0, 90, (400, 12, 12)) + 120 * labels[:, :, None] * (np.arange(12) < 6)
    (tmp_path / "own").mkdir()
    np.savez(tmp_path / "own" / "a.npz", train_images=images.astype(np.uint8), train_labels=labels)
    done = subprocess.run(
        [SFUMATO, "demo", "hospital", "--images", tmp_path / "own", "-o", tmp_path / "out", "--json"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["cleaned"] is None
    assert told["for_the_house"]["unit"] == "image"
    assert "nothing is promised about patients" in (tmp_path / "out/release/card.md").read_text().replace(
        "\n", " "
    )


def test_wrong_folders_are_told(tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        read_images(folder, tmp_path / "cleaned", bytes(32))

    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"neither"):
        read(tmp_path / "a")
    (tmp_path / "a" / "labels.csv").write_text("file,label\n../secret.dcm,1\n")
    with pytest.raises(InputError, match="names no file"):
        read(tmp_path / "a")
    (tmp_path / "a" / "labels.csv").write_text("x\n")
    with pytest.raises(InputError, match="not a table"):
        read(tmp_path / "a")
    (tmp_path / "a" / "b.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="arrays"):
        read(tmp_path / "a")


def test_images_are_cut_and_averaged() -> None:
    images = np.arange(2 * 56 * 70, dtype=float).reshape(2, 56, 70)
    small = squared(images)
    assert small.shape == (2, 28, 28)
    assert small[0, 0, 0] == images[0, :2, 7:9].mean()
    assert squared(np.ones((1, 9, 7))).shape == (1, 7, 7)
