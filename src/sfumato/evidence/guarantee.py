"""What a release under differential privacy costs, as findings that the gate compares.

They follow from the method: nobody is measured, and there is nothing that another draw would change. What
attacks on the claim find is with the audits (:mod:`sfumato.evidence.audits`).
"""

from __future__ import annotations

from sfumato.core.values import Finding, PrivatePlan
from sfumato.evidence.report import Metric, Report

REPORT = Report(
    "dp",
    {
        "dp.epsilon": Metric("low", "epsilon", "cost of this release where one is added or removed"),
        "dp.delta": Metric("low", "delta", "the delta at which that epsilon holds"),
        "dp.replace_epsilon": Metric(
            "low", "epsilon", "cost of this release where one is replaced by another"
        ),
        "dp.dataset_epsilon": Metric(
            "low", "epsilon", "the most that all releases of the dataset under differential privacy may cost"
        ),
        "dp.dataset_delta": Metric("low", "delta", "the delta at which that epsilon holds"),
        "dp.spent": Metric(
            "low", "share", "the part of the dataset's budget that is spent, with this release"
        ),
        "dp.unbounded": Metric(
            "low", "number", "releases of the dataset that left without differential privacy"
        ),
        "dp.insecure": Metric(
            "low", "number", "1 if the noise is not from a cryptographic source, which could be predicted"
        ),
    },
)


def guarantee(private: PrivatePlan) -> list[Finding]:
    """The findings on a release's guarantee.

    >>> plan = PrivatePlan(
    ...     kind="statistics", asked=(), unit="row", relation="add-remove", epsilon=1.0, delta=0.0,
    ...     replace_epsilon=2.0, accounting="pld", event="Laplace noise", secure=True,
    ...     budget={"epsilon": 2.0, "delta": 0.0, "spent": 1.0},
    ... )
    >>> [(finding.metric, finding.value) for finding in guarantee(plan)][:2]
    [('dp.epsilon', 1.0), ('dp.delta', 0.0)]
    """
    figures = {
        "dp.epsilon": private.epsilon,
        "dp.delta": private.delta,
        "dp.replace_epsilon": private.replace_epsilon,
        "dp.dataset_epsilon": float(private.budget["epsilon"]),
        "dp.dataset_delta": float(private.budget["delta"]),
        "dp.spent": float(private.budget["spent"]),
        "dp.unbounded": float(private.unbounded),
        "dp.insecure": 0.0 if private.secure else 1.0,
    }
    return [REPORT.proven(metric, figure) for metric, figure in figures.items()]
