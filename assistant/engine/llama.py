# pyright: basic
"""The Llama architecture, written for inference: one forward pass for prefill and decode alike.

Tokens of several sequences are laid end to end in one batch, so that every matrix is read once; each
attends to its own slot of the cache. What happens between the matrices is in `blocks`. Knows nothing of
text, sampling or requests.

Letters: N tokens in the batch, D hidden, H query heads, K key/value heads, E head size, I intermediate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.blocks import Attention, Blocks, Segment
from assistant.engine.cache import SlotCache
from assistant.engine.graphs import Capture, CudaGraphs, GraphedDecode
from assistant.engine.kernels.ops import Kernels
from assistant.engine.kernels.step import KernelStep
from assistant.engine.linear import AnyLinear, PackedLinear
from assistant.engine.sampling import draw_by_kernels, draw_by_torch
from assistant.engine.static_step import StaticRows


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape:
    """The numbers of a config.json that the forward pass needs."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab_size: int
    rms_eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaLayer:
    """One block's weights."""

    attention_norm: Tensor
    qkv: AnyLinear
    """(H E + 2 K E, D): queries, keys and values in one matrix."""
    output: AnyLinear
    mlp_norm: Tensor
    gate_up: AnyLinear
    """(2 I, D): gate and up in one matrix."""
    down: AnyLinear


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaWeights:
    """All weights, on the device."""

    embedding: Tensor
    """(vocab, D)."""
    layers: tuple[LlamaLayer, ...]
    norm: Tensor
    head: AnyLinear
    rope_inverse_frequencies: Tensor
    """(E / 2,), float32."""
    rope_scale: float
    """Multiplies cosine and sine: 1 but for YaRN."""


class LlamaNetwork:
    """A Llama with its cache."""

    keeps_prefixes = True

    def __init__(
        self, shape: LlamaShape, weights: LlamaWeights, cache: SlotCache, quantization: str,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        self.vocab_size = shape.vocab_size
        self.quantization = quantization
        self.slots = cache.slots
        self.is_invariant = kernels is not None
        self.draw = draw_by_kernels(kernels) if kernels else draw_by_torch
        self._weights = weights
        self._cache = cache
        self._device = weights.embedding.device
        cosine, sine = rope_angles(weights, cache.tokens)
        self._blocks = Blocks(cache, cosine, sine, shape.heads, shape.rms_eps)
        self._kernel_step = (
            _build_kernel_step(shape, weights, cache, cosine, sine, kernels) if kernels else None
        )
        self._graphed: GraphedDecode | None = None
        if self._device.type == "cuda":
            self.decode_by_graphs(CudaGraphs())

    def decode_by_graphs(self, capture: Capture) -> None:
        """Decode from now on in steps of fixed shape, each captured when it first comes.

        Raises:
            ValueError: The compiled kernels compute this model.
        """
        if self._kernel_step:
            raise ValueError("steps of fixed shape are computed by torch alone")
        self._cache.clear()
        self._graphed = GraphedDecode(
            partial(_static_logits, self._weights, self._blocks), capture,
            cache_slots=self._cache.slots, cache_tokens=self._cache.tokens, device=self._device,
        )  # fmt: skip

    @property
    def memory_bytes(self) -> int:
        """Weights and cache, on the device."""
        return _weight_bytes(self._weights) + self._cache.memory_bytes

    @property
    def token_bytes(self) -> int:
        """Weights that every step reads; see `Network`."""
        head = self._weights.head
        read = head.step_bytes if isinstance(head, PackedLinear) else head.memory_bytes
        return _matrix_bytes(self._weights) + read

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> Tensor:
        """Compute a prompt's next tokens; see `Network`."""
        if self._graphed:
            self._cache.cut(slot, start + len(ids))
        return self._compute(ids, [Segment(slot=slot, start=start, length=len(ids))], [len(ids) - 1])[0]

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Tensor:
        """Compute the next token, or several guessed ones, of each sequence; see `Network`."""
        if self._graphed:
            for slot, position, tokens in zip(slots, positions, ids, strict=True):
                self._cache.note_end(slot, position + len(tokens))
            if (logits := self._graphed.compute(slots, positions, ids)) is not None:
                return logits
        segments = [
            Segment(slot=slot, start=position, length=len(tokens))
            for slot, position, tokens in zip(slots, positions, ids, strict=True)
        ]
        return self._compute([token for tokens in ids for token in tokens], segments)

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Copy the first positions of one slot's cache to another's."""
        self._cache.note_end(target, tokens)
        self._cache.copy_prefix(source, target, tokens)

    @torch.inference_mode()
    def _compute(
        self, ids: Sequence[int], segments: Sequence[Segment], wanted: Sequence[int] | None = None
    ) -> Tensor:
        """Return the logits of the wanted rows, or of all: (rows, vocab), float32."""
        tokens = torch.tensor(ids, device=self._device)
        if self._kernel_step:
            places = [(s.slot, s.start + i) for s in segments for i in range(s.length)]
            embedded = functional.embedding(tokens, self._weights.embedding).float()  # (N, D)
            return self._kernel_step.compute(embedded, places, wanted)[:, : self.vocab_size]
        hidden = forward(self._weights, self._blocks, tokens, self._blocks.attention(segments))
        return self._weights.head(hidden if wanted is None else hidden[wanted]).float()


def _build_kernel_step(
    shape: LlamaShape, weights: LlamaWeights, cache: SlotCache, cosine: Tensor, sine: Tensor,
    kernels: Kernels,
) -> KernelStep:  # fmt: skip
    matrices = [m for y in weights.layers for m in (y.qkv, y.output, y.gate_up, y.down)]
    packed = [m for m in (*matrices, weights.head) if isinstance(m, PackedLinear)]
    return KernelStep(
        kernels=kernels,
        norms=[*(norm for y in weights.layers for norm in (y.attention_norm, y.mlp_norm)), weights.norm],
        packed=[m.packed for m in packed],
        scales=[m.scales for m in packed],
        keys=cache.keys,
        values=cache.values,
        cosine=cosine,
        sine=sine,
        heads=shape.heads,
        eps=shape.rms_eps,
    )


def forward(weights: LlamaWeights, blocks: Blocks, ids: Tensor, attend: Attention) -> Tensor:
    """Compute the hidden states (N, D) of tokens (N,) that `attend` knows the places of."""
    norm, gate = blocks.norm, blocks.gate
    x = functional.embedding(ids, weights.embedding).to(blocks.dtype)  # (N, D)
    for index, layer in enumerate(weights.layers):
        x = x + layer.output(attend(index, layer.qkv(norm(x, layer.attention_norm))))
        x = x + layer.down(gate(layer.gate_up(norm(x, layer.mlp_norm))))
    return norm(x, weights.norm)


def _static_logits(weights: LlamaWeights, blocks: Blocks, rows: StaticRows) -> Tensor:
    return weights.head(forward(weights, blocks, rows.ids, blocks.attention_at(rows)))


def rope_angles(weights: LlamaWeights, tokens: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of all positions, (tokens, E) each, float32."""
    positions = torch.arange(tokens, device=weights.rope_inverse_frequencies.device).float()
    angles = torch.outer(positions, weights.rope_inverse_frequencies)  # (tokens, E / 2)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos() * weights.rope_scale, angles.sin() * weights.rope_scale


def _matrix_bytes(weights: LlamaWeights) -> int:
    return sum(m.memory_bytes for y in weights.layers for m in (y.qkv, y.output, y.gate_up, y.down))


def _weight_bytes(weights: LlamaWeights) -> int:
    tied = getattr(weights.head, "weight", None) is weights.embedding
    head = 0 if tied else weights.head.memory_bytes
    return weights.embedding.nbytes + _matrix_bytes(weights) + head
