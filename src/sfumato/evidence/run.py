"""Running probes one after another: nothing that fails is silently dropped.

Class risks are always measured, asked for or not; where rows are made there are no classes of people, and
copies and membership are measured instead. Figures of people's own rows are then not measured, by whichever
probe. A probe that breaks becomes a finding with status "error" for each of its metrics, and the gate fails
closed on those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import ValidationError

from sfumato.contracts import Comparison
from sfumato.core.errors import InputError, SfumatoError
from sfumato.core.values import Finding, Status
from sfumato.evidence import probe
from sfumato.evidence.learners import share_learners
from sfumato.evidence.made import ROWWISE, beside, fresh, rowwise

#: The probes that run unasked, those which do where rows are made, where histories are, where tables are.
ALWAYS = ("uniqueness",)
ALWAYS_MADE = ("copies", "membership")
ALWAYS_HISTORIES = (*ALWAYS_MADE, "retelling")
ALWAYS_TABLES = (*ALWAYS_MADE, "relations")


def always(*, made: bool, histories: bool, tables: bool = False) -> tuple[str, ...]:
    """The probes that run unasked on people's own rows, on rows that are made, on histories, or on several
    tables of people."""
    if histories:
        return ALWAYS_HISTORIES
    if tables:
        return ALWAYS_TABLES
    return ALWAYS_MADE if made else ALWAYS


def measure(
    comparison: Comparison,
    names: Mapping[str, Mapping[str, Any]],
    progress: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Run probes in order and collect their findings.

    Args:
        comparison: what the probes see.
        names: probe name -> parameters as a policy writes them.
        progress: called with each probe's name before it runs.

    Returns:
        All findings, those that nobody asked for first unless ``names`` has them elsewhere.

    Raises:
        InputError: an unknown probe, wrong parameters, or a probe found the request wrong.
    """
    from threadpoolctl import threadpool_limits

    unasked = always(
        made=comparison.made,
        histories=comparison.logs is not None,
        tables=comparison.tables is not None,
    )
    wanted = {**{name: {} for name in unasked if name not in names}, **names}
    resolved = {name: probe(name) for name in wanted}
    shared = share_learners(comparison)
    findings: list[Finding] = []
    # One thread for small products: threads that wait on a busy machine cost more than they bring.
    with threadpool_limits(1, user_api="blas"):
        for name, raw in wanted.items():
            params = _params(name, resolved[name], raw)
            if progress is not None:
                progress(name)
            findings += _run(name, resolved[name], shared, params)
    return findings


def _params(name: str, kind: Any, raw: Mapping[str, Any]) -> Any:
    try:
        return kind.Params(**raw)
    except ValidationError as wrong:
        # The policy's loader has reported these with their lines; this is for callers from Python.
        places = ", ".join(
            sorted({".".join(map(str, error["loc"])) or "parameters" for error in wrong.errors()})
        )
        raise InputError(
            "policy-invalid",
            f"not what the probe {name} takes: {places}",
            remedy="see the probe's parameters",
        ) from None


def _run(name: str, kind: Any, comparison: Comparison, params: Any) -> list[Finding]:
    gone = rowwise(kind) if comparison.made else frozenset()
    silent = _unmeasured(name, kind, "not-measured", ROWWISE, gone)
    if gone >= set(kind.metrics):
        return silent
    try:
        findings = _found(kind, comparison, params)
    except SfumatoError:
        raise
    except Exception as failure:  # noqa: BLE001 - whatever breaks a probe, the gate must hear of it
        # The class only: a message may hold a person's value.
        words = f"the probe failed ({type(failure).__name__})"
        return [*_unmeasured(name, kind, "error", words, set(kind.metrics) - gone), *silent]
    findings = [*(finding for finding in findings if finding.metric not in gone), *silent]
    missing = set(kind.metrics) - {finding.metric for finding in findings}
    return [*findings, *_unmeasured(name, kind, "error", "the probe did not report it", missing)]


def _found(kind: Any, comparison: Comparison, params: Any) -> list[Finding]:
    """A probe's findings; of made rows with what people held out would have in their place."""
    findings = list(kind().run(comparison, params))
    if not comparison.made or not getattr(kind, "has_floor", False):
        return findings
    people = fresh(comparison)
    if people is None:
        return findings
    return beside(findings, kind().run(people, params), comparison.control.height)


def _unmeasured(name: str, kind: Any, status: Status, note: str, metrics: Collection[str]) -> list[Finding]:
    units = getattr(kind, "units", {})
    return [
        Finding(
            metric=metric,
            unit=units.get(metric, "ratio"),
            goal=kind.metrics[metric][0],
            n=0,
            status=status,
            source=name,
            note=note,
        )
        for metric in kind.metrics
        if metric in metrics
    ]
