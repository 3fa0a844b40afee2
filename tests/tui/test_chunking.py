"""However an answer is cut into pieces on its way, it ends in the same screen and the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from opened_chat import CODE, Measured, OpenedChat, play


def cut(text: str, seed: int) -> list[str]:
    """Cut a text at random places."""
    rng = random.Random(seed)
    places = sorted(rng.sample(range(len(text) + 1), min(len(text), rng.randrange(1, 40))))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


REPLIES = [
    "".join(CODE),
    "x = [i for i in y]\nprint(x)\n",
    "```python\ns = '''\n```\n'''\n```\nThat is all.\n",
    "~~~py\nx = 1\n~~~\n\nand\n\n~~~py\ny = 2\n~~~\n",
    "Here you go:\n\n```\nno tag\n```",
    "```python\nunclosed = True\n",
    "1. First:\n\n   ```python\n   nested = 1\n   ```\n2. Then\n",
    "漢字 〽️ prose\n\n```python\nname = '漢字'\n```\n",
    "\n\n\nprint('late')\n",
    "def f():\n\treturn 1\r\n\r\nf()\r\n",
]
"""Ten shapes; each comes whole, and cut in two ways."""
RECORDED = Path(__file__).with_name("recorded_answers.json")
"""Fifty answers of the embedded model, at temperature 0.8."""


def outcomes(reply: str, seeds: Iterable[int]) -> set[tuple[str, str, str]]:
    """What is shown, what would be saved and what is stored, of a reply whole and cut in many ways."""
    found: set[tuple[str, str, str]] = set()

    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("t", "")
        await opened.until_answered()
        await opened.pilot.pause()
        view = opened.views()[0]
        found.add((opened.shown(), view.reading.code, opened.saved[-1].answer))

    for pieces in [[reply], *(cut(reply, seed) for seed in seeds)]:
        play(OpenedChat(generator=Measured(pieces)), run)
    return found


@pytest.mark.parametrize("shape", range(len(REPLIES)))
def test_any_chunking_gives_the_same_screen_and_the_same_saved_bytes(
    shape: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, _, stored),) = outcomes(REPLIES[shape], seeds=(100 * shape, 100 * shape + 1))
    assert stored == REPLIES[shape]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(50))
def test_any_chunking_of_what_the_model_said_gives_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reply = json.loads(RECORDED.read_text(encoding="utf-8"))[number]
    ((_, _, stored),) = outcomes(reply, seeds=range(10 * number, 10 * number + 6))
    assert stored == reply
