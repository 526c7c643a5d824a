"""The section on images: what it fills in, and what it refuses with a clear word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sfumato as sf
from digits_support import BUDGET, images_policy, write_digits
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import PolicyError
from sfumato.core.values import Role
from sfumato.evidence.images.judging import REPORT
from sfumato.gate import COMPOSED_IMAGES, IMAGES_FLOOR, PRIVATE_FLOOR, floors
from sfumato.policy.checks import measured_metrics
from sfumato.policy.load import policy_from
from sfumato.policy.model import Policy


def test_files_are_named_anew_and_measures_are_their_own() -> None:
    policy = policy_from(images_policy())
    assert policy.synthesis is not None
    assert policy.synthesis.by == "kernel"
    assert (policy.columns["file"].role, policy.columns["file"].done) == (Role.DIRECT_IDENTIFIER, "keep")
    assert policy.columns["digit"].done == "keep"
    assert policy.made_names == "file"
    assert policy.evidence is not None
    assert policy.evidence.probes() == ()
    assert measured_metrics(policy) == frozenset(REPORT.metrics)
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    assert canonical_json(policy.model_dump(mode="json"))


def test_the_floor_is_of_images() -> None:
    plain, private = (policy_from(images_policy(dp=dp)) for dp in (None, BUDGET))
    assert floors(plain) == IMAGES_FLOOR
    assert floors(plain, earlier=1) == (*IMAGES_FLOOR, *COMPOSED_IMAGES)
    assert floors(private, earlier=1) == (*PRIVATE_FLOOR, *IMAGES_FLOOR)
    assert {(one.metric, one.target) for one in IMAGES_FLOOR} == {
        (metric, space)
        for metric in ("images.copies_excess", "images.repeated_excess", "images.members_auc")
        for space in ("pixels", "features")
    }


def told(**changes: Any) -> dict[str, Any]:
    return images_policy(**changes)


COLUMN = {"role": "quasi-identifier", "why": "use"}
HISTORY = {"time": "day", "window": [0, 1]}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (told(synthesis={"method": "copula"}), "makes no images"),
        (told(synthesis={"method": "events"}), "makes no images"),
        (told(synthesis={"images": None, "method": "kernel"}), "makes images: say under images"),
        (told(synthesis={"history": HISTORY}), "either images are made or histories"),
        (told(synthesis={"constraints": ["a <= b"]}), "constraints is for tables"),
        (told(synthesis={"balance": {"digit": "even"}}), "balance is for tables"),
        (told(synthesis={"text": ["digit"]}), "text is for tables"),
        (told(synthesis={"rare": "keep"}), "rare: keep is for tables"),
        (told(synthesis={"rows": 20_001}), "at most 20000 images"),
        (told(synthesis={"settings": {"steps": 0}}), "steps"),
        (told(synthesis={"settings": {"speed": 1}}), "speed"),
        (told(images={"levels": [16, 16]}), "white is above"),
        (told(images={"levels": [0, 256]}), "255"),
        (told(images={"size": [8, 129]}), "128"),
        (told(images={"label": "file"}), "both the file and what it shows"),
        (told(images={"masks": "x"}), "masks"),
        (told(columns={"digit": {**COLUMN, "action": "drop"}}), '"digit" is part of the images'),
        (told(columns={}), '"digit" is part of the images'),
        (
            told(columns={"digit": {**COLUMN, "action": {"do": "mask", "keep": 1}}}),
            '"digit" is part of the images',
        ),
        (told(columns={"digit": COLUMN, "age": COLUMN}), '"age" leaves and is no part'),
        (told(columns={"digit": COLUMN, "file": {**COLUMN, "action": "drop"}}), '"file" is part of'),
        (told(dataset={"subject": "digit"}), '"digit" says whose an image is'),
        (told(dataset={"target": "age"}), "target is of tables"),
        (told(evidence={"holdout": 0.3, "attacks": ["linkage"]}), "linkage is of tables"),
        (told(evidence={"holdout": 0.3, "utility": ["tails"]}), "tails is of tables"),
        (told(evidence={"holdout": 0.3, "fairness": {"groups": ["digit"]}}), "fairness is of tables"),
        (told(evidence={"holdout": 0}), "needs evidence with a holdout"),
        (told(anonymity={"models": [{"model": "k-anonymity", "k": 5}]}), "own rows"),
        (told(sampling={"share": 0.5}), "own rows"),
        (told(dp=BUDGET, images={"size": None}), "images.size and dp.size"),
        (told(dp=BUDGET | {"size": None}), "images.size and dp.size"),
        (told(dp=BUDGET | {"categories": {}}), 'values of "digit" under dp.categories'),
        (told(dp=BUDGET | {"bounds": {"digit": [0, 9]}, "categories": {}}), 'values of "digit"'),
        (told(dp=BUDGET | {"categories": {"digit": []}}), "written once"),
        (told(dp=BUDGET | {"categories": {"digit": [1, 1]}}), "written once"),
        (told(dp=BUDGET | {"epsilon": 9.0}), "more than the budget"),
    ],
)
def test_what_images_have_not_is_refused(written: dict[str, Any], said: str) -> None:
    written["synthesis"] = {name: value for name, value in written["synthesis"].items() if value is not None}
    with pytest.raises(PolicyError) as caught:
        policy_from(written)
    assert said in "\n".join(map(str, caught.value.problems))


def test_a_label_of_another_kind_is_refused_before_anything_is_charged(tmp_path: Path) -> None:
    table, folder = write_digits(tmp_path, 40), {"folder": str(tmp_path / "scans")}

    def problems(rows: pl.DataFrame = table, **changes: Any) -> str:
        written = images_policy(images=folder, **changes)
        return "\n".join(map(str, sf.check(written, rows, project=tmp_path / "keys")))

    assert problems(dp=BUDGET) == ""
    wrong = BUDGET | {"categories": {"digit": ["0", "1"]}}
    assert "not all values that are declared are" in problems(dp=wrong)
    assert "labels are texts, whole numbers" in problems(table.with_columns(pl.col("digit") / 3))
    assert "nothing that this policy measures" in problems(gate=[{"metric": "copies.excess", "at_most": 0.1}])
    assert 'images "digit" is not a column' in problems(table.rename({"digit": "x"}))
