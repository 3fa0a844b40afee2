"""How the next answers are chosen: model, temperature, top-p, length, seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, Vertical
from textual.widgets import Button, Input, Label, Select

from assistant.errors import AssistantError
from assistant.requests import Sampling
from tui.parameter_lines import LINES, parse_lines, render_lines
from tui.screens.dialog import Dialog
from tui.widgets.plain import PlainStatic
from tui.widgets.typing_order import LineInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What was chosen."""

    sampling: Sampling
    model: str = ""
    """A model to change to; empty to stay with the one in use."""


class ParametersScreen(Dialog[Parameters]):
    """Asks for the parameters.

    Args:
        sampling: Those of now.
        model: The model of now, as far as it is known.
        list_models: Names the models; called on another thread.
    """

    DEFAULT_CSS = """
    ParametersScreen {
        Grid { grid-size: 2; grid-columns: 14 1fr; grid-rows: 1; height: auto; grid-gutter: 0 1; }
        Input { background: $boost; }
        Select { height: auto; }
        .buttons { height: 1; align-horizontal: right; margin-top: 1; }
        Button { margin-left: 2; }
    }
    """

    def __init__(self, sampling: Sampling, model: str, list_models: Callable[[], list[str]]) -> None:
        super().__init__()
        self._sampling = sampling
        self._model = model
        self._list_models = list_models

    def compose(self) -> ComposeResult:
        """Lay out a line for each parameter."""
        values = render_lines(self._sampling)
        with Vertical(classes="box"):
            yield PlainStatic("Parameters of the next answers", classes="title")
            yield Select[str]([], prompt=self._model or "the active model", id="model")
            with Grid():
                for line in LINES:
                    yield Label(line.title, markup=False)
                    yield LineInput(values[line.name], placeholder=line.note, id=line.name, compact=True)
            yield PlainStatic("", classes="complaint", id="complaint")
            with Horizontal(classes="buttons"):
                yield Button("Cancel (Esc)", id="cancel", compact=True)
                yield Button("Apply (Enter)", id="apply", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Go to the first line, and ask for the models meanwhile."""
        self.query_one(f"#{LINES[0].name}").focus()
        self.show_models()

    @work
    async def show_models(self) -> None:
        """Fill in the models there are."""
        try:
            names = await asyncio.to_thread(self._list_models)
        except AssistantError as error:
            self._complain(f"the models cannot be listed: {error.message}")
            return
        select = self._select()
        select.set_options([(name, name) for name in names])
        if self._model in names:
            select.value = self._model

    @on(Input.Submitted)
    def _take_enter(self, event: Input.Submitted) -> None:
        event.stop()
        self._apply()

    @on(Button.Pressed)
    def _take_button(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "apply":
            self._apply()
        else:
            self.dismiss(None)

    def _select(self) -> Select[str]:
        return cast("Select[str]", self.query_one("#model", Select))

    def _apply(self) -> None:
        texts = {line.name: self.query_one(f"#{line.name}", Input).value for line in LINES}
        try:
            sampling = parse_lines(texts)
        except AssistantError as error:
            self._complain(error.message)
            return
        chosen = self._select().value
        model = chosen if isinstance(chosen, str) and chosen != self._model else ""
        changed = {line.name: getattr(sampling, line.name) for line in LINES}
        self.dismiss(Parameters(sampling=replace(self._sampling, **changed), model=model))

    def _complain(self, text: str) -> None:
        self.query_one("#complaint", PlainStatic).show(text)
