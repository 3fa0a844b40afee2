"""Who takes part: environments, model files, and the reasons of those that cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import generate
from bench.speed import engines, environments, files
from bench.speed.engines import Engine, Field, ModelPlace, find_engines
from bench.speed.environments import ensure_environment, find_reason
from bench.speed.files import ensure_gguf, ensure_onnx, find_model_cache, set_threads
from bench.speed.prompts import build_prompts
from bench.speed.rounds import Match, Prompt
from bench.speed.running import UnavailableError


@pytest.fixture
def model(tmp_path: Path) -> ModelPlace:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"weights")
    return ModelPlace(directory=directory, prompt_format="chat", served_as="")


def test_every_kind_has_ten_different_prompts() -> None:
    prompts = build_prompts()
    assert {kind: len(found) for kind, found in prompts.items()} == {"write": 10, "edit": 10, "chat": 10}
    assert all(len({json.dumps(turns) for turns in found}) == 10 for found in prompts.values())
    assert {len(turns) for turns in prompts["chat"]} == {5}
    assert all(turns[0]["input"] for turns in prompts["edit"])
    assert [len(found) for found in build_prompts(2).values()] == [2, 2, 2]


def test_all_code_that_is_edited_is_python() -> None:
    for turns in build_prompts()["edit"]:
        compile(turns[0]["input"], "an edit", "exec")


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason(
    model: ModelPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, name: str, *__: Any, **___: Any) -> Path:
        raise UnavailableError(f"no {name} for this machine")

    monkeypatch.setattr(engines, "ensure_environment", refuse)
    field = find_engines(model, tmp_path, (), lambda _: None)
    assert [one.name for one in field.engines] == [
        "ours",
        "HF bf16",
        "HF bf16 + lookup",
        "HF nf4",
        "HF nf4 + lookup",
    ]
    assert field.unavailable == {
        "llama.cpp": "no llama-cpp for this machine",
        "ort": "no onnxruntime-genai for this machine",
    }


def test_every_peer_takes_part_without_and_with_its_lookup(
    model: ModelPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ensure_environment", lambda *_, **__: tmp_path / "python")
    monkeypatch.setattr(engines, "ensure_gguf", lambda place, _, form, *__: place / form)
    monkeypatch.setattr(engines, "ensure_onnx", lambda place, *_: place / "onnx")
    field = find_engines(model, tmp_path, ("hf",), lambda _: None)
    assert [one.name for one in field.engines] == [
        "ours",
        *(f"llama.cpp {form}{more}" for form in ("Q4_0", "Q4_1", "Q8_0") for more in ("", " + lookup")),
        "ORT int4",
    ]
    assert field.unavailable == {"hf": "left out by --without"}


def test_what_has_no_prebuilt_package_is_built_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    built_with: list[str] = []

    def run(command: list[str], log: Path, variables: Any = None) -> None:
        commands.append(command)
        built_with.append((variables or {}).get("FLAGS", ""))
        Path(command[-1] if "venv" in command else log.parent).mkdir(parents=True, exist_ok=True)
        if "--only-binary" in command:
            raise UnavailableError("no wheel")

    monkeypatch.setattr(environments, "_run", run)
    first = ensure_environment(tmp_path, "peer", ("peer==1",), lambda _: None, build={"FLAGS": "-O3"})
    assert [command[-1] for command in commands[1:]] == ["peer==1", "peer==1"]
    assert built_with == ["", "", "-O3"]
    assert ensure_environment(tmp_path, "peer", ("peer==1",), lambda _: None) == first
    assert len(commands) == 3
    assert ensure_environment(tmp_path, "peer", ("peer==2",), lambda _: None) != first


def test_the_reason_is_the_last_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("building\nERROR: no compiler\n\nsome advice\n")
    assert find_reason(log) == "ERROR: no compiler"
    log.write_text("one\ntwo\n\n")
    assert find_reason(log) == "two"
    log.write_text("")
    assert find_reason(log) == "it said nothing"


def test_other_weights_have_files_of_their_own(model: ModelPlace, tmp_path: Path) -> None:
    first = find_model_cache(tmp_path / "cache", model.directory)
    assert find_model_cache(tmp_path / "cache", model.directory) == first
    (model.directory / "model.safetensors").write_bytes(b"others")
    assert find_model_cache(tmp_path / "cache", model.directory) != first


def test_a_file_that_was_not_finished_is_not_taken_for_one(
    model: ModelPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Peer:
        fails = True

        def call(self, _: str, *, source: str, target: str, **__: Any) -> None:
            Path(target).write_bytes(Path(source).read_bytes()[:3])
            if self.fails:
                raise UnavailableError("the disk is full")

        def end(self) -> None:
            pass

    monkeypatch.setattr(files, "_write_whole", lambda _, target: target.write_bytes(b"sixteen bits"))
    peer: Any = Peer()
    with pytest.raises(UnavailableError, match="disk"):
        ensure_gguf(tmp_path, model.directory, "Q4_0", lambda: peer, 1)
    Peer.fails = False
    assert ensure_gguf(tmp_path, model.directory, "Q4_0", lambda: peer, 1).read_bytes() == b"six"


def test_a_model_builder_that_fails_is_the_reason(model: ModelPlace, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'error: no onnx here' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(UnavailableError, match="its model builder failed: error: no onnx here"):
        ensure_onnx(tmp_path, model.directory, python, 2)


def test_the_threads_are_set_beside_what_the_builder_wrote() -> None:
    config = json.dumps({"model": {"decoder": {"session_options": {"log_id": "x"}}}, "search": {}})
    found = json.loads(set_threads(config, 2))
    assert found["model"]["decoder"]["session_options"] == {"log_id": "x", "intra_op_num_threads": 2}


def test_quick_means_less_of_everything_that_is_not_given(tmp_path: Path) -> None:
    place = ["--cache", str(tmp_path)]
    usual = generate.parse_arguments(place)
    assert (usual.rounds, usual.limit, usual.max_tokens, usual.without) == (5, 10, 128, [])
    quick = generate.parse_arguments(["--quick", "--rounds", "2", "--kinds", "edit", *place])
    assert (quick.rounds, quick.limit, quick.max_tokens, quick.kinds) == (2, 1, 32, ("edit",))
    assert quick.without == ["large"]


@pytest.mark.parametrize("arguments", [["--kinds", "poems"], ["--without", "nobody"], ["--rounds", "0"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generate.parse_arguments(arguments)
    assert arguments[1] in capsys.readouterr().err or arguments[0] == "--rounds"


class Scripted:
    """Stands for an engine's process: notes who was asked what."""

    asked: list[tuple[str, str]]

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self.ready_s = 1.0

    def load(self, **_: Any) -> dict[str, Any]:
        if self.name == "unloadable":
            raise UnavailableError("no such file")
        return {}

    def call(self, method: str, **arguments: Any) -> Any:
        if method == "encode":
            return [len(turn["text"]) for turn in arguments["turns"]]
        if method == "generate_together":
            return [self._time(arguments)] * len(arguments["prompts"])
        self.asked.append((self.name, str(arguments["ids"])))
        if self.name == "silent":
            raise UnavailableError("it cannot")
        return self._time(arguments)

    def end(self) -> None:
        pass

    def _time(self, arguments: dict[str, Any]) -> dict[str, Any]:
        tokens = arguments["max_tokens"] * arguments.get("n", 1)
        is_warm = arguments.get("earlier") is not None
        text = "x" if arguments.get("lookup_is_on", True) else self.name
        return {"tokens": tokens, "first_s": 0.1 if is_warm else 0.4, "decode_s": 1.0, "text": text}


@pytest.fixture
def match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Match:
    Scripted.asked = []
    monkeypatch.setattr(Engine, "start", lambda engine, _: Scripted(engine.process))
    names = ("ours", "unloadable", "silent", "peer")
    field = Field(
        engines=[
            Engine(name=name, family=name, process=name, module="", python=tmp_path, load={})
            for name in names
        ],
        unavailable={},
    )
    return Match(field, tmp_path, 10, lambda _: None)


PROMPTS = [
    Prompt(kind=kind, ids=[number], earlier=[0]) for number, kind in enumerate(("write", "edit", "chat"))
]


def test_all_that_can_answer_do_so_by_turns(match: Match) -> None:
    with match.started():
        match.warm_up(PROMPTS[0])
        Scripted.asked.clear()
        match.run_round(0, PROMPTS)
        match.run_round(1, PROMPTS)
    assert Scripted.asked[:4] == [("ours", "[0]"), ("peer", "[0]"), ("peer", "[1]"), ("ours", "[1]")]
    assert Scripted.asked[6:8] == [("peer", "[0]"), ("ours", "[0]")]
    assert {(one.engine, one.round) for one in match.samples} == {
        (name, number) for name in ("ours", "peer") for number in (0, 1)
    }


def test_who_cannot_load_or_answer_is_named(match: Match) -> None:
    with match.started():
        match.warm_up(PROMPTS[0])
    assert match._field.unavailable == {"unloadable": "no such file", "silent": "it cannot"}


def test_what_only_ours_is_asked_for_is_a_share_of_the_same_without(match: Match) -> None:
    with match.started():
        match.measure_own(0, PROMPTS, beside_another=False)
        match.compare_lookup(PROMPTS)
    own = match.own
    assert own.chat_warm == own.repeated == {0: 0.25}
    assert own.batch == {0: pytest.approx(72 / 9)}
    assert own.clients_all == {0: pytest.approx(4.0)}
    assert own.clients_first == {0: 1.0}
    assert own.loaded == {}
    assert (own.same, own.compared) == (0, 3)
