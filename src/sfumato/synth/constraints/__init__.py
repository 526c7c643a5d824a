"""What must hold in every row: inequalities, sums, combinations, keys, ranges, what can never be.

Columns that follow from others are not learned but computed again; of an inequality the difference is
learned. What cannot be had like this is had by drawing again.
"""

from sfumato.synth.constraints.parsing import parsed
from sfumato.synth.constraints.rules import Rules

__all__ = ["Rules", "parsed"]
