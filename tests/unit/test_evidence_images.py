"""Made images judged: a generator that replays images is caught, and one that makes noise is of no use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from sfumato.core.errors import InputError
from sfumato.core.values import Finding
from sfumato.evidence.images.judging import REPORT, judge_images
from sfumato.evidence.images.nearness import nearest
from sfumato.evidence.images.pictures import Pictures
from sfumato.evidence.images.repeating import repeating
from sfumato.evidence.images.worth import discrepancy

KEY = bytes(range(32))
Split = tuple[Pictures, Pictures, Pictures]


@pytest.fixture(scope="module")
def split() -> Split:
    """Digits learned from, held out, and fresh ones that nobody learned from: a perfect generator's."""
    rows, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = rows.reshape(-1, 8, 8)[order], labels[order]
    return tuple(  # type: ignore[return-value]
        Pictures.of_levels(images[part], labels[part], levels=(0, 16))
        for part in (slice(0, 700), slice(700, 1200), slice(1200, 1797))
    )


def found(findings: list[Finding], metric: str, target: str = "release") -> Finding:
    return next(one for one in findings if (one.metric, one.target) == (metric, target))


def pictures(pixels: NDArray[Any], labels: NDArray[Any]) -> Pictures:
    return Pictures.of_levels(pixels, labels, levels=(0, 1))


def test_fresh_real_images_are_the_best_that_can_be(split: Split) -> None:
    learned, held, fresh = split
    findings = judge_images(fresh, learned, held, key=KEY)
    assert {one.metric for one in findings} == set(REPORT.table)
    for space in ("pixels", "features"):
        copies = found(findings, "images.copies", space)
        assert copies.value is not None and copies.value < 0.01
        memorized = found(findings, "images.memorized", space)
        assert memorized.low is not None and memorized.low < 0.5 < (memorized.high or 0)
        attack = found(findings, "images.members_auc", space)
        assert attack.low is not None and attack.low < 0.5 < (attack.high or 0)
        distance = found(findings, "images.distance", space)
        assert distance.low is not None and distance.low < 0.002
    accuracy = found(findings, "images.classifier_accuracy")
    assert accuracy.value is not None and accuracy.before is not None
    assert accuracy.value > 0.95 and abs(accuracy.value - accuracy.before) < 0.03
    variety = found(findings, "images.variety")
    assert variety.value is not None and 0.9 < variety.value < 1.1


@pytest.mark.parametrize("blur", [0.0, 0.01])
def test_a_generator_that_replays_is_caught(split: Split, blur: float) -> None:
    learned, held, _ = split
    draw = np.random.default_rng(1)
    again = draw.integers(0, len(learned), 600)
    twin = pictures(learned.pixels[again] + draw.normal(0, blur, (600, 8, 8)), learned.labels[again])
    findings = judge_images(twin, learned, held, key=KEY)
    for space in ("pixels", "features"):
        copies = found(findings, "images.copies", space)
        assert copies.low is not None and copies.low > 0.5
        memorized = found(findings, "images.memorized", space)
        assert memorized.low is not None and memorized.low > 0.7
        attack = found(findings, "images.members_auc", space)
        assert attack.low is not None and attack.low > 0.7


def test_few_copies_among_many_are_found(split: Split) -> None:
    learned, held, fresh = split
    twin = pictures(
        np.concatenate([fresh.pixels, learned.pixels[:30]]),
        np.concatenate([fresh.labels, learned.labels[:30]]),
    )
    copies = found(judge_images(twin, learned, held, key=KEY), "images.copies", "pixels")
    assert copies.value == pytest.approx(30 / 627, abs=0.003)
    assert copies.low is not None and copies.control is not None and copies.low > copies.control


def test_a_generator_of_noise_is_of_no_use(split: Split) -> None:
    learned, held, _ = split
    draw = np.random.default_rng(2)
    noise = pictures(draw.uniform(0, 1, (500, 8, 8)), draw.integers(0, 10, 500))
    findings = judge_images(noise, learned, held, key=KEY)
    area, accuracy = (found(findings, f"images.classifier_{name}") for name in ("auc", "accuracy"))
    assert area.value is not None and area.before is not None
    assert area.value < 0.75 < 0.95 < area.before
    assert accuracy.high is not None and accuracy.high < 0.5
    distance = found(findings, "images.distance", "pixels")
    assert distance.low is not None and distance.control is not None and distance.low > 50 * distance.control


def test_one_image_again_and_again_has_no_variety(split: Split) -> None:
    learned, held, _ = split
    one = pictures(np.repeat(held.pixels[:10], 50, axis=0), np.repeat(held.labels[:10], 50))
    variety = found(judge_images(one, learned, held, key=KEY), "images.variety")
    assert variety.high is not None and variety.high < 0.6


def test_balance_of_classes(split: Split) -> None:
    learned, held, fresh = split
    zeros = pictures(fresh.pixels, np.zeros(len(fresh), dtype=int))
    findings = judge_images(zeros, learned, held, key=KEY)
    balance = found(findings, "images.class_balance")
    assert balance.value is not None and 0.8 < balance.value < 0.95
    assert found(findings, "images.classifier_auc").value == 0.5
    control = found(judge_images(fresh, learned, held, key=KEY), "images.class_balance")
    assert control.value is not None and control.value < 0.12


def test_findings_are_the_same_again_and_of_subjects(split: Split) -> None:
    learned, held, fresh = split
    assert judge_images(fresh, learned, held, key=KEY) == judge_images(fresh, learned, held, key=KEY)
    pairs = Pictures(held.pixels, held.labels, np.arange(len(held)) // 2)
    again = found(judge_images(fresh, learned, pairs, key=KEY), "images.classifier_accuracy")
    alone = found(judge_images(fresh, learned, held, key=KEY), "images.classifier_accuracy")
    assert again.value == alone.value and again.low != alone.low


@pytest.mark.parametrize("shape", [(4, 4), (1, 1), (9, 5)])
def test_any_shape_and_too_few(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(3)

    def some(n: int) -> Pictures:
        return pictures(draw.uniform(0, 1, (n, *shape)), draw.integers(0, 2, n))

    for made, held in ((1, 0), (0, 50), (50, 1)):
        findings = judge_images(some(made), some(40), some(held), key=KEY, classes=2)
        assert {one.status for one in findings} <= {"no-power", "not-measured"}
    assert any(one.status == "measured" for one in judge_images(some(40), some(40), some(40), key=KEY))
    constant = pictures(np.ones((40, *shape)), np.zeros(40, dtype=int))
    assert judge_images(constant, constant, constant, key=KEY)
    with pytest.raises(InputError, match="one shape"):
        judge_images(some(40), some(0), some(40), key=KEY)
    with pytest.raises(InputError, match="labels"):
        judge_images(some(40), some(40), some(40), key=KEY, classes=1)


def test_nearest_by_brute_force() -> None:
    draw = np.random.default_rng(4)
    one, other = draw.normal(size=(600, 3)), draw.normal(size=(50, 3))
    brute = np.sqrt(((one[:, None] - other) ** 2).sum(axis=-1))
    assert nearest(one, other) == pytest.approx(brute.min(axis=1))
    assert nearest(other, other).max() == 0
    apart = np.sqrt(((other[:, None] - other) ** 2).sum(axis=-1)) + np.diag(np.full(50, np.inf))
    assert nearest(other, other, apart=True) == pytest.approx(apart.min(axis=1))


def test_discrepancy_by_brute_force() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.normal(size=(40, 2)), draw.normal(1, 1, size=(30, 2))

    def mean(first: NDArray[Any], second: NDArray[Any]) -> float:
        kernel = np.exp(-((first[:, None] - second) ** 2).sum(axis=-1) / 2)
        if first is second:
            return float((kernel.sum() - len(first)) / (len(first) * (len(first) - 1)))
        return float(kernel.mean())

    expected = mean(one, one) + mean(other, other) - 2 * mean(one, other)
    assert discrepancy(one, other, 1.0).value == pytest.approx(expected)


def test_people_repeated_are_counted_once_each_over_all_releases(split: Split) -> None:
    learned, held, fresh = split

    def release(places: range) -> Pictures:
        return pictures(
            np.concatenate([fresh.pixels, learned.pixels[places]]),
            np.concatenate([fresh.labels, learned.labels[places]]),
        )

    def repeated(made: list[Pictures]) -> dict[str, Finding]:
        return {one.target: one for one in repeating(REPORT, "images.repeated_excess", made, learned, held)}

    by_chance = repeated([fresh])["pixels"]
    assert by_chance.value == pytest.approx(0, abs=0.004)
    one = repeated([release(range(3))])["pixels"]
    assert one.value == pytest.approx((by_chance.value or 0) + 3 / 700, abs=0.0005)
    # Ten releases that repeat three people each are within bounds one by one, and not together.
    ten = repeated([release(range(3 * at, 3 * at + 3)) for at in range(10)])["pixels"]
    assert ten.value == pytest.approx((by_chance.value or 0) + 30 / 700, abs=0.0005)
    assert one.low is not None and one.low < 0 and ten.low is not None and ten.low > 0.01
    again = repeated([release(range(3))] * 10)["pixels"]
    assert again.value == one.value
    # Of people with two images each there are half as many.
    pairs = Pictures(learned.pixels, learned.labels, np.arange(len(learned)) // 2)
    of_pairs = next(repeating(REPORT, "images.repeated_excess", [release(range(4))], pairs, held))
    assert of_pairs.n == 350
    assert of_pairs.value == pytest.approx(2 / 350 + (by_chance.value or 0), abs=0.004)


def test_copies_beyond_chance_are_as_sure_as_people_are_many(split: Split) -> None:
    learned, held, fresh = split
    alone = found(judge_images(fresh, learned, held, key=KEY), "images.copies_excess", "pixels")
    copies = found(judge_images(fresh, learned, held, key=KEY), "images.copies", "pixels")
    assert alone.value == pytest.approx((copies.value or 0) - (copies.control or 0), abs=0.003)
    few = Pictures(held.pixels, held.labels, np.arange(len(held)) // 10)
    less = found(judge_images(fresh, learned, few, key=KEY), "images.copies_excess", "pixels")
    assert less.low is not None and alone.low is not None and less.low < alone.low
    assert less.high is not None and alone.high is not None and less.high >= alone.high
    twin = judge_images(learned.at(np.arange(600)), learned, held, key=KEY)
    assert (found(twin, "images.copies_excess", "features").low or 0) > 0.9
    assert (found(twin, "images.repeated_excess", "features").low or 0) > 0.7
