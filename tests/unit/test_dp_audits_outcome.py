"""What an audit says: verdicts, findings for a gate, mechanisms by repeating, releases, the verb."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from dp_accounting import GaussianDpEvent, LaplaceDpEvent
from typer.testing import CliRunner

from sfumato.cli.main import app
from sfumato.core.errors import InputError
from sfumato.evidence import audits
from sfumato.evidence.audits.choosing import encode
from sfumato.evidence.audits.outcome import GROSS, IDEAL, Audit, Power, findings, unaudited
from sfumato.evidence.audits.taught import by_guessing


def audit(**changed) -> Audit:
    told = {
        "kind": "training",
        "what": "a model",
        "method": "guesses",
        "claimed_epsilon": 2.0,
        "claimed_delta": 1e-5,
        "epsilon_lower": 1.0,
        "tested": 1000,
        "powers": (Power(twin=IDEAL, caught=0, trials=20), Power(twin=GROSS, caught=19, trials=20)),
    }
    return Audit(**told | changed)


def named(audit_: Audit) -> dict:
    return {finding.metric: finding for finding in findings(audit_)}


def test_an_audit_with_power_that_finds_nothing_passes_a_gate_that_demands_it() -> None:
    found = named(audit())
    excess = found["audit.excess"]
    assert (excess.status, excess.high, excess.target, excess.goal) == ("measured", -1.0, "release", "low")
    assert found["audit.power"].value == 0.95
    assert found["audit.power"].low < 0.95
    assert found["audit.epsilon_lower"].value == 1.0
    assert audit().verdict == (
        "no violation of epsilon 2 at delta 1e-05 found by guesses, "
        "which would find a quarter of the noise in 95 % of 20 trials"
    )


def test_an_audit_without_power_passes_nothing_and_a_violation_is_one() -> None:
    weak = (Power(twin=GROSS, caught=3, trials=20),)
    for powers in ((), weak):
        assert named(audit(powers=powers))["audit.excess"].status == "no-power"
    for broken in (
        audit(epsilon_lower=2.5, powers=()),
        audit(refuted_curve=True),
        audit(faults=("noise was drawn before it was charged",), checks=("charges",)),
    ):
        assert broken.violated
        assert broken.verdict.startswith("violation")
        assert named(broken)["audit.excess"].high > 0
    assert {finding.status for finding in unaudited("nobody asked for it")} == {"not-measured"}


def test_an_audit_is_a_value_that_can_be_kept() -> None:
    assert Audit.from_json(audit().to_json()) == audit()


def test_a_mechanism_that_tells_the_truth_now_and_then_is_caught_whatever_it_returns() -> None:
    draw = np.random.default_rng(0)

    def word(table: int) -> str:
        return f"it is {table}" if draw.random() < 0.05 else "no answer"

    def pair(table: int) -> list[float]:
        return [float("nan"), float("inf") if table else draw.normal()]

    def vector(table: int) -> np.ndarray:
        return draw.laplace(0, 0.2, 3) + np.array([0, table, 0])

    for run in (word, pair, vector):
        found = audits.mechanism(run, 1, 0, epsilon=1.0, runs=4000, trials=0)
        assert found.violated
        assert found.epsilon_lower > 1.5
    still = audits.mechanism(lambda _: 3, 1, 0, epsilon=1.0, runs=400, trials=0)
    assert not still.violated
    assert still.power is None
    assert named(still)["audit.excess"].status == "no-power"


def test_what_cannot_be_audited_is_refused() -> None:
    for wrong in ({"epsilon": -1.0}, {"epsilon": 1.0, "delta": 1.0}, {"epsilon": 1.0, "runs": 99}):
        with pytest.raises(InputError):
            audits.mechanism(float, 1, 0, **wrong)
    with pytest.raises(InputError):
        encode([object(), object()])
    with pytest.raises(InputError):
        audits.house("gausian", epsilon=1.0)
    with pytest.raises(InputError):
        audits.house("gaussian", epsilon=1.0, delta=0.0)


def test_canaries_of_many_runs_are_guessed_together() -> None:
    draw = np.random.default_rng(1)

    def twin(inside, share, draw):
        return inside + draw.normal(0, 2 * share, len(inside))

    def run(share: float):
        return lambda inside, _: twin(inside, share, draw)

    told = {"epsilon": 2.2, "delta": 1e-5, "runs": 10, "twin": twin, "trials": 10}
    true, broken = (by_guessing(run(share), 400, **told) for share in (1.0, 0.25))
    assert not true.violated
    assert broken.violated
    assert true.tested == 4000
    assert true.power == 1.0
    assert true.guesses == broken.guesses


def test_a_release_s_noise_is_held_against_its_charge() -> None:
    draw = np.random.default_rng(2)
    truth = np.arange(60.0)
    noises = {"gaussian": draw.normal(0, 3, 60), "laplace": draw.laplace(0, 3, 60)}
    for law, noise in noises.items():
        event = GaussianDpEvent(3.0) if law == "gaussian" else LaplaceDpEvent(3.0)

        def held(answers, charged, law=law, event=event):
            return audits.release(
                answers,
                truth,
                np.full(60, 3.0),
                law,
                drawn=[event] * 60,
                charged=charged,
                epsilon=9.0,
                delta=1e-5,
            )

        fair = held(truth + noise, [event] * 60)
        assert not fair.violated
        assert fair.power > 0.99
        assert "size that was charged" in held(truth + noise / 4, [event] * 60).verdict
        assert "60 draws" in held(truth + noise, [event] * 30).verdict
    with pytest.raises(InputError):
        audits.release([], [], [], "laplace", drawn=[], charged=[], epsilon=1.0, delta=0.0)


def test_the_verb_says_the_verdict_and_exits_by_it() -> None:
    runner = CliRunner()
    asked = [
        "audit",
        "mechanism",
        "laplace",
        "--runs",
        "3000",
        "--trials",
        "0",
        "--level",
        "0.999999",
        "--json",
    ]
    fine = runner.invoke(app, asked)
    assert fine.exit_code == 0, fine.output
    document = json.loads(fine.stdout)
    assert document["violated"] is False
    broken = runner.invoke(app, [*asked[:-1], "--noise", "0.2"])
    assert broken.exit_code == 1
    assert "violation: epsilon 1" in broken.output.replace("\n", " ")
    for wrong in (["audit", "mechanism", "none"], ["audit", "training", "people.csv"]):
        assert runner.invoke(app, wrong).exit_code == 2


def test_an_estimator_is_audited_on_a_table(tmp_path) -> None:
    draw = np.random.default_rng(3)
    table = pl.DataFrame({"age": draw.integers(20, 60, 300), "job": draw.choice(["a", "b"], 300)})
    table = table.with_columns(rich=(pl.col("age") > 40).cast(pl.String))
    table.write_csv(tmp_path / "people.csv")
    asked = ["audit", "training", str(tmp_path / "people.csv"), "--target", "rich", "--epsilon", "2"]
    found = CliRunner().invoke(
        app, [*asked, "--canaries", "50", "--trials", "0", "--level", "0.9999", "--json"]
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["tested"] == 50
    assert document["claimed_epsilon"] == pytest.approx(2.0, abs=0.01)
