"""Full-domain generalization: one level a column for all rows, the best node of the lattice."""

from sfumato.anonymity.lattice.problem import Problem, Progress, Solution
from sfumato.anonymity.lattice.search import EXHAUSTIVE, search
from sfumato.anonymity.lattice.why import ColumnCost, Why, explain_cost

__all__ = ["EXHAUSTIVE", "ColumnCost", "Problem", "Progress", "Solution", "Why", "explain_cost", "search"]
