from __future__ import annotations

import ast
import json
from collections.abc import Iterator

import pytest
from homes import MODEL, Home
from transformers_server import transformers_serve

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def foreign(model_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` with the embedded model; gives the address of its API."""
    model = model_home.path / "data" / "models" / MODEL
    with transformers_serve(model, model_home, tmp_path_factory.mktemp("serve")) as address:
        yield address


def test_ask_works_unchanged_against_transformers_serve(home: Home, foreign: str) -> None:
    environment = {
        "ASSISTANT_GENERATOR_URL": foreign,
        "ASSISTANT_GENERATOR_MODEL": str(home.path / "data" / "models" / MODEL),
    }
    done = home.run("ask", "Write a function that adds two numbers", "--max-tokens", "60", env=environment)
    assert done.returncode == 0, done.stderr
    assert ast.parse(done.stdout).body
    assert home.servers() == []


def test_the_foreign_answer_is_told_whole(home: Home, foreign: str) -> None:
    environment = {
        "ASSISTANT_GENERATOR_URL": foreign,
        "ASSISTANT_GENERATOR_MODEL": str(home.path / "data" / "models" / MODEL),
    }
    done = home.run("ask", "Write a function that adds two numbers", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["tokens"]["completion"] > 0
    assert "def " in answer["code"]
