"""What the data are: the profile of every column, what identifies people, and which sets of columns do."""

from sfumato.inventory.take import take_inventory

__all__ = ["take_inventory"]
