"""Measures: what generalization costs, one file each."""
