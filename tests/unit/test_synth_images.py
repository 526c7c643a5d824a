"""Generators of images: shapes, the same again without noise, what is charged, and what one person moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.accounting import epsilon_of
from sfumato.dp.budget import Budget
from sfumato.dp.events import words
from sfumato.dp.training import tensorfile
from sfumato.synth.images import METHODS, ImageModel, fit, load
from sfumato.synth.images.features import Features
from sfumato.synth.images.kernel import told
from sfumato.synth.images.method import Seen
from sfumato.synth.images.png import grey, png, sheet
from sfumato.synth.images.sums import GRID, class_sums, one_each, shares_of

#: As short as a training can be, to see that it does what it must.
QUICK = {
    "kernel": {"steps": 3, "each": 4, "random": 20, "width": 8},
    "cvae": {"updates": 3, "steps": 2, "batch": 24, "width": 8, "private_width": 8},
    "diffusion": {"updates": 3, "steps": 2, "batch": 24, "width": 8, "private_width": 8, "sampling": 3},
}
DELTA = 1e-4


def some(n: int = 24, shape: tuple[int, int] = (8, 8), classes: int = 3) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (n, *shape)).astype(np.uint8), np.arange(n) % classes


def privately(method: str, budget: Budget | None = None, **more: Any) -> ImageModel:
    images, labels = some()
    return fit(
        images, labels, method=method, params=QUICK[method], classes=3, budget=budget or Budget(2.0, DELTA),
        epsilon=2.0, delta=DELTA, key=1, **{"size": 24, **more},
    )  # fmt: skip


def test_every_method_is_tried_here() -> None:
    assert set(METHODS) == set(QUICK)


@pytest.mark.parametrize("method", QUICK)
def test_the_same_key_gives_the_same_model_and_images(method: str, tmp_path: Path) -> None:
    images, labels = some()
    one, again, other = (
        fit(images, labels, method=method, params=QUICK[method], key=key) for key in (1, 1, 2)
    )
    assert one.to_safetensors() == again.to_safetensors() != other.to_safetensors()
    made = one.sample(7, key=3)
    assert made.images.shape == (7, 8, 8) and made.images.dtype == np.uint8
    assert np.array_equal(made.images, again.sample(7, key=3).images)
    assert not np.array_equal(made.images, one.sample(7, key=4).images)
    assert set(one.sample(5, label=2, key=1).labels) == {2}
    assert one.sample(0, key=1).images.shape == (0, 8, 8)
    assert one.event is None and "epsilon" not in one.facts
    one.save(tmp_path / "model.safetensors")
    back = load(tmp_path / "model.safetensors")
    assert np.array_equal(back.sample(7, key=3).images, made.images)
    assert back.to_safetensors() == one.to_safetensors()


@pytest.mark.parametrize("method", QUICK)
def test_what_is_charged_is_what_is_said(method: str) -> None:
    budget = Budget(2.0, DELTA)
    model = privately(method, budget)
    entries = budget.statement().entries
    assert [entry.event for entry in entries] == [words(model.event)] == [model.facts["event"]]
    assert entries[0].answered
    cost = epsilon_of(model.event, DELTA)
    assert model.facts["epsilon"] == cost.epsilon <= 2.0
    assert model.facts["replace_epsilon"] == cost.replace_epsilon
    back = load(model.to_safetensors())
    assert np.array_equal(back.sample(4, key=3).images, model.sample(4, key=3).images)
    with pytest.raises(RefusedError):
        privately(method, budget)


def test_the_events_of_each_method_are_what_its_paper_says() -> None:
    from dp_accounting import ComposedDpEvent, GaussianDpEvent, SelfComposedDpEvent

    assert isinstance(privately("kernel").event, GaussianDpEvent)
    event = privately("cvae").event
    assert isinstance(event, ComposedDpEvent)
    shares, steps = event.events
    assert isinstance(shares, GaussianDpEvent) and isinstance(steps, SelfComposedDpEvent)
    assert isinstance(steps.event, GaussianDpEvent) and steps.count == 2
    maker = METHODS.resolve("diffusion")
    sampled = maker(maker.Params(batch=10, steps=7)).events(1.5, 40)[1]
    assert (sampled.event.sampling_probability, sampled.count) == (0.25, 7)


@pytest.mark.parametrize("method", QUICK)
def test_noise_is_under_no_key(method: str) -> None:
    one, again = privately(method), privately(method)
    assert one.to_safetensors() != again.to_safetensors()


@pytest.mark.parametrize("method", QUICK)
def test_subjects(method: str) -> None:
    budget = Budget(2.0, DELTA, unit="subject")
    model = privately(method, budget, subject=[f"patient-{at // 3}" for at in range(24)], size=8)
    assert model.facts["unit"] == "subject"
    assert b"patient-" not in model.to_safetensors()
    with pytest.raises(InputError, match="grouped by subject"):
        privately(method, subject=["p"] * 24)


@pytest.mark.parametrize("subjects", [False, True])
def test_one_person_moves_the_kernel_means_by_no_more_than_one(subjects: bool) -> None:
    """Every neighbour that leaves one person out, and some with images that were made to be bad."""
    draw = np.random.default_rng(1)
    pixels = draw.uniform(0, 1, (30, 9, 12)).astype(np.float32)
    pixels[0], pixels[1], pixels[2], pixels[3] = 0, 1, np.eye(9, 12), 0.5
    labels = draw.integers(0, 3, 30)
    of = np.sort(draw.integers(0, 6, 30)) if subjects else None
    features = Features((9, 12), 40, 0.2)

    def summed(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        own = None if of is None else np.unique(of[kept], return_inverse=True)[1]
        seen = Seen(pixels[kept], labels[kept], 3, own)
        return class_sums(seen, lambda some: told(features.of(some)))

    whole = summed(np.ones(30, dtype=bool))
    moved = []
    for one in range(6 if subjects else 30):
        kept = np.arange(30) != one if of is None else of != one
        moved.append(np.linalg.norm((whole - summed(kept)).astype(float)))
    assert max(moved) <= GRID
    assert max(moved) > 0.5 * GRID * (0.5 if subjects else 1)


def test_a_sum_that_forgot_the_subject_would_be_caught() -> None:
    seen = Seen(
        np.zeros((4, 8, 8), dtype=np.float32), np.zeros(4, dtype=np.int64), 1, np.zeros(4, dtype=np.int64)
    )
    broken = Seen(seen.pixels, seen.labels, 1)
    assert class_sums(seen, one_each)[0, 0] <= GRID < class_sums(broken, one_each)[0, 0]


@pytest.mark.parametrize("shape", [(4, 4), (5, 9), (28, 28), (33, 20), (64, 64)])
def test_features_are_of_each_image_alone_and_bounded(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(2)
    pixels = np.concatenate([draw.uniform(0, 1, (3, *shape)), draw.integers(0, 2, (3, *shape))]).astype(
        np.float32
    )
    features = Features(shape, 30, 0.2)
    found = features.of(pixels)
    assert np.linalg.norm(found, axis=1).max() <= 1 + 1e-12
    assert np.allclose(found[2:3], features.of(pixels[2:3]))
    assert not np.allclose(found[0], found[1])


def test_the_kernel_learns_where_the_light_is() -> None:
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 2, 400)
    images = draw.uniform(0, 0.3, (400, 8, 8)) + 0.6 * labels[:, None, None] * (np.arange(8) < 4)
    model = fit(
        images, labels, classes=2, budget=Budget(3.0, DELTA), epsilon=3.0, delta=DELTA, size=400, key=1,
        params={"steps": 120, "random": 50, "width": 8},
    )  # fmt: skip
    dark, light = (model.sample(50, label=kind, key=2).images for kind in (0, 1))
    assert dark.dtype == np.float32
    assert light[:, :, :4].mean() - light[:, :, 4:].mean() > 0.3
    assert abs(dark[:, :, :4].mean() - dark[:, :, 4:].mean()) < 0.15
    assert model.shares == pytest.approx(np.bincount(labels) / 400, abs=0.08)


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize(("n", "shape"), [(1, (4, 7)), (2, (21, 17))])
def test_one_image_one_class_odd_sizes(method: str, n: int, shape: tuple[int, int]) -> None:
    images = np.random.default_rng(4).uniform(0, 16, (n, *shape))
    model = fit(images, method=method, params=QUICK[method], levels=(0, 16), key=1)
    made = model.sample(3, key=1).images
    assert made.shape == (3, *shape) and made.min() >= 0 and made.max() <= 16
    private = fit(
        images, None, method=method, params=QUICK[method], levels=(0, 16), classes=1, key=1, size=20,
        budget=Budget(1.0, DELTA), epsilon=1.0, delta=DELTA,
    )  # fmt: skip
    assert np.isfinite(private.sample(3, key=1).images).all()


def test_what_cannot_be_meant_is_refused_before_it_is_charged() -> None:
    images, labels = some()
    budget = Budget(2.0, DELTA)
    terms: dict[str, Any] = {"budget": budget, "epsilon": 1.0, "delta": DELTA}
    for given, message in (
        (((images[0],), {}), "shape"),
        (((images[:0],), {}), "at least one"),
        (((images[:, :2],), {}), "pixels"),
        (((images, labels[:3]), {}), "one for each"),
        (((images, labels - 1), {}), "from 0"),
        (((images, labels), terms), "must be said"),
        (((images, labels), {"params": {"steps": 0}}), "greater than"),
        (((images, labels), {"epsilon": 1.0}), "need a budget"),
        (((images, labels), {"budget": budget, "classes": 3}), "needs epsilon"),
        (((images, labels), {"levels": (1, 1)}), "above"),
        (((images, labels), {"method": "gan"}), "gan"),
    ):
        with pytest.raises(InputError, match=message):
            fit(*given[0], **given[1])
    assert not budget.statement().entries
    model = fit(images, labels, params=QUICK["kernel"], key=1)
    for label in (3, -1, [0, 1]):
        with pytest.raises(InputError, match="label"):
            model.sample(3, label=label)
    with pytest.raises(InputError):
        load(tensorfile.written({"shares": np.ones(2)}, {"sfumato-images": "{}"}))


def test_shares_of_nothing() -> None:
    assert shares_of(np.array([-1.0, -2.0])).tolist() == [0.5, 0.5]


def test_png_is_read_back(tmp_path: Path) -> None:
    import zlib

    image = np.random.default_rng(5).integers(0, 256, (5, 7)).astype(np.uint8)
    content = png(image)
    start = content.index(b"IDAT") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big")
    lines = np.frombuffer(zlib.decompress(content[start : start + length]), dtype=np.uint8).reshape(5, 8)
    assert np.array_equal(lines[:, 1:], image) and not lines[:, 0].any()
    assert grey(np.array([[-1.0, 8.0, 99.0]]), (0, 16)).tolist() == [[0, 128, 255]]
    assert int.from_bytes(sheet(image[None].repeat(5, axis=0), 2, side=10)[16:20], "big") == 17
