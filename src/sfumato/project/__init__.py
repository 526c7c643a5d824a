"""What must last between runs: keys, the ledger of releases, and the lock on custody."""

from sfumato.project.project import Project, locate

__all__ = ["Project", "locate"]
