"""Textual's bindings out of the list of actions."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from tui.keys import Place, actions_in


def build_bindings(
    place: Place, *, priority: bool, without: Iterable[str] = (), as_argument_of: str = ""
) -> list[BindingType]:
    """Build the bindings of a place. Each is known to the keymap by its action's name.

    Args:
        place: Where they mean something.
        priority: They come before what the focused widget makes of the key.
        without: Actions that are bound elsewhere.
        as_argument_of: Call this action with the action's name, instead of one action for each.
    """
    left_out = set(without)
    return [
        Binding(
            action.keys,
            f"{as_argument_of}('{action.name}')" if as_argument_of else action.name,
            action.label or action.help,
            show=bool(action.label),
            priority=priority,
            id=action.name,
        )
        for action in actions_in(place)
        if action.name not in left_out
    ]
