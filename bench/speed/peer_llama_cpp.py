# pyright: basic
"""llama.cpp by llama-cpp-python, for the benchmarks. Runs in an environment of its own."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

LOOKUP_TOKENS = 10
"""What llama-cpp-python takes by default."""
FILE_TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7}
"""llama.cpp's `llama_ftype`."""


class Peer:
    """One loaded model."""

    _model: Any

    def load(self, path: str, threads: int, *, lookup_is_on: bool = False) -> dict[str, Any]:
        """Load a GGUF file; with its prompt lookup, it is loaded for that alone."""
        llama_cpp: Any = import_module("llama_cpp")
        drafting: Any = import_module("llama_cpp.llama_speculative")
        draft = drafting.LlamaPromptLookupDecoding(num_pred_tokens=LOOKUP_TOKENS) if lookup_is_on else None
        self._model = llama_cpp.Llama(
            path, n_ctx=2048, n_threads=threads, n_threads_batch=threads, draft_model=draft, verbose=False
        )
        return {"version": llama_cpp.__version__}

    def generate(self, ids: list[int], max_tokens: int) -> dict[str, Any]:
        """Answer one prompt greedily and cold."""
        model = self._model
        model.reset()
        times: list[float] = []
        tokens: list[int] = []
        started = time.monotonic()
        for token in model.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
            times.append(time.monotonic())
            if token == model.token_eos():
                break
            tokens.append(token)
            if len(tokens) >= max_tokens:
                break
        return {
            "tokens": len(tokens),
            "first_s": times[0] - started,
            "decode_s": times[-1] - times[0],
            "text": model.detokenize(tokens).decode("utf-8", "replace"),
        }

    def quantize(self, source: str, target: str, form: str, threads: int) -> None:
        """Make a GGUF file in 4 or 8 bits of one in 16."""
        llama_cpp: Any = import_module("llama_cpp")
        options = llama_cpp.llama_model_quantize_default_params()
        options.ftype, options.nthread = FILE_TYPES[form], threads
        code = llama_cpp.llama_model_quantize(source.encode(), target.encode(), options)
        if code:
            raise RuntimeError(f"llama.cpp cannot make {form} of {source}: {code}")
