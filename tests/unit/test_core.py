"""Canonical bytes, keyed draws, registries and coded errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.canonical import canonical_json, commitment, sha256
from sfumato.core.errors import CODES, InputError, PolicyError, Problem, SfumatoError, nearest
from sfumato.core.keyed import derive, draws, uniforms
from sfumato.core.registry import Registry
from sfumato.core.values import Finding, Plan

KEY = bytes(range(32))


def test_canonical_json_is_one_byte_string_for_equal_values() -> None:
    assert (
        canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "é", "b": 1}) == '{"a":"é","b":1}'.encode()
    )


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_refuses_what_json_has_not(figure: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": figure})


def test_sha256_of_the_standards_example() -> None:
    # FIPS 180-4, one-block message "abc".
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_commitment_needs_its_salt() -> None:
    assert commitment(b"1" * 32, b"x") != commitment(b"2" * 32, b"x")
    assert commitment(b"1" * 32, b"x") != sha256(b"x")


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_domains_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (derive(KEY, *one) == derive(KEY, *other)) == (one == other)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=50), st.randoms())
def test_a_draw_depends_on_key_and_row_alone(numbers: list[int], random) -> None:
    whole = dict(zip(numbers, draws(KEY, np.array(numbers, dtype=np.uint64)).tolist(), strict=True))
    shuffled = random.sample(numbers, len(numbers))
    half = shuffled[: len(shuffled) // 2]
    assert draws(KEY, np.array(half, dtype=np.uint64)).tolist() == [whole[number] for number in half]


def test_draws_follow_the_cipher() -> None:
    # AES-256 of the block with row number 0 under the zero key: NIST's known answer for the zero block.
    expected = int.from_bytes(bytes.fromhex("dc95c078a2408989"), "little")
    assert draws(bytes(32), np.array([0], dtype=np.uint64)).tolist() == [expected]


@pytest.mark.statistical
def test_uniforms_are_uniform() -> None:
    # n = 100,000; Kolmogorov-Smirnov statistic above 2.70 / sqrt(n) has probability below 1e-6.
    n = 100_000
    drawn = np.sort(uniforms(derive(KEY, "uniform"), np.arange(n, dtype=np.uint64)))
    assert np.abs(drawn - np.arange(n) / n).max() < 2.70 / np.sqrt(n)
    # The broken twin: half of the range.
    assert np.abs(drawn / 2 - np.arange(n) / n).max() > 2.70 / np.sqrt(n)


def test_a_registry_resolves_lazily_and_hints() -> None:
    registry = Registry("thing", {"path": "pathlib:Path", "broken": "no_such_module:X"})
    assert registry.resolve("path").__name__ == "Path"
    with pytest.raises(InputError, match='no thing "pth"') as wrong:
        registry.resolve("pth")
    assert wrong.value.remedy == 'did you mean "path"?'


def test_a_registry_loads_nothing_that_is_only_installed() -> None:
    with pytest.raises(InputError, match="no installed distribution"):
        Registry("transform", {}).resolve("nobody:thing")


def test_an_error_code_must_be_declared() -> None:
    with pytest.raises(LookupError):
        SfumatoError("no-such-code", "x")
    assert all(sentence.endswith(".") for sentence in CODES.values())


def test_a_policy_error_shows_every_problem() -> None:
    error = PolicyError([Problem("p.yaml:1", "one", "do this"), Problem("p.yaml:2", "two")])
    assert "p.yaml:1: one" in str(error)
    assert "p.yaml:2: two" in str(error)
    assert error.exit_code == 2


def test_nearest_lists_everything_when_nothing_is_close() -> None:
    assert nearest("zzz", ["b", "a"]) == "known here: a, b"


def test_values_read_back_what_they_wrote() -> None:
    finding = Finding(
        metric="risk.unique", value=0.5, low=0.5, high=0.5, unit="share", goal="low", n=7, source="x"
    )
    assert Finding.from_json(finding.to_json()) == finding
    plan = Plan(dataset="d", policy_digest="p", inventory_digest="i", rows=1, holdout_rows=0, steps=())
    assert Plan.from_json(plan.to_json()).digest == plan.digest
    assert plan.model_copy(update={"rows": 2}).digest != plan.digest


def test_a_finding_cannot_hold_nan() -> None:
    with pytest.raises(ValueError, match="finite"):
        Finding(metric="m", value=float("nan"), unit="share", goal="low", n=1, source="x")
