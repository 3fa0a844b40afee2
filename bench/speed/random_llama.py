# pyright: basic
"""Llama models of any shape with random weights: what speed does not care about costs no download."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SMALL: Mapping[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
ONE_B: Mapping[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
}
"""TinyLlama's numbers."""
LLAMA_2_7B: Mapping[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def write_random_llama(
    directory: Path, shape: Mapping[str, Any], *, device: str = "cpu", tokenizer: Path | None = None
) -> None:
    """Write a model in 16 bits that never ends an answer by itself.

    Args:
        directory: Made if it is not there.
        shape: As transformers names its numbers.
        device: Where the numbers are drawn: a GPU is quicker.
        tokenizer: A model whose tokenizer to take, and its vocabulary's size; by default one of words.
    """
    import torch
    import transformers

    numbers = {"max_position_embeddings": 4096, "tie_word_embeddings": False, **shape}
    if tokenizer is not None:
        theirs = transformers.AutoConfig.from_pretrained(tokenizer, local_files_only=True)
        numbers["vocab_size"] = theirs.vocab_size
    dtype = torch.float16 if device == "cuda" else torch.bfloat16
    config = transformers.LlamaConfig(**numbers, eos_token_id=None, bos_token_id=None)
    torch.manual_seed(7)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(directory, max_shard_size="5GB")
    (directory / "generation_config.json").unlink(missing_ok=True)
    if tokenizer is None:
        _write_tokenizer(directory, numbers["vocab_size"])
        return
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, directory / name)


def _write_tokenizer(directory: Path, size: int) -> None:
    import tokenizers
    import transformers

    vocabulary = {"<unk>": 0, **{f"w{number}": number for number in range(1, size)}}
    words: Any = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.decoder = tokenizers.decoders.Fuse()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(directory)
