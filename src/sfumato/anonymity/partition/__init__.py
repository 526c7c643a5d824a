"""Multidimensional and local recoding: each class of people gets labels of its own."""
