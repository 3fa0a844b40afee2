"""The generator as jobs need it: who answers, how it samples, how much fits, how text is counted.

Asked on jobs' threads, for each job anew: a configuration that was wrong a minute ago may be right now.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from assistant.errors import AssistantError, SandboxError
from assistant.generator import EventStream, TextGenerator
from assistant.requests import Event, Failed, Sampling, Started, build_task_request
from lsp.actions.interface import CountTokens, Trial

if TYPE_CHECKING:
    from assistant.config import Config
    from assistant.sandbox.interface import Backend as Sandbox
    from assistant.verifying import Judge

FOREIGN_CONTEXT_TOKENS = 8192
"""What a server is taken to have that does not say; it refuses what is too long, with both numbers."""
BYTES_PER_TOKEN = 3.0
"""Of Python code, on the safe side: Llama 2's tokenizer makes 3.1 of it, newer ones 3.5 and more."""
TEMPLATE_TOKENS = 160
"""What a prompt format puts around task and input."""

Run = Callable[[EventStream], object]
"""Reads a stream to its end, or until the job is stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What runs tests."""

    judge: Judge
    sandbox: Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """All that one job needs to ask."""

    generator: TextGenerator
    sampling: Sampling
    context_tokens: int
    """Prompt and answer together."""
    count_tokens: CountTokens
    find_judging: Callable[[Trial], Judging] | None = None
    """Finds what runs tests, or raises a `SandboxError`; None where there is nothing of the kind."""

    @property
    def budget_tokens(self) -> int:
        """What task and input may have together."""
        return self.context_tokens - self.sampling.max_tokens - TEMPLATE_TOKENS


class Backend(Protocol):
    """Where answers come from."""

    def open(self, path: Path | None, run: Run) -> Desk:
        """Make ready for a job; may take as long as a model takes to load.

        Args:
            path: The document's file: its project may have settings of its own.
            run: Used for whatever has to be waited for.

        Raises:
            AssistantError: The configuration or the generator cannot be used.
        """
        ...


class ConfiguredBackend:
    """The generator that the configuration selects: ours, or an OpenAI-compatible server."""

    def open(self, path: Path | None, run: Run) -> Desk:
        """Read the configuration and have our generator load its model, if it has not.

        Raises:
            AssistantError: As the protocol says.
        """
        from assistant.client import create_generator  # late: the handshake needs neither
        from assistant.settings import build_sampling, read_config

        config = read_config(project_from=path.parent if path is not None else None)
        generator = create_generator(config)
        context = FOREIGN_CONTEXT_TOKENS if config.generator.url else _find_context(generator, run)
        return Desk(
            generator=generator,
            sampling=fit_sampling(build_sampling(config.sampling), context),
            context_tokens=context,
            count_tokens=estimate_tokens if config.generator.url else count_tokens,
            find_judging=lambda trial: _find_judging(config, trial),
        )


def _find_judging(config: Config, trial: Trial) -> Judging:
    """Find a sandbox, where the user still allows it."""
    from assistant.judging.judge import judge
    from assistant.sandbox.choosing import find_sandbox

    if config.sandbox.projects != "on":
        raise SandboxError(
            "tests are run only where you allow it", hint="assistant config set sandbox.projects on"
        )
    readable = (trial.root,) if trial.root is not None else ()
    return Judging(
        judge=partial(judge, readable=readable, has_packages=True), sandbox=find_sandbox(config.sandbox)
    )


def fit_sampling(sampling: Sampling, context_tokens: int) -> Sampling:
    """Leave at least half of the context to the prompt."""
    return replace(sampling, max_tokens=min(sampling.max_tokens, max(context_tokens // 2, 1)))


def estimate_tokens(text: str) -> int:
    """Say how many tokens a text has at most, nearly always, where nobody can count them."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)


def count_tokens(text: str) -> int:
    """Say how many tokens of our generator's model a text has; where it cannot be asked, estimate."""
    from assistant.client.calls import count_tokens as ask

    try:
        return ask(text)
    except AssistantError:  # an older generator, or one that ends: the request itself will tell
        return estimate_tokens(text)


def _find_context(generator: TextGenerator, run: Run) -> int:
    from assistant.client.calls import fetch_status, find_health

    if find_health() is None or not (context := fetch_status().context_tokens):
        # Its model decides, so it has to be loaded; a question for one token does that, and is dropped.
        run(_UntilStarted(generator.stream(build_task_request("pass", sampling=Sampling(max_tokens=1)))))
        context = fetch_status().context_tokens
    return context or FOREIGN_CONTEXT_TOKENS


class _UntilStarted:
    """The events of a stream up to the one that says that the model is there.

    Raises:
        AssistantError: The request failed.
    """

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._has_started = False

    def __iter__(self) -> _UntilStarted:
        return self

    def __next__(self) -> Event:
        if self._has_started:
            raise StopIteration
        event = next(self._stream)
        if isinstance(event, Failed):
            raise event.error
        self._has_started = isinstance(event, Started)
        return event

    def close(self) -> None:
        self._stream.close()
