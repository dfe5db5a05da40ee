"""Records what is done to a running chain, and writes a scenario that does it again."""
