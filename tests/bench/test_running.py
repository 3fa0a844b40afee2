from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.speed.running import Running, UnavailableError, read_memory

PEER = """
import os


class Peer:
    def load(self, size):
        print("a library talks to standard output")
        return {"size": size}

    def generate(self, ids, max_tokens):
        if not ids:
            raise ValueError("an empty prompt")
        return {"tokens": max_tokens, "text": "é"}

    def end(self):
        os._exit(3)
"""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "peer.py").write_text(PEER, encoding="utf-8")
    running = Running("a peer", Path(sys.executable), str(tmp_path / "peer"), os.environ, tmp_path / "log")
    yield running
    running.end()


def test_a_peer_loads_and_answers_whatever_its_libraries_print(peer: Running) -> None:
    assert peer.load(size=3) == {"size": 3}
    assert peer.ready_s > 0
    assert peer.call("generate", ids=[1], max_tokens=5) == {"tokens": 5, "text": "é"}


def test_an_error_in_a_peer_is_named_and_does_not_end_it(peer: Running) -> None:
    with pytest.raises(UnavailableError, match="ValueError: an empty prompt"):
        peer.call("generate", ids=[], max_tokens=5)
    assert peer.call("generate", ids=[1], max_tokens=5)["tokens"] == 5


def test_a_peer_that_ends_is_named_with_its_log(peer: Running, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"ended with 3; see {tmp_path / 'log'}"):
        peer.call("end")
    with pytest.raises(UnavailableError, match="ended with 3"):
        peer.call("generate", ids=[1], max_tokens=5)


def test_a_peer_without_its_library_says_which(tmp_path: Path) -> None:
    (tmp_path / "peer.py").write_text("import no_such_library", encoding="utf-8")
    running = Running("a peer", Path(sys.executable), str(tmp_path / "peer"), os.environ, tmp_path / "log")
    with pytest.raises(UnavailableError, match="no_such_library"):
        running.load()
    running.end()


def test_memory_is_read_from_the_system_and_absent_for_nobody() -> None:
    found = read_memory(os.getpid())
    assert found["peak"] >= found["now"] > 0
    assert read_memory(2**22 + 1) == {}
