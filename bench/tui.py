"""What the chat costs: `python bench/tui.py [--rounds N] [--idle-s S] [--json]`.

A key press and a change of focus in a conversation of 200 exchanges, as multiples of the same in one of a
single exchange, measured by turns; how late the event loop is while a long answer comes; the first picture as
a multiple of a bare Python; what the chat takes of a processor while nothing happens. The generator is a
scripted one, so that no model's speed is in the numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from textual.events import AppBlur, AppFocus, Key

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this directory, where this file has the name of the package

from assistant.config import Config  # noqa: E402
from assistant.drafts import DraftKeeper  # noqa: E402
from assistant.generator import EventStream  # noqa: E402
from assistant.history.records import Exchange, Outcome  # noqa: E402
from assistant.history.store import open_history  # noqa: E402
from assistant.requests import Done, Event, FinishReason, Request, Token, Usage  # noqa: E402
from bench.chat_process import drain, open_chat  # noqa: E402
from bench.scripted import scripted_generator  # noqa: E402
from tui.app import ChatApp  # noqa: E402
from tui.services import Services  # noqa: E402

LIMITS = {
    "key press, 200 / 1": 1.5,
    "focus change, 200 / 1": 2.0,
    "lag p95 ms, 400 lines at 500 tok/s": 100.0,
    "first paint / bare Python": 40.0,
    "idle CPU %": 1.0,
}
MANY = 200
KEYS = 30
FOCUS_CHANGES = 10
LINES, TOKENS_PER_S = 400, 500
LAG_STEP_S = 0.01
SCRIPT = {"pieces": ["pass"], "context_tokens": 4096}
LOADS_LONG_S = 3600.0
ANSWER = '''def area_{0}(width, height):
    """Return the area of rectangle {0}."""
    if width < 0 or height < 0:
        raise ValueError("a negative length")
    return width * height + {0}


'''


class Paced:
    """A generator whose tokens come at a steady pace.

    Args:
        pieces: The answer's tokens.
    """

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def stream(self, request: Request) -> EventStream:
        """Begin to answer, whatever is asked."""
        return _Stream(self._pieces)


class _Stream:
    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces
        self._number = 0
        self._began = time.monotonic()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._number == len(self._pieces):
            usage = Usage(prompt_tokens=1, completion_tokens=self._number)
            self._number += 1
            return Done(finish_reasons=(FinishReason.STOP,), usage=usage, model="paced")
        if self._number > len(self._pieces):
            raise StopIteration
        delay = self._began + self._number / TOKENS_PER_S - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        self._number += 1
        return Token(text=self._pieces[self._number - 1])

    def close(self) -> None:
        """Nothing is held."""


def build_app(home: Path, pieces: list[str]) -> ChatApp:
    """The chat with a history and drafts in a directory."""
    services = Services(
        config=Config(),
        find_generator=lambda _: Paced(pieces),
        open_store=lambda: open_history(home / "history.db"),
        keeper=DraftKeeper(home / "drafts"),
    )
    return ChatApp(services)


def store_exchanges(home: Path, count: int) -> list[Exchange]:
    """Fill a history."""
    exchanges = [
        Exchange(
            id=f"e{number}",
            conversation="c",
            started=1e9 + number,
            task=f"compute area {number}",
            answer="".join(ANSWER.format(10 * number + part) for part in range(3)),
            outcome=Outcome.STOP,
        )
        for number in range(count)
    ]
    with open_history(home / "history.db") as history:
        for exchange in exchanges:
            history.save_exchange(exchange)
    return exchanges


async def measure_conversation(home: Path, exchanges: list[Exchange]) -> tuple[list[float], list[float]]:
    """Return what each key press and each change of focus took until it was on the screen, in seconds."""
    app = build_app(home, [])
    async with app.run_test(size=(100, 40)) as pilot:
        await app.chat_screen.resume(exchanges)
        await pilot.pause()

        async def press() -> None:
            length = len(app.chat_screen.drafting.last.task)
            _send(app, Key("a", "a"))
            await _until(lambda: len(app.chat_screen.drafting.last.task) > length)

        async def change_focus() -> None:
            _send(app, AppBlur())
            await _until(lambda: not app.app_focus)
            await _refreshed(app)
            _send(app, AppFocus())
            await _until(lambda: app.app_focus)

        keys = [await _time(app, press) for _ in range(KEYS)]
        changes = [await _time(app, change_focus) for _ in range(FOCUS_CHANGES)]
        app.exit()
    app.close()
    return keys, changes


async def measure_lag(home: Path) -> list[float]:
    """Return how late the event loop was, in seconds, at each step while a long answer came."""
    text = "".join(ANSWER.format(number) for number in range(math.ceil(LINES / ANSWER.count("\n"))))
    pieces = [text[place : place + 4] for place in range(0, len(text), 4)]
    app = build_app(home, pieces)
    late: list[float] = []
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause()
        app.chat_screen.ask("write a lot", "")
        while app.chat.answering is not None:
            before = time.monotonic()
            await asyncio.sleep(LAG_STEP_S)
            late.append(time.monotonic() - before - LAG_STEP_S)
        app.exit()
    app.close()
    return late


def measure_start(home: Path) -> float:
    """Return how long the chat's first picture takes, in seconds from the start of the process."""
    with open_chat(home) as (_, seconds):
        return seconds


def measure_bare() -> float:
    """Return what a Python that does nothing takes, in seconds."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began


def measure_idle(home: Path, seconds: float) -> float:
    """Return what share of a processor the open chat takes while nothing happens, in percent."""
    with open_chat(home) as (process, _):
        drain(process.master, 3.0)  # it settles
        before = process.cpu_times()
        drain(process.master, seconds)
        after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds


def _send(app: ChatApp, event: Key | AppBlur | AppFocus) -> None:
    event.set_sender(app)
    app.post_message(event)


async def _time(app: ChatApp, act: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await act()
    await _refreshed(app)
    return time.perf_counter() - began


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def _refreshed(app: ChatApp) -> None:
    done = asyncio.Event()
    app.chat_screen.call_after_refresh(done.set)
    await done.wait()


def measure(rounds: int, idle_s: float) -> dict[str, float]:
    """Return all numbers."""
    keys: dict[int, list[float]] = {1: [], MANY: []}
    changes: dict[int, list[float]] = {1: [], MANY: []}
    with tempfile.TemporaryDirectory() as name:
        for round_number in range(rounds + 1):
            for count in (1, MANY):
                home = Path(name) / f"{count}"
                home.mkdir(mode=0o700, exist_ok=True)
                pressed, changed = asyncio.run(measure_conversation(home, store_exchanges(home, count)))
                if round_number:  # the first warms what is cached
                    keys[count] += pressed
                    changes[count] += changed
        late = sorted(asyncio.run(measure_lag(Path(name))))
    with scripted_generator(**SCRIPT, load_s=LOADS_LONG_S) as home:
        starts = [(measure_start(home), measure_bare()) for _ in range(rounds + 1)][1:]
    with scripted_generator(**SCRIPT, load_s=0) as home:
        idle = measure_idle(home, idle_s)
    start, bare = (statistics.median(values) for values in zip(*starts, strict=True))
    return {
        "key press ms": 1000 * statistics.median(keys[MANY]),
        "key press, 200 / 1": statistics.median(keys[MANY]) / statistics.median(keys[1]),
        "focus change ms": 1000 * statistics.median(changes[MANY]),
        "focus change, 200 / 1": statistics.median(changes[MANY]) / statistics.median(changes[1]),
        "lag p95 ms, 400 lines at 500 tok/s": 1000 * late[math.ceil(0.95 * len(late)) - 1],
        "first paint ms": 1000 * start,
        "first paint / bare Python": start / bare,
        "idle CPU %": idle,
    }


def main() -> int:
    """Print the numbers; 1 where one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle-s", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    numbers = measure(options.rounds, options.idle_s)
    if options.json:
        print(json.dumps({"numbers": numbers, "limits": LIMITS}))
    else:
        for name, value in numbers.items():
            limit = f"  (limit {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:36}{value:8.1f}{limit}")
    return int(any(numbers[name] > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
