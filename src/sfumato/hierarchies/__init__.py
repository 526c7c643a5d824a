"""Generalization hierarchies: what coarser label each value of a column may get, level by level.

Most kinds are built from their parameters alone. One that says ``fitted = True`` learns something from a
column first: see :mod:`sfumato.hierarchies.build`.
"""

from sfumato.core.registry import Registry

HIERARCHIES = Registry(
    "hierarchy",
    {
        "file": "sfumato.hierarchies.file:FileHierarchy",
        "intervals": "sfumato.hierarchies.intervals:IntervalHierarchy",
        "quantiles": "sfumato.hierarchies.quantiles:QuantileHierarchy",
        "order": "sfumato.hierarchies.order:OrderHierarchy",
        "taxonomy": "sfumato.hierarchies.taxonomy:TaxonomyHierarchy",
        "learned": "sfumato.hierarchies.learned:LearnedHierarchy",
        "prefix": "sfumato.hierarchies.prefix:PrefixHierarchy",
        "mask": "sfumato.hierarchies.mask:MaskHierarchy",
        "postcode": "sfumato.hierarchies.postcode:PostcodeHierarchy",
        "coordinates": "sfumato.hierarchies.coordinates:CoordinateHierarchy",
        "dates": "sfumato.hierarchies.dates:DateHierarchy",
        "suppress": "sfumato.hierarchies.suppress:SuppressHierarchy",
    },
)
