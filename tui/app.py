"""The application: themes, commands, signals, and the chat's screen. It decides nothing about answers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from assistant.drafts import close_quietly
from assistant.errors import AssistantError, ConfigError
from tui.chat import Chat
from tui.keys import ACTIONS, Action, Place, spelled_keys
from tui.screens.chat import ChatScreen
from tui.services import Services

ENDING = ("SIGTERM", "SIGHUP")


class ChatApp(App[int]):
    """The terminal chat.

    Args:
        services: What it works with.
    """

    TITLE = "assistant"
    CSS = """
    Footer { height: 1; }
    Footer.-compact FooterKey.-command-palette { margin-right: 0; padding-right: 1; }
    Toast { max-width: 80; }
    ToastRack { dock: top; align: right top; margin: 0; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (9, "-short"), (18, "-normal")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", id="quit", priority=True, show=True),
    ]

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self.chat = Chat(services.config, services.find_generator, services.save, services.verifier)
        """The conversation."""
        self.chat_screen = ChatScreen(services, self.chat)
        """The screen that is always there."""
        if services.config.chat.theme not in self.available_themes:
            names = ", ".join(sorted(self.available_themes))
            raise ConfigError(
                f"chat.theme: there is no theme {services.config.chat.theme}", hint=f"one of {names}"
            )
        self.theme = services.config.chat.theme
        self.set_keymap(services.keymap)

    def get_default_screen(self) -> Screen[None]:
        """Begin with the chat."""
        return self.chat_screen

    def on_mount(self) -> None:
        """Leave in good order when the system asks for it: the terminal must be given back."""
        loop = asyncio.get_running_loop()
        for name in ENDING:
            number = getattr(signal, name, None)
            if number is not None:
                try:
                    loop.add_signal_handler(number, self.exit, 128 + number, 128 + number)
                except (NotImplementedError, RuntimeError):  # Windows, or no main thread
                    return

    def exit(
        self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None
    ) -> None:
        """Leave. What is still going on for the screen ends before the screen does."""
        self.workers.cancel_all()
        super().exit(result, return_code, message)

    def close(self) -> None:
        """Keep what is unfinished. After the screen is gone, however that came."""
        self.chat_screen.preparing.stop()
        self.chat.close()
        keeper = self._services.keeper
        if keeper is not None:
            close_quietly(keeper, self.chat_screen.drafting.last)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer everything that has a key in the palette as well."""
        yield from super().get_system_commands(screen)  # pyright: ignore[reportUnknownMemberType]
        for action in ACTIONS:
            if action.place in (Place.ANYWHERE, Place.ANSWER) and not action.is_fixed:
                title = action.name.replace("_", " ").capitalize()
                text = f"{action.help} ({spelled_keys(self._services.keymap.get(action.name, action.keys))})"
                yield SystemCommand(title, text, self._command(action))

    def report_history(self, error: AssistantError) -> None:
        """Say that exchanges are not stored. From any thread."""
        words = f"this is not stored in the history: {error.message}"
        self.call_later(self.notify, words, severity="warning", timeout=10, markup=False)

    def _command(self, action: Action) -> Callable[[], None]:
        def run() -> None:
            view = self.chat_screen.current_view()
            if action.place is Place.ANYWHERE:
                target = self if action.name == "quit" else self.chat_screen
                self.call_later(target.run_action, action.name)
            elif view is not None:
                view.action_want(action.name)
            else:
                self.notify("there is no answer yet", markup=False)

        return run
