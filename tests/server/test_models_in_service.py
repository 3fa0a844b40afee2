from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import httpx2
import pytest

from assistant.engine.interface import Ended, Job
from assistant.engine.scripted import ScriptedModel
from assistant.errors import ModelError, OutOfMemoryError
from assistant.server import loads, pages
from tests.server.harness import Live, wait_until


def say_name(name: str) -> ScriptedModel:
    return ScriptedModel(name, [name])


def say_name_slowly(name: str) -> ScriptedModel:
    return ScriptedModel(name, [name] * 1000, step_s=0.005)


def fail_to_load(broken: str, error: Exception) -> Callable[[str], ScriptedModel]:
    def build(name: str) -> ScriptedModel:
        if name == broken:
            raise error
        return say_name(name)

    return build


def activate(live: Live, name: str) -> None:
    live.catalog.add(name)
    live.catalog.use(name)


def test_request_while_the_model_loads_is_told_how_far_it_is(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.gate = threading.Event()
    live.start(is_ready=False)
    wait_until(lambda: live.health().get("fraction") == 0.25)
    response = live.chat()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "model_loading")
    assert (error["stage"], error["fraction"]) == ("reading weights", 0.25)
    assert response.headers["retry-after"] == "1"


def test_health_while_loading_is_a_503_and_afterwards_a_200(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.gate = threading.Event()
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "loading")
    assert live.call("GET", "/health").status_code == 503
    live.loads.gate.set()
    wait_until(lambda: live.health()["status"] == "ready")
    assert live.call("GET", "/health").status_code == 200


def test_store_without_an_active_model_says_how_to_get_one(make_live: Callable[..., Live]) -> None:
    live = make_live().start(active=None, is_ready=False)
    response = live.chat()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "no_model")
    assert "assistant models pull" in error["hint"]
    wait_until(lambda: live.health()["status"] == "failed")
    assert live.health()["code"] == "no_model"


def test_model_that_appears_in_an_empty_store_is_served(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start(active=None, is_ready=False)
    activate(live, "first")
    wait_until(lambda: live.health()["status"] == "ready")
    assert live.answer() == "first"


def test_model_that_cannot_be_loaded_is_a_failure_with_its_reason(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("old", ModelError("its weights are torn", hint="pull it again"))
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "failed")
    assert live.health()["message"] == "its weights are torn"
    response = live.chat()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "model_failed")
    assert (error["message"], error["hint"]) == ("its weights are torn", "pull it again")
    assert "retry-after" not in response.headers


def test_bug_in_the_loader_is_a_failure_too(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("old", ZeroDivisionError("secret"))
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "failed")
    assert live.health()["message"] == "model old cannot be loaded: ZeroDivisionError"


def test_no_room_for_the_model_names_what_to_lower(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("old", OutOfMemoryError("no room for old"))
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "failed")
    response = live.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "out_of_memory")
    assert "engine.slots" in response.json()["error"]["hint"]


def test_failed_load_is_tried_again_later(
    make_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loads, "RETRY_AFTER_S", 0.0)
    live = make_live()
    live.loads.build = fail_to_load("old", ModelError("not yet"))
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "failed")
    live.loads.build = say_name
    assert live.chat().json()["error"]["code"] == "model_loading"
    wait_until(lambda: live.health()["status"] == "ready")


def test_model_that_makes_no_token_is_not_served(make_live: Callable[..., Live]) -> None:
    class MuteModel(ScriptedModel):
        def submit(self, job: Job) -> None:
            job.sink(Ended(error=ModelError("only NaN comes out")))

    live = make_live()
    live.loads.build = MuteModel
    live.start(is_ready=False)
    wait_until(lambda: live.health()["status"] == "failed")
    assert live.health()["message"] == "only NaN comes out"
    assert live.loads.last.closed


def test_answer_that_runs_during_a_swap_ends_on_its_model_and_the_next_is_from_the_new(
    make_live: Callable[..., Live],
) -> None:
    live = make_live()
    live.loads.build = say_name_slowly
    live.start()
    old = live.loads.last
    with live.open_stream(max_tokens=100) as stream:
        assert stream.next_text() == "old"
        activate(live, "new")
        wait_until(lambda: live.status()["model"] == "new")
        assert live.answer(max_tokens=1) == "new"
        assert not old.closed
        texts = [event["choices"][0]["delta"].get("content") for event in stream if event != "[DONE]"]
    assert texts == ["old"] * 99 + [None]
    wait_until(lambda: old.closed, "the replaced model is closed")


def test_old_model_answers_while_the_new_one_loads(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start()
    live.loads.gate = threading.Event()
    activate(live, "new")
    assert live.answer() == "old"
    live.loads.gate.set()
    wait_until(lambda: live.answer() == "new")
    assert live.loads.models[0].closed


def test_new_model_that_cannot_be_loaded_leaves_the_old_in_service(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("broken", ModelError("its weights are torn"))
    live.start()
    activate(live, "broken")
    wait_until(lambda: live.status()["swap_error"])
    assert live.status()["swap_error"] == "its weights are torn"
    assert live.answer() == "old"
    assert live.health()["status"] == "ready"


def test_going_back_clears_the_failed_swap(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("broken", ModelError("its weights are torn"))
    live.start()
    activate(live, "broken")
    wait_until(lambda: live.status()["swap_error"])
    activate(live, "old")
    wait_until(lambda: not live.status()["swap_error"])
    assert live.answer() == "old"


def test_damaged_pointer_leaves_the_old_in_service(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start()
    (live.catalog.root / "active.json").write_text("{")
    wait_until(lambda: live.status()["swap_error"])
    assert live.answer() == "old"


def test_model_made_anew_under_its_name_is_loaded_again(make_live: Callable[..., Live]) -> None:
    live = make_live().start()
    (live.catalog.root / "old").rename(live.catalog.root / ".replaced")
    live.catalog.add("old")
    wait_until(lambda: len(live.loads.models) == 2)
    wait_until(lambda: live.loads.models[0].closed)


def test_two_models_that_do_not_fit_together_are_swapped_one_after_the_other(
    make_live: Callable[..., Live],
) -> None:
    live = make_live()

    def build(name: str) -> ScriptedModel:
        if any(not model.closed for model in live.loads.models):
            raise OutOfMemoryError("no room beside the old one")
        return say_name_slowly(name)

    live.loads.build = build
    live.start()
    with live.open_stream(max_tokens=50) as stream:
        stream.next_text()
        activate(live, "new")
        wait_until(lambda: live.status()["swap_error"])
        assert live.status()["model"] == "old"
        assert len(list(stream)) == 51
    wait_until(lambda: live.status()["model"] == "new" and live.health()["status"] == "ready")
    assert live.status()["swap_error"] == ""


def test_new_model_that_does_not_even_fit_alone_brings_the_old_one_back(
    make_live: Callable[..., Live],
) -> None:
    live = make_live()
    live.loads.build = fail_to_load("huge", OutOfMemoryError("no room for huge"))
    live.start()
    activate(live, "huge")
    wait_until(lambda: len(live.loads.models) == 2)
    wait_until(lambda: live.health()["status"] == "ready")
    assert live.answer() == "old"
    assert live.status()["swap_error"] == "no room for huge"


def load_guest(live: Live, name: str) -> None:
    live.catalog.add(name)
    assert live.chat(model=name).json()["error"]["code"] == "model_loading"
    wait_until(lambda: live.chat(model=name).status_code == 200)


def test_request_that_names_another_model_gets_it_beside_the_active_one(
    make_live: Callable[..., Live],
) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start()
    load_guest(live, "guest")
    assert live.answer(model="guest") == "guest"
    assert [live.answer(model=name) for name in ("", "default", "old")] == ["old"] * 3
    assert live.status()["model"] == "old"


def test_only_one_guest_stays(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start()
    load_guest(live, "one")
    load_guest(live, "two")
    assert [model.name for model in live.loads.models if not model.closed] == ["old", "two"]


def test_guest_that_becomes_active_is_not_loaded_again(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = say_name
    live.start()
    load_guest(live, "guest")
    live.catalog.use("guest")
    wait_until(lambda: live.answer() == "guest")
    assert len(live.loads.models) == 2
    wait_until(lambda: live.loads.models[0].closed)


def test_unknown_model_is_a_404_with_the_nearest_names(live: Live) -> None:
    live.catalog.add("llama-code")
    response = live.chat(model="lama-code")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert error["nearest"] == ["llama-code"]
    assert "lama-code" not in error["message"]


@pytest.mark.parametrize("name", ["../old", "/etc", "old/../old", ".", "active.json", "a\\b", "OLD"])
def test_name_that_is_a_path_is_no_model(live: Live, name: str) -> None:
    assert live.chat(model=name).status_code == 404


def test_guest_that_cannot_be_loaded_does_not_touch_the_active_one(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = fail_to_load("guest", ModelError("its weights are torn"))
    live.start()
    live.catalog.add("guest")
    live.chat(model="guest")
    wait_until(lambda: live.chat(model="guest").json()["error"]["code"] == "model_failed")
    assert live.answer() == "old"
    assert live.status()["swap_error"] == ""


def test_idle_model_gives_its_memory_back_and_the_next_request_loads_it(
    make_live: Callable[..., Live],
) -> None:
    live = make_live(idle_unload_s=0.2).start()
    wait_until(lambda: live.loads.last.closed)
    response = live.call("GET", "/health")
    assert (response.status_code, response.json()["status"]) == (200, "unloaded")
    assert live.chat().json()["error"]["code"] == "model_loading"
    wait_until(lambda: live.chat().status_code == 200)


def test_answer_that_runs_is_no_idleness(make_live: Callable[..., Live]) -> None:
    live = make_live(idle_unload_s=0.5, idle_exit_s=0.5)
    live.loads.build = lambda name: ScriptedModel(name, ["x"] * 120, step_s=0.01)
    live.start()
    assert live.answer() == "x" * 120


def test_new_active_model_is_not_loaded_while_nobody_asks(make_live: Callable[..., Live]) -> None:
    live = make_live(idle_unload_s=0.2)
    live.loads.build = say_name
    live.start()
    wait_until(lambda: live.health()["status"] == "unloaded")
    activate(live, "new")
    wait_until(lambda: live.status()["model"] == "new")
    assert live.health()["status"] == "unloaded"
    wait_until(lambda: live.chat().status_code == 200)
    assert [model.name for model in live.loads.models] == ["old", "new"]


def test_what_serves_survives_an_idle_time_when_its_successor_is_broken(
    make_live: Callable[..., Live],
) -> None:
    live = make_live(idle_unload_s=0.3)
    live.loads.build = fail_to_load("broken", ModelError("its weights are torn"))
    live.start()
    activate(live, "broken")
    wait_until(lambda: live.status()["swap_error"])
    wait_until(lambda: live.health()["status"] == "unloaded")
    wait_until(lambda: live.chat().status_code == 200)
    assert live.loads.last.name == "old"
    assert live.status()["swap_error"] == "its weights are torn"


def test_idle_server_ends(make_live: Callable[..., Live]) -> None:
    live = make_live(idle_exit_s=0.3).start()
    live.wait_ended()
    assert live.loads.last.closed


def test_health_checks_do_not_keep_an_idle_server_alive(make_live: Callable[..., Live]) -> None:
    live = make_live(idle_exit_s=0.3).start()
    deadline = time.monotonic() + 20
    with live.client() as client, contextlib.suppress(httpx2.TransportError):
        while time.monotonic() < deadline:
            client.get("/health")
    assert time.monotonic() < deadline
    live.wait_ended()


def test_engine_that_does_not_go_on_is_stuck(
    make_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    class HangingModel(ScriptedModel):
        hang = threading.Event()

        def _step(self, sequence: object) -> bool:
            if len(sequence.job.ids) > 100:  # type: ignore[attr-defined]
                self.hang.wait(20)
            return super()._step(sequence)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "STUCK_AFTER_S", 0.3)
    monkeypatch.setattr(pages, "STEP_ALLOWANCE_S", 0.0)
    live = make_live()
    live.loads.build = HangingModel
    live.start()
    waiting = threading.Thread(target=lambda: live.chat("x" * 101))
    waiting.start()
    wait_until(lambda: live.health()["status"] == "stuck")
    assert live.call("GET", "/health").status_code == 503
    HangingModel.hang.set()
    waiting.join()
    assert live.health()["status"] == "ready"


def test_idle_engine_is_not_stuck(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.loads.last, "last_beat", lambda: 0.0)
    assert live.health()["status"] == "ready"
