"""Histories of people who never were: events in order, with times, items and amounts."""

from __future__ import annotations

from sfumato.synth.sequences.fitting import MODELS, SyntheticHistories, fit
from sfumato.synth.sequences.histories import Domain

__all__ = ["MODELS", "Domain", "SyntheticHistories", "fit"]
