"""Generalization hierarchies: what coarser label each value of a column may get, level by level."""

from sfumato.core.registry import Registry

HIERARCHIES = Registry(
    "hierarchy",
    {
        "file": "sfumato.hierarchies.file:FileHierarchy",
        "intervals": "sfumato.hierarchies.intervals:IntervalHierarchy",
        "prefix": "sfumato.hierarchies.prefix:PrefixHierarchy",
        "dates": "sfumato.hierarchies.dates:DateHierarchy",
        "suppress": "sfumato.hierarchies.suppress:SuppressHierarchy",
    },
)
