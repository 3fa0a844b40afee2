"""A generator and a judge for evaluations: quick, and the same for the same problem, number and seed.

`install` puts them into a process that runs the command line.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError
from assistant.evaluation.records import Record
from assistant.generator import EventStream
from assistant.judging.interface import CaseResult, Judgement, Standing, Suite
from assistant.models.hashing import hash_directory
from assistant.models.manifest import Manifest, now_utc, write_manifest
from assistant.requests import (
    AnswerEnded,
    Done,
    Event,
    Failed,
    FinishReason,
    Request,
    Started,
    Token,
    Usage,
)

MODEL = "fake-model"


class SeededGenerator:
    """Answers with a function that returns a number made of task and seed; every third is cut off.

    Args:
        pause_s: Seconds before each piece.
        failures: Errors for the first requests, in their order.
    """

    def __init__(self, *, pause_s: float = 0.0, failures: Sequence[AssistantError] = ()) -> None:
        self._pause_s = pause_s
        self._failures: list[AssistantError | None] = list(failures)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.running = 0
        self.most_running = 0
        self.closed = 0

    def fail_after(self, count: int, failure: AssistantError) -> None:
        """Answer so many requests more, and fail the one after."""
        with self._lock:
            self._failures = [*[None] * count, failure]

    def stream(self, request: Request) -> EventStream:
        with self._lock:
            self.requests.append(request)
            failure = self._failures.pop(0) if self._failures else None
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        return _Stream(self, request, self._pause_s, failure)

    def end(self, *, was_closed: bool) -> None:
        with self._lock:
            self.running -= 1
            self.closed += was_closed


class _Stream:
    def __init__(
        self, owner: SeededGenerator, request: Request, pause_s: float, failure: AssistantError | None
    ) -> None:
        self._owner = owner
        self._stop = threading.Event()
        self._pause_s = pause_s
        self._events = _events(request, failure)
        self._has_ended = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._stop.is_set():
            raise StopIteration
        event = next(self._events)
        if isinstance(event, Token) and self._stop.wait(self._pause_s):
            raise StopIteration
        if isinstance(event, Done | Failed):
            self._finish(was_closed=False)
        return event

    def close(self) -> None:
        self._stop.set()
        self._finish(was_closed=True)

    def _finish(self, *, was_closed: bool) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._owner.end(was_closed=was_closed)


def number_for(task: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{task} {seed}".encode()).digest()[:4], "big") % 1000


def reply_for(task: str, seed: int) -> str:
    return f"```python\ndef f():\n    return {number_for(task, seed)}\n```\n"


def _events(request: Request, failure: AssistantError | None) -> Iterator[Event]:
    task, sampling = request.turns[-1].text, request.sampling
    yield Started(request_id="1", model=request.model)
    if failure is not None:
        yield Failed(error=failure)
        return
    reasons: list[FinishReason] = []
    for index in range(sampling.n):
        seed = (sampling.seed or 0) + index if sampling.temperature else 0
        text = reply_for(task, seed)
        yield Token(text=text[:20], index=index)
        yield Token(text=text[20:], index=index)
        reasons.append(FinishReason.LENGTH if number_for(task, seed) % 3 == 0 else FinishReason.STOP)
        if sampling.n > 1:
            yield AnswerEnded(index=index, finish_reason=reasons[-1])
    usage = Usage(prompt_tokens=10, completion_tokens=7 * sampling.n)
    yield Done(finish_reasons=tuple(reasons), usage=usage, model=request.model)


def judge_by_number(code: str, suite: Suite) -> Judgement:
    """Pass what returns an even number; one test of an odd one holds all the same."""
    has_passed = code.strip()[-1] in "02468"
    standings = [Standing.PASSED, Standing.PASSED if has_passed else Standing.FAILED]
    return Judgement(
        results=tuple(
            CaseResult(name=case.name, standing=standing, error="" if standing is Standing.PASSED else "odd")
            for case, standing in zip(suite.cases, standings, strict=True)
        ),
        sandbox="fake",
        seconds=0.01,
    )


def write_suite(path: Path, count: int) -> Path:
    """A suite of problems with two tests each."""
    rows = [
        {"id": f"p{number}", "task": f"task {number}", "tests": ["assert f() >= 0", "assert f() % 2 == 0"]}
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_model(home: Path, name: str = MODEL, content: str = "weights") -> None:
    """A model of the store, the active one, that only these fakes can run."""
    store = home / "data" / "models"
    (store / name).mkdir(parents=True, exist_ok=True)
    store.chmod(0o700)
    (store / name / "config.json").write_text(json.dumps({"content": content}), encoding="utf-8")
    manifest = Manifest(
        name=name,
        source="fake",
        prompt_format="chat",
        created=now_utc(),
        files=hash_directory(store / name),
    )
    write_manifest(store / name, manifest)
    pointer = {"schema": 1, "active": name, "previous": []}
    (store / "active.json").write_text(json.dumps(pointer), encoding="utf-8")


def build_record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "model": MODEL,
        "fingerprint": "0" * 64,
        "prompt_format": "chat",
        "engine": "auto/auto",
        "suite": "/suite.jsonl",
        "suite_name": "suite",
        "suite_sha256": "1" * 64,
        "limit": None,
        "problems": 4,
        "samples": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 64,
        "seed": 0,
        "sandbox": "fake",
        "created": "2026-01-01T00:00:00+00:00",
        "version": "1",
    }
    return Record(**values | changes)


def install(
    generator: SeededGenerator, *, slots: int = 4, patch: Callable[[object, str, object], None] = setattr
) -> None:
    """Let the command line of this process ask and judge with fakes."""
    import assistant.client
    from assistant.commands import evaluations

    class Sandbox:
        name = "fake"

    patch(evaluations, "_find_own_slots", lambda: slots)
    patch(evaluations, "_build_judge", lambda _: judge_by_number)
    patch(evaluations.Evaluations, "_find_sandbox", lambda _: Sandbox())
    patch(assistant.client, "create_generator", lambda _: generator)
