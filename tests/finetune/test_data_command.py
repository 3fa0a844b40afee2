"""`assistant finetune data` as a shell meets it."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from homes import wait_until
from planted import plant_secrets
from program import ROOT, Program
from small_tokenizer import make_base
from stub_hub import StubHub, StubRepository

SMALL = (
    f"sys.path.insert(0, {str(ROOT / 'tests' / 'support')!r})\n"
    "import finetune.base, small_tokenizer\n"
    "finetune.base.load_tokenizer = lambda directory: small_tokenizer.SmallTokenizer()\n"
)
"""A tokenizer that costs nothing to load; everything else is the program's own."""
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon")


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def program(home: Path, tmp_path: Path) -> Program:
    make_base(tmp_path / "base")
    return Program(home=home, directory=tmp_path, patch=SMALL)


def write_rows(path: Path, count: int, *, start: int = 0) -> Path:
    rows = [
        {
            "instruction": " ".join(f"{word}{n}" for word in WORDS),
            "output": f"def f{n}(a{n}):\n    b{n} = a{n} * {n}\n    return b{n}",
        }
        for n in range(start, start + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def build(program: Program, *arguments: str) -> subprocess.CompletedProcess[str]:
    return program.run("finetune", "data", "build", *arguments, "--base", "base")


def run_dirs(home: Path) -> list[Path]:
    runs = home / "data" / "runs"
    return sorted(path for path in runs.iterdir()) if runs.is_dir() else []


def test_building_prints_what_there_is_and_what_to_do(home: Path, program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 40)
    done = build(program, "d.jsonl")
    assert done.returncode == 0, done.stderr
    assert "d.jsonl: 40 read, 40 usable" in done.stdout
    assert "38 to train on, 2 held out" in done.stdout
    assert done.stdout.splitlines()[-1] == "next     assistant finetune data preview d"
    assert done.stderr == "base model: base, as asked\n"
    assert (run_dirs(home)[0] / "data-card.md").read_text(encoding="utf-8").startswith("# Data of the run d")


def test_json_is_one_object_with_every_number(program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 40)
    summary = json.loads(build(program, "d.jsonl", "--name", "mine", "--json").stdout)
    assert summary["run"] == "mine"
    assert summary["prepare"]["train"] == summary["tokens"]["train"] == 38
    assert summary["tokens"]["prompt_format"] == "python-task"
    again = json.loads(program.run("finetune", "data", "inspect", "mine", "--json").stdout)
    assert again == summary


def test_what_was_left_out_is_listed_without_any_secret(home: Path, program: Program, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "d.jsonl", 40)
    secret = plant_secrets()["github"]
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"instruction": "t", "output": f"x = 1  {secret}"}) + "\n")
        file.write(json.dumps({"instruction": "t", "output": "SELECT 1;"}) + "\n")
    assert build(program, "d.jsonl").returncode == 0
    lines = program.run("finetune", "data", "inspect", "d", "--rejects").stdout.splitlines()
    assert lines[0].startswith("d.jsonl:41: secret: GitHub Token")
    assert lines[1].startswith("d.jsonl:42: not Python: line 1")
    as_json = program.run("finetune", "data", "inspect", "d", "--rejects", "--json").stdout.splitlines()
    assert [json.loads(line)["row"] for line in as_json] == [41, 42]
    written = [path.read_text("latin-1") for path in home.rglob("*") if path.is_file()]
    assert not any(secret[-20:] in text for text in written)


def test_a_preview_shows_what_is_learnt(program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 40)
    assert build(program, "d.jsonl").returncode == 0
    shown = program.run("finetune", "data", "preview", "d", "-n", "2").stdout
    assert len(re.findall(r"^--- d\.jsonl:\d+ · instruction · \d+ tokens, \d+ learnt$", shown, re.M)) == 2
    assert re.search(r"\[not learnt\]\n### Instruction:\n.*?\[learnt\]\ndef f\d+\(", shown, re.S)
    assert "<|end|>" in shown
    assert "\x1b" not in shown
    assert "\x1b[32m" in program.run("finetune", "data", "preview", "d", "--color", "always").stdout
    rows = json.loads(program.run("finetune", "data", "preview", "d", "--eval", "-n", "9", "--json").stdout)
    assert len(rows) == 2
    assert "".join(text for text, is_learnt in rows[0]["tokens"] if is_learnt).startswith("def f")


def test_progress_and_time_left_are_shown_on_a_terminal(program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 3000)
    arguments = ("finetune", "data", "build", "d.jsonl", "--base", "base")
    terminal = program.start_on_terminal(*arguments)
    terminal.expect(r"looking for secrets \[#*\.*\] +\d+%")
    terminal.expect("next     assistant")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("gone.jsonl",), 2, "there is no file or folder 'gone.jsonl'"),
        (("d.jsonl", "--map", "ouput=x"), 2, "did you mean output?"),
        (("d.jsonl", "--split", "a+b"), 2, "is no split"),
        (("d.jsonl", "--eval-share", "0.9"), 2, "--eval-share must be a number from 0 to 0.5"),
        (("d.jsonl", "--max-tokens", "8"), 2, "--max-tokens must be a whole number from 64"),
        (("d.jsonl", "--max-tokens", "8000"), 2, "more than base can read"),
        (("d.jsonl", "--name", "../x"), 2, "cannot be a run's name"),
        (("broken.jsonl",), 2, "broken.jsonl:3: not JSON"),
        (("latin.csv",), 2, "latin.csv:2: byte"),
        (("empty.jsonl",), 2, "is empty"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line_with_a_way_out(
    arguments: tuple[str, ...], code: int, words: str, home: Path, program: Program, tmp_path: Path
) -> None:
    lines = write_rows(tmp_path / "d.jsonl", 5).read_text(encoding="utf-8").splitlines()
    (tmp_path / "broken.jsonl").write_text("\n".join([*lines[:2], "{", *lines[3:]]), encoding="utf-8")
    (tmp_path / "latin.csv").write_bytes(b"task,code\n\xe9,x\n")
    (tmp_path / "empty.jsonl").touch()
    done = build(program, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in run_dirs(home) if list(path.glob("*/record.json"))] == []


def test_a_name_that_is_taken_is_kept_until_replace_is_given(program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 20)
    write_rows(tmp_path / "e.jsonl", 30, start=100)
    assert build(program, "d.jsonl", "--name", "a").returncode == 0
    refused = build(program, "e.jsonl", "--name", "a")
    assert refused.returncode == 2
    assert "--replace" in refused.stderr
    assert build(program, "e.jsonl", "--name", "a", "--replace").returncode == 0
    summary = json.loads(program.run("finetune", "data", "inspect", "a", "--json").stdout)
    assert summary["prepare"]["kept"] == 30


def test_a_folder_of_code_is_built(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for number in range(8):
        text = (
            f"def compute_{number}(values):\n"
            f'    """Return what the {WORDS[number % 5]} rule number {number} gives for all values."""\n'
            f"    total{number} = {number}\n    total{number} *= len(values)\n    return total{number}\n"
        )
        (source / f"m{number}.py").write_text(text, encoding="utf-8")
    done = build(program, "src/", "--name", "code")
    assert done.returncode == 0, done.stderr
    assert "function 8, body 8, docstring 8" in done.stdout


def test_ctrl_c_leaves_the_earlier_data(home: Path, program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 20)
    assert build(program, "d.jsonl", "--name", "a").returncode == 0
    before = program.run("finetune", "data", "inspect", "a", "--json").stdout
    write_rows(tmp_path / "e.jsonl", 20_000)
    process = program.start(
        "finetune", "data", "build", "e.jsonl", "--name", "a", "--replace", "--base", "base"
    )
    run = home / "data" / "runs" / "a"
    wait_until(lambda: any(run.glob(".new-*")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted; what the run a had before is as it was" in err
    assert program.run("finetune", "data", "inspect", "a", "--json").stdout == before
    assert list(run.glob(".*")) == []


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_no_half(home: Path, program: Program, tmp_path: Path) -> None:
    write_rows(tmp_path / "d.jsonl", 1500)
    arguments = ("finetune", "data", "build", "d.jsonl", "--name", "a", "--replace", "--base", "base")
    began = time.monotonic()
    assert program.run(*arguments).returncode == 0
    whole_s = time.monotonic() - began
    expected = json.loads(program.run("finetune", "data", "inspect", "a", "--json").stdout)
    chance = random.Random(5)
    for _ in range(20):
        process = program.start(*arguments)
        time.sleep(chance.uniform(0.2, 1.0) * whole_s)
        process.kill()
        process.communicate()
        done = program.run("finetune", "data", "inspect", "a", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["prepare"]["rows_sha256"] == expected["prepare"]["rows_sha256"]
        assert found["tokens"]["lengths"] == expected["tokens"]["lengths"]
    assert program.run(*arguments).returncode == 0
    assert [path.name for path in (home / "data" / "runs" / "a").glob(".*")] == []


# ---- the hub


@pytest.fixture
def hub(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubHub]:
    stub = StubHub()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", stub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = write_rows(tmp_path / "rows.jsonl", 40).read_bytes()
    stub.repositories["org/name"] = StubRepository(files={"train.jsonl": content, "test.jsonl": content})
    yield stub
    stub.close()


def test_a_slice_of_a_split_of_the_hub_is_built_and_nothing_of_it_stays_elsewhere(
    hub: StubHub, home: Path, program: Program, tmp_path: Path
) -> None:
    done = build(program, "hub:org/name", "--split", "train[:50%]", "--name", "h")
    assert done.returncode == 0, done.stderr
    assert "hub:org/name: 20 read, 20 usable" in done.stdout
    rejects = program.run("finetune", "data", "preview", "h", "-n", "1").stdout
    assert re.search(r"--- hub:org/name:train row \d+ ·", rejects)
    kept = [*(tmp_path / "hf").rglob("*"), *home.rglob("*")]
    holding = [path for path in kept if path.is_file() and b"gamma3" in path.read_bytes()]
    assert [path.name for path in holding] == ["rows.jsonl"]


def test_a_split_that_is_not_there_is_named(hub: StubHub, program: Program) -> None:
    assert hub.url
    done = build(program, "hub:org/name", "--split", "dev")
    assert done.returncode == 2
    assert "has no split 'dev'" in done.stderr
    assert "--split" in done.stderr


def test_a_data_set_that_is_not_there_is_named(hub: StubHub, program: Program) -> None:
    assert hub.url
    done = build(program, "hub:org/gone")
    assert done.returncode == 3
    assert "hub:org/gone is not there" in done.stderr
    assert "HF_TOKEN" in done.stderr


@pytest.mark.slow  # the hub's library tries again for 20 seconds
def test_a_hub_that_cannot_be_reached_is_named(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    done = build(program, "hub:org/name")
    assert done.returncode == 3
    assert "hub:org/name cannot be fetched" in done.stderr or "is not there" in done.stderr
    assert "Traceback" not in done.stderr
