"""Where tables live and are worked on."""
