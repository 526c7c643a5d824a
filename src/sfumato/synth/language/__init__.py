"""Rows as text, written by a causal language model that can write nothing but rows of the table."""
