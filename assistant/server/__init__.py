"""The HTTP face of the engine: one process per user that owns the model and answers every front end.

Speaks OpenAI's protocol over a Unix socket, and over TCP where that is asked for.
"""

PROTOCOL = 1
"""Raised when a client of the version before could no longer talk to this server."""
