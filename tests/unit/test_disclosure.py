"""The filter that every published figure passes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.disclosure import BASE, LEAST, WITHHELD, publish, publish_all, round_count, round_share
from sfumato.core.values import Finding


def finding(value: float, n: int, unit: str = "share", target: str = "release") -> Finding:
    return Finding(
        metric="m", target=target, value=value, low=value, high=value, unit=unit, goal="low", n=n, source="s"
    )


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_counts_are_rounded_to_the_nearest_multiple(count: int) -> None:
    rounded = round_count(count)
    assert rounded % BASE == 0
    assert abs(rounded - count) <= BASE / 2


@settings(deadline=None)
@given(st.integers(LEAST, 10_000), st.data())
def test_neighbouring_counts_cannot_be_told_apart_by_their_shares(n: int, data) -> None:
    """Of any five counts in a row at least one pair publishes the same share."""
    count = data.draw(st.integers(0, n - BASE))
    shares = {round_share((count + i) / n, n) for i in range(BASE)}
    assert len(shares) <= 2


def test_a_figure_about_few_people_is_withheld() -> None:
    hidden = publish(finding(0.25, LEAST - 1))
    assert (hidden.value, hidden.low, hidden.high, hidden.n, hidden.note) == (None, None, None, 0, WITHHELD)
    assert publish(finding(0.5, LEAST)).value == 0.5


def test_a_share_is_not_published_exactly() -> None:
    assert publish(finding(123 / 1000, 1000)).value == 0.125


def test_people_are_rounded_and_other_units_shortened() -> None:
    assert publish(finding(1234, 5000, unit="people")).value == 1235
    assert publish(finding(0.76543, 5000, unit="auc")).value == 0.765
    assert publish(finding(0.00041268, 5000, unit="quantity")).value == 0.0004127


def test_a_single_withheld_group_takes_the_smallest_other_with_it() -> None:
    groups = [finding(0.1, 4, target="g=a"), finding(0.2, 50, target="g=b"), finding(0.3, 900, target="g=c")]
    a, b, c = publish_all(groups)
    assert (a.note, b.note) == (WITHHELD, WITHHELD)
    assert c.value is not None


def test_two_withheld_groups_protect_each_other() -> None:
    groups = [finding(0.1, 4, target="g=a"), finding(0.2, 5, target="g=b"), finding(0.3, 900, target="g=c")]
    assert [f.value is None for f in publish_all(groups)] == [True, True, False]


def test_groups_of_different_variables_are_different_tables() -> None:
    groups = [finding(0.1, 4, target="g=a"), finding(0.2, 50, target="h=b")]
    a, b = publish_all(groups)
    assert a.value is None
    assert b.value == 0.2


def test_an_unmeasured_finding_keeps_its_reason() -> None:
    silent = Finding(metric="m", unit="share", goal="low", n=3, status="no-power", source="s", note="too few")
    assert publish(silent).note == "too few"
    # The other groups and the total would bound a number, even a rounded one.
    assert publish(silent).n == 0


def test_a_difference_is_no_finer_than_a_rounded_count_of_its_smallest_group() -> None:
    assert publish(finding(0.0871, 100, unit="difference")).value == 0.1
    assert publish(finding(0.0871, 100_000, unit="difference")).value == 0.087


def test_what_stands_beside_an_unmeasured_figure_is_rounded_too() -> None:
    silent = Finding(
        metric="m", unit="share", goal="low", n=1000, status="no-power", source="s", before=0.1234
    )
    assert publish(silent).before == 0.125


def test_a_slight_baseline_is_not_nothing_and_gives_no_count_away() -> None:
    slight, plain = (
        finding(0.5, 23_998).model_copy(update={"baseline": share}) for share in (1 / 23_998, 0.25)
    )
    assert publish(slight).baseline == 4e-05
    assert abs((publish(plain).baseline or 0) - 0.25) < 1e-3
