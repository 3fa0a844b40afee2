"""A byte-level tokenizer without merges: what a data stage asks of a tokenizer, without transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

END = "<|end|>"


class SmallTokenizer:
    """Every byte is a token; one more ends a text."""

    def __init__(self) -> None:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {sign: number for number, sign in enumerate(alphabet)}
        backend: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens([END])
        self.backend_tokenizer = backend
        self.chat_template: str | dict[str, str] | None = None
        self.bos_token: str | None = None
        self.eos_token = END
        self.eos_token_id: int = backend.token_to_id(END)
        self.added_tokens_decoder: dict[int, Any] = backend.get_added_tokens_decoder()

    def encode(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool, verbose: bool
    ) -> list[int]:
        self.backend_tokenizer.encode_special_tokens = split_special_tokens
        return self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [self.backend_tokenizer.id_to_token(one) for one in ids]


def make_base(directory: Path, context_tokens: int = 4096) -> Path:
    """Make a directory that passes for a model's as far as data goes."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"max_position_embeddings": context_tokens}))
    (directory / "tokenizer.json").write_text("{}")
    return directory
