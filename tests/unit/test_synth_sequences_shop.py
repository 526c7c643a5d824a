"""The judge of the shop: copies, members and broken order are caught; nothing is said of too few."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest

from sfumato.core.values import Finding
from sfumato.demos.shop import decide, judged
from sfumato.demos.shop_log import CDS, CUSTOMER, DAY, SPENT, WINDOW, Purchases, read_log, split

KEY = bytes(32)


def shoppers(people: int, seed: int) -> pl.DataFrame:
    """People who buy the more often, the more often they bought."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        day, pace = random.integers(0, 80), random.gamma(1.0, 60) + 5
        while day < 545:
            cds = int(random.integers(1, 4))
            rows.append(
                (person, WINDOW[0] + datetime.timedelta(int(day)), cds, round(cds * random.uniform(9, 20), 2))
            )
            day += random.exponential(pace) + 1
            if random.random() < 0.15:
                break
    return pl.DataFrame(rows, schema=[CUSTOMER, DAY, CDS, SPENT], orient="row")


def of(findings: tuple[Finding, ...], metric: str, target: str = "release") -> Finding:
    (found,) = [one for one in findings if (one.metric, one.target) == (metric, target)]
    return found


@pytest.fixture(scope="module")
def logs() -> tuple[pl.DataFrame, pl.DataFrame]:
    log = shoppers(4000, 0)
    return log.filter(pl.col(CUSTOMER) < 3000), log.filter(pl.col(CUSTOMER) >= 3000)


def test_fresh_people_pass_and_teach_as_well(logs: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    taught, held = logs
    findings = judged(taught, shoppers(3000, 1), held, KEY)
    assert abs(of(findings, "copies.excess").value or 0) < 0.01
    assert of(findings, "membership.auc").value == pytest.approx(0.5, abs=0.03)
    loss = of(findings, "learning.auc_loss", "customers held out")
    assert loss.low is not None
    assert loss.low < 0.02
    assert of(findings, "learning.auc", "customers held out").value > 0.6


def test_copied_customers_are_caught(logs: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    taught, held = logs
    made = pl.concat(
        [shoppers(2700, 1), taught.filter(pl.col(CUSTOMER) < 300).with_columns(pl.col(CUSTOMER) + 9000)]
    )
    findings = judged(taught, made, held, KEY)
    assert of(findings, "copies.excess").value == pytest.approx(0.1, abs=0.02)
    refused = {reason.metric for reason in decide(findings).reasons if not reason.passed}
    assert {"copies.excess", "copies.close_excess", "membership.tpr_at_1"} <= refused


def test_copies_with_a_trifle_changed_are_caught(logs: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    taught, held = logs
    made = taught.with_columns(pl.col(DAY) + pl.duration(days=1), (pl.col(SPENT) * 1.02).round(2))
    made = made.filter(pl.col(DAY) <= WINDOW[1])
    findings = judged(taught, made, held, KEY)
    assert (of(findings, "copies.excess").value or 0) < 0.01
    assert (of(findings, "copies.close_excess").value or 0) > 0.5
    assert (of(findings, "membership.auc").value or 0) > 0.8
    assert not decide(findings).passed


def test_one_large_customer_who_shows_is_caught(logs: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    taught, held = logs
    giant = pl.DataFrame(
        {CUSTOMER: [9999] * 40, DAY: [WINDOW[0]] * 40, CDS: [9] * 40, SPENT: [9000.0] * 40},
        schema=taught.schema,
    )
    made = pl.concat(
        [shoppers(3000, 1)] + [giant.with_columns(pl.col(CUSTOMER) + copy) for copy in range(20)]
    )
    findings = judged(pl.concat([taught, giant]), made, held, KEY)
    assert (of(findings, "extremes.beyond").value or 0) > 0.005


def test_broken_dependence_is_caught(logs: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    # Days dealt out again among all purchases: who buys often is no longer who buys later.
    taught, held = logs
    dealt = shoppers(3000, 1).with_columns(pl.col(CUSTOMER).shuffle(seed=1))
    findings = judged(taught, dealt, held, KEY)
    assert (of(findings, "learning.auc_loss", "customers held out").value or 0) > 0.03
    assert not decide(findings).passed


def test_of_too_few_nothing_is_said() -> None:
    few = shoppers(20, 0)
    findings = judged(few, few, few, KEY)
    for metric in ("copies.excess", "membership.auc"):
        assert of(findings, metric).status == "no-power"
    assert not decide(findings).passed


def test_the_log_is_read_by_its_path_and_split_by_customer() -> None:
    import sys

    log = read_log()
    assert "lifetimes" not in sys.modules
    assert (log.height, log[CUSTOMER].n_unique()) == (69_659, 23_570)
    assert (log[DAY].min(), log[DAY].max()) == WINDOW
    taught, held = split(log, KEY)
    assert not set(taught[CUSTOMER]) & set(held[CUSTOMER])
    assert held[CUSTOMER].n_unique() / 23_570 == pytest.approx(0.2, abs=0.01)
    purchases = Purchases.of(held)
    assert purchases.lengths.sum() == held.height
    assert purchases.totals().sum() == pytest.approx(held[SPENT].sum())
