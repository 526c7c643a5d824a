"""Benchmarks: what is claimed of speed, memory and exactness, measured in one run."""
