"""The draft: saved half a second after it changes, taken over from a program that did not end well."""

from __future__ import annotations

import asyncio

from textual.screen import Screen
from textual.timer import Timer

from assistant.drafts import Draft, DraftKeeper
from assistant.errors import AssistantError
from tui.textual_app import app_of
from tui.widgets.input_pane import InputPane
from tui.widgets.prompt import Prompt

SAVE_AFTER_S = 0.5


class Drafting:
    """Keeps what is typed on a screen.

    Args:
        screen: It has a prompt and an input pane.
        keeper: Where the draft is kept; None where it is not.
    """

    def __init__(self, screen: Screen[None], keeper: DraftKeeper | None) -> None:
        self._screen = screen
        self._keeper = keeper
        self._timer: Timer | None = None
        self._writing = asyncio.Lock()
        self._has_warned = False
        self.last = Draft()
        """What was typed when it was last looked at: there is no screen any more when the program ends."""

    def current(self) -> Draft:
        """Return what is typed now."""
        pane = self._screen.query_one(InputPane)
        task = self._screen.query_one(Prompt).text
        self.last = Draft(task=task, input=pane.text, input_name=pane.source)
        return self.last

    def show(self, draft: Draft) -> None:
        """Put a draft where it is typed."""
        self._screen.query_one(Prompt).load(draft.task)
        self._screen.query_one(InputPane).load(draft.input, draft.input_name)

    async def adopt(self) -> None:
        """Take over what another program left behind, if nothing is typed here yet."""
        if self._keeper is None:
            return
        try:
            draft = await asyncio.to_thread(self._keeper.adopt)
        except AssistantError as error:
            self._warn(error)
            return
        if draft is not None and self.current().is_empty:
            self.show(draft)
            app_of(self._screen).notify("what you were typing when the chat ended is back", markup=False)

    def note_change(self) -> None:
        """Save it soon. Nothing runs while nothing is typed."""
        self.current()
        if self._keeper is not None and self._timer is None:
            self._timer = self._screen.set_timer(SAVE_AFTER_S, self.save)

    async def save(self) -> None:
        """Save it now."""
        self._timer = None
        if self._keeper is None:
            return
        async with self._writing:
            try:
                await asyncio.to_thread(self._keeper.write, self.current())
            except AssistantError as error:
                self._warn(error)

    def _warn(self, error: AssistantError) -> None:
        if not self._has_warned:
            self._has_warned = True
            app_of(self._screen).notify(
                f"the draft is not saved: {error.message}", severity="warning", markup=False
            )
