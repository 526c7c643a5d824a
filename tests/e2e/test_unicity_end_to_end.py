"""Linked histories from the policy to the evidence: a log of purchases, raw and coarse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf

pytestmark = pytest.mark.usefixtures("bare_documents")

WHO: dict[str, Any] = {"role": "direct-identifier", "why": "the customer's number"}
LINKED = WHO | {"action": {"do": "pseudonymize", "domain": "customers"}}
KNOWN: dict[str, Any] = {"role": "quasi-identifier", "why": "the shop's neighbours see it"}
ATTACKS = ["suda", "trajectory", "unicity"]


def purchases(customers: int = 500) -> pl.DataFrame:
    """Some purchases of each customer over eighteen months."""
    draw = np.random.default_rng(2)
    each = 1 + draw.geometric(0.4, customers)
    who = np.repeat(np.arange(customers), each)
    days = pl.Series(draw.integers(0, 550, len(who))).cast(pl.Int32).cast(pl.Date)
    return pl.DataFrame(
        {
            "customer": [f"C{number:05d}" for number in who],
            "day": days,
            "shop": draw.choice(["north", "east", "west"], len(who), p=[0.5, 0.3, 0.2]),
        }
    )


def policy(who: dict[str, Any], day: dict[str, Any]) -> dict[str, Any]:
    return {
        "sfumato": 1,
        "dataset": {"name": "purchases", "source": {"path": "purchases.csv"}, "subject": "customer"},
        "columns": {
            "customer": who,
            "day": KNOWN | {"action": day},
            "shop": KNOWN | {"action": {"do": "keep"}},
        },
        "evidence": {"attacks": ATTACKS},
    }


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def running(who: dict[str, Any], day: dict[str, Any]) -> Any:
        written = policy(who, day)
        return sf.run(written, purchases(), output=tmp_path / "out", project=tmp_path / "keys")

    return running


def finding(found: Any, metric: str, target: str = "release") -> Any:
    (one,) = [f for f in found.findings if (f.metric, f.target) == (metric, target)]
    return one


def test_a_few_purchases_give_the_others_away_and_coarse_days_fewer(run: Callable[..., Any]) -> None:
    raw, years = run(LINKED, {"do": "keep"}), run(LINKED, {"do": "truncate-date", "to": "year"})
    for found in (raw, years):
        assert {f.status for f in found.findings if f.source in ATTACKS} <= {
            "measured", "not-measured", "no-power"
        }  # fmt: skip
        assert finding(found, "unicity.points").status == "measured"
    assert finding(raw, "unicity.points", "2 points").value > 0.9
    assert finding(years, "unicity.points").value < finding(years, "unicity.points").before
    assert finding(raw, "unicity.first").value > finding(years, "unicity.first").value
    # Shops without their days are what they were.
    assert finding(raw, "unicity.top").value == finding(raw, "unicity.top").before < 0.1
    assert 300 < finding(raw, "unicity.points").n <= 500
    # People of whole histories are counted in class risks, and the same by single people.
    assert finding(raw, "risk.class_share", "class of 1").value == finding(raw, "risk.unique").value
    assert finding(raw, "trajectory.unique").value == finding(raw, "risk.unique").value
    assert finding(raw, "suda.special_uniques").n == finding(raw, "risk.unique").n


def test_rows_that_nothing_links_have_no_unicity(run: Callable[..., Any]) -> None:
    found = run(WHO | {"action": {"do": "drop"}}, {"do": "keep"})
    assert finding(found, "unicity.points").status == "not-measured"
    assert "nothing links" in finding(found, "unicity.points").note
    assert finding(found, "suda.special_uniques").value > 0
    assert finding(found, "trajectory.unique").status == "measured"
