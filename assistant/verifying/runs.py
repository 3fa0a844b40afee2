"""The runs of one verification: each code once, a few at a time, and all ended when they are not wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from assistant.errors import AssistantError
from assistant.judging.interface import Judgement, Suite
from assistant.sandbox.interface import Backend
from assistant.verifying.stopping import StoppingSandbox

JUDGED_AT_ONCE = 2
"""More would take the processor from the model, which is what is waited for."""


class Judge(Protocol):
    """Runs tests: `assistant.judging.judge`, or what stands for it."""

    def __call__(self, code: str, suite: Suite, *, sandbox: Backend) -> Judgement:
        """Run the tests against code.

        Raises:
            SandboxError: The sandbox does not start.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run is over."""

    code: str
    judgement: Judgement | None
    """None where it could not be run."""
    error: AssistantError | None = None
    """Why not."""


class Runs:
    """Runs codes against one suite. Used from one thread, but for `stop`.

    Args:
        suite: The tests.
        judge: Who runs them.
        sandbox: Where they run.
        tell: Takes each `Judged`, on threads of the runs; or an exception, which is a bug.
    """

    def __init__(
        self, suite: Suite, judge: Judge, sandbox: Backend, tell: Callable[[Judged | Exception], None]
    ) -> None:
        self._suite = suite
        self._judge = judge
        self._sandbox = StoppingSandbox(sandbox)
        self._tell = tell
        self._pool = ThreadPoolExecutor(JUDGED_AT_ONCE, thread_name_prefix="verifying-judge")
        self._known: dict[str, Judgement] = {}
        self._running: set[str] = set()

    @property
    def is_busy(self) -> bool:
        """Whether something has not been told yet."""
        return bool(self._running)

    def start(self, code: str) -> Judgement | None:
        """Return the judgement of a code that was run before; else have it run, unless it is."""
        if code not in self._known and code not in self._running:
            with contextlib.suppress(RuntimeError):  # all was stopped meanwhile, by another thread
                self._pool.submit(self._run, code)
                self._running.add(code)
        return self._known.get(code)

    def note(self, judged: Judged) -> None:
        """Remember what was told."""
        self._running.discard(judged.code)
        if judged.judgement is not None:
            self._known[judged.code] = judged.judgement

    def is_running(self, code: str) -> bool:
        """Whether a code is run, or waits for that."""
        return code in self._running

    def stop(self) -> None:
        """End all that run. From any thread, any number of times."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._sandbox.stop_all()

    def _run(self, code: str) -> None:
        try:
            judgement = self._judge(code, self._suite, sandbox=self._sandbox)
        except AssistantError as error:
            self._tell(Judged(code=code, judgement=None, error=error))
        except Exception as error:  # noqa: BLE001 - the thread's edge: raised where the news are read
            self._tell(error)
        else:
            self._tell(Judged(code=code, judgement=judgement))
