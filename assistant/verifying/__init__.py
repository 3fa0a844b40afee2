"""Answers that were run: several candidates, the tests that they must pass, and the first that does."""
