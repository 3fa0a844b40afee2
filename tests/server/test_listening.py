from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.errors import StorageError, UsageError
from assistant.server import running
from assistant.server.listening import Premises, listen_tcp, parse_tcp_place
from tests.server.harness import Live


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("127.0.0.2:1", ("127.0.0.2", 1)),
    ],
)
def test_loopback_address_is_taken(text: str, place: tuple[str, int]) -> None:
    assert parse_tcp_place(text, allow_remote=False) == place


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"])
def test_address_of_the_network_is_taken_only_when_that_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match="other machines"):
        parse_tcp_place(text, allow_remote=False)
    assert parse_tcp_place(text, allow_remote=True)[1] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.1:1",
        "example.org:1",
        "::1:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--tcp"):
        parse_tcp_place(text, allow_remote=True)


def test_port_that_is_taken_is_named() -> None:
    with listen_tcp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            listen_tcp("127.0.0.1", port)


def test_token_is_there_before_the_socket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    premises = Premises(home / "missing" / "s", home / "t")
    with pytest.raises(StorageError):
        premises.open()
    assert (home / "t").read_text() == premises.token
    assert stat.S_IMODE((home / "t").stat().st_mode) == 0o600


def test_what_a_successor_made_is_left_alone(home: Path) -> None:
    old, new = Premises(home / "s", home / "t"), Premises(home / "s", home / "t")
    with old.open(), new.open():
        assert not old.is_in_place()
        old.remove()
        assert new.is_in_place()
        assert (home / "t").read_text() == new.token
        new.remove()
    assert not (home / "s").exists()
    assert not (home / "t").exists()


def test_server_that_nobody_can_find_ends(
    make_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PLACE_CHECK_S", 0.05)
    live = make_live().start()
    live.socket_file.unlink()
    live.wait_ended()
    assert live.loads.last.closed


def test_token_goes_even_if_the_socket_went_before(home: Path) -> None:
    premises = Premises(home / "s", home / "t")
    with premises.open():
        (home / "s").unlink()
        premises.remove()
    assert not (home / "t").exists()
