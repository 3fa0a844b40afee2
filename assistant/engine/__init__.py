"""Models that run: everything that may name torch. Nothing is imported here."""
