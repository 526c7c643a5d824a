"""The documents for machines and records: ``evidence.json``, ``plan.json``, ``policy.yaml``.

Each is a function of the :class:`sfumato.release.account.Account` alone, and the same account gives the
same bytes.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

from sfumato.core.canonical import canonical_json
from sfumato.core.disclosure import BASE, LEAST
from sfumato.release.account import Account

_POLICY_HEAD = """\
# The policy as published: every column with its role, what was done to it and why.
# Whereabouts are left out; manifest.json names the source by a salted commitment.
"""


def evidence_json(account: Account) -> bytes:
    """The published findings, the decision, and the rules by which figures were published."""
    return _document(
        {
            "sfumato": account.versions["sfumato"],
            "dataset": account.dataset["name"],
            "disclosure": {"least_people": LEAST, "counts_rounded_to": BASE},
            "findings": [finding.model_dump(mode="json") for finding in account.findings],
            "decision": account.decision.model_dump(mode="json"),
        }
    )


def plan_json(account: Account) -> bytes:
    """The method: what is done to each column and the table."""
    return _document({"sfumato": account.versions["sfumato"], **account.plan})


def policy_yaml(account: Account) -> bytes:
    """The public policy, to be read by people: in the policy's own order, which is the author's."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 110
    text = io.StringIO()
    yaml.dump(dict(account.policy), text)
    return (_POLICY_HEAD + text.getvalue()).encode()


def _document(content: dict[str, Any]) -> bytes:
    return canonical_json(content) + b"\n"
