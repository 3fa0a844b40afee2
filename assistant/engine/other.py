# pyright: basic
"""Every causal language model that `llama` does not compute, through transformers' own modelling.

Slower, since sequences are decoded one after the other; the same protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import Tensor

from assistant.engine.device import MOST_SLOTS, Placement
from assistant.engine.interface import LoadProgress
from assistant.engine.sampling import draw_by_torch
from assistant.errors import ModelError


class OtherNetwork:
    """A transformers model with one growing cache for each slot."""

    def __init__(self, model: Any, slots: int, device: torch.device, quantization: str) -> None:
        self.vocab_size = int(model.config.get_text_config().vocab_size)
        self.slots = slots
        self.quantization = quantization
        kinds = getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"]
        self.is_invariant = False
        self.draw = draw_by_torch
        self.keeps_prefixes = set(kinds) == {"full_attention"}
        self._model = model
        self._device = device
        self._caches: list[Any] = [None] * slots
        self._weight_bytes = int(model.get_memory_footprint())
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        is_tied = head is not None and head.weight is embedding.weight
        self._embedding_bytes = 0 if is_tied else int(embedding.weight.nbytes)

    @property
    def memory_bytes(self) -> int:
        """Weights; the cache grows with what is asked."""
        return self._weight_bytes

    @property
    def token_bytes(self) -> int:
        """Weights that every step reads; see `Network`."""
        return self._weight_bytes - self._embedding_bytes

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> Tensor:
        """Compute a prompt's next tokens; see `Network`."""
        return self._extend(slot, start, ids, keep=1)[0]

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Tensor:
        """Compute the next token, or several guessed ones, of each sequence; see `Network`."""
        steps = zip(slots, positions, ids, strict=True)
        return torch.cat([self._extend(slot, at, tokens, keep=len(tokens)) for slot, at, tokens in steps])

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Copy the first positions of one slot's cache to another's."""
        cache = deepcopy(self._caches[source])
        _cut(cache, tokens)
        self._caches[target] = cache

    @torch.inference_mode()
    def _extend(self, slot: int, start: int, ids: Sequence[int], *, keep: int) -> Tensor:
        """Compute tokens of one sequence and return the last `keep` rows of logits."""
        cache = self._caches[slot]
        if start == 0 or cache is None:
            cache = cast("Any", transformers).DynamicCache(config=self._model.config)
        else:
            _cut(cache, start)
        out = self._model(
            input_ids=torch.tensor([ids], device=self._device),
            cache=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        self._caches[slot] = cache
        return out.logits[0].float()


def _cut(cache: Any, tokens: int) -> None:
    surplus = cache.get_seq_length() - tokens
    if surplus > 0:
        cache.crop(-surplus)  # a negative number says how many to remove


def load_other(
    directory: Path, config: Any, placement: Placement, report: Callable[[LoadProgress], None]
) -> OtherNetwork:
    """Load any causal model.

    Raises:
        ModelError: transformers knows no causal model of this architecture.
    """
    report(LoadProgress(stage="reading weights"))
    quantization = placement.quantization if placement.quantization == "nf4" else "none"
    library = cast("Any", transformers)
    options: dict[str, Any] = {}
    if quantization == "nf4":
        options["quantization_config"] = library.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=placement.dtype,  # its own default is float32: slow everywhere
        )
        options["device_map"] = {"": placement.device}
    try:
        model = library.AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=placement.dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
    except ValueError as error:
        raise ModelError(
            f"a model of type {config.model_type!r} cannot be run: {str(error).splitlines()[0]}"
        ) from error
    if quantization == "none":
        model = model.to(placement.device)
    return OtherNetwork(model.eval(), placement.slots or MOST_SLOTS, placement.device, quantization)
