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

from assistant import prompts
from assistant.requests import Turn


class ModelText:
    """A model's tokenizer, prompt format and end-of-answer tokens."""

    def __init__(self, directory: Path, model_config: Any, prompt_format: str) -> None:
        auto = cast("Any", transformers).AutoTokenizer
        self.tokenizer = auto.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        self.prompt_format = prompt_format
        self.end_ids = _end_ids(directory, model_config, self.tokenizer)
        """Any of these tokens ends an answer."""

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """Render and tokenize a conversation.

        Raises:
            RequestRefusedError: The format cannot render it.
        """
        return prompts.encode_turns(self.tokenizer, self.prompt_format, turns)

    def encode_text(self, text: str) -> list[int]:
        """Tokenize a prompt rendered by the caller; special-token strings in it stay text."""
        return prompts.encode_text(self.tokenizer, text)

    def open_stream(self) -> TextStream:
        """Return a decoder for one answer."""
        return TextStream(self.tokenizer.backend_tokenizer)


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


def _end_ids(directory: Path, model_config: Any, tokenizer: Any) -> frozenset[int]:
    ids = {tokenizer.eos_token_id}
    path = directory / "generation_config.json"
    named: list[Any] = [getattr(model_config, "eos_token_id", None)]
    if path.is_file():
        named.append(json.loads(path.read_text(encoding="utf-8")).get("eos_token_id"))
    for value in named:
        ids.update(cast("list[int]", value) if isinstance(value, list) else [value])
    return frozenset(token for token in ids if isinstance(token, int))
