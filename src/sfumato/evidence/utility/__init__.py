"""Utility: what the release is still good for, against the original."""
