"""Differential privacy: noise with a budget that cannot be overdrawn."""
