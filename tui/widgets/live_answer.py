"""The answer that is coming. Only its last block is drawn again; those before it stay as they are."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.highlighting import LineHighlighter
from tui.live_reply import Block, LiveReply
from tui.textual_app import is_ansi


class LiveAnswer(Vertical):
    """Shows a reply while it comes."""

    DEFAULT_CSS = """
    LiveAnswer {
        height: auto;
        .code {
            padding: 0 1;
            background: $boost;
            &:ansi { background: ansi_default; }
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._reply = LiveReply()
        self._open = Static(Content(""), markup=False)
        self._highlighter: LineHighlighter | None = None
        self._painted: list[Content] = []

    def compose(self) -> ComposeResult:
        """Begin with the open block alone."""
        yield self._open

    def show_more(self, text: str) -> None:
        """Show some more of the reply."""
        for block in self._reply.feed(text):
            content = Content("\n").join(self._paint(block, is_open=False))
            self.mount(Static(content, markup=False, classes=_classes(block)), before=self._open)
            self._painted = []
        block = self._reply.open_block()
        self._open.set_class(block.is_code and bool(block.lines), "code")
        self._open.update(Content("\n").join(self._paint(block, is_open=True)))

    def _paint(self, block: Block, *, is_open: bool) -> list[Content]:
        """Colour the lines that have not been; the last of an open block is coloured anew each time."""
        if not block.is_code:
            return [Content(line) for line in block.lines]
        if self._highlighter is None or (block.begins_code and not self._painted):
            self._highlighter = LineHighlighter(is_ansi=is_ansi(self))
        complete = block.lines[:-1] if is_open else block.lines
        for line in complete[len(self._painted) :]:
            self._painted.append(self._highlighter.feed(f"{line}\n").rstrip("\n"))
        last = [self._highlighter.peek(line) for line in block.lines[len(complete) :]]
        return [*self._painted, *last]


def _classes(block: Block) -> str:
    return "code" if block.is_code else ""
