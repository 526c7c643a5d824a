"""Audits: attempts to prove a claim of differential privacy wrong."""
