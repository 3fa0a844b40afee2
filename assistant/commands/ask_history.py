"""What `ask` takes from the history and leaves in it. A failure of the history is a warning, nothing more.

SQLite is imported when there is something to read or to write: a first request does not wait for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assistant.errors import AssistantError, StorageError, UsageError

if TYPE_CHECKING:
    from assistant.answers import Answer
    from assistant.commands.asking import AskOptions
    from assistant.commands.messages import Messages
    from assistant.history.records import Exchange
    from assistant.session import Session

SOURCE = "ask"


class AskHistory:
    """The history as one call of `ask` uses it.

    Args:
        messages: Told of failures.
        keeps: Whether the answer is to be kept.
    """

    def __init__(self, messages: Messages, *, keeps: bool) -> None:
        self._messages = messages
        self._keeps = keeps
        self._session: Session | None = None

    def resume(self, options: AskOptions, *, count: int) -> AskOptions:
        """Go on with the last conversation: return options that take its last turns along.

        Args:
            options: Of the new task.
            count: So many earlier exchanges at most.

        Raises:
            UsageError: There is no conversation.
        """
        from assistant.session import Session

        try:
            exchanges = _read_last()
        except StorageError as error:
            self._messages.warn(f"{error.message}: the task goes without what was said before")
            return options
        if not exchanges:
            raise UsageError("there is no conversation to go on with", hint="leave -c out")
        self._session = Session(SOURCE, exchanges)
        new = self._session.begin(options.task, options.input, sampling=options.sampling)
        earlier = self._session.earlier_turns(new, count=count)
        self._session.exchanges.pop()
        return replace(options, earlier=earlier)

    def remember(self, options: AskOptions, answer: Answer) -> None:
        """Keep an exchange, each of several answers as one."""
        if not self._keeps:
            return
        from assistant.history.store import open_history
        from assistant.session import Session, finish_exchange

        session = self._session or Session(SOURCE)
        first: Exchange | None = None
        try:
            with open_history() as history:
                for text, reason in zip(answer.texts, answer.finish_reasons, strict=False):
                    if first is None:
                        begun = session.begin(
                            options.task, options.input, sampling=options.sampling, model=options.model
                        )
                        first = begun
                    else:
                        begun = session.begin_variant(first, sampling=options.sampling, model=options.model)
                    begun = replace(begun, started=begun.started - answer.seconds)
                    one = replace(answer, texts=(text,), finish_reasons=(reason,))
                    history.save_exchange(finish_exchange(begun, one))
        except AssistantError as error:
            self._messages.warn(f"this is not kept in the history: {error.message}")


def _read_last() -> list[Exchange]:
    from assistant import paths
    from assistant.history.store import open_history

    if not paths.history_path().exists():
        return []
    with open_history() as history:
        newest = history.list_conversations(limit=1)
        return history.read_exchanges(newest[0].id) if newest else []
