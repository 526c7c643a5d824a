"""Frozen values, coded errors, registries, canonical bytes, keyed randomness, the disclosure filter."""
