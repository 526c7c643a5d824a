"""Synthesizers that learn from noisy counts of a few fields together, and see no row otherwise."""
