"""Benchmarks of differential privacy: accounting, queries, training, audits."""
