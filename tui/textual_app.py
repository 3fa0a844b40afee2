"""The running application as a widget sees it, with a type that Textual itself leaves open."""

from __future__ import annotations

from typing import cast

from textual.app import App
from textual.message_pump import MessagePump


def app_of(node: MessagePump) -> App[object]:
    """Return the application that a widget or screen is part of."""
    return cast("App[object]", node.app)  # pyright: ignore[reportUnknownMemberType]


def is_ansi(node: MessagePump) -> bool:
    """Whether the theme uses the terminal's own colours."""
    return app_of(node).current_theme.ansi
