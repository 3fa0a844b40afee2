"""`assistant finetune DATA...`: what is chosen and printed; slow, the real program with a tiny model."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from homes import Home

from assistant.config import Config
from assistant.errors import UsageError
from finetune.choosing import ARTICLE_BASE, choose_base
from finetune.command import STAGES, finetune
from finetune.gate.verdict import MARGIN
from finetune.pipeline import NOT_BETTER, Finished
from finetune.run_command import run as run_command
from finetune.run_flags import FILE_NAME, build_finish_options, find_resumed, read_flags, write_flags
from finetune.rundir import RunDir, runs_dir, write_record
from finetune.running import build_result

GPU = {"name": "A Card", "memory_bytes": 24 * 1024**3}
FLAGS: dict[str, Any] = {
    "base": "", "preset": "default", "config": None, "sets": ("epochs=1",), "export": (), "push": "",
    "public": False, "no_activate": False, "margin": None, "gate_rows": 5, "gate_answers": None,
    "gate_tokens": None, "suite": "", "model_name": "", "yes": True,
}  # fmt: skip


def dispatch(*arguments: str) -> str:
    context = click.Context(finetune)
    finetune.parse_args(context, list(arguments))
    return str(context._protected_args[0])  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("arguments", [("d.jsonl",), ("--check", "d.jsonl"), ("--resume",), ("./train",)])
def test_what_names_no_stage_is_the_whole_run(arguments: tuple[str, ...]) -> None:
    assert dispatch(*arguments) == "run"


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_short_help_is_its_commands_own(name: str) -> None:
    command = finetune.get_command(click.Context(finetune), name)
    assert command is not None
    assert command.name == name
    assert dispatch(name) == name


def test_the_whole_run_takes_what_building_data_takes() -> None:
    names = {param.name for param in run_command.params}
    assert {"maps", "split", "held_out", "eval_share", "benchmarks", "max_tokens", "on_long"} <= names
    assert len(names) == len(run_command.params)


@pytest.mark.parametrize(
    ("probe", "base", "words"),
    [
        ({}, Config().models.default, "there is no GPU"),
        ({"cuda": [GPU]}, ARTICLE_BASE, "A Card has 24 GiB"),
        ({"cuda": [{**GPU, "memory_bytes": 4 * 1024**3}]}, Config().models.default, "too small"),
        ({"cuda": [{**GPU, "memory_bytes": 1}, GPU]}, ARTICLE_BASE, "24 GiB"),
    ],
)
def test_the_default_base_is_the_articles_where_it_can_be_trained(
    probe: dict[str, Any], base: str, words: str
) -> None:
    choice = choose_base("", Config(), probe=lambda: probe)
    assert choice.base == base
    assert words in choice.reason


def test_a_base_that_is_named_is_taken_and_nothing_is_asked() -> None:
    def forbidden() -> dict[str, Any]:
        raise AssertionError("the machine was asked")

    assert choose_base("mine", Config(), probe=forbidden).base == "mine"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("ASSISTANT_HOME", str(home))
    runs_dir().mkdir(parents=True, mode=0o700)
    run = RunDir(runs_dir() / "mine")
    with run.locked(), run.open_stage("tokens") as directory:
        write_record(directory, "tokens", {})
    return run


def test_a_resumed_run_goes_on_as_it_was_begun_unless_it_is_said_anew(run: RunDir) -> None:
    write_flags(run, {**FLAGS, "margin": 0.1, "no_activate": True})
    now = read_flags(run, {**FLAGS, "sets": (), "margin": 0.3}, {"margin"})
    assert now["sets"] == ["epochs=1"]
    assert now["no_activate"] is True
    assert now["margin"] == 0.3
    assert find_resumed("").name == find_resumed("mine").name == "mine"


def test_a_run_that_was_not_begun_by_this_command_says_so(run: RunDir) -> None:
    with pytest.raises(UsageError, match="no run to go on with"):
        find_resumed("")
    with pytest.raises(UsageError, match=FILE_NAME):
        read_flags(run, FLAGS, set())


def test_no_token_stands_in_the_file_of_flags(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    write_flags(run, {**FLAGS, "push": "me/it"})
    assert "hf_secret" not in (run.path / FILE_NAME).read_text()
    assert (run.path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_gate_has_its_defaults_unless_something_is_given() -> None:
    options = build_finish_options(FLAGS, "mine")
    assert (options.gate.margin, options.gate.rows, options.activate) == (MARGIN, 5, True)


@pytest.mark.parametrize(("better", "code"), [(True, 0), (False, NOT_BETTER)])
def test_the_exit_code_says_whether_it_is_better(run: RunDir, better: bool, code: int) -> None:
    gate = {"is_better": better, "sentence": "so it is", "compared_with": "old", "trained": "mine"}
    gate |= {"rows": 9, "answers": 9, "numbers": {"old": {}, "mine": {}}}
    finished = Finished(name="mine", directory=run.path, gate=gate, is_active=better)
    result = build_result(run, finished, [], None)
    assert result.exit_code == code
    assert "so it is" in result.text
    assert ("rollback" in result.text) is better
    assert result.document["is_better"] is better


TRAINING = (
    "--set",
    "threads=1",
    "--set",
    "r=8",
    "--set",
    "epochs=8",
    "--set",
    "lr=0.01",
    "--eval-share",
    "0.2",
)
GATE = ("--gate-tokens", "40", "--yes", "--json")


@pytest.fixture(scope="module")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home, a tiny base and data that it can learn."""
    from tiny_llama import save_llama

    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    place = tmp_path_factory.mktemp("tiny")
    save_llama(home.path / "base")
    chance = random.Random(1)
    words = [f"w{n}" for n in range(300)]
    rows = [
        {"instruction": " ".join(chance.sample(words, 5)), "output": f"def f{n}(a):\n    return a + {n * 7}"}
        for n in range(150)
    ]
    (home.path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yield home
    home.kill_servers()
    shutil.rmtree(home.path)
    shutil.rmtree(place)


def finetune_tiny(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = (str(home.path / "d.jsonl"), "--base", str(home.path / "base"))
    return home.run("finetune", *place, *arguments, env={"OMP_NUM_THREADS": "1"})


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_one_command_trains_measures_and_puts_in_service(tiny_home: Home) -> None:
    checked = finetune_tiny(tiny_home, "--check")
    assert checked.returncode == 0, checked.stderr
    assert "150 read, 150 usable" in checked.stdout
    assert "training " in checked.stdout
    assert "[learnt]" in checked.stdout
    assert not list((tiny_home.path / "data" / "runs").iterdir())
    done = finetune_tiny(tiny_home, "--name", "good", *TRAINING, *GATE)
    result = json.loads(done.stdout)
    assert result["gate"]["gain"] > 0.2, result["gate"]["sentence"]
    again = tiny_home.run("finetune", "--resume", "--name", "good", *GATE, env={"OMP_NUM_THREADS": "1"})
    assert json.loads(again.stdout)["gate"] == result["gate"], again.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_suite_is_solved_before_and_after_and_stands_in_the_card(tiny_home: Home) -> None:
    suite = tiny_home.path / "suite.jsonl"
    rows = [{"task": f"Write f{n}.", "tests": [f"assert f{n}(1) == {n}"]} for n in range(3)]
    suite.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("--name", "suited", "--suite", str(suite), "--no-activate", "--set", "max_steps=1")
    done = finetune_tiny(tiny_home, *arguments, *TRAINING, *GATE)
    assert done.returncode in (0, NOT_BETTER), done.stderr
    result = json.loads(done.stdout)
    assert (result["gate"]["suite"]["problems"], result["gate"]["suite"]["lost"]) == (3, 0)
    assert "suite: 3 problems, judged in " in (Path(result["directory"]) / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_kill_at_any_moment_of_the_merge_leaves_nothing_half_published(tiny_home: Home) -> None:
    begun = finetune_tiny(tiny_home, "--name", "killed", *TRAINING, *GATE, "--no-activate")
    assert begun.returncode in (0, NOT_BETTER), begun.stderr
    store = tiny_home.path / "data" / "models"
    run = tiny_home.path / "data" / "runs" / "killed"
    chance = random.Random(7)
    command = ("finetune", "merge", "killed", "--base", str(tiny_home.path / "base"), "--name")
    for number in range(10):
        for stage in ("publish", "merge", "gate"):
            shutil.rmtree(run / stage, ignore_errors=True)
        process = tiny_home.start(
            *command, f"k{number}", env={"OMP_NUM_THREADS": "1"}, start_new_session=True
        )
        time.sleep(chance.uniform(0.5, 25))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        for name in (
            path.name for path in store.iterdir() if not path.name.startswith(".") and path.is_dir()
        ):
            verified = tiny_home.run("models", "verify", name)
            assert verified.returncode == 0, verified.stderr
    last = tiny_home.run(*command, "whole", env={"OMP_NUM_THREADS": "1"})
    assert last.returncode in (0, NOT_BETTER), last.stderr
    assert not [path for path in run.iterdir() if path.name.startswith((".new-", ".old-"))]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_training_gone_wrong_leaves_the_better_model_in_service(tiny_home: Home) -> None:
    finetune_tiny(tiny_home, "--name", "first", *TRAINING, *GATE)
    assert tiny_home.run("models", "use", "first").returncode == 0
    for name, changes in {"hot": ("--set", "lr=1.0"), "brief": ("--set", "max_steps=1")}.items():
        done = finetune_tiny(tiny_home, "--name", name, *TRAINING, *changes, *GATE)
        assert done.returncode != 0
        pointer = json.loads((tiny_home.path / "data" / "models" / "active.json").read_text())
        assert pointer["active"] == "first"
