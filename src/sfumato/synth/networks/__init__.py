"""The networks of the synthesizers: nothing but arithmetic on codes."""
