"""Running probes: what fails is reported as failed, and class risks are always there."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
import pytest

from evidence_support import compare, one, people, profile
from sfumato import evidence
from sfumato.contracts import Params
from sfumato.core.errors import InputError
from sfumato.core.registry import Registry
from sfumato.core.values import Role
from sfumato.evidence.run import measure

SECRET = "Ada Lovelace"


class Broken:
    summary = "a probe that breaks"
    metrics: ClassVar = {"broken.one": ("low", "one"), "broken.two": ("high", "two")}
    units: ClassVar = {"broken.one": "share"}

    class Params(Params):
        pass

    def run(self, comparison: Any, params: Any) -> list:
        raise ValueError(f"cannot convert {SECRET}")


class Forgetful(Broken):
    def run(self, comparison: Any, params: Any) -> list:
        return []


class Refusing(Broken):
    def run(self, comparison: Any, params: Any) -> list:
        raise InputError("usage", "not like this")


@pytest.fixture(autouse=True)
def with_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {name: f"{__name__}:{name.title()}" for name in ("broken", "forgetful", "refusing")}
    monkeypatch.setattr(evidence, "TABLES", (Registry("attack", here), *evidence.TABLES))


def test_class_risks_are_measured_though_nobody_asked() -> None:
    found = measure(compare(people(100, 2, 5)), {"distributions": {}})
    assert found[0].metric == "risk.worst_class"
    assert any(finding.metric == "distributions.tv" for finding in found)


def test_probes_run_in_order_and_tell_their_progress() -> None:
    told: list[str] = []
    measure(compare(people(100, 2, 5)), {"correlations": {}, "uniqueness": {"below": 3}}, told.append)
    assert told == ["correlations", "uniqueness"]


@pytest.mark.parametrize(("name", "words"), [("broken", "ValueError"), ("forgetful", "did not report")])
def test_a_probe_that_breaks_is_an_error_for_each_of_its_metrics(name: str, words: str) -> None:
    found = measure(compare(people(100, 2, 5)), {name: {}, "distributions": {}})
    for metric in Broken.metrics:
        finding = one(found, metric)
        assert finding.status == "error"
        assert finding.value is None
        assert words in finding.note
        assert finding.goal == Broken.metrics[metric][0]
    assert SECRET not in "".join(finding.to_json().decode() for finding in found)
    assert any(finding.metric == "distributions.tv" for finding in found)


def test_wrong_input_is_said_and_not_swallowed() -> None:
    with pytest.raises(InputError, match="not like this"):
        measure(compare(people(10, 2, 5)), {"refusing": {}})


@pytest.mark.parametrize("wrong", [{"register": 3}, {"reg": 1000}, {"errors": SECRET}])
def test_wrong_parameters_name_the_parameter_and_not_the_value(wrong: dict) -> None:
    with pytest.raises(InputError) as error:
        measure(compare(people(10, 2, 5)), {"linkage": wrong})
    assert next(iter(wrong)) in error.value.what
    assert SECRET not in str(error.value)


def test_an_unknown_probe_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no probe") as error:
        measure(compare(people(10, 2, 5)), {"linkag": {}})
    assert "linkage" in error.value.remedy


def test_a_probe_from_outside_that_is_not_installed() -> None:
    with pytest.raises(InputError) as error:
        evidence.probe("somebody:else")
    assert error.value.code == "unknown-name"


def test_findings_hold_no_value_of_a_person() -> None:
    frame = people(400, 3, 9).with_columns(
        name=pl.Series([f"{SECRET} {i % 12 if i < 391 else i}" for i in range(400)])
    )
    given = compare(
        frame[:200], control=frame[200:], profiles={"name": profile("name", Role.DIRECT_IDENTIFIER)}
    )
    found = measure(given, {"linkage": {}, "distributions": {}, "correlations": {}})
    assert SECRET not in "".join(finding.to_json().decode() for finding in found)
