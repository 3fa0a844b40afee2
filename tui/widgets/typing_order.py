"""Keys in the order in which they were typed.

Textual inserts characters where they arrive, and runs what is bound to a key two queues later: what is typed
fast, or by a program, could be sent before it is whole. Here a widget's own keys are not overtaken.
"""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input

from tui.textual_app import app_of


async def run_own_binding(widget: Widget, event: events.Key) -> bool:
    """Do what a key is bound to on a widget itself; return whether it is bound there."""
    chain = widget.screen._binding_chain  # pyright: ignore[reportPrivateUsage]
    bindings = next((bindings for node, bindings in chain if node is widget), None)
    for binding in bindings.key_to_bindings.get(event.key, []) if bindings else []:
        if await app_of(widget).run_action(binding.action, widget):
            event.stop()
            event.prevent_default()
            return True
    return False


class LineInput(Input):
    """One line of text, typed in order."""

    async def _on_key(self, event: events.Key) -> None:
        if not await run_own_binding(self, event):
            await super()._on_key(event)
