"""sfumato: take the person out, keep the picture."""

__version__ = "0.1.0"
