"""The documentation, and the programs that make its reference pages from the code."""
