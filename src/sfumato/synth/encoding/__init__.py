"""Columns as codes and back: the one discretizer of the room."""
