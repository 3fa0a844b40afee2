"""Every action that has a key: its name, its keys, what it does, where.

One list for the screens, the help, the documentation and the check of `chat.keys`. Knows no Textual.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from assistant.errors import ConfigError


class Place(StrEnum):
    """Where a key means something."""

    ANYWHERE = "anywhere"
    PROMPT = "in the prompt"
    ANSWER = "on an answer"
    CONVERSATIONS = "in the list of conversations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a key does."""

    name: str
    """As `chat.keys` calls it."""
    keys: str
    """As Textual spells them, comma-separated."""
    help: str
    place: Place
    label: str = ""
    """In the line of keys at the bottom; empty for one that is not shown there."""
    is_fixed: bool = False
    """Its key cannot be changed: it is an ordinary key that means more in some places."""


def _action(place: Place, name: str, keys: str, text: str, label: str = "") -> Action:
    return Action(name=name, keys=keys, help=text, place=place, label=label)


def _fixed(place: Place, name: str, keys: str, text: str) -> Action:
    return Action(name=name, keys=keys, help=text, place=place, is_fixed=True)


ACTIONS: tuple[Action, ...] = (
    _action(Place.PROMPT, "send", "enter", "Send the task.", "send"),
    _action(Place.PROMPT, "newline", "ctrl+j,shift+enter,alt+enter", "Begin a new line."),
    _fixed(Place.PROMPT, "previous_task", "up", "On the first line: an earlier task."),
    _fixed(Place.PROMPT, "next_task", "down", "On the last line: a later task."),
    _fixed(Place.PROMPT, "pick_file", "@", "At the beginning of a word: find a file for the input."),
    _action(
        Place.PROMPT, "delete_or_quit", "ctrl+d", "Delete the character to the right; quit where nothing is."
    ),
    _action(Place.ANYWHERE, "leave", "escape", "Stop the answer; else between prompt and answers.", "stop"),
    _action(
        Place.ANYWHERE,
        "interrupt",
        "ctrl+c",
        "Copy what is selected; else stop the answer; else clear the prompt; twice on an empty one: quit.",
    ),
    _action(Place.ANYWHERE, "toggle_input", "ctrl+t", "Show the input and go there; hide it again.", "input"),
    _action(Place.ANYWHERE, "regenerate", "ctrl+r", "Ask for the last task again, with a new seed.", "again"),
    _action(Place.ANYWHERE, "save", "ctrl+s", "Save the code of the answer to a file.", "save"),
    _action(Place.ANYWHERE, "copy", "f2", "Copy the code of the answer.", "copy"),
    _action(Place.ANYWHERE, "parameters", "ctrl+o", "Model, temperature, length, seed.", "parameters"),
    _action(
        Place.ANYWHERE,
        "test_answers",
        "f3",
        "Test answers with the asserts and doctests in their input, or not.",
    ),
    _action(Place.ANYWHERE, "conversations", "ctrl+l", "Search, resume, rename, export, delete.", "history"),
    _action(Place.ANYWHERE, "new_conversation", "ctrl+n", "Begin a new conversation."),
    _action(Place.ANYWHERE, "edit_outside", "ctrl+g", "Write the task, or the input, in $VISUAL or $EDITOR."),
    _action(Place.ANYWHERE, "page_up", "pageup", "Scroll the answers up."),
    _action(Place.ANYWHERE, "page_down", "pagedown", "Scroll the answers down."),
    _action(Place.ANYWHERE, "answer_top", "ctrl+home", "To the top of this answer."),
    _action(Place.ANYWHERE, "answers_end", "ctrl+end", "To the end, and follow the answer again."),
    _action(Place.ANYWHERE, "help", "f1", "Show all keys.", "help"),
    _action(Place.ANYWHERE, "quit", "ctrl+q", "Quit. A partial answer and the draft are kept."),
    _action(Place.ANSWER, "copy_code", "y", "Copy the code.", "copy code"),
    _action(Place.ANSWER, "copy_answer", "Y", "Copy the whole answer.", "copy all"),
    _action(Place.ANSWER, "save_code", "s", "Save the code to a file.", "save"),
    _action(Place.ANSWER, "open_editor", "e", "Open the code in the editor; changes become the input."),
    _action(Place.ANSWER, "refine", "r", "Make the code the input of the next task.", "refine"),
    _action(Place.ANSWER, "edit_task", "t", "Bring task and input back, to change and resend.", "edit task"),
    _action(Place.ANSWER, "again", "g", "Answer this task again, with a new seed."),
    _action(Place.ANSWER, "diff_previous", "d", "Compare with the answer before.", "diff"),
    _action(Place.ANSWER, "diff_input", "D", "Compare with the input."),
    _action(Place.ANSWER, "run", "x", "Run the code, after a question.", "run"),
    _action(Place.ANSWER, "previous_answer", "up,k", "To the answer before."),
    _action(Place.ANSWER, "next_answer", "down,j", "To the next answer, and then to the prompt."),
    _action(Place.CONVERSATIONS, "resume", "enter", "Take the conversation up again.", "resume"),
    _action(Place.CONVERSATIONS, "search", "slash", "Search all tasks, inputs and answers.", "search"),
    _action(Place.CONVERSATIONS, "rename", "r", "Give it another title.", "rename"),
    _action(Place.CONVERSATIONS, "export", "e", "Write it to a Markdown or .py file.", "export"),
    _action(Place.CONVERSATIONS, "delete", "delete,d", "Delete it, after a question.", "delete"),
    _action(Place.CONVERSATIONS, "close", "escape", "Back to the chat.", "back"),
)


def actions_in(place: Place) -> list[Action]:
    """Return the actions of one place."""
    return [action for action in ACTIONS if action.place is place]


def fixed_actions() -> list[str]:
    """Return the names of the actions whose keys cannot be changed."""
    return [action.name for action in ACTIONS if action.is_fixed]


def parse_keymap(text: str) -> dict[str, str]:
    """Read `chat.keys`: action=key pairs with spaces between.

    Raises:
        ConfigError: There is no such action.
    """
    names = [action.name for action in ACTIONS if not action.is_fixed]
    keymap: dict[str, str] = {}
    for pair in text.split():
        name, _, keys = pair.partition("=")
        if name not in names:
            nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else "F1 in the chat names the actions"
            raise ConfigError(f"chat.keys: there is no action {name} whose key can be set", hint=hint)
        keymap[name] = keys
    return keymap


def spelled_keys(keys: str) -> str:
    """Return keys as people write them: Ctrl+J or Shift+Enter."""
    return " or ".join(_spelled(key) for key in keys.split(","))


def _spelled(key: str) -> str:
    names = {"slash": "/", "up": "↑", "down": "↓", "pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc"}
    parts = key.split("+")
    if len(parts) == 1 and len(key) == 1:
        return key
    return "+".join(names.get(part, part.capitalize() if len(part) > 1 else part.upper()) for part in parts)
