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
from assistant.requests import FinishReason

END = 0
PROMPT = [ord(character) for character in "Task"]
BAD, GOOD = "x = 1\ny = = 2\nz = 3\n", "x = 1\ny = 2\nz = 3\n"


class Writer:
    """Writes the first of its texts that begins as the answer does, a letter a token; others are rivals."""

    vocab_size = 128
    quantization = "none"
    memory_bytes = token_bytes = 0
    keeps_prefixes = True
    is_invariant = False
    draw = staticmethod(draw_by_torch)

    def __init__(self, *texts: str) -> None:
        self.slots = 4
        self.texts = texts
        self.prompt = len(PROMPT)
        self.held: list[list[int]] = [[] for _ in range(self.slots)]
        self.widths: list[int] = []
        self.batches: list[int] = []
        self.gate: threading.Semaphore | None = None

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> torch.Tensor:
        return self._extend(slot, start, ids)[-1]

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        if self.gate is not None:
            assert self.gate.acquire(timeout=20)
        self.widths += [len(tokens) for tokens in ids]
        self.batches.append(len(slots))
        return torch.cat([self._extend(*each) for each in zip(slots, positions, ids, strict=True)])

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        self.held[target] = self.held[source][:tokens]

    def _extend(self, slot: int, position: int, tokens: Sequence[int]) -> torch.Tensor:
        assert len(self.held[slot]) >= position
        self.held[slot] = [*self.held[slot][:position], *tokens]
        ends = range(position + 1, position + len(tokens) + 1)
        return torch.stack([self._logits(self.held[slot][self.prompt : end]) for end in ends])

    def _logits(self, answer: Sequence[int]) -> torch.Tensor:
        written = "".join(map(chr, answer))
        logits = torch.full((self.vocab_size,), -20.0)
        logits[END] = -30.0
        known = [text for text in self.texts if text.startswith(written)]
        if not known:
            logits[ord("\n")] = 10.0
        for rank, text in enumerate(known):
            following = ord(text[len(written)]) if len(text) > len(written) else END
            logits[following] = max(float(logits[following]), 10.0 - rank)
        return logits


class Letters:
    """Every token is its character."""

    end_ids = frozenset({END})
    repetition_penalty = 1.0

    def __init__(self, prompt_format: str) -> None:
        self.prompt_format = prompt_format

    def open_stream(self) -> Any:
        return self

    def push(self, token: int) -> str:
        return chr(token)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BatchedModel]]:
    monkeypatch.setattr("assistant.engine.batch.release_memory", lambda: None)  # takes half a second
    models: list[BatchedModel] = []
    yield models
    for model in models:
        cast("Any", model)._network.gate = None
        model.close()


@pytest.fixture
def start(started: list[BatchedModel]) -> Any:
    def build(writer: Writer, prompt_format: str = "python-task") -> BatchedModel:
        placement = choose_placement(EngineSettings(device="cpu", prefill_chunk=4), usable_cores=2)
        text = cast("Any", Letters(prompt_format))
        model = BatchedModel(
            name="writer", network=writer, text=text, context_tokens=200, placement=placement
        )
        started.append(model)
        return model

    return build


def ask(
    model: BatchedModel, *, ids: Sequence[int] = PROMPT, guard: bool = True, **sampling: Any
) -> Collected:
    done = Collected(ids, syntax_guard=guard, **sampling)
    model.submit(done.job)
    return done.wait()


def counted(done: Collected) -> int:
    return sum(report.tokens for report in done.reports if isinstance(report, Piece))


def test_a_line_that_cannot_be_python_is_written_anew(start: Any) -> None:
    done = ask(start(Writer(BAD, GOOD)))
    assert done.text() == GOOD
    assert done.reasons() == {0: FinishReason.STOP}
    assert (done.end().taken_back, done.end().gave_up) == (1, 0)
    assert counted(done) == len(GOOD)


def test_without_the_guard_the_line_stands(start: Any) -> None:
    done = ask(start(Writer(BAD, GOOD)), guard=False)
    assert done.text() == BAD
    assert done.end().taken_back == 0


def test_an_answer_that_is_python_is_the_same_with_the_guard(start: Any) -> None:
    model = start(Writer(GOOD, BAD))
    assert ask(model).text() == ask(model, guard=False).text() == GOOD


def test_prose_is_shown_as_it_comes_and_never_taken_back(start: Any) -> None:
    prose = "Here you are: x = = 1\nThat = = all\n"
    done = ask(start(Writer(prose), "chat"))
    assert done.text() == prose
    assert len([report for report in done.reports if isinstance(report, Piece)]) > len(prose) // 2


def test_the_code_of_a_fence_is_written_anew(start: Any) -> None:
    done = ask(start(Writer(f"So:\n```python\n{BAD}```\n", f"So:\n```python\n{GOOD}```\n"), "chat"))
    assert done.text() == f"So:\n```python\n{GOOD}```\n"


def test_several_answers_in_one_batch_mend_their_own_lines(start: Any) -> None:
    writer = Writer(BAD, GOOD)
    writer.gate = threading.Semaphore(0)
    model = start(writer)
    jobs = [Collected(PROMPT, syntax_guard=guard, n=2) for guard in (True, False)]
    for collected in jobs:
        model.submit(collected.job)
    writer.gate.release(1000)
    texts = [[collected.wait().text(index) for index in range(2)] for collected in jobs]
    assert texts == [[GOOD, GOOD], [BAD, BAD]]
    assert max(writer.batches) > 1
    assert jobs[0].end().taken_back == 2


def test_a_guess_that_runs_into_a_fault_is_taken_back_with_it(start: Any) -> None:
    writer = Writer(BAD, GOOD)
    ids = [ord(character) for character in f"Change {BAD}to\n"]
    writer.prompt = len(ids)
    assert ask(start(writer), ids=ids).text() == GOOD
    assert max(writer.widths) > 1


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_writes_the_same_with_and_without_guesses(start: Any, seed: int) -> None:
    ids = [ord(character) for character in f"Change {BAD}to\n"]
    texts: set[str] = set()
    for prompt in (ids, [*ids[:-5], 1, 2, 3, 4, 5]):
        writer = Writer(BAD, GOOD, "x = 1\ny = 2\n", "x = 10\n", "x = (1)\n")
        writer.prompt = len(prompt)
        texts.add(ask(start(writer), ids=prompt, temperature=1.5, seed=seed).text())
    assert len(texts) == 1


def test_where_every_other_line_is_wrong_too_the_first_one_stands(start: Any) -> None:
    lines = ("y = = 2", "y = ) 2", "y := 2", "y ] 2")
    texts = [f"x = 1\n{line}\nz = = 3\n" for line in lines]
    done = ask(start(Writer(*texts)))
    assert done.text() == texts[0]
    assert done.end().gave_up == 1
    assert done.reasons() == {0: FinishReason.STOP}
    assert counted(done) == len(texts[0])


def test_where_the_guard_gives_up_a_sampled_answer_goes_on_as_without_it(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.engine.retrying.LINE_TRIES", 2)
    texts = [f"x = 1\ny {mark} 2\nz = {number}\n" for mark in ("= =", "]", "= )") for number in range(5)]
    model = start(Writer(*texts))
    for seed in range(5):
        guarded = ask(model, temperature=1.0, seed=seed)
        assert guarded.end().gave_up == 1
        assert guarded.text() == ask(model, guard=False, temperature=1.0, seed=seed).text()


def test_code_does_not_end_before_it_is_whole(start: Any) -> None:
    done = ask(start(Writer("def f():\n", "def f():\n    pass\n")))
    assert done.text() == "def f():\n    pass\n"
    assert done.reasons() == {0: FinishReason.STOP}


def test_a_fault_in_the_indentation_is_mended_at_the_end_of_the_line_before(start: Any) -> None:
    bad, good = "def f():\n    x = 1\n      y = 2\n", "def f():\n    x = 1\n    y = 2\n"
    assert ask(start(Writer(bad, good))).text() == good


def test_a_stop_string_in_a_line_that_is_held_back_ends_the_answer(start: Any) -> None:
    done = ask(start(Writer(BAD, GOOD)), stop=("= 2",))
    assert done.text() == "x = 1\ny = "
    assert done.reasons() == {0: FinishReason.STOP}
    assert done.end().taken_back == 0


def test_the_beginning_of_a_stop_string_is_forgotten_with_its_line(start: Any) -> None:
    done = ask(start(Writer("x = = 1#\n", "x = 1\n#!\n")), stop=("#\n!",))
    assert done.text() == "x = 1\n#!\n"


@pytest.mark.parametrize("max_tokens", [3, 6, 7, 9, 12, 14, 18])
def test_a_limit_never_leaves_half_a_line_that_is_no_python(start: Any, max_tokens: int) -> None:
    done = ask(start(Writer(GOOD)), max_tokens=max_tokens)
    cut = GOOD[:max_tokens]
    whole = cut[: cut.rfind("\n") + 1]
    assert done.text() in (cut, whole)
    if whole:
        compile(done.text(), "cut", "exec")
    assert counted(done) == max_tokens
    assert done.reasons() == {0: FinishReason.LENGTH}


def test_a_limit_counts_what_stands_and_not_what_was_taken_back(start: Any) -> None:
    done = ask(start(Writer(BAD, GOOD)), max_tokens=len(GOOD))
    assert done.text() == GOOD


def test_a_bracket_that_was_never_closed_is_closed_lines_before_that_shows(start: Any) -> None:
    bad, good = "x = max(1\n\n# so\ny = 2\n", "x = max(1)\n\n# so\ny = 2\n"
    assert ask(start(Writer(bad, good))).text() == good


def test_lines_within_brackets_come_when_they_are_closed_or_too_long(start: Any) -> None:
    text = "x = [\n1,\n]\ny = (\n" + "2,\n" * 40
    done = ask(start(Writer(text)))
    assert done.text() == text
    shown = [report.text for report in done.reports if isinstance(report, Piece)]
    assert not [piece for piece in shown if piece.endswith("1,\n")]
    assert max(map(len, shown)) < len(text) // 2


def test_a_cancelled_answer_shows_what_was_held_back(start: Any) -> None:
    writer = Writer(BAD, GOOD)
    writer.gate = threading.Semaphore(8)
    model = start(writer)
    done = Collected(PROMPT, syntax_guard=True)
    model.submit(done.job)
    while writer.gate.acquire(blocking=False):
        writer.gate.release()
        done.ended.wait(0.005)
    done.job.cancelled.set()
    writer.gate.release(1)
    assert done.wait().reasons() == {0: FinishReason.CANCELLED}
    assert done.text() in (BAD[:9], BAD[:10], BAD[:11])  # one of the steps may have taken a guess


def test_a_network_that_cannot_go_back_is_left_alone(start: Any) -> None:
    writer = Writer(BAD, GOOD)
    writer.keeps_prefixes = False
    assert ask(start(writer)).text() == BAD
