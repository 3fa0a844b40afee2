from __future__ import annotations

from typing import Any

import pytest

from tests.server.harness import Live


def test_a_text_is_counted_in_the_models_own_tokens(live: Live) -> None:
    response = live.call("POST", "/tokenize", {"prompt": "sieben"})
    assert response.json() == {"count": 6, "max_model_len": 4096}


def test_counting_asks_the_model_for_nothing(live: Live) -> None:
    steps = live.loads.last.steps
    live.call("POST", "/tokenize", {"model": "default", "prompt": "x" * 10_000})
    assert live.loads.last.steps == steps
    assert live.status()["active_sequences"] == 0


@pytest.mark.parametrize(
    ("content", "field"), [({}, "prompt"), ({"prompt": 3}, "prompt"), ({"prompt": "x", "other": 1}, "other")]
)
def test_a_body_that_cannot_be_honoured_names_its_field(live: Live, content: Any, field: str) -> None:
    response = live.call("POST", "/tokenize", content)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


def test_counting_needs_the_token(live: Live) -> None:
    with live.client(token="other") as client:
        assert client.post("/tokenize", json={"prompt": "x"}).status_code == 401


def test_an_unknown_model_is_refused(live: Live) -> None:
    assert live.call("POST", "/tokenize", {"model": "none", "prompt": "x"}).status_code == 404
