"""Text that is only text: brackets are brackets, and nothing in it commands the terminal."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.shown import shown_text


class PlainStatic(Static):
    """Shows a user's, a model's or a file's text.

    Args:
        text: It, as it is.
        id: The widget's id.
        classes: The widget's classes.
    """

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(Content(shown_text(text)), markup=False, id=id, classes=classes)

    def show(self, text: str, *, layout: bool = True) -> None:
        """Show another text.

        Args:
            text: It.
            layout: Its size may differ.
        """
        self.update(Content(shown_text(text)), layout=layout)
