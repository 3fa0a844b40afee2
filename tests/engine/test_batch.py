from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import torch
from jobs import Collected

from assistant.config import EngineSettings
from assistant.engine.batch import BatchedModel
from assistant.engine.device import choose_placement
from assistant.engine.interface import Piece
from assistant.engine.sampling import draw_by_torch
from assistant.errors import GeneratorError, OutOfMemoryError
from assistant.requests import FinishReason

END = 0
VOCAB = 64


class CountingNetwork:
    """Its next token is one more than the last, and END after 9: every sequence ends by itself."""

    vocab_size = VOCAB
    quantization = "none"
    memory_bytes = token_bytes = 0
    keeps_prefixes = True
    is_invariant = False
    draw = staticmethod(draw_by_torch)

    def __init__(self, slots: int = 4) -> None:
        self.slots = slots
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self.prefills: list[tuple[int, int, int]] = []
        self.batches: list[int] = []
        self.widths: list[int] = []
        self.gate: threading.Semaphore | None = None
        self.error: Exception | None = None
        self.poison = -1
        self.failing_prefill = -1

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> torch.Tensor:
        self._enter()
        assert len(self.held[slot]) >= start
        if ids[-1] == self.failing_prefill:
            raise IndexError("a bug in one prompt")
        self.held[slot] = self.held[slot][:start] + list(ids)
        self.prefills.append((slot, start, len(ids)))
        return self._logits(ids[-1])

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        self._enter()
        assert len(set(slots)) == len(slots)
        for slot, position, tokens in zip(slots, positions, ids, strict=True):
            assert len(self.held[slot]) >= position
            self.held[slot] = [*self.held[slot][:position], *tokens]
        self.batches.append(len(slots))
        self.widths.append(max(len(tokens) for tokens in ids))
        return torch.stack([self._logits(token) for tokens in ids for token in tokens])

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        self.held[target] = self.held[source][:tokens]

    def _enter(self) -> None:
        if self.gate is not None:
            assert self.gate.acquire(timeout=20)
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _logits(self, last: int) -> torch.Tensor:
        logits = torch.zeros(VOCAB)
        logits[END if last >= 9 else last + 1] = 5.0
        if last == self.poison:
            logits[3] = float("nan")
        return logits


class Digits:
    """Every token is its number and a space."""

    prompt_format = "chat"
    end_ids = frozenset({END})
    repetition_penalty = 1.0

    def open_stream(self) -> Any:
        return self

    def push(self, token: int) -> str:
        return f"{token} "


@pytest.fixture
def network() -> CountingNetwork:
    return CountingNetwork()


@pytest.fixture
def model(network: CountingNetwork) -> Iterator[BatchedModel]:
    placement = choose_placement(EngineSettings(device="cpu", prefill_chunk=4), usable_cores=2)
    model = BatchedModel(
        name="counting", network=network, text=cast("Any", Digits()), context_tokens=40, placement=placement
    )
    yield model
    if network.gate is not None:
        network.gate.release(1000)
    model.close()


def test_an_answer_ends_where_the_model_ends_it(model: BatchedModel) -> None:
    done = Collected([4, 5])
    model.submit(done.job)
    assert done.wait().text() == "6 7 8 9 "
    assert done.reasons() == {0: FinishReason.STOP}
    assert sum(r.tokens for r in done.reports if isinstance(r, Piece)) == 4
    assert model.active_sequences() == 0


def test_another_network_takes_over_once_nothing_runs(model: BatchedModel, network: CountingNetwork) -> None:
    network.gate = threading.Semaphore(0)
    running = Collected([4])
    model.submit(running.job)
    other, loaded = CountingNetwork(), threading.Event()

    def load() -> CountingNetwork:
        loaded.set()
        return other

    model.renew_when_idle(load)
    network.gate.release(1000)
    assert running.wait().text() == "5 6 7 8 9 "
    assert loaded.wait(20)
    done = Collected([4])
    model.submit(done.job)
    assert done.wait().text() == "5 6 7 8 9 "
    assert other.batches


def test_a_network_that_cannot_be_loaded_again_ends_requests_with_an_error(model: BatchedModel) -> None:
    tried = threading.Event()

    def load() -> CountingNetwork:
        tried.set()
        raise OSError("gone")

    model.renew_when_idle(load)
    assert tried.wait(20)
    done = Collected([4])
    model.submit(done.job)
    assert "could not be loaded again" in str(done.wait().end().error)


def test_prompts_that_come_together_share_their_beginning(
    model: BatchedModel, network: CountingNetwork
) -> None:
    network.gate = threading.Semaphore(0)
    done = [Collected([1, 2, 3, 4, last]) for last in (5, 6)]
    for one in done:
        model.submit(one.job)
    network.gate.release(1000)
    assert [one.wait().text() for one in done] == ["6 7 8 9 ", "7 8 9 "]
    assert [one.end().cached_tokens for one in done] == [0, 4]
    assert network.held[1][:4] == [1, 2, 3, 4]


def test_max_tokens_cuts_an_answer_off(model: BatchedModel) -> None:
    done = Collected([1], max_tokens=3)
    model.submit(done.job)
    assert done.wait().text() == "2 3 4 "
    assert done.reasons() == {0: FinishReason.LENGTH}


def test_the_context_cuts_an_answer_off(model: BatchedModel) -> None:
    done = Collected([5] * 38)
    model.submit(done.job)
    assert done.wait().text() == "6 7 "
    assert done.reasons() == {0: FinishReason.LENGTH}


def test_a_stop_string_ends_an_answer_and_is_not_in_it(model: BatchedModel) -> None:
    done = Collected([1], stop=("4 5",))
    model.submit(done.job)
    assert done.wait().text() == "2 3 "
    assert done.reasons() == {0: FinishReason.STOP}


def test_jobs_decode_in_one_batch(model: BatchedModel, network: CountingNetwork) -> None:
    network.gate = threading.Semaphore(0)
    jobs = [Collected([start]) for start in (1, 2, 3)]
    for collected in jobs:
        model.submit(collected.job)
    network.gate.release(1000)
    texts = [collected.wait().text() for collected in jobs]
    assert texts == ["2 3 4 5 6 7 8 9 ", "3 4 5 6 7 8 9 ", "4 5 6 7 8 9 "]
    assert max(network.batches) == 3


def test_several_answers_compute_their_prompt_once(model: BatchedModel, network: CountingNetwork) -> None:
    done = Collected([7, 7, 7, 7, 7, 7, 7, 7, 7, 5], n=3)
    model.submit(done.job)
    done.wait()
    assert [done.text(index) for index in range(3)] == ["6 7 8 9 "] * 3
    assert set(done.reasons()) == {0, 1, 2}
    assert done.end().cached_tokens == 16
    assert sum(length for _, _, length in network.prefills) == 10 + 2 + 2


def test_more_answers_than_slots_wait_their_turn(model: BatchedModel) -> None:
    done = Collected([1, 2], n=9)
    model.submit(done.job)
    done.wait()
    assert len(done.reasons()) == 9
    assert {done.text(index) for index in range(9)} == {"3 4 5 6 7 8 9 "}


def test_a_conversation_reuses_its_beginning(model: BatchedModel, network: CountingNetwork) -> None:
    first, second = Collected([7] * 9), Collected([7] * 9 + [1, 2])
    model.submit(first.job)
    first.wait()
    model.submit(second.job)
    second.wait()
    assert second.end().cached_tokens == 8
    assert second.text() == "3 4 5 6 7 8 9 "


def test_a_short_prompt_overtakes_a_long_one(model: BatchedModel, network: CountingNetwork) -> None:
    network.gate = threading.Semaphore(0)
    long, short = Collected([1] * 36), Collected([8])
    model.submit(long.job)
    network.gate.release(2)
    model.submit(short.job)
    network.gate.release(1000)
    short.wait()
    long.wait()
    lengths = [length for _, _, length in network.prefills]
    assert 1 in lengths[:4]


@pytest.mark.parametrize("steps", [0, 1, 4, 9, 12])
def test_a_cancelled_job_ends_within_one_step(
    steps: int, model: BatchedModel, network: CountingNetwork
) -> None:
    network.gate = threading.Semaphore(0)
    done = Collected([1] * 30)  # 8 prefill chunks
    model.submit(done.job)
    if steps:
        network.gate.release(steps)
    done.job.cancelled.set()
    network.gate.release(1)
    assert done.wait().reasons() == {0: FinishReason.CANCELLED}
    assert len(network.prefills) + len(network.batches) <= steps + 1
    assert model.active_sequences() == 0


def test_a_job_cancelled_while_waiting_never_runs(model: BatchedModel, network: CountingNetwork) -> None:
    network.gate = threading.Semaphore(0)
    running = [Collected([1]) for _ in range(4)]
    waiting = Collected([2])
    for collected in [*running, waiting]:
        model.submit(collected.job)
    waiting.job.cancelled.set()
    network.gate.release(1000)
    waiting.wait()
    for collected in running:
        collected.wait()
    assert waiting.text() == ""
    assert len(network.prefills) == 4


def test_running_out_of_memory_ends_the_job_and_not_the_engine(
    model: BatchedModel, network: CountingNetwork
) -> None:
    network.error = torch.OutOfMemoryError("CUDA out of memory")
    failed, after = Collected([1, 2]), Collected([4, 5])
    model.submit(failed.job)
    failed.wait()
    model.submit(after.job)
    assert isinstance(failed.end().error, OutOfMemoryError)
    assert after.wait().text() == "6 7 8 9 "
    assert after.end().error is None


def test_a_bug_in_a_step_is_logged_and_ends_the_job_alone(
    model: BatchedModel, network: CountingNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    network.error = IndexError("a bug")
    failed, after = Collected([1, 2]), Collected([4, 5])
    model.submit(failed.job)
    failed.wait()
    model.submit(after.job)
    assert isinstance(failed.end().error, GeneratorError)
    assert "IndexError" in caplog.text
    assert after.wait().text() == "6 7 8 9 "


def test_numbers_that_are_not_finite_end_one_answer(model: BatchedModel, network: CountingNetwork) -> None:
    network.poison = 7
    failed, fine = Collected([5, 6]), Collected([8])
    model.submit(failed.job)
    model.submit(fine.job)
    assert "not finite" in str(failed.wait().end().error)
    assert failed.text() == "7 "
    assert fine.wait().text() == "9 "


def test_a_repetition_of_the_prompt_takes_fewer_steps(model: BatchedModel, network: CountingNetwork) -> None:
    done = Collected([1, 2, 3, 4, 5, 6, 7, 8, 50, 1])
    model.submit(done.job)
    assert done.wait().text() == "2 3 4 5 6 7 8 9 "
    assert max(network.widths) > 1
    assert len(network.batches) < 8


def test_a_wrong_guess_changes_nothing(model: BatchedModel, network: CountingNetwork) -> None:
    done = Collected([1, 2, 3, 4, 30, 31, 32, 33, 1])
    model.submit(done.job)
    assert done.wait().text() == "2 3 4 5 6 7 8 9 "
    assert max(network.widths) > 1


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 4, 5])
def test_guesses_never_go_past_max_tokens(
    max_tokens: int, model: BatchedModel, network: CountingNetwork
) -> None:
    done = Collected([1, 2, 3, 4, 5, 6, 7, 8, 50, 1], max_tokens=max_tokens)
    model.submit(done.job)
    assert done.wait().text() == "".join(f"{token} " for token in range(2, 2 + max_tokens))


def test_guesses_never_go_past_the_context(model: BatchedModel, network: CountingNetwork) -> None:
    done = Collected([*[60] * 27, 1, 2, 3, 4, 5, 6, 7, 8, 50, 1])  # 37 of 40
    model.submit(done.job)
    assert done.wait().text() == "2 3 4 "
    assert max(len(held) for held in network.held) <= 40


def test_a_failure_of_one_prompt_leaves_another_answer_alone(
    model: BatchedModel, network: CountingNetwork
) -> None:
    network.gate = threading.Semaphore(2)  # the prompt and a first step
    fine = Collected([1])
    model.submit(fine.job)
    assert fine.first.wait(20)
    failed = Collected([2, 3])
    network.failing_prefill = 3
    model.submit(failed.job)
    network.gate.release(1000)
    assert isinstance(failed.wait().end().error, GeneratorError)
    assert fine.wait().text() == "2 3 4 5 6 7 8 9 "
    assert fine.end().error is None


def test_closing_ends_everything(network: CountingNetwork) -> None:
    placement = choose_placement(EngineSettings(device="cpu", prefill_chunk=4), usable_cores=2)
    model = BatchedModel(
        name="counting", network=network, text=cast("Any", Digits()), context_tokens=40, placement=placement
    )
    network.gate = threading.Semaphore(3)
    jobs = [Collected([1] * 20) for _ in range(6)]
    for collected in jobs:
        model.submit(collected.job)
    closer = threading.Thread(target=model.close)
    closer.start()
    network.gate.release(1000)
    closer.join(20)
    assert not closer.is_alive()
    for collected in jobs:
        collected.wait()
