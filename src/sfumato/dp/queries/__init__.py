"""The questions that can be asked under differential privacy: one file each, and one line here."""

from __future__ import annotations

from sfumato.core.registry import Registry

QUERIES = Registry(
    "query",
    {
        "count": "sfumato.dp.queries.count:Count",
        "sum": "sfumato.dp.queries.sum:Sum",
        "mean": "sfumato.dp.queries.mean:Mean",
        "variance": "sfumato.dp.queries.variance:Variance",
        "quantiles": "sfumato.dp.queries.quantiles:Quantiles",
        "histogram": "sfumato.dp.queries.histogram:Histogram",
        "contingency": "sfumato.dp.queries.contingency:Contingency",
        "covariance": "sfumato.dp.queries.covariance:Covariance",
        "correlation": "sfumato.dp.queries.covariance:Correlation",
        "group-by": "sfumato.dp.queries.group_by:GroupBy",
        "top-k": "sfumato.dp.queries.top_k:TopK",
        "bounds": "sfumato.dp.queries.bounds:PrivateBounds",
    },
)
