# pyright: basic
"""transformers' own `generate`, in 16 bits or in bitsandbytes' nf4, for the benchmarks."""

from __future__ import annotations

import time
from typing import Any

import torch
import transformers

LOOKUP_TOKENS = 10
"""What transformers' documentation takes for prompt lookup."""


class Peer:
    """One loaded model."""

    _model: Any
    _tokenizer: Any

    def load(
        self, directory: str, quantization: str, device: str = "cpu", threads: int = 0
    ) -> dict[str, Any]:
        """Load a model.

        Args:
            directory: Its own.
            quantization: `none` for bfloat16, or `nf4`.
            device: As torch names it.
            threads: 0 for as many as torch takes.
        """
        if threads:
            torch.set_num_threads(threads)
        dtype = torch.bfloat16
        if device != "cpu" and torch.cuda.get_device_capability()[0] < 8:
            dtype = torch.float16
        options: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "device_map": {"": device}}
        if quantization == "nf4":
            options["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        self._model = transformers.AutoModelForCausalLM.from_pretrained(directory, **options).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
        return {"version": transformers.__version__, "device": str(self._model.device)}

    def generate(self, ids: list[int], max_tokens: int, *, lookup_is_on: bool = False) -> dict[str, Any]:
        """Answer one prompt greedily."""
        clock = _Clock(self._model.device)
        options = {"prompt_lookup_num_tokens": LOOKUP_TOKENS} if lookup_is_on else {}
        tokens = torch.tensor([ids], device=self._model.device)
        started = time.monotonic()
        with torch.inference_mode():
            self._model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=max_tokens,
                do_sample=False,
                pad_token_id=0,
                streamer=clock,
                **options,
            )
        return {
            "tokens": len(clock.tokens),
            "first_s": clock.first - started,
            "decode_s": clock.last - clock.first,
            "text": self._tokenizer.decode(clock.tokens, skip_special_tokens=True),
        }


class _Clock:
    """What `generate` hands its tokens to: the prompt first, then each as it comes."""

    def __init__(self, device: torch.device) -> None:
        self.tokens: list[int] = []
        self.first = self.last = 0.0
        self._device = device
        self._has_prompt = False

    def put(self, value: torch.Tensor) -> None:
        if not self._has_prompt:
            self._has_prompt = True
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.tokens += value.flatten().tolist()

    def end(self) -> None:
        pass
