"""The data that people train and test on, through the real program; and the real tokenizer."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import Home
from program import Program
from real_files import WHY_NOT, real_file

from assistant.prompts import encode_turns
from assistant.requests import Role, Turn
from finetune.base import find_base, load_tokenizer
from finetune.examples import Example, Place
from finetune.tokenizing import TokenizeOptions, tokenize_rows

MBPP, ALPACA = real_file("mbpp.jsonl"), real_file("code_alpaca_2k.json")
MAPPED = ("--map", "instruction=text,input=test_list,output=code")

needs_data = pytest.mark.skipif(not MBPP.exists(), reason=WHY_NOT)
pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def program(pulled_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program whose store holds the embedded model."""
    home = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    shutil.copytree(pulled_home.path / "data", home / "data")
    yield Program(home=home, directory=tmp_path_factory.mktemp("work"))
    shutil.rmtree(home)


def build(program: Program, *arguments: str) -> dict[str, Any]:
    done = program.run("finetune", "data", "build", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@needs_data
def test_code_alpaca_is_counted(program: Program) -> None:
    summary = build(program, str(ALPACA), "--name", "alpaca")
    prepared = summary["prepare"]
    assert prepared["sources"][0]["read"] == 2017
    assert prepared["rejected"]["no answer"] == 2  # the two empty outputs of the file
    assert prepared["kept"] + sum(prepared["rejected"].values()) == 2017
    assert prepared["rejected"]["benchmark"] == 4
    assert prepared["rejected"]["secret"] == 5
    assert 700 < prepared["kept"] < 900
    assert summary["tokens"]["train"] + summary["tokens"]["eval"] == prepared["kept"]
    assert "rows are no Python" in " ".join(summary["notes"])


@pytest.mark.slow
@needs_data
def test_rows_of_other_languages_can_be_kept(program: Program) -> None:
    kept = build(program, str(ALPACA), "--name", "all", "--keep-unparsable")["prepare"]
    assert "not Python" not in kept["rejected"]
    assert kept["kept"] > 1900


@pytest.mark.slow
@needs_data
def test_mbpp_is_counted_and_freed_of_its_test_split(program: Program) -> None:
    prepared = build(program, str(MBPP), *MAPPED, "--name", "mbpp")["prepare"]
    assert prepared["sources"][0]["read"] == 974
    assert prepared["kept"] + sum(prepared["rejected"].values()) == 974
    assert 500 < prepared["rejected"]["benchmark"] < 560
    rejects = program.run("finetune", "data", "inspect", "mbpp", "--rejects", "--json").stdout.splitlines()
    left_out = {json.loads(line)["row"] for line in rejects}
    assert set(range(11, 511)) <= left_out


@pytest.mark.slow
@needs_data
def test_mbpp_is_trained_on_and_measured_with_by_the_authors_split(program: Program) -> None:
    arguments = (f"{MBPP}[600:974]", "--eval", f"{MBPP}[10:110]", *MAPPED, "--name", "split")
    summary = build(program, *arguments)
    assert summary["tokens"]["eval"] == 100
    assert summary["tokens"]["train"] + sum(summary["prepare"]["rejected"].values()) == 374
    assert summary["tokens"]["too_long"] == 0
    shown = program.run("finetune", "data", "preview", "split", "-n", "3").stdout
    assert shown.count("[learnt]") == 3
    assert "\r" not in shown


def test_training_ids_are_those_that_the_embedded_model_is_asked_with(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(program.run("models", "path").stdout.strip())
    directory = next(path for path in (place, *place.iterdir()) if (path / "tokenizer.json").is_file())
    base = find_base(str(directory))
    assert base.context_tokens == 8192
    tokenizer = load_tokenizer(directory)
    code = 'end = "<|im_end|>"\n\n\tif end:\n    pass'
    made = Example(task="Say <|im_start|>", input="é\n", code=code, place=Place(file="d", row=1))
    (row,), _, _ = tokenize_rows([made], tokenizer, TokenizeOptions(), 4096)
    asked = encode_turns(tokenizer, "python-task", [Turn(role=Role.USER, text=made.task, input=made.input)])
    learnt = [label for label in row.labels if label >= 0]
    assert row.input_ids == asked + learnt
    assert learnt.count(tokenizer.eos_token_id) == 1
    decoder: Any = tokenizer
    assert decoder.decode(learnt[:-1], skip_special_tokens=False) == code
