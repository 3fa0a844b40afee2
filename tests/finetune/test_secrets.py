from __future__ import annotations

import socket

import pytest
from planted import plant_secrets

from finetune.cleaning.secrets import SecretHit, SecretScanner


@pytest.fixture(scope="module")
def scanner() -> SecretScanner:
    return SecretScanner()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", plant_secrets())
def test_a_planted_secret_is_found(kind: str, seed: int, scanner: SecretScanner) -> None:
    code = f"def connect():\n    {plant_secrets(seed)[kind]}\n    return 1\n"
    assert {hit.line for hit in scanner.scan(code)} == {2}


@pytest.mark.parametrize("kind", plant_secrets())
def test_no_hit_shows_the_secret(kind: str, scanner: SecretScanner) -> None:
    line = plant_secrets()[kind]
    for hit in scanner.scan(line):
        assert not any(word in hit.what for word in line.split("'") if len(word) > 12)


def test_an_allow_comment_does_not_help(scanner: SecretScanner) -> None:
    line = f"{plant_secrets()['github']}  # pragma: allowlist secret"
    assert scanner.scan(line)


def test_a_secret_far_inside_a_very_long_line_is_found(scanner: SecretScanner) -> None:
    padding = "x = [" + "1, " * 20_000
    assert scanner.scan(padding + plant_secrets()["github"] + "]" * 5000)


def test_no_secret_is_sent_anywhere(scanner: SecretScanner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert scanner.scan("\n".join(plant_secrets().values()))


@pytest.mark.parametrize(
    "line",
    [
        'alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"',
        "password = get_password(user)",
        "token = tokenizer.next_token()",
        "api_key = os.environ['API_KEY']",
        "secret_number = random.randint(1, 100)",
        "def check(password: str, token: bytes) -> bool:",
        "tokens = [first_token2, second_token3]",
        "url = 'https://example.com/path?x=1'",
        "host = '192.168.0.1'",
        "for i in range(10): print(i)",
    ],
)
def test_ordinary_code_holds_no_secret(line: str, scanner: SecretScanner) -> None:
    assert scanner.scan(line) == []


def test_hits_come_in_the_order_of_the_lines(scanner: SecretScanner) -> None:
    hits = scanner.scan(f"x\n{plant_secrets()['npm']}\ny\n{plant_secrets()['github']}")
    assert [hit.line for hit in hits] == sorted(hit.line for hit in hits)
    assert SecretHit(what="npm token", line=2) in hits
