"""Evidence on images that were made: whose images they repeat, and what they are good for."""
