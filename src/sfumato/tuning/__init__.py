"""The search over policies for what they risk against what they keep, both measured."""
