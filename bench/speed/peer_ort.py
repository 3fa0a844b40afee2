# pyright: basic
"""onnxruntime-genai, for the benchmarks. Runs in an environment of its own."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any


class Peer:
    """One loaded model."""

    _library: Any
    _model: Any
    _tokenizer: Any

    def load(self, directory: str) -> dict[str, Any]:
        """Load what its model builder made."""
        self._library = import_module("onnxruntime_genai")
        self._model = self._library.Model(directory)
        self._tokenizer = self._library.Tokenizer(self._model)
        return {"version": self._library.__version__}

    def generate(self, ids: list[int], max_tokens: int) -> dict[str, Any]:
        """Answer one prompt greedily and cold."""
        options = self._library.GeneratorParams(self._model)
        options.set_search_options(max_length=len(ids) + max_tokens, do_sample=False)
        times: list[float] = []
        tokens: list[int] = []
        started = time.monotonic()
        generator = self._library.Generator(self._model, options)
        generator.append_tokens(ids)
        while not generator.is_done() and len(tokens) < max_tokens:
            generator.generate_next_token()
            times.append(time.monotonic())
            tokens.append(int(generator.get_next_tokens()[0]))
        return {
            "tokens": len(tokens),
            "first_s": times[0] - started,
            "decode_s": times[-1] - times[0],
            "text": self._tokenizer.decode(tokens),
        }
