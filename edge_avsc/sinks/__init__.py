"""Where estimates go: the terminal, JSON lines."""
