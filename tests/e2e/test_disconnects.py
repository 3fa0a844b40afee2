from __future__ import annotations

import json
import random
import socket
import time

import httpx2
import psutil
import pytest
from homes import Home, wait_until

pytestmark = [pytest.mark.model, pytest.mark.timeout(1200)]

LONG_PROMPT = "Explain this program: " + "value = value + 1; " * 600


def post_and_hang_up(home: Home, chance: random.Random, *, streams: bool, prefills: bool) -> None:
    """Send a request on a socket of our own and close it at a random moment."""
    text = LONG_PROMPT if prefills else "Write a long story about a parser"
    body = {"messages": [{"role": "user", "content": text}], "stream": streams, "max_tokens": 3000}
    content = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {home.token_file.read_text(encoding='ascii').strip()}\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home.socket))
        connection.sendall(head.encode() + content)
        hangs_up_at = time.monotonic() + chance.uniform(0.001, 1.5)
        # A timeout counts from one piece of a stream to the next: it would read a whole answer.
        while (left := hangs_up_at - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                assert connection.recv(65536), "the answer was over before the client hung up"
            except TimeoutError:
                break


def hang_up_many_times(home: Home, rounds: int) -> None:
    assert home.run("ask", "x", "--max-tokens", "2", "--full").returncode == 0
    (server,) = home.servers()
    token = home.token_file.read_text(encoding="ascii").strip()
    client = httpx2.Client(
        transport=httpx2.HTTPTransport(uds=str(home.socket)),
        base_url="http://localhost",
        headers={"authorization": f"Bearer {token}"},
    )
    chance = random.Random(rounds)

    def is_free() -> bool:
        status = client.get("/v1/status").json()
        return status["active_sequences"] == 0 and status["waiting"] == 0

    with client:
        for number in range(rounds):
            post_and_hang_up(home, chance, streams=number % 2 == 0, prefills=number % 4 >= 2)
            wait_until(is_free, seconds=20)
        used = psutil.Process(server.pid).cpu_times()
        for _ in range(3):
            assert is_free()
        after = psutil.Process(server.pid).cpu_times()
    assert after.user - used.user < 1, "it still computes for clients that have gone"
    assert home.run("ask", "x", "--max-tokens", "2", "--full").returncode == 0
    assert [process.pid for process in home.servers()] == [server.pid]


def test_clients_that_hang_up_leave_nothing_behind(home: Home) -> None:
    hang_up_many_times(home, 8)


@pytest.mark.slow
def test_a_hundred_clients_that_hang_up_leave_nothing_behind(home: Home) -> None:
    hang_up_many_times(home, 100)
