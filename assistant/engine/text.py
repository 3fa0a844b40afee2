# pyright: basic
"""Between text and token ids, for one model: prompts in, readable text out.

Knows the tokenizer and the prompt format; no weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import transformers
from tokenizers.decoders import DecodeStream

from assistant import limits, prompts
from assistant.errors import ModelError
from assistant.requests import Turn

GENERATION_CONFIG = "generation_config.json"


class ModelText:
    """A model's tokenizer, prompt format, end-of-answer tokens and repetition penalty.

    Raises:
        ModelError: Its generation configuration names a penalty that cannot be used.
    """

    def __init__(self, directory: Path, model_config: Any, prompt_format: str) -> None:
        auto = cast("Any", transformers).AutoTokenizer
        self.tokenizer = auto.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        self.prompt_format = prompt_format
        path = directory / GENERATION_CONFIG
        generation = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.end_ids = _end_ids(generation, model_config, self.tokenizer)
        """Any of these tokens ends an answer."""
        self.repetition_penalty = _repetition_penalty(generation, path)
        """The model's own, for a request that names none; 1 is none."""
        self._vocab_size = int(model_config.get_text_config().vocab_size)

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """Render and tokenize a conversation.

        Raises:
            RequestRefusedError: The format cannot render it.
            ModelError: The tokenizer knows more tokens than the model, and these are among them.
        """
        return self._check_ids(prompts.encode_turns(self.tokenizer, self.prompt_format, turns))

    def encode_text(self, text: str) -> list[int]:
        """Tokenize a prompt rendered by the caller; special-token strings in it stay text.

        Raises:
            ModelError: As `encode_turns`.
        """
        return self._check_ids(prompts.encode_text(self.tokenizer, text))

    def open_stream(self) -> TextStream:
        """Return a decoder for one answer."""
        return TextStream(self.tokenizer.backend_tokenizer)

    def _check_ids(self, ids: list[int]) -> list[int]:
        largest = max(ids, default=0)
        if largest >= self._vocab_size:
            token = self.tokenizer.convert_ids_to_tokens(largest)
            raise ModelError(
                f"the tokenizer has a token {largest} ({token!r}), the model has {self._vocab_size} tokens",
                hint="tokenizer and weights do not belong together; pull the model again",
            )
        return ids


class TextStream:
    """Turns an answer's tokens into text as they come, never half a character."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._stream = DecodeStream(skip_special_tokens=True)

    def push(self, token_id: int) -> str:
        """Return the text that this token completes, which may be none."""
        return self._stream.step(self._backend, token_id) or ""


class StopScanner:
    """Ends text where a stop string begins, even when it arrives in pieces.

    Holds back only what may still become a stop string.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self.held = ""
        """What may still become a stop string. To go back to an earlier place, set what it was there."""
        self.stopped = False
        """Whether a stop string was found."""

    def push(self, text: str) -> str:
        """Take more text and return what can be shown. After `stopped`, nothing more can."""
        if not self._stops or self.stopped:
            return "" if self.stopped else text
        self.held += text
        found = [place for stop in self._stops if (place := self.held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self.held = self.held[: min(found)], ""
            return shown
        keep = max(_overlap(self.held, stop) for stop in self._stops)
        cut = len(self.held) - keep
        shown, self.held = self.held[:cut], self.held[cut:]
        return shown

    def flush(self) -> str:
        """Return what was held back: no stop string will come any more."""
        shown, self.held = self.held, ""
        return shown


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)


def _end_ids(generation: dict[str, Any], model_config: Any, tokenizer: Any) -> frozenset[int]:
    ids = {tokenizer.eos_token_id}
    for value in (getattr(model_config, "eos_token_id", None), generation.get("eos_token_id")):
        ids.update(cast("list[int]", value) if isinstance(value, list) else [value])
    return frozenset(token for token in ids if isinstance(token, int))


def _repetition_penalty(generation: dict[str, Any], path: Path) -> float:
    value = generation.get("repetition_penalty")
    if value is None:
        return 1.0
    low, high = limits.LEAST_REPETITION_PENALTY, limits.MAX_REPETITION_PENALTY
    if type(value) not in (int, float) or not low <= value <= high:
        raise ModelError(
            f"{path}: repetition_penalty must be a number from {low:g} to {high:g}, got {value!r}",
            hint="make or pull the model again with another one, or with none",
        )
    return float(value)
