"""What the chat is given to work with. Tests give it fakes. Knows no Textual."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from assistant.config import Config, SandboxSettings
from assistant.drafts import Draft, DraftKeeper
from assistant.generator import TextGenerator
from assistant.history.records import Exchange
from assistant.history.store import History
from tui.running import Runner, build_runner
from tui.streaming import Report
from tui.verifying import Verifier

Prepare = Callable[[Report, threading.Event], str]
"""Brings the generator up, reports on the way, returns the model's name or raises an AssistantError.
Called on another thread; ends early when the event is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The chat's surroundings."""

    config: Config
    find_generator: Callable[[Report], TextGenerator]
    """Returns the generator, reporting what that waits for; called on other threads."""
    open_store: Callable[[], History] | None = None
    """Opens the history, on the thread that uses it; None where nothing is kept."""
    keeper: DraftKeeper | None = None
    """Keeps the draft; None where none is kept."""
    save: Callable[[Exchange], None] = lambda _: None
    """Keeps an exchange in the history. Never blocks, never fails."""
    forget: Callable[[str], None] = lambda _: None
    """Told of a conversation before it is deleted, so that nothing of it is saved again."""
    keymap: dict[str, str] = field(default_factory=dict[str, str])
    """Keys that the user has changed, by action."""
    prepare: Prepare | None = None
    """Brings the generator up before it is asked; None to leave that to the first task."""
    list_models: Callable[[], list[str]] = list
    """Names the models to choose from; called on another thread."""
    use_model: Callable[[str], str] = str
    """Makes a model the active one; returns what to put into requests. Called on another thread."""
    runner: Runner = field(default_factory=lambda: build_runner(SandboxSettings(), timeout_s=30.0))
    verifier: Verifier | None = None
    """Tests answers; None where the user has not allowed it."""
    draft: Draft = field(default_factory=Draft)
    """What stands in the prompt and the input at first."""
