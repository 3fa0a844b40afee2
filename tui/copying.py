"""Copying from the screen: off the loop, and with the truth about what became of it."""

from __future__ import annotations

import asyncio

from textual.message_pump import MessagePump

from tui.clipboard import Copied, copy_text
from tui.textual_app import app_of


async def copy_to_clipboard(node: MessagePump, text: str, what: str) -> Copied:
    """Copy a text and tell the user how that went.

    Args:
        node: Any part of the screen.
        text: It, exactly.
        what: What it is, to begin a sentence with.
    """
    app = app_of(node)
    copied = await asyncio.to_thread(copy_text, text)
    # Textual's own copying would send the plain sequence alone, which tmux drops by default.
    app._clipboard = text  # pyright: ignore[reportPrivateUsage]
    driver = app._driver  # pyright: ignore[reportPrivateUsage]
    if driver is not None and copied.sequence:
        driver.write(copied.sequence)
    is_known = bool(copied.checked or copied.unchecked)
    app.notify(copied.describe(what), severity="information" if is_known else "warning", markup=False)
    return copied
