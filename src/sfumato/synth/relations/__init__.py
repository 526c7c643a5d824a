"""Several tables of the same people, joined by keys: made anew together, every key leading to a made row.

With a budget all tables together are bounded in what they tell of a person, with all of their rows.

Rows of a person here have no order. Where it matters what came before what, there are
:mod:`sfumato.synth.sequences`.
"""

from __future__ import annotations

from sfumato.synth.relations.fitting import fit
from sfumato.synth.relations.tables import SyntheticTables, load

__all__ = ["SyntheticTables", "fit", "load"]
