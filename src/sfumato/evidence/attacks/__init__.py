"""Attacks: what somebody who looks for a person in the release would find."""
