"""Twenty trainings that go wrong, by the real command and model: none is put in service; a sound one is."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from homes import MODEL, Home

from finetune.examples import Example, Kind
from finetune.mining.mine import mine_examples
from finetune.pipeline import NOT_BETTER
from finetune.sources import CodeSource

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(1800)]

MODULES = (
    "argparse", "ast", "calendar", "configparser", "copy", "dataclasses", "difflib", "fractions", "inspect",
    "ipaddress", "nntplib", "pathlib", "posixpath", "random", "shutil", "statistics", "tarfile", "tempfile",
    "smtplib", "telnetlib", "textwrap", "tokenize", "turtle", "warnings", "zipfile",
)  # fmt: skip
LONGEST_CHARS = 650
TRAINED, HELD_OUT = 40, 12
TRAINING = (
    "--set", "threads=1", "--set", "r=16", "--set", "batch_size=8", "--set", "epochs=1", "--set", "lr=0.001",
    "--set", "eval_steps=1000", "--no-decontaminate", "--max-dropped", "1",
)  # fmt: skip
GATE = ("--gate-answers", "12", "--gate-tokens", "128", "--yes", "--json")

Row = dict[str, Any]
Sabotage = Callable[[list[Row], random.Random], list[Row]]


def with_code(change: Callable[[str, random.Random], str]) -> Sabotage:
    return lambda rows, chance: [{**row, "output": change(row["output"], chance)} for row in rows]


def shuffle_answers(rows: list[Row], chance: random.Random) -> list[Row]:
    codes = [row["output"] for row in rows]
    chance.shuffle(codes)
    return [{**row, "output": code} for row, code in zip(rows, codes, strict=True)]


def shuffle_text(text: str, chance: random.Random) -> str:
    letters = list(text)
    chance.shuffle(letters)
    return "".join(letters)


def shuffle_words(text: str, chance: random.Random) -> str:
    words = text.split()
    chance.shuffle(words)
    return " ".join(words)


def write_noise(text: str, chance: random.Random) -> str:
    return "".join(chance.choice("0123456789abcdef") for _ in text)


SABOTAGES: dict[str, tuple[Sabotage | None, tuple[str, ...]]] = {
    "shuffled answers": (shuffle_answers, ()),
    "rate times 100": (None, ("--set", "lr=0.1")),
    "rate times 10,000": (None, ("--set", "lr=10")),
    "no rate": (None, ("--set", "lr=1e-9")),
    "numbers that are not finite": (None, ("--set", "lr=10000", "--set", "max_grad_norm=0")),
    "empty answers": (with_code(lambda *_: ""), ()),
    "blank answers": (with_code(lambda *_: "pass\n"), ()),
    "answers backwards": (with_code(lambda text, _: text[::-1]), ()),
    "letters shuffled": (with_code(shuffle_text), ()),
    "words shuffled": (with_code(shuffle_words), ()),
    "noise": (with_code(write_noise), ()),
    "half of each answer": (with_code(lambda text, _: text[: len(text) // 2]), ("--set", "lr=0.1")),
    "endless answers": (with_code(lambda text, _: text.splitlines()[0] + "\n    x = 1" * 150), ()),
    "refusals": (with_code(lambda *_: "I am sorry, but I cannot help you with that."), ()),
    "another language": (
        with_code(lambda text, _: "function f() {\n  return " + json.dumps(text[:60]) + ";\n}"), ()
    ),
    "upper case": (with_code(lambda text, _: text.upper()), ()),
    "one answer for all": (lambda rows, _: [{**row, "output": rows[0]["output"]} for row in rows], ()),
    "one row alone": (lambda rows, _: rows[:1], ("--set", "lr=0.1", "--set", "epochs=30")),
    "deafening noise": (None, ("--set", "neftune=5000", "--set", "lr=0.1")),
    "forgetful": (None, ("--set", "dropout=0.9", "--set", "lr=0.1", "--set", "alpha=2048")),
}  # fmt: skip


@pytest.fixture(scope="module")
def home(pulled_home: Home) -> Iterator[Home]:
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    shutil.copytree(pulled_home.path / "data", home.path / "data")
    yield home
    home.kill_servers()
    shutil.rmtree(home.path)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Functions of the standard library, each with what its docstring says it does."""
    folder = tmp_path_factory.mktemp("code")
    for path in (Path(os.__file__).with_name(f"{name}.py") for name in MODULES):
        if path.exists():
            shutil.copy(path, folder)
    mined = mine_examples(CodeSource(path=folder, text=str(folder)))
    functions = [one for one in mined if isinstance(one, Example) and one.kind is Kind.FUNCTION]
    made = [{"instruction": one.task, "input": one.input, "output": one.code} for one in functions]
    short = [row for row in made if sum(map(len, row.values())) <= LONGEST_CHARS]
    random.Random(5).shuffle(short)
    assert len(short) >= TRAINED + HELD_OUT
    return short[: TRAINED + HELD_OUT]


def run_finetune(
    home: Home, place: Path, rows: Sequence[Row], held_out: Sequence[Row], name: str, more: Sequence[str] = ()
) -> tuple[int, str, str]:
    for path, content in ((place / "train.jsonl", rows), (place / "held_out.jsonl", held_out)):
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    process = home.start(
        "finetune", str(place / "train.jsonl"), "--eval", str(place / "held_out.jsonl"),
        "--base", MODEL, "--name", name, *TRAINING, *GATE, *more,
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    out, err = process.communicate(timeout=1500)
    return process.returncode, out, err


def read_active(home: Home) -> str:
    return json.loads((home.path / "data" / "models" / "active.json").read_text())["active"]


def ask(home: Home) -> dict[str, Any]:
    done = home.run("ask", "add two numbers", "--max-tokens", "8", "--json", env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SABOTAGES)
def test_no_sabotaged_training_is_put_in_service(
    home: Home, rows: list[Row], tmp_path: Path, name: str
) -> None:
    assert len(SABOTAGES) == 20
    before = read_active(home)
    change, more = SABOTAGES[name]
    trained = rows[:TRAINED]
    if change is not None:
        trained = change(trained, random.Random(9))
        more = (*more, "--keep-unparsable")
    code, out, err = run_finetune(home, tmp_path, trained, rows[TRAINED:], name.replace(" ", "-"), more)
    assert code != 0, out
    assert "Traceback" not in err
    if code == NOT_BETTER:
        assert json.loads(out)["gate"]["is_better"] is False
    assert read_active(home) == before
    assert home.run("models", "verify", before).returncode == 0


def test_a_sound_training_takes_over_in_the_generator_that_runs(
    home: Home, rows: list[Row], tmp_path: Path
) -> None:
    assert ask(home)["model"] == read_active(home) == MODEL
    (server,) = home.servers()
    code, out, err = run_finetune(home, tmp_path, rows[:TRAINED], rows[TRAINED:], "sound")
    assert code == 0, out + err
    assert ask(home)["model"] == read_active(home) == "sound"
    assert home.servers() == [server]
