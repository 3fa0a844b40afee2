"""All keys, in one list."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.keys import Place, actions_in, spelled_keys
from tui.screens.dialog import Dialog
from tui.widgets.plain import PlainStatic

NOTES = (
    "Shift with the mouse selects as the terminal does; without it, a selection is copied with Ctrl+C.\n"
    "Dead Space or symbol keys in a terminal: TEXTUAL_DISABLE_KITTY_KEY=1 helps.\n"
    '`assistant config set chat.keys "send=ctrl+enter newline=enter"` changes keys, by the names above.'
)


class HelpScreen(Dialog[None]):
    """Shows every key and what it does.

    Args:
        keymap: Keys that the user has changed, by action.
    """

    DEFAULT_CSS = """
    HelpScreen {
        .keys { height: 1fr; }
        Grid {
            grid-size: 2;
            grid-columns: 22 1fr;
            grid-rows: auto;
            grid-gutter: 0 1;
            height: auto;
            margin-bottom: 1;
        }
        .place { text-style: bold underline; }
        .spelling { text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter,f1", "leave", "back", show=False)]

    def __init__(self, keymap: dict[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        """Lay out the places, one below the other."""
        with Vertical(classes="box tall"):
            yield PlainStatic("Keys", classes="title")
            with VerticalScroll(classes="keys"):
                for place in Place:
                    yield PlainStatic(place.value.capitalize(), classes="place")
                    with Grid():
                        yield from self._lay_out(place)
                yield PlainStatic(NOTES, classes="note")

    def _lay_out(self, place: Place) -> ComposeResult:
        for action in actions_in(place):
            keys = spelled_keys(self._keymap.get(action.name, action.keys))
            yield PlainStatic(keys, classes="spelling")
            name = "" if action.is_fixed else f"  {action.name}"
            yield Static(Content.assemble(action.help, (name, "dim")), markup=False)
