"""The recipe for small images: what it costs, what it learns, and that nothing is drawn unpaid."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.accounting import epsilon_of
from sfumato.dp.budget import Budget
from sfumato.dp.training import recipes, tensorfile
from sfumato.dp.training.recipes import ImageClassifier, classify_images
from sfumato.dp.training.scattering import Scattering, unit


def bars(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Lines that lie or stand, 8 x 8, and which."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    images = draw.uniform(0, 60, (count, 8, 8))
    for image, label, at in zip(images, labels, draw.integers(1, 7, count), strict=True):
        line = image[at] if label else image[:, at]
        line += 150
    return images, labels


def trained(budget: Budget, **other: object) -> ImageClassifier:
    images, labels = bars(400)
    options = {"classes": 2, "epsilon": 3.0, "delta": 1e-4, "size": 400, "steps": 20, "seed": 1} | other
    return classify_images(images, labels, budget=budget, **options)  # type: ignore[arg-type]


def test_it_learns_and_costs_what_it_says() -> None:
    budget = Budget(3.0, 1e-4)
    model = trained(budget)
    images, labels = bars(200, seed=9)
    assert (model.predict(images) == labels).mean() > 0.8
    assert np.allclose(model.predict_proba(images).sum(axis=1), 1)
    assert 2.9 < model.epsilon <= 3.0
    assert model.epsilon == pytest.approx(epsilon_of(model.event, 1e-4).epsilon)
    entries = budget.statement().entries
    assert len(entries) == 1
    assert not model.private


def test_the_event_has_the_mean_and_every_step() -> None:
    from dp_accounting import ComposedDpEvent, GaussianDpEvent, SelfComposedDpEvent

    event = trained(Budget(3.0, 1e-4)).event
    assert isinstance(event, ComposedDpEvent)
    mean, steps = event.events
    assert isinstance(mean, GaussianDpEvent)
    assert isinstance(steps, SelfComposedDpEvent)
    assert steps.count == 20
    share = mean.noise_multiplier**-2 / (mean.noise_multiplier**-2 + 20 * steps.event.noise_multiplier**-2)
    assert share == pytest.approx(0.05)


def test_a_spent_budget_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_mean", lambda *_: pytest.fail("drawn"))
    with pytest.raises(RefusedError):
        trained(Budget(1.0, 1e-4))


def test_what_was_paid_is_given_out_once() -> None:
    from dp_accounting import GaussianDpEvent

    budget = Budget(3.0, 1e-4)
    event = GaussianDpEvent(3.0)
    paid = recipes._Prepaid(budget, budget.spend(event, place="here"), event)
    paid.spend(event)
    with pytest.raises(AssertionError):
        paid.spend(event)
    other = recipes._Prepaid(budget, budget.spend(GaussianDpEvent(30.0), place="here"), event)
    with pytest.raises(AssertionError):
        other.spend(GaussianDpEvent(2.0))


def test_the_mean_is_moved_by_no_more_than_one_for_an_image_and_for_a_subject() -> None:
    features = unit(np.abs(np.random.default_rng(0).normal(size=(20, 30)))).astype(np.float32)
    subjects = [number // 4 for number in range(20)]
    for group, without in ((None, features[1:]), (subjects, features[4:])):
        left = None if group is None else group[4:]
        whole = recipes._mean(features, group, 1e-6, 1, seed=3)
        less = recipes._mean(without, left, 1e-6, 1, seed=3)
        assert np.linalg.norm(whole - less) <= 1.0 + 1e-5


def test_subjects_are_protected_as_a_whole() -> None:
    images, labels = bars(120)
    names = [f"p{number // 3}" for number in range(120)]
    budget = Budget(3.0, 1e-4, unit="subject")
    model = classify_images(
        images,
        labels,
        classes=2,
        budget=budget,
        epsilon=3.0,
        delta=1e-4,
        subject=names,
        size=40,
        steps=5,
        seed=1,
    )
    assert model.unit == "subject"
    with pytest.raises(InputError, match=r"unit|subject"):
        classify_images(
            images,
            labels,
            classes=2,
            budget=Budget(3.0, 1e-4),
            epsilon=3.0,
            delta=1e-4,
            subject=names,
            seed=1,
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": 1}, "labels"),
        ({"levels": (1.0, 1.0)}, "white"),
    ],
)
def test_wrong_use_is_told_before_anything_is_charged(change: dict[str, object], words: str) -> None:
    budget = Budget(3.0, 1e-4)
    with pytest.raises(InputError, match=words):
        trained(budget, **change)
    assert not budget.statement().entries


def test_images_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"square|shapes"):
        classify_images(
            np.zeros((3, 4, 5)),
            np.zeros(3, dtype=int),
            classes=2,
            budget=Budget(1.0, 1e-4),
            epsilon=1.0,
            delta=1e-4,
        )
    with pytest.raises(InputError, match="square"):
        Scattering.fitting(8).features(np.zeros((1, 9, 9)))
    with pytest.raises(InputError):
        Scattering(8, 4)


def test_features_look_at_one_image_alone_and_have_norm_one() -> None:
    images = bars(5)[0] / 255
    scattering = Scattering.fitting(8)
    whole = scattering.features(images)
    assert whole.shape == (5, scattering.width)
    assert np.allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert np.array_equal(whole[2:3], scattering.features(images[2:3]))
    assert not scattering.features(np.zeros((1, 8, 8))).any()
    assert scattering.features(np.zeros((0, 8, 8))).shape == (0, scattering.width)


def test_waves_do_not_see_a_shade_and_see_their_own_direction() -> None:
    from sfumato.dp.training.scattering import _filters

    waves, blur = _filters(32, 2, 4)
    assert np.abs(waves[:, 0, 0]).max() < 0.01
    assert blur[0, 0] == pytest.approx(1.0, abs=1e-3)
    across = np.cos(0.75 * np.pi * np.arange(32))[:, None] * np.ones((1, 32))
    seen = [np.abs(np.fft.ifft2(np.fft.fft2(across) * wave)).mean() for wave in waves[:4]]
    assert int(np.argmax(seen)) == 0


def test_a_model_as_a_file_gives_its_numbers_back() -> None:
    model = trained(Budget(3.0, 1e-4))
    arrays, said = tensorfile.read(model.to_safetensors({"classes": "a\nb"}))
    assert np.array_equal(arrays["weights"], model.weights)
    assert np.array_equal(arrays["centre"], model.centre)
    assert (said["side"], said["classes"]) == ("8", "a\nb")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]"])
def test_a_file_that_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="safetensors"):
        tensorfile.read(content)
