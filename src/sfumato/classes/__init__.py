"""Equivalence classes: frequency tables of distinct tuples, and every figure of them."""
