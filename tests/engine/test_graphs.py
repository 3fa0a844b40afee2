from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from assistant.engine.cache import SlotCache
from assistant.engine.graphs import CudaGraphs, GraphedDecode
from assistant.engine.linear import AnyLinear, PlainLinear, build_linear
from assistant.engine.llama import LlamaLayer, LlamaNetwork, LlamaShape, LlamaWeights
from assistant.engine.static_step import MOST_ROWS, plan_step, view_rows

SHAPE = LlamaShape(
    layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, intermediate=128, vocab_size=96, rms_eps=1e-5
)
SLOTS, TOKENS = 4, 600
CPU = torch.device("cpu")


class Recorder:
    """Captures nothing: a step is computed anew each time. Counts what it was asked for."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0

    def __call__(self, step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.captured += 1

        def replay() -> Tensor:
            self.replayed += 1
            return step()

        return replay


def build_network(device: torch.device = CPU, quantization: str = "none") -> LlamaNetwork:
    chance = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        scale = 0.2 if len(shape) > 1 else 1.0
        return (scale * torch.randn(shape, generator=chance)).to(device)

    def matrix(rows: int, columns: int) -> AnyLinear:
        return build_linear(draw(rows, columns), quantization, device)

    size, inner, outer = SHAPE.hidden, SHAPE.intermediate, SHAPE.heads * SHAPE.head_dim
    layers = tuple(
        LlamaLayer(
            attention_norm=draw(size),
            qkv=matrix(outer + 2 * SHAPE.kv_heads * SHAPE.head_dim, size),
            output=matrix(size, outer),
            mlp_norm=draw(size),
            gate_up=matrix(2 * inner, size),
            down=matrix(size, inner),
        )
        for _ in range(SHAPE.layers)
    )
    weights = LlamaWeights(
        embedding=draw(SHAPE.vocab_size, size),
        layers=layers,
        norm=draw(size),
        head=PlainLinear(draw(SHAPE.vocab_size, size)),
        rope_inverse_frequencies=1 / 10_000 ** (torch.arange(0, 16, 2, device=device) / 16),
        rope_scale=1.0,
    )
    cache = SlotCache(
        layers=SHAPE.layers, slots=SLOTS, heads=SHAPE.kv_heads, tokens=TOKENS, head_dim=SHAPE.head_dim,
        dtype=torch.float32, device=device,
    )  # fmt: skip
    for buffer in [*cache.keys, *cache.values]:
        buffer.fill_(torch.nan)  # fresh memory may hold anything
    return LlamaNetwork(SHAPE, weights, cache, quantization)


def some_ids(count: int, seed: int = 0) -> list[int]:
    return [(seed * 31 + number * 17) % SHAPE.vocab_size for number in range(count)]


PROMPTS = {0: some_ids(9), 1: some_ids(20, 1), 3: some_ids(254, 2)}
"""By slot; the last is about to cross from the first number of columns to the next."""


class Pair:
    """The same model twice: one decodes by captured steps, one as it always did."""

    def __init__(self, capture: Recorder) -> None:
        self.capture = capture
        self.static, self.eager = build_network(), build_network()
        self.static.decode_by_graphs(capture)
        for slot, ids in PROMPTS.items():
            self.static.prefill(slot, 0, ids)
            self.eager.prefill(slot, 0, ids)

    def assert_same_step(self, slots: list[int], positions: list[int], ids: list[list[int]]) -> None:
        replayed = self.capture.replayed
        got = self.static.decode_step(slots, positions, ids)
        torch.testing.assert_close(got, self.eager.decode_step(slots, positions, ids), rtol=1e-5, atol=1e-5)
        assert self.capture.replayed == replayed + 1


@pytest.fixture
def pair() -> Pair:
    return Pair(Recorder())


def test_one_sequence_decodes_as_without_graphs(pair: Pair) -> None:
    for step in range(3):
        pair.assert_same_step([1], [20 + step], [[7 + step]])
    assert pair.capture.captured == 1


def test_several_sequences_decode_as_without_graphs(pair: Pair) -> None:
    for step in range(2):
        pair.assert_same_step([1, 0], [20 + step, 9 + step], [[7 + step], [3]])
    assert pair.capture.captured == 1


def test_guessed_tokens_of_one_sequence_decode_as_without_graphs(pair: Pair) -> None:
    pair.assert_same_step([1], [20], [[7, 8, 9]])
    pair.assert_same_step([1], [21], [[50, 51]])  # the last two guesses were wrong


def test_guessed_tokens_of_several_sequences_decode_as_without_graphs(pair: Pair) -> None:
    pair.assert_same_step([0, 3, 1], [9, 254, 20], [[7, 8, 9], [4], [5, 6]])
    pair.assert_same_step([0, 1], [10, 22], [[1], [2, 3, 4, 5]])


def test_a_sequence_that_outgrows_its_columns_goes_on_in_more(pair: Pair) -> None:
    for step in range(4):
        pair.assert_same_step([3], [254 + step], [[step]])
    assert pair.capture.captured == 2


def test_the_cache_may_end_between_two_powers_of_two(pair: Pair) -> None:
    ids = some_ids(TOKENS - 258, 4)
    pair.static.prefill(3, 254, ids)
    pair.eager.prefill(3, 254, ids)
    pair.assert_same_step([3], [TOKENS - 4], [[1, 2, 3, 4]])


def test_padding_writes_nowhere_but_where_its_row_does(pair: Pair) -> None:
    pair.assert_same_step([1, 0], [20, 9], [[7, 8, 9], [4, 5]])  # 5 rows of 8, 6 cells of 8
    for slot, end in ((0, 11), (1, 23), (3, 254)):
        pair.assert_same_step([slot], [end], [[9]])


def test_what_an_answer_left_behind_is_not_seen_by_the_next(pair: Pair) -> None:
    pair.static.prefill(2, 0, [1, 2, 3])
    pair.static.decode_step([2], [3], [[4]])
    for buffers in (cache_of(pair.static).keys, cache_of(pair.static).values):
        for buffer in buffers:
            buffer[2, :, :4] = torch.nan
    for network in (pair.static, pair.eager):
        network.prefill(2, 0, [5])
    pair.assert_same_step([2], [1], [[6]])


def test_a_copied_beginning_decodes_as_without_graphs(pair: Pair) -> None:
    for network in (pair.static, pair.eager):
        network.copy_prefix(1, 2, 15)
        network.prefill(2, 15, [40, 41])
    pair.assert_same_step([1, 2], [20, 17], [[7], [8]])


def test_a_step_of_too_many_rows_is_computed_without_graphs(pair: Pair) -> None:
    ids = [some_ids(MOST_ROWS + 1)]
    got = pair.static.decode_step([1], [20], ids)
    torch.testing.assert_close(got, pair.eager.decode_step([1], [20], ids), rtol=1e-5, atol=1e-5)
    assert pair.capture.captured == 0


def test_logits_outlive_the_next_step(pair: Pair) -> None:
    held: list[Tensor] = []

    def capture_into_one_place(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        output = step()
        return lambda: output.copy_(step())

    pair.static.decode_by_graphs(capture_into_one_place)
    pair.static.prefill(1, 0, PROMPTS[1])
    for token in (7, 8):
        held.append(pair.static.decode_step([1], [20], [[token]]))
    expected = pair.eager.decode_step([1], [20], [[7]])
    torch.testing.assert_close(held[0], expected, rtol=1e-5, atol=1e-5)


def test_a_failed_capture_costs_speed_and_one_warning(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []

    def refuse(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        tries.append("tried")
        raise RuntimeError("operation not permitted when stream is capturing")

    pair.static.decode_by_graphs(refuse)
    with caplog.at_level(logging.WARNING):
        for slot in (0, 1):
            pair.static.prefill(slot, 0, PROMPTS[slot])
            batch: tuple[list[int], list[int], list[list[int]]] = ([slot], [len(PROMPTS[slot])], [[7, 8]])
            got = pair.static.decode_step(*batch)
            torch.testing.assert_close(got, pair.eager.decode_step(*batch), rtol=1e-5, atol=1e-5)
    assert tries == ["tried"]
    assert [record.message for record in caplog.records] == [
        "answers come slower: a decode step cannot be captured as a CUDA graph:"
        " operation not permitted when stream is capturing"
    ]


def test_graphs_unused_for_longest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.engine.graphs.MOST_GRAPHS", 2)
    capture = Recorder()
    decode = GraphedDecode(
        lambda rows: rows.ids[:, None].float(), capture, cache_slots=SLOTS, cache_tokens=TOKENS, device=CPU
    )
    captured: list[int] = []
    for slot in (0, 1, 0, 2, 0, 1):
        decode.compute([slot], [0], [[5]])
        captured.append(capture.captured)
    assert captured == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("slots", [[2], [2, 0]])
def test_a_step_depends_on_no_number_of_a_tensor(slots: Sequence[int]) -> None:
    computed: list[Tensor] = []

    def compute_without_numbers(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
        computed.append(step())  # on meta, .item() raises, and so do most tensors of another device
        return lambda: torch.zeros(computed[0].shape)

    network = build_network(torch.device("meta"))
    network.decode_by_graphs(compute_without_numbers)
    network.decode_step(slots, [7, 300][: len(slots)], [[1, 2, 3], [4]][: len(slots)])
    assert [logits.shape for logits in computed] == [(4, SHAPE.vocab_size)]


def test_each_row_of_a_plan_is_where_attention_picks_it() -> None:
    planned = plan_step([2, 0], [7, 590], [[11, 12, 13], [14]], cache_slots=3, cache_tokens=TOKENS)
    assert planned is not None
    shape, numbers = planned
    rows = view_rows(shape, torch.tensor(numbers))
    assert (shape.rows, shape.slots, shape.slot_rows, shape.columns) == (4, 3, 4, TOKENS)
    assert rows.ids.tolist() == [11, 12, 13, 14]
    assert rows.slots.tolist() == [2, 2, 2, 0]
    assert rows.positions.tolist() == [7, 8, 9, 590]
    assert rows.picked[rows.cells].tolist() == [0, 1, 2, 3]
    assert (rows.cells // shape.slot_rows).tolist() == rows.slots.tolist()


def cache_of(network: LlamaNetwork) -> SlotCache:
    return network._cache


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_replayed_graph_computes_what_its_step_does(
    quantization: str, caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda")
    graphed, plain = build_network(device, quantization), build_network(device, quantization)
    graphed.decode_by_graphs(CudaGraphs())
    plain.decode_by_graphs(Recorder())
    for slot, ids in PROMPTS.items():
        graphed.prefill(slot, 0, ids)
        plain.prefill(slot, 0, ids)
    steps: list[tuple[list[int], list[int], list[list[int]]]] = [
        ([1], [20], [[7]]),
        ([1], [21], [[8]]),
        ([1, 0], [22, 9], [[7, 8, 9], [4, 5]]),
        ([3], [254], [[1, 2, 3]]),
        ([3, 0, 1], [257, 11, 25], [[1], [2], [3]]),
        ([1], [26], [[9]]),
    ]
    for step in steps:
        torch.testing.assert_close(graphed.decode_step(*step), plain.decode_step(*step), rtol=1e-4, atol=1e-4)
    assert not caplog.records  # nothing fell back
