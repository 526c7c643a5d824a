"""Medical images: what their headers tell of a person taken out, what their pixels may show flagged."""
