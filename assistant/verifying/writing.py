"""Several answers to one request, written at the same time: the likeliest, and sampled ones beside it.

Each is told as it ends, while others go on. Knows no tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.errors import AssistantError
from assistant.generator import EventStream, TextGenerator
from assistant.requests import (
    AnswerEnded,
    Done,
    Event,
    Failed,
    FinishReason,
    Loading,
    Request,
    Started,
    Token,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whole or as far as it came."""

    number: int
    """0 is the likeliest answer."""
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOver:
    """One of the two requests has come to its end: the likeliest answer's, or that of all sampled ones."""

    is_sampled: bool
    usage: Usage | None = None
    seed: int | None = None
    error: AssistantError | None = None


News = Loading | Started | Reply | StreamOver | Exception
"""What arrives. An exception is a bug, for the reader to raise."""


class Batch:
    """The answers to one request while they are written.

    Args:
        generator: Who writes them; it decodes both requests in one batch.
        request: What is asked. Its temperature and top-p are those of the sampled answers.
        count: How many answers; the first is not sampled.
        first_number: The number of the first.
        tell: Takes what arrives, on threads of the batch.
    """

    def __init__(
        self,
        generator: TextGenerator,
        request: Request,
        *,
        count: int,
        first_number: int,
        tell: Callable[[News], None],
    ) -> None:
        greedy = replace(request.sampling, temperature=0.0, top_p=1.0, n=1)
        sampled = replace(request.sampling, n=count - 1)
        self._writers = [Writer(generator.stream(replace(request, sampling=greedy)), first_number, 1, tell)]
        if count > 1:
            stream = generator.stream(replace(request, sampling=sampled))
            self._writers.append(Writer(stream, first_number + 1, count - 1, tell, is_sampled=True))
        for writer in self._writers:
            writer.start()
        self.open_streams = len(self._writers)
        """How many have not told their end; counted by the reader."""

    def close(self, *, sampled_only: bool = False) -> None:
        """Stop writing. From any thread, any number of times."""
        for writer in self._writers[1 if sampled_only else 0 :]:
            writer.stream.close()

    def read_unfinished(self) -> list[Reply]:
        """Return what there is of the answers that have not ended."""
        return [reply for writer in self._writers for reply in writer.read_unfinished()]


class Writer:
    """Follows one stream on a thread of its own.

    Args:
        stream: The answers' events.
        first_number: The number of the answer with index 0.
        count: How many answers.
        tell: Takes what arrives.
        is_sampled: Whether the answers are sampled ones.
    """

    def __init__(
        self,
        stream: EventStream,
        first_number: int,
        count: int,
        tell: Callable[[News], None],
        *,
        is_sampled: bool = False,
    ) -> None:
        self.stream = stream
        self._first_number = first_number
        self._count = count
        self._tell = tell
        self._is_sampled = is_sampled
        self._pieces: dict[int, list[str]] = {}
        self._ended: set[int] = set()

    def start(self) -> None:
        """Begin to follow it."""
        threading.Thread(target=self._run, name="verifying-writer", daemon=True).start()

    def read_unfinished(self) -> list[Reply]:
        """Return what there is of the answers that have not ended."""
        open_ones = [index for index in sorted(self._pieces) if index not in self._ended]
        return [self._build_reply(index, FinishReason.CANCELLED) for index in open_ones]

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - the thread's edge: raised where the news are read
            self._tell(error)

    def _follow(self) -> None:
        over = StreamOver(is_sampled=self._is_sampled)
        for event in self.stream:
            over = self._take(event) or over
        self._tell(over)

    def _take(self, event: Event) -> StreamOver | None:
        match event:
            case Loading() | Started():
                if not self._is_sampled:
                    self._tell(event)
            case Token(text=text, index=index):
                self._pieces.setdefault(index, []).append(text)
            case AnswerEnded(index=index, finish_reason=reason):
                self._end(index, reason)
            case Done(finish_reasons=reasons, usage=usage, seed=seed):
                for index, reason in enumerate(reasons[: self._count]):
                    self._end(index, reason)
                return StreamOver(is_sampled=self._is_sampled, usage=usage, seed=seed)
            case Failed(error=error):
                return StreamOver(is_sampled=self._is_sampled, error=error)
        return None

    def _end(self, index: int, reason: FinishReason) -> None:
        if index not in self._ended:
            self._ended.add(index)
            self._tell(self._build_reply(index, reason))

    def _build_reply(self, index: int, reason: FinishReason) -> Reply:
        text = "".join(self._pieces.get(index, ()))
        return Reply(number=self._first_number + index, text=text, finish_reason=reason)
