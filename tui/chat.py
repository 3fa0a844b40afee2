"""The conversation behind the screen: what is asked, what is being answered, what waits. Knows no widgets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from assistant.commands.input_text import MAX_INPUT_BYTES
from assistant.config import Config
from assistant.generator import TextGenerator
from assistant.history.records import Exchange
from assistant.session import Session
from assistant.settings import build_sampling
from tui.answering import Answering
from tui.streaming import Report
from tui.verifying import Finding, Verifier, VerifyingGenerator

FRESH_TEMPERATURE = 0.7
"""Another answer at temperature 0 would be the same answer."""
SOURCE = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task that was sent while another one was being answered."""

    task: str
    input: str


class Chat:
    """One conversation at a time, one answer at a time.

    Args:
        config: The settings to begin with.
        find_generator: Returns the generator, reporting what that waits for; called on another thread.
        save: Keeps an exchange in the history. Must not block.
        verifier: Tests answers; None where that is not allowed.
    """

    def __init__(
        self,
        config: Config,
        find_generator: Callable[[Report], TextGenerator],
        save: Callable[[Exchange], None] = lambda _: None,
        verifier: Verifier | None = None,
    ) -> None:
        self._find_generator = find_generator
        self._save = save
        self._earlier_turns = config.chat.earlier_turns
        self.sampling = build_sampling(config.sampling)
        """How the next answers are chosen."""
        self.model = ""
        """What is asked for; empty for the active model."""
        self.active_model = ""
        """What answers to that name, as far as it is known."""
        self.verifier = verifier
        """Tests answers, or None."""
        self.is_testing = False
        """Whether the next answers are tested, where their input has tests."""
        self._findings: dict[str, Finding] = {}
        self.session = Session(SOURCE)
        self.waiting: Waiting | None = None
        self._answering: Answering | None = None

    @property
    def answering(self) -> Answering | None:
        """The answer that is coming, or None."""
        return self._answering

    def ask(self, task: str, input_text: str) -> Exchange:
        """Send a task. There must be no answer coming."""
        exchange = self.session.begin(task, input_text, sampling=self.sampling, model=self.model)
        return self._send(exchange)

    def ask_again(self, exchange: Exchange) -> Exchange:
        """Send the task of an exchange once more, with a new seed. There must be no answer coming."""
        temperature = self.sampling.temperature or FRESH_TEMPERATURE
        sampling = replace(self.sampling, temperature=temperature, seed=secrets.randbelow(2**31))
        return self._send(self.session.begin_variant(exchange, sampling=sampling, model=self.model))

    def find_fault(self, task: str, input_text: str) -> str:
        """Return what is wrong with a task before it is sent, or the empty text."""
        size = len(task.encode("utf-8", "replace")) + len(input_text.encode("utf-8", "replace"))
        if size <= MAX_INPUT_BYTES:
            return ""
        return (
            f"task and input have {size / 1_000_000:.1f} MB, and {MAX_INPUT_BYTES / 1_000_000:.1f} MB are"
            " the limit: give the part that the task is about"
        )

    def advance(self) -> str:
        """Take what has come of the answer and return the new text."""
        if self._answering is None:
            return ""
        text = self._answering.advance()
        checkpoint = self._answering.find_checkpoint()
        if checkpoint is not None:
            self._save(checkpoint)
        return text

    def end_answer(self) -> Exchange | None:
        """Return the finished exchange, once nothing more will come of the answer; None before."""
        answering = self._answering
        if answering is None or not answering.is_over:
            return None
        self._answering = None
        self._keep(answering.exchange)
        return answering.exchange

    def find_finding(self, exchange: Exchange) -> Finding | None:
        """Return what tests showed of an answer of this program; None where it was not tested."""
        return self._findings.get(exchange.id)

    def stop(self) -> bool:
        """Stop the answer that is coming; return whether there was one. What has come of it is kept."""
        if self._answering is None:
            return False
        self._answering.stop()
        return True

    def begin_conversation(self, exchanges: Sequence[Exchange] = ()) -> None:
        """Go over to another conversation: a new one, or one that is taken up again."""
        self.session = Session(SOURCE, exchanges)
        self.waiting = None

    def close(self) -> None:
        """Stop and keep what has come: the program ends."""
        if self._answering is not None:
            self._keep(self._answering.abandon())
            self._answering = None

    def _send(self, exchange: Exchange) -> Exchange:
        request = self.session.build_request(exchange, earlier_turns=self._earlier_turns)
        self._save(exchange)
        self._answering = Answering(self._choose_generator(exchange), request, exchange)
        return exchange

    def _choose_generator(self, exchange: Exchange) -> Callable[[Report], TextGenerator]:
        find, verifier = self._find_generator, self.verifier
        if verifier is None or not self.is_testing or not exchange.input:
            return find

        def note(finding: Finding) -> None:
            self._findings[exchange.id] = finding

        return lambda report: VerifyingGenerator(find(report), verifier, note)

    def _keep(self, exchange: Exchange) -> None:
        self.session.put(exchange)
        self._save(exchange)
