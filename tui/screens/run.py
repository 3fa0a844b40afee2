"""A run of an answer's code: its output, and how it ended."""

from __future__ import annotations

import asyncio

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from assistant.errors import AssistantError
from tui.running import Runner, RunResult
from tui.screens.dialog import Dialog
from tui.widgets.plain import PlainStatic


def describe_result(result: RunResult) -> str:
    """Say how a run ended."""
    cut = "; more output than is shown" if result.is_cut else ""
    match result.ended_by:
        case "timeout":
            return f"ended after {result.seconds:.1f} s: the time was up{cut}"
        case "user":
            return f"stopped after {result.seconds:.1f} s{cut}"
        case "output":
            return f"ended after {result.seconds:.1f} s: it writes too much{cut}"
        case "kill":
            return f"killed by the system after {result.seconds:.1f} s{cut}"
        case _:
            return f"exit code {result.exit_code} after {result.seconds:.1f} s{cut}"


class RunScreen(Dialog[RunResult]):
    """Runs some code and shows what comes of it. Leaving ends the run.

    Args:
        runner: What runs it.
        code: It.
    """

    DEFAULT_CSS = "RunScreen .output { height: 1fr; }"

    def __init__(self, runner: Runner, code: str) -> None:
        super().__init__()
        self._runner = runner
        self._code = code
        self._run = None
        self.result: RunResult | None = None
        """What came of it, when it is over."""

    def compose(self) -> ComposeResult:
        """Lay out the title and the output."""
        with Vertical(classes="box tall wide"):
            yield PlainStatic("Running …", id="outcome", classes="title")
            with VerticalScroll(classes="output"):
                yield PlainStatic(id="output")
            yield PlainStatic("Esc ends the run and goes back.", classes="note")

    def on_mount(self) -> None:
        """Start at once: it has been confirmed."""
        self.run_code()

    def on_unmount(self) -> None:
        """End what still runs."""
        if self._run is not None:
            self._run.stop()

    @work
    async def run_code(self) -> None:
        """Run the code and show what came of it."""
        outcome = self.query_one("#outcome", PlainStatic)
        try:
            self._run = await asyncio.to_thread(self._runner.start, self._code)
        except AssistantError as error:
            outcome.show(f"It could not be started: {error.message}")
            self.query_one("#output", PlainStatic).show(error.hint)
            return
        if not self.is_mounted:
            self._run.stop()
        self.result = await asyncio.to_thread(self._run.wait)
        outcome.show(describe_result(self.result))
        self.query_one("#output", PlainStatic).show(self.result.output or "(no output)")

    def action_leave(self) -> None:
        """Close it, with the result if there is one."""
        self.dismiss(self.result)
