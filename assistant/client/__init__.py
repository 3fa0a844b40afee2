"""The generator as a front end holds it: over HTTP, ours or any OpenAI-compatible server. Knows no screens.

Importing this loads nothing; `assistant.client.calls` has the small calls (status, models, shutdown).
"""

from __future__ import annotations

from assistant.config import Config
from assistant.generator import TextGenerator


def create_generator(config: Config) -> TextGenerator:
    """Return the generator that the configuration selects; ours is started by its first request.

    Raises:
        AssistantError: The configured address or its token cannot be used.
    """
    from assistant.client.generator import HttpGenerator  # httpx2 costs 0.1 s: pay when there is a request

    return HttpGenerator(config)
