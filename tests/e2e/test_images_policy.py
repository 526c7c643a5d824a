"""Images through the whole way: what leaves, what is judged, what it costs, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from digits_support import BUDGET, LEVELS, images_policy, write_digits
from sfumato.contracts import Params
from sfumato.core.errors import InputError, RefusedError
from sfumato.pipeline import revisit
from sfumato.project import Project
from sfumato.release.custody import open_table
from sfumato.release.layout import SEALED_SYNTHESIZER
from sfumato.release.verify import verify
from sfumato.synth.images import METHODS, load
from sfumato.synth.images.method import Learned
from sfumato.synth.images.png import png
from sfumato.synth.images.reading import read_png

Run = Callable[..., sf.Result]
SECRET = "zz-somebody"
RISKS = ("images.copies_excess", "images.repeated_excess", "images.members_auc")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, name=SECRET)
    return folder


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Run:
    made = 0

    def running(written: dict[str, Any], folder: Path = source) -> sf.Result:
        nonlocal made
        made += 1
        path = folder / f"policy-{tmp_path.name}-{made}.json"
        path.write_text(json.dumps(written))
        return sf.run(path, output=tmp_path / str(made), project=tmp_path / "keys")

    return running


def of(result: sf.Result, metric: str, target: str = "pixels") -> Any:
    every = (*result.findings, *result.kept)
    return next(one for one in every if (one.metric, one.target) == (metric, target))


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(errors="replace") for path in folder.iterdir() if path.is_file()}


def share_spent(tmp_path: Path) -> float:
    from sfumato.dp.budget import Budget

    return Budget.open("digits", Project.open(tmp_path / "keys")).statement().share


def test_images_leave_and_nobodys_own(run: Run, source: Path, tmp_path: Path) -> None:
    result = run(images_policy(synthesis={"settings": {"steps": 120, "width": 16}}))
    assert result.passed, [reason for reason in result.decision.reasons if not reason.passed]  # type: ignore
    folder = result.folder
    assert folder is not None
    table = result.data
    assert table.columns == ["file", "digit"]
    assert table.schema == {"file": pl.String, "digit": pl.Int64}
    assert table.height == 600
    files = sorted((folder / "data" / "images").iterdir())
    assert sorted(table["file"]) == [f"images/{path.name}" for path in files]
    made = [read_png(path.read_bytes()) for path in files]
    assert {image.shape for image in made} == {(8, 8)}
    assert max(int(image.max()) for image in made) <= LEVELS[1]
    own = {path.read_bytes() for path in (source / "scans").iterdir()}
    assert not own & {path.read_bytes() for path in files}
    for metric in RISKS:
        assert {of(result, metric, space).status for space in ("pixels", "features")} == {"measured"}
    accuracy = of(result, "images.classifier_accuracy", "release")
    assert accuracy.low > accuracy.baseline
    told = texts(folder)
    assert not any(SECRET in text for text in told.values())
    assert "How the images were made" in told["dossier.html"]
    assert "a row for each label, from top to bottom: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in told["dossier.html"]
    assert "data:image/png;base64," in told["dossier.html"]
    assert "No epsilon bounds what the images tell of anybody" in told["dossier.html"]
    assert "synthetic-001.png" not in told["dossier.html"]
    assert folder.joinpath("dossier.pdf").read_bytes().count(b"/Subtype/Image") == 1
    assert not {"folder", "scans"} & set(json.loads(told["plan.json"])["synthesis"]["images"])
    names = {subject["name"] for subject in _subjects(folder)}
    assert {f"data/{name}" for name in table["file"]} <= names
    sealed = open_table(folder.parent / "custody", SEALED_SYNTHESIZER, Project.open(tmp_path / "keys"))
    assert load(sealed).sample(3, key=1).images.shape == (3, 8, 8)


def _subjects(folder: Path) -> Any:
    import base64

    envelope = json.loads((folder / "manifest.json").read_text())
    return json.loads(base64.b64decode(envelope["payload"]))["subject"]


@pytest.mark.usefixtures("quick_documents")
def test_whatever_is_changed_among_the_images_is_noticed(run: Run) -> None:
    folder = run(images_policy()).folder
    assert folder is not None
    assert verify(folder).intact
    image = sorted((folder / "data" / "images").iterdir())[7]
    whole = image.read_bytes()
    image.write_bytes(png(np.zeros((8, 8), dtype=np.uint8)))
    assert verify(folder).problems == (f"'data/images/{image.name}' has been changed",)
    image.unlink()
    assert verify(folder).problems == (f"'data/images/{image.name}' is missing",)
    image.write_bytes(whole)
    assert verify(folder).intact
    (folder / "data" / "images" / "more.png").write_bytes(whole)
    assert verify(folder).problems == ("'data/images/more.png' is not in the manifest",)
    (folder / "data" / "images" / "more.png").unlink()
    (folder / "data" / "images" / "deeper").mkdir()
    assert verify(folder).problems == ("'data/images/deeper' has no place in a release",)


@pytest.mark.usefixtures("quick_documents")
def test_under_a_budget_people_are_paid_for_and_figures_stay(
    run: Run, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = tmp_path_factory.mktemp("two each")
    write_digits(folder, images=2, name=SECRET)
    # Of half as many people the bound on how many are repeated is not sure enough: somebody answers for it.
    looser = [
        {"metric": "images.repeated_excess", "target": space, "at_most": 0.03}
        for space in ("pixels", "features")
    ]
    written = images_policy(
        dp=BUDGET | {"size": 630},
        dataset={"subject": "person"},
        gate=looser,
        approvals=[{"by": "A. Person", "what": "gate images.repeated_excess", "why": "few people"}],
    )
    result = run(written, folder)
    assert result.passed, [reason for reason in result.decision.reasons if not reason.passed]  # type: ignore
    made = result.plan.synthesis
    assert made is not None
    assert made.private is not None
    assert (made.private.unit, made.private.rows_per_subject, made.private.secure) == ("subject", None, True)
    assert 0 < result.finding("dp.epsilon").value <= 2.0  # type: ignore[operator]
    spent = share_spent(tmp_path)
    assert spent > 0
    assert (made.taught, made.rows) == (None, 600)
    assert {finding.source for finding in result.findings} == {"dp"}
    assert {finding.source for finding in result.kept} == {"images"}
    assert of(result, "images.repeated_excess").n == pytest.approx(630, abs=60)
    assert result.folder is not None
    told = texts(result.folder)
    assert {finding["source"] for finding in json.loads(told["evidence.json"])["findings"]} == {"dp"}
    assert json.loads(told["plan.json"])["rows"] is None
    assert "What was learned of the images had noise put to it" in told["dossier.html"]
    with pytest.raises(RefusedError) as caught:
        run(written, folder)
    assert caught.value.code == "budget-spent"
    assert share_spent(tmp_path) == spent


@pytest.mark.usefixtures("quick_documents")
def test_without_subjects_the_unit_is_the_image(run: Run) -> None:
    written = images_policy(dp=BUDGET | {"categories": {"digit": [0, 1, 2]}, "evidence": "published"})
    result = run(written)
    made = result.plan.synthesis
    assert made is not None
    assert made.private is not None
    assert made.private.unit == "image"
    assert {finding.source for finding in result.findings} == {"dp", "images"}
    assert result.passed == (set(result.data["digit"]) <= {0, 1, 2} if result.passed else False)


@pytest.mark.usefixtures("quick_documents")
@pytest.mark.parametrize("method", ["cvae", "diffusion"])
def test_other_methods_make_images_too(run: Run, method: str) -> None:
    result = run(images_policy(synthesis={"method": method, "settings": {"updates": 20}, "rows": 60}))
    assert result.plan.synthesis is not None
    assert result.plan.synthesis.method == method
    assert {of(result, metric).status for metric in RISKS} == {"measured"}


@pytest.mark.usefixtures("quick_documents")
def test_coming_back_finds_the_same(run: Run, tmp_path: Path) -> None:
    first = run(images_policy(release={"format": "csv"}))
    assert first.passed
    attacked = revisit.attack(tmp_path / "1", project=tmp_path / "keys")
    used = revisit.evaluate(tmp_path / "1", project=tmp_path / "keys")
    assert [*attacked, *used] and {*attacked, *used} == set(first.findings)
    assert {finding.metric for finding in attacked} >= set(RISKS)
    assert {finding.metric for finding in used} >= {"images.classifier_auc", "images.variety"}
    (tmp_path / "register.csv").write_text("file\na\n")
    with pytest.raises(InputError, match="none is of anybody"):
        revisit.attack(tmp_path / "1", against=str(tmp_path / "register.csv"), project=tmp_path / "keys")


@pytest.mark.usefixtures("quick_documents")
def test_coming_back_to_other_images_is_refused(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    write_digits(folder)
    run(images_policy(), folder)
    image = next((folder / "scans").iterdir())
    image.write_bytes(png(np.zeros((8, 8), dtype=np.uint8)))
    with pytest.raises(InputError) as caught:
        revisit.attack(tmp_path / "1", project=tmp_path / "keys")
    assert caught.value.code == "source-changed"


@pytest.mark.usefixtures("quick_documents")
def test_releases_are_laid_together(run: Run) -> None:
    assert run(images_policy()).passed
    second = run(images_policy(synthesis={"why": "again"}))
    for space in ("pixels", "features"):
        found = of(second, "composition.copies_excess", space)
        assert found.status == "measured"
        assert found.note.startswith("together with 1 earlier release of made rows; ")
    assert second.passed
    # On another scale nobody can tell what the images repeat together, and so none leave.
    third = run(images_policy(images={"levels": [0, 15]}))
    assert of(third, "composition.copies_excess").status == "not-measured"
    assert not third.passed


class Repeater:
    """A generator that learned images by heart, and gives them out again; the broken twin."""

    Params: ClassVar[type[Params]] = Params
    summary = "repeats the images that it saw"

    def __init__(self, params: Any) -> None:
        del params

    def events(self, noise: float, size: int) -> list[Any]:
        """Nothing is charged, whatever is learned."""
        from dp_accounting import NoOpDpEvent

        del noise, size
        return [NoOpDpEvent()]

    def network(self, shape: tuple[int, int], classes: int, private: bool) -> Any:
        raise NotImplementedError

    def fit(self, seen: Any, key: bytes, terms: Any, progress: Any) -> Learned:
        import torch

        module = torch.nn.Module()
        module.register_buffer("seen", torch.from_numpy(seen.pixels))
        module.register_buffer("labels", torch.from_numpy(seen.labels))
        if terms is not None:
            terms.budget.spend(self.events(0, 0)[0], place="nothing", delta=terms.delta)
        return Learned(module, np.bincount(seen.labels) / len(seen.labels))

    def draw(self, module: Any, labels: Any, generator: Any) -> Any:
        import torch

        drawn = [
            places[torch.randint(len(places), (1,), generator=generator)]
            for places in (torch.nonzero(module.labels == label)[:, 0] for label in labels)
        ]
        return self.told(module.seen[torch.cat(drawn)], generator)

    def told(self, images: Any, generator: Any) -> Any:
        return images


class Blurrer(Repeater):
    """The same, with a little noise put to each image."""

    def told(self, images: Any, generator: Any) -> Any:
        import torch

        return (images + 0.05 * torch.randn(images.shape, generator=generator)).clip(0, 1)


@pytest.mark.usefixtures("quick_documents")
@pytest.mark.parametrize("twin", ["Repeater", "Blurrer"])
def test_a_generator_that_repeats_people_is_refused(
    run: Run, twin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS._table, "twin", f"{__name__}:{twin}")
    result = run(images_policy(synthesis={"method": "twin", "settings": {}}))
    assert not result.passed
    assert result.folder is not None
    assert not (result.folder / "data").exists()
    assert result.decision is not None
    refused = {(reason.metric, reason.target) for reason in result.decision.reasons if not reason.passed}
    assert refused >= {(metric, "pixels") for metric in RISKS}
    # What would have left is on no sheet.
    assert "data:image" not in texts(result.folder)["dossier.html"]
    assert verify(result.folder).intact


@pytest.mark.usefixtures("quick_documents")
def test_what_learned_and_charged_nothing_releases_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS._table, "twin", f"{__name__}:Repeater")
    with pytest.raises(InputError):
        run(images_policy(dp=BUDGET, synthesis={"method": "twin", "settings": {}}))
    assert not (tmp_path / "1" / "release").exists()


@pytest.mark.usefixtures("quick_documents")
def test_too_few_to_tell_are_refused(run: Run, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    write_digits(few, 300)
    result = run(images_policy(synthesis={"rows": 20}), few)
    assert not result.passed
    assert of(result, "images.copies_excess").status == "no-power"
    assert of(result, "images.repeated_excess").status == "no-power"


@pytest.mark.usefixtures("quick_documents")
def test_the_same_image_twice_is_no_measure_of_chance(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    table = write_digits(folder, 400)
    for name in table["file"]:
        (folder / "scans" / f"again-{name}").write_bytes((folder / "scans" / name).read_bytes())
    both = pl.concat([table, table.with_columns(pl.format("again-{}", "file").alias("file"))])
    both.write_csv(folder / "scans.csv")
    result = run(images_policy(synthesis={"rows": 60}), folder)
    # Three in ten of the twins of an image held out are held out too; the others taught.
    held = 800 - of(result, "images.repeated_excess").n
    judged = of(result, "images.classifier_auc", "release").n
    assert judged == pytest.approx(0.3 * held, abs=0.12 * held)


def test_classes_of_few_people_and_tune_are_refused(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "rare"
    folder.mkdir()
    table = write_digits(folder, 200, name=SECRET)
    rare = table.with_columns(pl.when(pl.int_range(pl.len()) < 4).then(77).otherwise("digit").alias("digit"))
    rare.write_csv(folder / "scans.csv")
    with pytest.raises(InputError, match="fewer than 10 people") as caught:
        run(images_policy(), folder)
    assert caught.value.where.startswith("row ")
    assert SECRET not in str(caught.value)
    assert "77" not in caught.value.what
    with pytest.raises(InputError, match="not searched over"):
        sf.tune(
            images_policy(images={"folder": str(folder / "scans")}),
            table,
            project=tmp_path / "keys",
            trials=2,
        )
