"""Attacks on trained models: what a model gives away of the people it was taught with."""
