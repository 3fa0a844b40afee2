from __future__ import annotations

import contextlib
import os
import random
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import AssistantError
from assistant.models.names import is_inner_path, is_model_name, suggest_model_name
from assistant.models.store import ModelStore

IDS = 10_000
HOSTILE = (
    "..",
    "../..",
    "/etc/passwd",
    "a/../../b",
    ".",
    "",
    "a/",
    "\0",
    "~",
    "a\\..\\b",
    "%2e%2e%2f",
    "CON",
)
PIECES = (
    "..",
    "/",
    "a",
    "good",
    ".",
    "-",
    "_",
    "\\",
    "\0",
    "~",
    "%2e",
    " ",
    "\n",
    "ä",
    "漢",
    "😀",
    "con",
    ":",
)

_opened: list[str] | None = None


def note_paths(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event.startswith(("open", "os.", "shutil.")):
        _opened.extend(os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike))


sys.addaudithook(note_paths)


@contextlib.contextmanager
def noted_paths() -> Iterator[list[str]]:
    """Every path that anything in this process touches."""
    global _opened
    _opened = found = []
    try:
        yield found
    finally:
        _opened = None


def random_id(chosen: random.Random) -> str:
    if chosen.random() < 0.2:
        return chosen.choice(HOSTILE)
    if chosen.random() < 0.5:
        return "".join(chosen.choices(PIECES, k=chosen.randrange(1, 8)))
    return "".join(chosen.choices(string.printable, k=chosen.randrange(80)))


def test_no_name_leads_out_of_the_store(store: ModelStore, add_model: Callable[..., Path]) -> None:
    add_model("good")
    store.use("good")
    store.resolve("good")
    inside = str(store.root)
    chosen = random.Random(11)
    with noted_paths() as paths:
        for _ in range(IDS):
            name = random_id(chosen)
            if name == "good":
                continue
            assert store.find(name) is None
            for act in (store.resolve, store.use, store.remove):
                with contextlib.suppress(AssistantError):
                    act(name)
                    pytest.fail(f"{name!r} was taken for a model")
    touched = {path for path in paths if os.sep in path} - {inside, str(store.root.parent)}
    assert inside in paths
    assert [path for path in touched if not path.startswith(inside + os.sep)] == []


@given(st.text(max_size=100))
def test_whatever_is_suggested_as_a_name_is_one(text: str) -> None:
    assert is_model_name(suggest_model_name(text))


@given(st.text(max_size=40))
def test_a_path_that_counts_as_inner_stays_inside(text: str) -> None:
    if is_inner_path(text):
        joined = os.path.normpath(Path("/model") / text)
        assert joined.startswith("/model/")
        assert "\\" not in text


@pytest.mark.parametrize(
    "path", ["", ".", "..", "/a", "a//b", "./a", "a/.", ".git/x", "a/../b", "a/b/c/d/e", "a\0"]
)
def test_an_odd_path_is_no_inner_one(path: str) -> None:
    assert not is_inner_path(path)
