"""How an answer is shown while it comes. What nobody watches is shown once it is whole, elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from assistant.commands.answer_json import build_event_object, build_request_object, render_json
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.commands.terminal import visible_text
from assistant.requests import Event, Request, Token

if TYPE_CHECKING:
    from assistant.commands.highlight import LineHighlighter
    from assistant.replies import Code


class AnswerView(Protocol):
    """Follows one answer."""

    is_live: bool
    """Whether it shows the answer, so that nobody else has to."""

    def show(self, event: Event) -> None:
        """Show the next event."""
        ...

    def end(self, code: Code, *, is_whole: bool) -> None:
        """Show what is still missing: there are no more events.

        Args:
            code: The code of the reply, as it is seen now that the reply is there.
            is_whole: The reply was not broken off.
        """
        ...


class HiddenView:
    """Shows nothing."""

    is_live = False

    def show(self, event: Event) -> None:
        """Show nothing."""

    def end(self, code: Code, *, is_whole: bool) -> None:
        """Show nothing."""


class LineView:
    """Shows the reply on a terminal, line by line.

    Args:
        output: The terminal.
        messages: Whose line makes room on the same terminal.
    """

    is_live = True

    def __init__(self, output: Output, messages: Messages) -> None:
        self._output = output
        self._messages = messages
        self._unfinished = ""

    def show(self, event: Event) -> None:
        """Show the lines that an event completes."""
        if isinstance(event, Token):
            self.add(event.text)

    def end(self, code: Code, *, is_whole: bool) -> None:
        """Show the last line, with its end."""
        if self._unfinished:
            self.add("\n")

    def add(self, text: str) -> None:
        """Take some more text and show the lines that it completes."""
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        if lines:
            with self._messages.aside():
                self._output.write_text("".join(self.paint(visible_text(f"{line}\n")) for line in lines))

    def paint(self, line: str) -> str:
        """Return a line as it is shown."""
        return line


class CodeView(LineView):
    """Shows the code of the reply alone, in colours where there are any."""

    def __init__(self, output: Output, messages: Messages) -> None:
        from assistant.replies import CodeStream  # late: nobody watches a pipe

        super().__init__(output, messages)
        self._code = CodeStream()
        self._shown = ""
        self._highlighter = self._build_highlighter()

    def show(self, event: Event) -> None:
        """Show the lines of code that an event completes."""
        if isinstance(event, Token):
            self._add_code(self._code.feed(event.text))

    def end(self, code: Code, *, is_whole: bool) -> None:
        """Show the rest of the code; all of it, where a look at the whole reply finds other code."""
        self._add_code(self._code.finish())
        super().end(code, is_whole=is_whole)
        shown, wanted = self._shown.strip("\n"), visible_text(code.text).strip("\n")
        if wanted == shown or (shown and not is_whole):
            return
        if not wanted.startswith(shown):
            self._messages.tell("seen as a whole, the code of this reply is:")
            self._highlighter = self._build_highlighter()
            shown = ""
        self.add(wanted.removeprefix(shown).removeprefix("\n") + "\n")

    def paint(self, line: str) -> str:
        """Return a line of code in colours."""
        return self._highlighter.color_line(line) if self._highlighter else line

    def _build_highlighter(self) -> LineHighlighter | None:
        if not self._output.screen.has_color:
            return None
        from assistant.commands.highlight import LineHighlighter  # pygments: only where it is seen

        return LineHighlighter()

    def _add_code(self, text: str) -> None:
        self._shown += visible_text(text)
        self.add(text)


class EventView:
    """Writes the request and every event as a line of JSON. The whole answer is left to the end."""

    is_live = False

    def __init__(self, request: Request, output: Output) -> None:
        self._output = output
        self._write({"event": "request", **build_request_object(request)})

    def show(self, event: Event) -> None:
        """Write an event."""
        self._write(build_event_object(event))

    def end(self, code: Code, *, is_whole: bool) -> None:
        """Write nothing more: no event is held back."""

    def _write(self, content: Mapping[str, Any]) -> None:
        self._output.write_text(render_json(content) + "\n")
