"""Methods of recoding a table, one file each: from a task to classes of people that keep the promises."""

from sfumato.core.registry import Registry

METHODS = Registry(
    "method",
    {
        "lattice": "sfumato.pipeline.methods.lattice:by_lattice",
        "partition": "sfumato.pipeline.methods.partition:by_partition",
        "cells": "sfumato.pipeline.methods.cells:by_cells",
        "microaggregation": "sfumato.pipeline.methods.microaggregation:by_microaggregation",
    },
)
