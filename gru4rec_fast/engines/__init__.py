"""What computes: the contract of an engine, and the three that there are."""
