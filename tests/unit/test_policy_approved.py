"""Whom an approval is for: another column may differ in a blank only."""

from __future__ import annotations

import pytest

from sfumato.policy.model import Approval, Policy


@pytest.mark.parametrize(
    ("written", "what", "is_meant"),
    [
        ("column age", "column age", True),
        ("column age  ", "column age", True),
        ("column a  b", "column a  b", True),
        ("column a  b", "column a b", False),
        ("column a b", "column a  b", False),
        ("column a", "gate a", False),
    ],
)
def test_blanks_count_within_a_name(written: str, what: str, is_meant: bool) -> None:
    policy = Policy.model_construct(approvals=(Approval(by="N. N.", what=written, why="a pilot"),))
    assert policy.approved(what) is is_meant
