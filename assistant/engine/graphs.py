# pyright: basic
"""Decode steps as CUDA graphs: the processor launches a whole step at once, not some hundred kernels.

A shape's graph is captured when the shape first comes, and replayed with other numbers from then on. Where
capturing fails, nothing is lost but speed. Knows no model: what a step computes is handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from assistant.engine.static_step import StaticRows, StepShape, plan_step, view_rows

MOST_GRAPHS = 64
"""Kept at once; the one whose last use is longest ago goes first. Each takes a few MB of the device."""

log = logging.getLogger(__name__)

Replay = Callable[[], Tensor]
"""Computes a step again from what its input tensors hold by now -> its output, always the same tensor."""
Capture = Callable[[Callable[[], Tensor]], Replay]
"""Makes a step repeatable. RuntimeError where that cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    numbers: Tensor
    replay: Replay


class GraphedDecode:
    """The decode steps of one model, by shape.

    Args:
        step: Computes logits (N, vocab) from rows, and decides nothing by a tensor's numbers.
        capture: Makes it repeatable.
        cache_slots: The cache's.
        cache_tokens: Positions in each.
        device: Where the numbers have to be.
    """

    def __init__(
        self, step: Callable[[StaticRows], Tensor], capture: Capture, *, cache_slots: int, cache_tokens: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self._step, self._capture, self._device = step, capture, device
        self._cache_slots, self._cache_tokens = cache_slots, cache_tokens
        self._graphs: dict[StepShape, _Graph] = {}
        self._failed = False

    @torch.inference_mode()
    def compute(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Tensor | None:
        """Compute a step's logits.

        Args:
            slots: See `Network.decode_step`, as for the others.
            positions: Where each begins.
            ids: The tokens of each.

        Returns:
            (total number of ids, vocab), float32, on the CPU, where tokens are chosen: the step's only wait
            for the device. None for what has to be computed another way.
        """
        if self._failed:
            return None
        planned = plan_step(
            slots, positions, ids, cache_slots=self._cache_slots, cache_tokens=self._cache_tokens
        )
        if planned is None:
            return None
        shape, numbers = planned
        graph = self._graphs.pop(shape, None) or self._capture_step(shape, numbers)
        if graph is None:
            return None
        self._graphs[shape] = graph  # now the last
        if len(self._graphs) > MOST_GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        graph.numbers.copy_(torch.tensor(numbers))
        # The next replay, of any shape, overwrites what this one returns: it is copied.
        return graph.replay()[: sum(map(len, ids))].to("cpu", torch.float32, copy=True)

    def _capture_step(self, shape: StepShape, numbers: Sequence[int]) -> _Graph | None:
        held = torch.tensor(numbers, device=self._device)
        rows = view_rows(shape, held)
        try:
            return _Graph(numbers=held, replay=self._capture(lambda: self._step(rows)))
        except RuntimeError as error:
            log.warning("answers come slower: a decode step cannot be captured as a CUDA graph: %s", error)
            self._failed = True
            self._graphs.clear()
            return None


class CudaGraphs:
    """Captures on the current CUDA device. All that one of these captures shares its memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # one for all: libraries keep a workspace for each

    def __call__(self, step: Callable[[], Tensor]) -> Replay:
        """Capture; see `Capture`."""
        current = torch.cuda.current_stream()
        with torch.cuda.stream(current):  # a capture that fails leaves its own stream behind as the current
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                step()  # libraries set themselves up in their first call, which cannot be captured
            current.wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the device meanwhile: a model may be loading.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                output = step()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay
