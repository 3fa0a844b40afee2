"""One run: every engine answers every prompt by turns, and ours does what only ours is asked for."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.engines import Engine, Field
from bench.speed.figures import OURS, OwnFigures, Sample, build_aggregate, build_slowest_first
from bench.speed.running import Running, UnavailableError

WARM_UP_TOKENS = 8
BATCH, CLIENTS = 8, 4
BUSY = (sys.executable, "-c", "while True: pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A conversation as token ids."""

    kind: str
    ids: Sequence[int]
    earlier: Sequence[int]
    """What was asked just before: the turns but the last two, or the same prompt where it is alone."""


class Match:
    """All engines, started.

    Args:
        field: Who takes part; those that cannot be loaded are moved to its other list.
        logs: A directory for what their processes say.
        max_tokens: Of each answer.
        tell: Told what goes on.
    """

    def __init__(self, field: Field, logs: Path, max_tokens: int, tell: Callable[[str], None]) -> None:
        self.samples: list[Sample] = []
        self.own = OwnFigures()
        self.loaded: dict[str, dict[str, Any]] = {}
        """What each process said of itself when its model was loaded."""
        self._field = field
        self._logs = logs
        self._max_tokens = max_tokens
        self._tell = tell
        self._running: dict[str, Running] = {}

    @property
    def ours(self) -> Running:
        """Our own process."""
        return self._running[OURS]

    @property
    def ready(self) -> dict[str, float]:
        """Seconds from each engine's start until it could answer."""
        return {engine.name: self._running[engine.process].ready_s for engine in self._field.engines}

    @contextlib.contextmanager
    def started(self) -> Iterator[Match]:
        """Load everything, one after another, and end it at the end.

        Raises:
            UnavailableError: Ours cannot be loaded.
        """
        try:
            for engine in self._field.engines:
                if engine.process not in self._running and engine.process not in self._field.unavailable:
                    self._start(engine)
            missing = self._field.unavailable
            self._field.engines = [one for one in self._field.engines if one.process not in missing]
            if OURS in missing:
                raise UnavailableError(f"ours: {missing[OURS]}")
            yield self
        finally:
            for running in self._running.values():
                running.end()

    def encode(self, prompts: Mapping[str, Sequence[Sequence[Mapping[str, str]]]]) -> list[Prompt]:
        """Turn conversations into token ids, the same for everybody."""
        return [
            Prompt(
                kind=kind,
                ids=self.ours.call("encode", turns=turns),
                earlier=self.ours.call("encode", turns=turns[:-2] or turns),
            )
            for kind, conversations in prompts.items()
            for turns in conversations
        ]

    def warm_up(self, prompt: Prompt) -> None:
        """Let everybody answer a little, untimed; who cannot is out."""
        for engine in list(self._field.engines):
            try:
                self._ask(engine, prompt, WARM_UP_TOKENS)
            except UnavailableError as error:
                if engine.family == OURS:
                    raise
                self._field.unavailable[engine.name] = str(error)
                self._field.engines.remove(engine)

    def run_round(self, number: int, prompts: Sequence[Prompt]) -> None:
        """Let everybody answer every prompt, the order changing from prompt to prompt."""
        for place, prompt in enumerate(prompts):
            self._tell(f"round {number + 1}: prompt {place + 1} of {len(prompts)}")
            shift = (number + place) % len(self._field.engines)
            for engine in [*self._field.engines[shift:], *self._field.engines[:shift]]:
                timing = self._ask(engine, prompt, self._max_tokens)
                self.samples.append(
                    Sample(
                        engine=engine.name,
                        kind=prompt.kind,
                        round=number,
                        tokens=timing["tokens"],
                        first_s=timing["first_s"],
                        decode_s=timing["decode_s"],
                    )
                )

    def compare_lookup(self, prompts: Sequence[Prompt]) -> None:
        """Count the answers that are the same with and without prompt lookup."""
        for place, prompt in enumerate(prompts):
            self._tell(f"comparing answers: {place + 1} of {len(prompts)}")
            with_it, without = (
                self._ask_ours(prompt.ids, self._max_tokens, lookup_is_on=is_on) for is_on in (True, False)
            )
            self.own.same += with_it["text"] == without["text"]
            self.own.compared += 1

    def measure_own(self, number: int, prompts: Sequence[Prompt], *, beside_another: bool) -> None:
        """Measure warm first tokens, a batch, clients at once and a busy machine, once."""
        self._tell(f"round {number + 1}: what only ours is asked for")
        own = self.own
        for kind, figures in (("chat", own.chat_warm), ("edit", own.repeated)):
            shares = sorted(self._measure_warm(prompt) for prompt in prompts if prompt.kind == kind)
            if shares:
                figures[number] = shares[len(shares) // 2]
        writing = [prompt for prompt in prompts if prompt.kind == "write"] or list(prompts)
        own.batch[number] = self._measure_batch(writing[0])
        some = (writing * CLIENTS)[:CLIENTS]
        alone = [self._ask_ours(prompt.ids, self._max_tokens) for prompt in some]
        together = self.ours.call(
            "generate_together", prompts=[prompt.ids for prompt in some], max_tokens=self._max_tokens
        )
        own.clients_first[number] = build_slowest_first(together, alone)
        own.clients_all[number] = build_aggregate(together, alone)
        if beside_another:
            own.loaded[number] = self._measure_loaded(writing[0])

    def _measure_warm(self, prompt: Prompt) -> float:
        cold = self._ask_ours(prompt.ids, 1)
        warm = self._ask_ours(prompt.ids, 1, earlier=prompt.earlier)
        return warm["first_s"] / cold["first_s"]

    def _measure_batch(self, prompt: Prompt) -> float:
        one = self._ask_ours(prompt.ids, self._max_tokens, temperature=0.8)
        many = self._ask_ours(prompt.ids, self._max_tokens, temperature=0.8, n=BATCH)
        return _speed(many, BATCH) / _speed(one)

    def _measure_loaded(self, prompt: Prompt) -> float:
        quiet = self._ask_ours(prompt.ids, self._max_tokens)
        with subprocess.Popen(BUSY) as busy:
            try:
                loaded = self._ask_ours(prompt.ids, self._max_tokens)
            finally:
                busy.kill()
        return _speed(loaded) / _speed(quiet)

    def _start(self, engine: Engine) -> None:
        self._tell(f"loading {engine.process}")
        running = engine.start(self._logs)
        self._running[engine.process] = running
        try:
            self.loaded[engine.process] = running.load(**engine.load)
        except UnavailableError as error:
            self._field.unavailable[engine.process] = str(error)

    def _ask(self, engine: Engine, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        running = self._running[engine.process]
        return running.call("generate", ids=list(prompt.ids), max_tokens=max_tokens, **engine.generate)

    def _ask_ours(self, ids: Sequence[int], max_tokens: int, **more: Any) -> dict[str, Any]:
        return self.ours.call("generate", ids=list(ids), max_tokens=max_tokens, **more)


def _speed(timing: Mapping[str, Any], answers: int = 1) -> float:
    """Tokens a second, but for each answer's first."""
    return max(timing["tokens"] - answers, 1) / timing["decode_s"] if timing["decode_s"] else 1.0
