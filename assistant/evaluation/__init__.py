"""Scores models by running what they write. Knows no command line and no sandbox but through the judge."""
